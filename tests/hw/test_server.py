# SPDX-License-Identifier: Apache-2.0
"""HDP-Server as a user emits it: in a minute, in little memory, nothing written twice."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prunus.golden.engines import load_config
from prunus.hw.verilog.emit import emit
from prunus.sim.simulators.cache import ROOT
from tests.hw.lint import lint

pytestmark = pytest.mark.large

SECONDS, BYTES = 60, 2 << 30


@dataclass(frozen=True)
class Emitted:
    """The file, and what its emission took: processor seconds and resident bytes."""

    path: Path
    seconds: float
    memory: int


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Emitted:
    folder = tmp_path_factory.mktemp("server")
    process = subprocess.Popen([sys.executable, "-m", "prunus", "verilog", "hdp_server", "-o",
                                folder], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Emitted(folder / "hdp_server.v", usage.ru_utime + usage.ru_stime,
                   usage.ru_maxrss * 1024)


def test_time_and_memory(server):
    assert server.seconds < SECONDS
    assert server.memory < BYTES


def test_modules_are_there_once(server):
    text = server.path.read_text(encoding="utf-8")
    core, = re.findall(r"^module (hdp_server__hdp_core)\b", text, re.M)
    multiplier, = re.findall(r"^module (hdp_server__composable_multiplier)\b", text, re.M)
    assert len(re.findall(rf"^  {core} core_\d \(", text, re.M)) == 8
    assert len(re.findall(rf"^  {multiplier} mult_\d\d_\d+ \(", text, re.M)) == 256


def test_lint_of_a_core(tmp_path):
    """With groups and a bus as wide as the server's; linting eight cores takes minutes."""
    config = load_config("hdp_server").model_copy(update={
        "name": "hdp_core", "cores": 1, "multipliers": 128, "l_max": 64})
    path = tmp_path / "hdp_core.v"
    path.write_text(emit(config).verilog, encoding="utf-8")
    done = lint(path)
    assert (done.returncode, done.stderr) == (0, "")

# SPDX-License-Identifier: Apache-2.0
"""The programs in examples/, run as a user runs them: from another folder, by their path."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prunus.sim.simulators.cache import ROOT, build_root


def run(name: str, cwd: Path, *arguments) -> list[str]:
    """Lines of what it prints."""
    done = subprocess.run([sys.executable, str(ROOT / "examples" / name), *map(str, arguments)],
                          cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT),
                               "PRUNUS_BUILD": str(build_root())})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def numbers(line: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", line)]


def test_head_in_numpy(tmp_path):
    """More is pruned at a larger rho, and the output is further off."""
    rows = [numbers(line) for line in run("head_in_numpy.py", tmp_path)]
    rhos, kept, errors = zip(*rows, strict=True)
    assert rhos == (-0.9, 0, 0.2, 0.4)
    assert list(kept) == sorted(kept, reverse=True) and 90 < kept[0] < 100 and 5 < kept[-1] < 20
    assert list(errors) == sorted(errors) and 0 < errors[0] < 2


@pytest.mark.slow
def test_head_on_rtl(tmp_path):
    equal, kept, cycles = run("head_on_rtl.py", tmp_path)
    assert equal == "all 1024 words of the output equal the specification's"
    assert numbers(kept)[1] == 256
    taken, bound = numbers(cycles)
    assert bound < taken < 1.3 * bound


@pytest.mark.slow
def test_own_design(tmp_path):
    first, second, done = run("own_design.py", tmp_path, tmp_path / "new")
    assert [Path(first).name, Path(second).name] == ["my_attention.v", "my_design.v"]
    assert re.search(r"^  my_attention \S+ \($", Path(second).read_text("utf-8"), re.M)
    assert done.startswith("a head through my_design: ") and done.endswith("to the specification")

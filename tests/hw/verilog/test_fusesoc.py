# SPDX-License-Identifier: Apache-2.0
"""The core file, as FuseSoC runs it."""

import os
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from prunus.golden import registers
from prunus.golden.engines import load_config, preset_names
from prunus.hw.verilog.emit import waivers
from prunus.hw.verilog.fusesoc import bench, core
from prunus.sim.simulate import emitted

CONFIG = load_config("topk_tiny")
NAME = CONFIG.name


@pytest.mark.parametrize("preset", preset_names())
def test_every_register_that_tells_is_read(preset):
    config = load_config(preset)
    text = bench(config)
    for register in registers.register_map(config):
        if (value := registers.constants(config).get(register.name)) is not None:
            assert f"check(8'h{register.address:02x}, 32'h{value:08x});" in text
    assert f"  {preset} dut (" in text and f"{{{config.axi_data_width}{{1'b0}}}}" in text
    assert f"name: prunus::{preset}:" in core(config)
    assert "NAME" not in text + core(config)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, text in ((f"{NAME}.v", emitted(CONFIG)), (f"{NAME}.vlt", waivers(NAME)),
                       (f"{NAME}.core", core(CONFIG)), (f"{NAME}_tb.v", bench(CONFIG))):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def _run(folder: Path, target: str, tool: str) -> subprocess.CompletedProcess:
    if util.find_spec("fusesoc") is None:
        pytest.skip("no fusesoc")
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool} in PATH")
    homes = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "DATA", "CACHE")}
    return subprocess.run(
        [sys.executable, "-c", "from fusesoc.main import main; main()", "--cores-root", ".", "run",
         f"--target={target}", f"prunus::{NAME}"],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **homes})


@pytest.mark.slow
def test_lint(folder):
    done = _run(folder, "lint", "verilator")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


@pytest.mark.slow
def test_lint_sees_a_warning(folder):
    """So it is Verilator who looks, with all of its warnings."""
    source = folder / f"{NAME}.v"
    source.write_text(source.read_text("utf-8").replace("endmodule", "  wire odd;\nendmodule", 1))
    (folder / f"{NAME}.vlt").write_text("`verilator_config\n", encoding="utf-8")
    assert _run(folder, "lint", "verilator").returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_sim(folder, wrong):
    path = folder / f"{NAME}_tb.v"
    if wrong:
        text = path.read_text("utf-8")
        assert "32'h4e555250" in text
        path.write_text(text.replace("32'h4e555250", "32'h4e555251"), encoding="utf-8")
    done = _run(folder, "sim", "iverilog")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (f"PASS: the registers are those of {NAME}" in done.stdout) != wrong
    assert ("FAIL: register 00 reads 4e555250, not 4e555251" in done.stdout) == wrong

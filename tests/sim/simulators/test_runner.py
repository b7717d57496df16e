# SPDX-License-Identifier: Apache-2.0
import pytest

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
    assert {path.name for path in first.iterdir()} == {"kept", "kept.v", "build.log"}
    assert VerilatorRunner().compile(text + "\n", "kept") != first


def test_icarus_says_when_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SimulationError, match="no iverilog in PATH"):
        IcarusRunner()


def test_tail(tmp_path):
    path = tmp_path / "log"
    assert tail(path) == "(no log)"
    path.write_text("1\n\n2\n" + " " * 56 + "3\n")
    assert tail(path, 2) == "2\n  3"

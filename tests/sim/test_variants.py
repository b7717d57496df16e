# SPDX-License-Identifier: Apache-2.0
"""A circuit with faults that an input chooses: which are put in, which are told apart, which are
the same."""

from types import SimpleNamespace

import pytest

from prunus.formal.query import Verdict
from prunus.formal.rtl import read
from prunus.formal.same import Variants as Circuit
from prunus.sim import variants as room
from prunus.sim.variants import SELECT, variants, words

CONFIG = SimpleNamespace(name="top")
# A count that wraps at 5.
VERILOG = """
module top(clk, rst, step, wrapped, high);
  input clk, rst, step;
  output wrapped, high;
  reg [2:0] count;
  assign wrapped = step & (count == 3'd5);
  assign high = count[2] & ~(count[1] & 1'b0);
  always @(posedge clk) begin
    if (rst) count <= 3'd0;
    else if (step) count <= wrapped ? 3'd0 : count + 3'd1;
  end
endmodule
"""


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(room, "emitted", lambda config: VERILOG)
    return variants(CONFIG, 60, 3)


def test_faults_say_where_they_are(made):
    assert [fault.number for fault in made.faults] == list(range(1, 61))
    assert made == variants(CONFIG, 60, 3), "kept"
    assert f"input [5:0] {SELECT};" in made.verilog
    lines = VERILOG.splitlines()
    for fault in made.faults:
        assert fault.module == "top"
        assert fault.line and fault.text == " ".join(lines[fault.line - 1].split())
        assert any(word in fault.what for word in room.MODES.values())
    assert len({(fault.line, fault.what) for fault in made.faults}) > 20


def test_another_seed_gives_other_faults(made):
    other = variants(CONFIG, 60, 4)
    assert [fault.what for fault in other.faults] != [fault.what for fault in made.faults]


def test_what_the_induction_says(made):
    """A bit of a constant that is held at its value changes nothing; what is inverted shows."""
    circuit = Circuit(read(words(made, CONFIG)), SELECT)
    said = {fault.number: circuit.compare(fault.number) for fault in made.faults}
    proved = [fault for fault in made.faults if said[fault.number].verdict is Verdict.PROVED]
    seen = [fault for fault in made.faults if fault.what.endswith("and.Y[0] inverted")]
    assert proved and seen
    assert all(".B[" in fault.what and "held" in fault.what for fault in proved)
    assert {said[fault.number].verdict for fault in seen} == {Verdict.REFUTED}
    assert all(said[fault.number].differ for fault in seen)
    assert circuit.compare(0).verdict is Verdict.PROVED
    assert circuit.compare(63).verdict is Verdict.PROVED, "no fault has this number"


def test_clocks_have_no_faults(made):
    assert not [fault for fault in made.faults if "CLK" in fault.what]
    assert "-port CLK " in (made.folder / "all.ys").read_text()


def test_a_limit_of_resources_is_no_proof(made):
    circuit = Circuit(read(words(made, CONFIG)), SELECT)
    proved = [f.number for f in made.faults if circuit.compare(f.number).states == 0
              and circuit.compare(f.number).verdict is Verdict.PROVED]
    assert {circuit.compare(n, resources=1).verdict for n in proved} <= {
        Verdict.PROVED, Verdict.UNKNOWN}


def test_yosys_says_why_it_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    monkeypatch.setattr(room, "emitted", lambda config: "module top(; endmodule")
    with pytest.raises(RuntimeError, match="Yosys failed: .*syntax error"):
        variants(CONFIG, 5, 1)

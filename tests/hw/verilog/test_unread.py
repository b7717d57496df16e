# SPDX-License-Identifier: Apache-2.0
"""Wires that go and wires that stay."""

from prunus.hw.verilog.unread import drop_unread

BEFORE = """module m(clk, x, y);
  input clk;
  wire clk;
  input [3:0] x;
  wire [3:0] x;
  output y;
  wire y;
  wire x__lo;
  (* enum_value_0 = "y" *)
  (* enum_value_1 = "x__lo" *)
  wire signed [1:0] x__hi;
  wire [1:0] inner;
  wire chained;
  wire kept;
  wire pin;
  reg [1:0] count = 2'h0;
  assign x__lo = x[0];
  assign x__hi[0] = chained;
  assign x__hi[1] = inner[1];
  assign inner = { chained, kept };
  assign chained = x[1] & x[2];
  assign kept = x[3];
  assign y = kept ^ pin;
  other child (
    .chained(x[0]),
    .pin(pin)
  );
  always_ff @(posedge clk)
    count <= count + 2'h1;
endmodule"""


def test_drop_unread():
    gone = {"x__lo", "x__hi", "inner", "chained"}
    lines = [line for line in BEFORE.split("\n")
             if not (line.startswith("  (*")
                     or line.startswith("  wire") and line.rstrip(";").split()[-1] in gone
                     or line.startswith("  assign") and line.split()[1].split("[")[0] in gone)]
    assert drop_unread(BEFORE) == "\n".join(lines)
    assert len(lines) == BEFORE.count("\n") + 1 - 11


def test_nothing_to_drop():
    text = drop_unread(BEFORE)
    assert drop_unread(text) == text

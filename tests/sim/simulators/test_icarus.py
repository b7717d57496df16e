# SPDX-License-Identifier: Apache-2.0
"""What Icarus Verilog gets to read; tests/hw/verilog/test_verilog.py runs it."""

from prunus.sim.simulators.icarus import without_always_comb


def test_without_always_comb():
    assert without_always_comb("module a(x,\n y);\n  always_comb begin\n    y = x;\n  end\n") == (
        "module a(x,\n y);\n  reg icarus_go;\n  initial #0 icarus_go = 1'b0;\n"
        "  always @* begin\n    if (icarus_go);\n    y = x;\n  end\n")

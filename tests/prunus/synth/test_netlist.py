# SPDX-License-Identifier: Apache-2.0
"""Blocks, instances and memories from Verilog and from what Yosys writes."""

import json
from collections import Counter

from prunus.synth.netlist import Memory, block_name, hierarchy, read_mapped, separate

VERILOG = """\
module x(clk);
  x__hdp_core core_0 (
    .clk(clk)
  );
  x__hdp_core core_1 (
    .clk(clk)
  );
  x__csr csr (
    .clk(clk)
  );
endmodule
module x__hdp_core(clk);
  x__array array (
    .clk(clk)
  );
  x__plane_buffer_v buffer_v (
    .clk(clk)
  );
endmodule
module x__array(clk);
  x__composable_multiplier a (
    .clk(clk)
  );
  x__composable_multiplier b (
    .clk(clk)
  );
endmodule
module x__composable_multiplier(clk);
endmodule
module x__plane_buffer_v(clk);
  x__fifo fifo (
    .clk(clk)
  );
endmodule
module x__fifo(clk);
endmodule
module x__csr(clk);
  x__fifo fifo (
    .clk(clk)
  );
endmodule
"""

MEMORIES = r"""
attribute \keep_hierarchy 1
module \x__hdp_core
  attribute \no_rw_check 1
  cell $mem_v2 \mask
    parameter \MEMID "\\mask"
    parameter \WIDTH 1
    parameter \SIZE 512
    parameter \RD_PORTS 1
    parameter \RD_CLK_ENABLE 1'1
    parameter \WR_PORTS 1
    connect \RD_CLK \clk
    connect \RD_ADDR \read__addr
    connect \WR_ADDR \write__addr
  end
  cell $mem_v2 \fifo.storage
    parameter \MEMID "\\fifo.storage"
    parameter \WIDTH 6
    parameter \SIZE 4
    parameter \RD_PORTS 2
    parameter \RD_CLK_ENABLE 2'10
    parameter \WR_PORTS 1
    connect \RD_ADDR { \level [1:0] \level [1:0] }
    connect \WR_ADDR { \level [1:0] \level [1:0] }
  end
end
module \x__csr
  cell $mem_v2 \table
    parameter \MEMID "\\table"
    parameter \WIDTH 8
    parameter \SIZE 8
    parameter \WR_PORTS 0
  end
end
"""


def test_hierarchy():
    modules = hierarchy(VERILOG)
    assert modules["x"] == Counter(x__hdp_core=2, x__csr=1)
    assert modules["x__array"] == Counter(x__composable_multiplier=2)
    assert modules["x__fifo"] == Counter()


def test_what_is_kept_apart():
    """Blocks of the top and of the cores, and the multipliers; what these consist of is theirs."""
    assert separate(hierarchy(VERILOG), "x") == [
        "x__array", "x__composable_multiplier", "x__csr", "x__hdp_core", "x__plane_buffer_v"]


def test_cores_in_a_room_of_their_own():
    """Whatever stands between the top and the cores is opened."""
    verilog = VERILOG.replace("module x(clk);", "module x(clk);\n  x__cluster all (\n  );\n"
                              "endmodule\nmodule x__cluster(clk);")
    assert separate(hierarchy(verilog), "x") == [
        "x__array", "x__cluster", "x__composable_multiplier", "x__csr", "x__hdp_core",
        "x__plane_buffer_v"]


def test_the_front_end_is_opened():
    """Of LeOPArd: units and banks are blocks, so are the parts of a unit, but not what these
    consist of."""
    parts = {"x": ["leopard_core"], "leopard_core": ["qk_unit", "scheduler"],
             "qk_unit": ["key_bank", "dot_product_unit", "merger"], "merger": ["round_robin"],
             "dot_product_unit": ["dot_product", "reorder"], "dot_product": ["tree"]}
    modules = {"x": Counter(x__leopard_core=1)} | {
        f"x__{name}": Counter(f"x__{part}" for part in parts.get(name, ()))
        for name in {*sum(parts.values(), [])}}
    assert separate(modules, "x") == [f"x__{name}" for name in (
        "dot_product", "dot_product_unit", "key_bank", "leopard_core", "merger", "qk_unit",
        "reorder", "scheduler")]


def test_names_of_blocks():
    assert block_name("x__dot_product_unit", "x") == "dot_product_unit"
    assert block_name("x__dot_product", "x") == "dot_product"
    assert block_name("x__code_buffer_buffer_v", "x") == "code_buffer"
    assert block_name("x", "x") == "top"
    assert block_name("x__softmax_unit", "x") == "softmax_unit"
    assert block_name("x__plane_buffer_buffer_q_i", "x") == "plane_buffer"
    assert block_name("x__fetch_upon_mask_1", "x") == "fetch_upon_mask"


def stat(cells, area):
    return {"num_cells_by_type": cells, "area": area}


def test_read_mapped(tmp_path):
    modules = {"\\x": stat({"x__hdp_core": 2, "INV": 1, "$scopeinfo": 3}, 201.0),
               "\\x__hdp_core": stat({"x__array": 1, "DFF": 4, "$mem_v2": 2}, 100.0),
               "\\x__array": stat({"INV": 60}, 60.0)}
    (tmp_path / "stat.json").write_text(json.dumps({"modules": modules}))
    (tmp_path / "memories.il").write_text(MEMORIES)
    (tmp_path / "DP16KD.cells.txt").write_text("x__hdp_core/mask.0.0\nx__hdp_core/mask.1.0\n")
    (tmp_path / "TRELLIS_DPR16X4.cells.txt").write_text("x__hdp_core/fifo.storage.0.0\n")
    mapped = read_mapped(tmp_path, "x")
    assert mapped.instances == {"x": 1, "x__hdp_core": 2, "x__array": 2}
    assert mapped.cells == {"x": Counter(INV=1), "x__hdp_core": Counter({"DFF": 4, "$mem_v2": 2}),
                            "x__array": Counter(INV=60)}
    assert mapped.area == {"x": 1.0, "x__hdp_core": 40.0, "x__array": 60.0}
    assert mapped.memories == [
        Memory("x__hdp_core", "mask", 512, 1),
        Memory("x__hdp_core", "fifo.storage", 4, 6, read_ports=2, clocked=False, dual=False)]
    assert [memory.bits for memory in mapped.memories] == [512, 24]
    assert mapped.ram_cells == {("x__hdp_core", "mask"): Counter(DP16KD=2),
                                ("x__hdp_core", "fifo.storage"): Counter(TRELLIS_DPR16X4=1)}

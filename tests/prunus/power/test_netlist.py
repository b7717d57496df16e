# SPDX-License-Identifier: Apache-2.0
"""Gates of small designs put flat and in order, and what is refused."""

import copy
from collections import Counter

import numpy as np
import pytest

from prunus.errors import RunError
from prunus.power.netlist import MEMORY, ONE, ZERO, Group, flatten
from prunus.synth.pdk.cells import library
from tests.prunus.power.small import BLOCKS, blocks, cell, gated, hand, mapped, memories


def drivers(netlist):
    """Nets that a part drives, in the order of evaluation behind those that hold a state."""
    for step in netlist.steps:
        if isinstance(step, Group):
            yield from ((step.first + n, step.inputs[:, n]) for n in range(step.inputs.shape[1]))
        else:
            port = netlist.memories[step[0]].reads[step[1]]
            yield from ((port.first + n, port.address) for n in range(port.width))


@pytest.mark.parametrize("design", [blocks, lambda: gated(False), lambda: gated(True), memories])
def test_each_gate_is_behind_all_that_it_looks_at(design):
    netlist = design().netlist()
    known = {ZERO, ONE}
    known |= {int(net) for nets in netlist.inputs.values() for net in nets}
    known |= {bank.first + n for bank in netlist.banks for n in range(len(bank.data))}
    known |= {port.first + n for memory in netlist.memories for port in memory.reads
              if port.clocked for n in range(port.width)}
    for out, inputs in drivers(netlist):
        # Those of a group may not look at each other: they are evaluated at once.
        assert {int(net) for net in inputs} <= known
        known.add(out)
    assert known == set(range(netlist.nets))
    for group in netlist.groups:
        own = set(range(group.first, group.first + group.inputs.shape[1]))
        assert not own & {int(net) for net in group.inputs.flat}


@pytest.mark.parametrize("design", [blocks, lambda: gated(False), lambda: gated(True), memories])
def test_nothing_is_lost(design):
    """Cells by block and kind are those of the flat netlist that Yosys makes."""
    design = design()
    netlist, model = design.netlist(), design.model()
    found = Counter()
    for net in range(2, netlist.nets):
        if netlist.driver[net] >= 0:
            path = "/".join(netlist.blocks[netlist.block[net]])
            found[path, netlist.names[netlist.driver[net]]] += 1
    wanted = Counter((path, kind) for path, kind, *_ in model.gates)
    wanted += Counter((path, "sg13g2_dfrbpq_1") for path, _ in model.flops)
    for path, _, reads in model.memories:
        wanted[path, MEMORY] += sum(len(port["data"]) for port in reads)
    assert found == +wanted
    cells = netlist.cells()
    assert cells["sg13g2_lgcp_1"] == len(model.clock_gates)
    del cells["sg13g2_lgcp_1"]
    assert cells == Counter(kind for _, kind, *_ in model.gates) + Counter(
        {"sg13g2_dfrbpq_1": len(model.flops)} if model.flops else {})


def test_blocks_are_paths():
    netlist = blocks().netlist()
    assert netlist.blocks[0] == ()
    assert sorted(netlist.blocks) == [(), ("open",), ("whole",), ("whole", "first"),
                                      ("whole", "second")]


def test_joined_ports_are_one_net():
    """What goes through, two outputs of one net and a constant; inputs of blocks are no nets."""
    netlist = blocks().netlist()
    outputs, inputs = netlist.outputs, netlist.inputs
    assert outputs["passed"][0] == inputs["in"][0]
    assert outputs["one"][0] not in (ZERO, ONE)         # a gate in the middle makes it
    assert netlist.nets == 2 + 4 + sum(netlist.cells().values())
    said = blocks().said
    inner = said["modules"]["leaf"]["ports"]
    assert inner["through"]["bits"] == inner["a"]["bits"] and inner["none"]["bits"] == ["1"]
    assert inner["same"]["bits"] == inner["p"]["bits"]


def block(ports, cells=()):
    return {"ports": {name: {"direction": side, "bits": bits} for name, side, bits in ports},
            "cells": {f"g{n}": one for n, one in enumerate(cells)}, "netnames": {}}


def around(child, **connections):
    """A top with two inputs, 10 and 11, around a block; outputs are 20, 21 and 22."""
    top = block([("clk", "input", [2]), ("in", "input", [10, 11]),
                 ("out", "output", [20, 21, 22])],
                [{"type": "child", "connections": connections}])
    return flatten({"modules": {"child": child, "top": top}}, "top", library())


@pytest.mark.parametrize("order", [("a", "y", "z"), ("y", "z", "a"), ("z", "a", "y"),
                                   ("y", "a", "z")])
def test_an_input_that_is_two_outputs(order):
    """Whichever comes first."""
    sides = {"a": "input", "y": "output", "z": "output"}
    child = block([(name, sides[name], [5]) for name in order])
    netlist = around(child, a=[11], y=[20], z=[21])
    assert netlist.outputs["out"].tolist() == [netlist.inputs["in"][1]] * 2 + [ZERO]
    assert netlist.nets == 4


def test_two_outputs_of_one_gate():
    child = block([("a", "input", [5]), ("y", "output", [6]), ("z", "output", [6])],
                  [cell("inv_1", A=5, Y=6)])
    netlist = around(child, a=[10], y=[20], z=[21])
    (group,) = netlist.groups
    assert netlist.outputs["out"].tolist() == [group.first, group.first, ZERO]
    assert group.inputs.tolist() == [[netlist.inputs["in"][0]]]


def test_two_outputs_of_one_gate_on_one_net():
    """A net that is joined with itself."""
    child = block([("a", "input", [5]), ("y", "output", [6]), ("z", "output", [6])],
                  [cell("inv_1", A=5, Y=6)])
    netlist = around(child, a=[10], y=[20], z=[20])
    (group,) = netlist.groups
    assert netlist.outputs["out"].tolist() == [group.first, ZERO, ZERO]


def test_constants_go_in_and_come_out():
    child = block([("a", "input", [5, 7]), ("y", "output", [6]), ("k", "output", ["1", "0"])],
                  [cell("nand2_1", A=5, B=7, Y=6)])
    netlist = around(child, a=["1", 11], y=[20], k=[21, 22])
    (group,) = netlist.groups
    assert group.inputs.tolist() == [[ONE], [netlist.inputs["in"][1]]]
    assert netlist.outputs["out"].tolist() == [group.first, ONE, ZERO]


def test_pins_are_in_the_order_of_their_names():
    """However the file has them."""
    netlist = hand([cell("mux2_1", S=5, X=9, A1=4, A0=3)], {"a": [3], "b": [4], "s": [5]},
                   {"x": [9]}).netlist()
    (group,) = netlist.groups
    assert group.inputs[:, 0].tolist() == [int(netlist.inputs[name][0]) for name in "abs"]


def test_a_net_that_nothing_drives_is_zero_at_a_port():
    netlist = hand([cell("inv_1", A=3, Y=4)], {"a": [3]}, {"x": [4, 77, "1", "x"]}).netlist()
    assert netlist.outputs["x"].tolist() == [3, ZERO, ONE, ZERO]


@pytest.mark.parametrize(("gates", "message"), [
    ([cell("inv_1", A=5, Y=4), cell("inv_1", A=4, Y=5)], "2 gates hang in a loop"),
    ([cell("nand2_1", A=3, B=5, Y=4), cell("inv_1", A=4, Y=5), cell("inv_1", A=3, Y=6)],
     "2 gates hang in a loop"),
    ([cell("inv_1", A=9, Y=4)], "1 gates hang in a loop, or on a net that nothing drives"),
    ([cell("inv_1", A=3, Y=4), cell("inv_1", A=3, Y=4)], "driven twice, by sg13g2_inv_1"),
    ([cell("inv_1", A=3, Y=3)], "driven twice, by sg13g2_inv_1"),
    ([cell("dfrbpq_1", D=3, Q=4, CLK=2, RESET_B=3)], "asynchronous reset cannot be replayed"),
    ([cell("dfrbpq_1", D=3, Q=4, CLK=2, RESET_B="0")], "asynchronous reset cannot be replayed"),
    ([cell("dfrbpq_1", D=3, Q=4, CLK=3, RESET_B="1")], "a flip-flop has a clock that is neither"),
    ([cell("lgcp_1", CLK=3, GATE=3, GCLK=5), cell("dfrbpq_1", D=3, Q=4, CLK=5)],
     "a clock gate has a clock that is not the design's"),
    ([cell("lgcp_1", CLK=2, GATE=3, GCLK=5), cell("lgcp_1", CLK=5, GATE=3, GCLK=6),
      cell("dfrbpq_1", D=3, Q=4, CLK=6)], "a clock gate has a clock that is not the design's"),
    ([cell("dlhq_1", D=3, Q=4, GATE=2)], r"a latch \(sg13g2_dlhq_1\) cannot be replayed"),
    ([cell("$_XOR_", A=3, B=3, Y=4)], r"the gates of top contain a \$_XOR_, which is none"),
])
def test_netlists_that_are_refused(gates, message):
    with pytest.raises(RunError, match=message):
        hand(gates, {"a": [3]}, {"x": [4]}).netlist()


def test_a_loop_through_a_memory_is_one():
    """A read without a clock is a gate of its address; with one it is none."""
    design = memories()
    said = copy.deepcopy(design.said)
    cells = said["modules"]["memories"]["cells"].values()
    two = next(one for one in cells if one["parameters"]["MEMID"] == "\\two")
    two["connections"]["RD_ADDR"][0] = two["connections"]["RD_DATA"][1]
    with pytest.raises(RunError, match="1 gates hang in a loop"):
        flatten(said, "memories", library())
    big = next(one for one in cells if one["parameters"]["MEMID"] == "\\big")
    two["connections"]["RD_ADDR"][0] = big["connections"]["RD_ADDR"][0]
    big["connections"]["RD_ADDR"][0] = big["connections"]["RD_DATA"][1]
    flatten(said, "memories", library())


def test_a_loop_in_verilog():
    design = mapped("circle", "module circle(input clk, input a, output b); wire x, y; "
                    "assign x = ~(a & y); assign y = ~(a & x); assign b = y; endmodule\n")
    with pytest.raises(RunError, match="gates hang in a loop"):
        design.netlist()


def test_an_asynchronous_reset_in_verilog():
    design = mapped("asynchronous", "module asynchronous(input clk, input r, input d, "
                    "output reg q); always @(posedge clk or negedge r) if (!r) q <= 0; "
                    "else q <= d; endmodule\n")
    with pytest.raises(RunError, match="a flip-flop with an asynchronous reset"):
        design.netlist()


def test_the_falling_edge_in_verilog():
    design = mapped("falling", "module falling(input clk, input d, output reg q); "
                    "always @(negedge clk) q <= d; endmodule\n")
    with pytest.raises(RunError, match="a clock that is neither"):
        design.netlist()


@pytest.mark.parametrize("clock_gates", [False, True])
def test_flip_flops_begin_as_they_say(clock_gates):
    """Registers of gated: 000101, 110000 and 1001."""
    (bank,) = gated(clock_gates).netlist().banks
    assert sorted(bank.initial.tolist()) == [0] * 10 + [1] * 6
    netlist = gated(clock_gates).netlist()
    for name, value in (("a", 0b000101), ("b", 0b110000), ("c", 0b1001)):
        bits = [bank.initial[net - bank.first] for net in netlist.outputs[name]]
        assert sum(int(bit) << n for n, bit in enumerate(bits)) == value


def test_clock_gates_open_for_their_flip_flops():
    netlist = gated(True).netlist()
    (bank,) = netlist.banks
    assert len(netlist.gates) == 2 and sorted(Counter(bank.gate.tolist()).values()) == [4, 6, 6]
    for gate, enable in zip(bank.gate, bank.enable, strict=True):
        assert enable == (ONE if gate < 0 else netlist.gates[gate])
    free = {int(net) for net in netlist.outputs["c"]}
    assert free == {bank.first + n for n in range(16) if bank.gate[n] < 0}
    (bank,) = gated(False).netlist().banks
    assert (bank.gate == -1).all() and (bank.enable == ONE).all()


def test_memories_are_read():
    found = {memory.name: memory for memory in memories().netlist().memories}
    netlist = memories().netlist()
    one, two, big = found["one"], found["two"], found["big"]
    assert [(m.words, m.width, len(m.reads), m.clocked) for m in (one, two, big)] == [
        (6, 8, 1, True), (8, 4, 2, False), (64, 8, 1, True)]
    assert one.path == ()
    (port,) = one.reads
    assert port.enable == netlist.inputs["re"][0] and port.reset == netlist.inputs["rs"][0]
    assert port.reset_value.tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert port.initial.tolist() == [0, 0, 0, 0, 0, 1, 1, 0]
    assert np.array_equal(netlist.outputs["q"], np.arange(port.first, port.first + 8))
    assert np.array_equal(one.enable, np.repeat(netlist.inputs["we"], 4))
    assert np.array_equal(one.address, netlist.inputs["wa"])
    assert [p.address.tolist() for p in two.reads] == [
        netlist.inputs[name].tolist() for name in ("ra", "rb")]
    assert [p.first for p in two.reads] == [netlist.outputs[name][0] for name in "xy"]
    assert np.array_equal(two.data, netlist.inputs["d"][2:6])
    assert np.array_equal(big.address, [*netlist.inputs["ra"], *netlist.inputs["wa"]])
    assert (big.reads[0].reset, big.reads[0].enable) == (ZERO, netlist.inputs["re"][0])


@pytest.mark.parametrize(("changed", "message"), [
    ({"WR_PORTS": "10"}, "memory .* has 2 write ports, and one can be replayed"),
    ({"WR_PORTS": "0"}, "memory .* has 0 write ports, and one can be replayed"),
    ({"RD_TRANSPARENCY_MASK": "1"}, "memory .* reads what is written in the same cycle"),
    ({"OFFSET": "100"}, "memory one begins at 4, not at 0"),
    ({"WR_CLK_ENABLE": "0"}, "memory .* is written without a clock"),
    ({"WR_CLK_POLARITY": "0"}, "memory .* has a clock that is not the rising edge"),
    ({"RD_CLK_POLARITY": "0"}, "memory .* has a clock that is not the rising edge"),
    ({"RD_CE_OVER_SRST": "1"}, "memory .* is reset only while it is enabled"),
    ({"RD_ARST": ["a"]}, "memory .* has an asynchronous reset"),
    ({"RD_CLK": ["a"]}, "memory .* has a clock that is not the rising edge"),
    ({"WR_CLK": ["a"]}, "memory .* has a clock that is not the rising edge"),
])
def test_memories_that_are_refused(changed, message):
    said = copy.deepcopy(memories().said)
    one = next(cell for cell in said["modules"]["memories"]["cells"].values()
               if cell["parameters"]["MEMID"] == "\\one")
    for name, value in changed.items():
        if name in one["parameters"]:
            one["parameters"][name] = value
        else:
            one["connections"][name] = said["modules"]["memories"]["ports"]["re"]["bits"]
    with pytest.raises(RunError, match=message):
        flatten(said, "memories", library())


def test_verilog_with_two_writes_is_refused():
    text = BLOCKS.partition("module")[0] + """module writes(input clk, input [2:0] a,
    input [2:0] b, input [3:0] d, input e, input f, output reg [3:0] q);
  reg [3:0] m [0:7];
  always @(posedge clk) begin if (e) m[a] <= d; if (f) m[b] <= ~d; q <= m[a ^ b]; end
endmodule
"""
    with pytest.raises(RunError, match="memory .* has 2 write ports"):
        mapped("writes", text).netlist()

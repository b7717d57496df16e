# SPDX-License-Identifier: Apache-2.0
"""Small designs as gates, and a model of them that shares nothing with ``prunus.power``.

The model reads a netlist that Yosys has flattened, has the functions of gates by hand, and keeps
what every net held in every cycle: whatever is counted is counted here from that.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from prunus.power.gates import _script
from prunus.power.netlist import Netlist, flatten
from prunus.sim.record import Record
from prunus.synth.pdk.cells import library, yosys_liberty
from prunus.synth.tools import kept, yosys

__all__ = ["GATES", "OUTPUT", "Design", "Model", "cell", "hand", "mapped", "nets_of", "recorded",
           "unflattened"]

FLOP, CLOCK_GATE, MEMORY = "sg13g2_dfrbpq_1", "sg13g2_lgcp_1", "$mem_v2"
# By the pins in the order of their names.
GATES: dict[str, Callable[..., int]] = {
    "a21o_1": lambda a1, a2, b1: a1 & a2 | b1,
    "a21oi_1": lambda a1, a2, b1: 1 - (a1 & a2 | b1),
    "a221oi_1": lambda a1, a2, b1, b2, c1: 1 - (a1 & a2 | b1 & b2 | c1),
    "a22oi_1": lambda a1, a2, b1, b2: 1 - (a1 & a2 | b1 & b2),
    "and2_1": lambda a, b: a & b, "and3_1": lambda a, b, c: a & b & c,
    "and4_1": lambda a, b, c, d: a & b & c & d,
    "mux2_1": lambda a0, a1, s: a1 if s else a0,
    "mux4_1": lambda a0, a1, a2, a3, s0, s1: (a0, a1, a2, a3)[s0 + 2 * s1],
    "nand2_1": lambda a, b: 1 - (a & b), "nand2b_1": lambda a_n, b: a_n | (1 - b),
    "nand3_1": lambda a, b, c: 1 - (a & b & c),
    "nand3b_1": lambda a_n, b, c: a_n | (1 - (b & c)),
    "nand4_1": lambda a, b, c, d: 1 - (a & b & c & d),
    "nor2_1": lambda a, b: 1 - (a | b), "nor2b_1": lambda a, b_n: (1 - a) & b_n,
    "nor3_1": lambda a, b, c: 1 - (a | b | c), "nor4_1": lambda a, b, c, d: 1 - (a | b | c | d),
    "o21ai_1": lambda a1, a2, b1: 1 - ((a1 | a2) & b1),
    "or2_1": lambda a, b: a | b, "or3_1": lambda a, b, c: a | b | c,
    "or4_1": lambda a, b, c, d: a | b | c | d,
    "xnor2_1": lambda a, b: int(a == b), "xor2_1": lambda a, b: int(a != b),
    **{f"buf_{n}": lambda a: a for n in (1, 2, 4, 8, 16)},
    **{f"inv_{n}": lambda a: 1 - a for n in (1, 2, 4, 8, 16)},
    "tiehi": lambda: 1, "tielo": lambda: 0,
}
# Of the pin that a gate drives; of all others it is X.
OUTPUT = {f"sg13g2_{name}": "Y" for name in GATES
          if re.match(r"(a21oi|a22|nand|nor|o21|xnor|inv)", name)}
OUTPUT |= {"sg13g2_tiehi": "L_HI", "sg13g2_tielo": "L_LO"}


# -- designs --------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Design:
    """Yosys' JSON of a design, its blocks apart and flat."""

    top: str
    said: dict
    flat: dict

    def netlist(self) -> Netlist:
        return flatten(self.said, self.top, library())

    def model(self) -> "Model":
        return Model(self.flat["modules"][self.top])


def mapped(top: str, verilog: str, apart: Sequence[str] = (), clock_gates: bool = False) -> Design:
    """Verilog by the script of ``prunus power``, and the same netlist flat."""
    script = _script(top, list(apart), clock_gates)
    script += "setattr -mod -unset keep_hierarchy *\nflatten\nwrite_json flat.json\n"
    work = kept(f"test-{top}", {f"{top}.v": verilog, "cells.lib": yosys_liberty()}, script,
                lambda work: yosys(script, work))
    said, flat = (json.loads((work / f"{name}.json").read_text()) for name in ("netlist", "flat"))
    return Design(top, said, flat)


def cell(kind: str, **pins: int | str | list) -> dict:
    """A cell of a netlist written by hand: a bit by pin, or the bits."""
    return {"type": kind if kind.startswith("$") else f"sg13g2_{kind}", "connections": {
        pin: some if isinstance(some, list) else [some] for pin, some in pins.items()}}


def hand(cells: Iterable[dict], inputs: dict[str, list], outputs: dict[str, list],
         initial: dict[int, str] | None = None) -> Design:
    """A netlist written by hand, whose clock is bit 2."""
    ports = {"clk": {"direction": "input", "bits": [2]}}
    ports |= {name: {"direction": "input", "bits": bits} for name, bits in inputs.items()}
    ports |= {name: {"direction": "output", "bits": bits} for name, bits in outputs.items()}
    module = {"ports": ports, "cells": {f"c{n}": one for n, one in enumerate(cells)},
              "netnames": {f"n{bit}": {"bits": [bit], "attributes": {"init": value}}
                           for bit, value in (initial or {}).items()}}
    said = {"modules": {"top": module}}
    return Design("top", said, said)


def nets_of(ports: dict[str, list], values: dict[str, int]) -> dict[int, int]:
    """Values by bit."""
    return {bit: values[name] >> n & 1 for name, bits in ports.items()
            for n, bit in enumerate(bits)}


def unflattened(name: str) -> tuple[str, ...]:
    """Path of a cell in a flat netlist: of ``$flatten\\a.\\b.$abc$1`` and of ``a.b.cell``."""
    inside = re.match(r"(\$flatten)?((\\?\w+\.)*)", name)
    return tuple(part.lstrip("\\") for part in inside[2].split(".")[:-1])


# -- what they do ---------------------------------------------------------------------------------
def _constant(bit: int | str) -> int:
    return int(bit == "1")


@dataclass(frozen=True)
class _Memory:
    """Parameters of a cell, and its connections."""

    said: dict
    nets: dict

    def number(self, name: str) -> int:
        return int(self.said["parameters"][name].replace("x", "0"), 2)

    def contents(self) -> list[list[int]]:
        """Bits to begin with, by word."""
        width, size = self.number("WIDTH"), self.number("SIZE")
        text = self.said["parameters"]["INIT"][::-1].ljust(width * size, "x")
        return [[_constant(bit) for bit in text[n * width : (n + 1) * width]] for n in range(size)]

    def reads(self) -> list[dict]:
        width, bits = self.number("WIDTH"), self.number("ABITS")

        def value(name: str, port: int) -> list[int]:
            text = self.said["parameters"][name][::-1]
            return [_constant(bit) for bit in text[port * width : (port + 1) * width]]

        return [{"address": self.nets["RD_ADDR"][port * bits : (port + 1) * bits],
                 "data": self.nets["RD_DATA"][port * width : (port + 1) * width],
                 "enable": self.nets["RD_EN"][port], "reset": self.nets["RD_SRST"][port],
                 "clocked": self.number("RD_CLK_ENABLE") >> port & 1,
                 "reset_value": value("RD_SRST_VALUE", port),
                 "initial": value("RD_INIT_VALUE", port)}
                for port in range(self.number("RD_PORTS"))]


class Model:
    """A flat netlist, a bit at a time.

    ``history`` is by cycle what each bit held before the rising edge.
    """

    def __init__(self, module: dict):
        ports = {name: port["bits"] for name, port in module["ports"].items()}
        sides = {name: port["direction"] for name, port in module["ports"].items()}
        (self.clock,) = ports.pop("clk")
        self.inputs = {name: bits for name, bits in ports.items() if sides[name] == "input"}
        self.outputs = {name: bits for name, bits in ports.items() if sides[name] == "output"}
        self.gates: list[tuple[str, str, int, dict[str, int]]] = []     # path, kind, out, pins
        self.flops: list[tuple[str, dict[str, int]]] = []
        self.clock_gates: dict[int, tuple[str, dict[str, int]]] = {}
        self.memories: list[tuple[str, _Memory, list[dict]]] = []
        for name, said in module["cells"].items():
            path = "/".join(unflattened(name))
            kind, nets = said["type"], said["connections"]
            pins = {pin: bits[0] for pin, bits in nets.items() if len(bits) == 1}
            if kind == FLOP:
                self.flops.append((path, pins))
            elif kind == CLOCK_GATE:
                self.clock_gates[pins["GCLK"]] = path, pins
            elif kind == MEMORY:
                memory = _Memory(said, nets)
                self.memories.append((path, memory, memory.reads()))
            elif kind != "$scopeinfo":
                out = pins.pop(OUTPUT.get(kind, "X"))
                self.gates.append((path, kind, out, pins))
        self.initial = {}
        for wire in module["netnames"].values():
            said = wire["attributes"].get("init", "")
            for bit, value in zip(wire["bits"], said[::-1], strict=False):
                if value in "01":
                    self.initial[bit] = int(value)
        self._order()

    def _order(self) -> None:
        """Gates and reads without a clock, each after what it looks at."""
        drivers = {out: (kind, out, [pins[pin] for pin in sorted(pins)])
                   for _, kind, out, pins in self.gates}
        for number, (_, _, reads) in enumerate(self.memories):
            for port in reads:
                if not port["clocked"]:
                    for n, bit in enumerate(port["data"]):
                        drivers[bit] = (number, n), bit, port["address"]
        self.order: list = []
        done: set = set()

        def visit(bit: int | str) -> None:
            if bit in done or bit not in drivers:
                return
            done.add(bit)
            for other in drivers[bit][2]:
                visit(other)
            self.order.append(drivers[bit])

        for bit in drivers:
            visit(bit)

    def _word(self, number: int, address: Sequence[int | str], now: dict) -> list[int]:
        at = sum(self._get(bit, now) << n for n, bit in enumerate(address))
        words = self.contents[number]
        return words[at] if at < len(words) else [0] * len(words[0])

    @staticmethod
    def _get(bit: int | str, now: dict) -> int:
        return _constant(bit) if isinstance(bit, str) else now.get(bit, 0)

    def _settle(self, now: dict, inputs: dict[str, int]) -> None:
        now |= nets_of(self.inputs, inputs)
        for kind, out, pins in self.order:
            if isinstance(kind, tuple):
                now[out] = self._word(kind[0], pins, now)[kind[1]]
            else:
                now[out] = GATES[kind.removeprefix("sg13g2_")](*(self._get(p, now) for p in pins))

    def on(self, pins: dict, now: dict) -> int:
        """Whether the clock of a flip-flop rises with what there is before the edge."""
        if pins["CLK"] == self.clock:
            return 1
        return self._get(self.clock_gates[pins["CLK"]][1]["GATE"], now)

    def run(self, rows: Sequence[dict[str, int]]) -> list[dict[str, int]]:
        """Outputs by cycle."""
        self.contents = [memory.contents() for _, memory, _ in self.memories]
        now: dict = {pins["Q"]: self.initial.get(pins["Q"], 0) for _, pins in self.flops}
        for _, _, reads in self.memories:
            for port in reads:
                if port["clocked"]:
                    now |= dict(zip(port["data"], port["initial"], strict=True))
        self.memory_counts = [Counter() for _ in self.memories]
        self.history: list[dict] = []
        self.accesses: list[list[dict]] = []        # by cycle and memory
        for n, row in enumerate(rows):
            if n:
                now = self._edge(dict(now))
            self._settle(now, row)
            self.history.append(dict(now))
        return [{name: sum(self._get(bit, now) << n for n, bit in enumerate(bits))
                 for name, bits in self.outputs.items()} for now in self.history]

    def _edge(self, now: dict) -> dict:
        after, done = {}, []
        for _, pins in self.flops:
            if self.on(pins, now):
                after[pins["Q"]] = self._get(pins["D"], now)
        for number, (_, memory, reads) in enumerate(self.memories):
            said = {"reads": [], "changed": 0, "writes": 0}
            for port in (port for port in reads if port["clocked"]):
                enabled = self._get(port["enable"], now)
                said["reads"].append(enabled)
                word = self._word(number, port["address"], now)
                if self._get(port["reset"], now):
                    word = port["reset_value"]
                elif not enabled:
                    continue
                after |= dict(zip(port["data"], word, strict=True))
            at = sum(self._get(bit, now) << n for n, bit in enumerate(memory.nets["WR_ADDR"]))
            if at < len(self.contents[number]):
                old = self.contents[number][at]
                new = [self._get(data, now) if self._get(enable, now) else was
                       for was, data, enable in zip(old, memory.nets["WR_DATA"],
                                                    memory.nets["WR_EN"], strict=True)]
                said["changed"] = sum(a != b for a, b in zip(old, new, strict=True))
                said["writes"] = int(any(self._get(e, now) for e in memory.nets["WR_EN"]))
                self.contents[number][at] = new
            done.append(said)
        self.accesses.append(done)
        return now | after

    # -- what is counted, in cycles from `first` up to `end` --------------------------------------
    def toggles(self, bit: int | str, first: int, end: int) -> int:
        if isinstance(bit, str):
            return 0
        return sum(self.history[n].get(bit, 0) != self.history[n - 1].get(bit, 0)
                   for n in range(first, end))

    def nets(self, first: int, end: int) -> Counter:
        """How often nets moved: how many there are by block, cell that drives one, and moves."""
        found = Counter()
        for path, kind, out, _ in self.gates:
            found[path, kind, self.toggles(out, first, end)] += 1
        for path, pins in self.flops:
            found[path, FLOP, self.toggles(pins["Q"], first, end)] += 1
        for path, _, reads in self.memories:
            for port in reads:
                for bit in port["data"]:
                    found[path, MEMORY, self.toggles(bit, first, end)] += 1
        for bits in self.inputs.values():
            for bit in bits:
                found["", "", self.toggles(bit, first, end)] += 1
        return found

    def edges(self, first: int, end: int) -> Counter:
        """Flip-flops by block, clock edges by state ``D + 2 Q``, and moves of D.

        Row ``n`` shows what is before rising edge ``n + 1``, and so what was at the falling edge
        before that. D moves behind rising edge ``n`` from row ``n - 1`` to row ``n``.
        """
        found = Counter()
        for path, pins in self.flops:
            rise, fall, moved = [0] * 4, [0] * 4, [0, 0]
            for n in range(first - 1, end - 1):
                now = self.history[n]
                d, state = self._get(pins["D"], now), self._get(pins["D"], now) + 2 * now[pins["Q"]]
                rise[state] += self.on(pins, now)
                if n:
                    before = self.history[n - 1]
                    was = self.on(pins, before)
                    fall[state] += was
                    moved[was] += d != self._get(pins["D"], before)
            found[path, *rise, *fall, *moved] += 1
        return found


def recorded(ports: dict[str, int], rows: Sequence[dict[str, int]]) -> Record:
    """Values by cycle as a record; ``ports`` says how many bits there are."""
    layout, first = {}, 0
    for name, bits in ports.items():
        layout[name] = first, -(-bits // 8)
        first += layout[name][1]
    raw = np.zeros((len(rows), first), np.uint8)
    for n, row in enumerate(rows):
        for name, (at, size) in layout.items():
            raw[n, at : at + size] = list(row[name].to_bytes(size, "little"))
    return Record(layout, raw)


# -- designs in Verilog ---------------------------------------------------------------------------
# Ports that are joined, crossed, constant or open, through two levels, and one block three times.
BLOCKS = """
module leaf(input clk, input a, input [1:0] b, output reg q, output p, output same, output none,
            output through);
  wire x = (a ^ b[0]) & ~b[1];
  always @(posedge clk) q <= x;
  assign p = x;
  assign same = x;
  assign none = 1'b1;
  assign through = a;
endmodule
module middle(input clk, input [2:0] d, output [1:0] q, output also, output one, output passed,
              output crossed);
  wire p0, p1, s1, n0, n1, t1;
  leaf first(.clk(clk), .a(d[0]), .b(d[2:1]), .q(q[0]), .p(p0), .same(also), .none(n0),
             .through(passed));
  leaf second(.clk(clk), .a(p0), .b({1'b0, d[1]}), .q(q[1]), .p(p1), .same(s1), .none(n1),
              .through(t1));
  assign one = n0 & n1;
  assign crossed = t1 ^ s1;
endmodule
module blocks(input clk, input [3:0] in, output [1:0] q, output also, output one, output passed,
              output crossed, output last, output low);
  wire same, none, through;
  middle whole(.clk(clk), .d(in[2:0]), .q(q), .also(also), .one(one), .passed(passed),
               .crossed(crossed));
  leaf open(.clk(clk), .a(passed), .b({in[3], one}), .q(last), .p(), .same(same), .none(none),
            .through(through));
  assign low = same & none & ~through;
endmodule
"""

# A register with an enable and a synchronous reset, one with an enable alone, one that is free;
# each begins with a value of its own.
GATED = """
module gated(input clk, input rst, input e, input f, input [5:0] d, output reg [5:0] a,
             output reg [5:0] b, output reg [3:0] c, output any);
  initial begin a = 6'b000101; b = 6'b110000; c = 4'b1001; end
  always @(posedge clk) begin
    if (rst) a <= 6'b010000; else if (e) a <= d;
    if (f & d[0]) b <= b + d;
    c <= {c[2:0], ^d};
  end
  assign any = ^{a, b, c};
endmodule
"""

# Memories: a clocked read with enable and reset that keeps half of a word's bits by a mask, reads
# without a clock at two ports, and a large one that is a macro.
MEMORIES = """
module memories(input clk, input [2:0] wa, input [2:0] ra, input [2:0] rb, input [7:0] d,
                input [1:0] we, input re, input rs, output reg [7:0] q, output [3:0] x,
                output [3:0] y, output reg [7:0] z);
  reg [7:0] one [0:5];
  reg [3:0] two [0:7];
  reg [7:0] big [0:63];
  initial q = 8'b01100000;
  always @(posedge clk) begin
    if (we[0]) one[wa][3:0] <= d[3:0];
    if (we[1]) one[wa][7:4] <= d[7:4];
    if (rs) q <= 8'b10000001; else if (re) q <= one[ra];
    if (we[0]) two[wa] <= d[5:2];
    if (we[1]) big[{wa, ra}] <= d;
    if (re) z <= big[{rb, ra}];
  end
  assign x = two[ra];
  assign y = two[rb];
endmodule
"""

# Gates behind reads without a clock.
LOOKS = """
module looks(input clk, input [2:0] wa, input [2:0] ra, input [2:0] rb, input [3:0] d, input we,
             output [3:0] x, output y);
  reg [3:0] m [0:7];
  initial begin m[3] = 5; m[6] = 12; end
  always @(posedge clk) if (we) m[wa] <= d;
  assign x = m[ra] ^ m[rb];
  assign y = ^(m[ra] & d) | &x;
endmodule
"""


def blocks() -> Design:
    return mapped("blocks", BLOCKS, ["leaf", "middle"])


def gated(clock_gates: bool) -> Design:
    return mapped("gated", GATED, clock_gates=clock_gates)


def memories() -> Design:
    return mapped("memories", MEMORIES)


def looks() -> Design:
    return mapped("looks", LOOKS)

# SPDX-License-Identifier: Apache-2.0
"""Energy of real blocks by a second method: gates under Icarus Verilog, priced from cells.json.

Nothing here is of prunus.power but what is measured: Yosys puts the netlist flat, Icarus Verilog
simulates gates whose functions are written out here, changes are read from its VCD, and prices from
the data file, a gate at a time. Outputs come from Icarus Verilog's simulation of the RTL.
"""

import json
import re
import shutil
import subprocess
from bisect import bisect_right
from collections import defaultdict
from functools import cache
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.hw.arith.multiplier import ComposableMultiplier
from prunus.hw.verilog.emit import to_verilog
from prunus.power.joules import Prices
from prunus.power.replay import replay
from prunus.synth.pdk.cells import FILE, library
from tests.prunus.power.small import CLOCK_GATE, FLOP, GATED, mapped, recorded

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog in PATH")

CYCLES = 2000
FIRST = 10              # the first row that is counted
# Of Verilog, with pins in the order of the model's names.
FUNCTIONS = {
    "a21o_1": "(A1 & A2) | B1", "a21oi_1": "~((A1 & A2) | B1)",
    "a221oi_1": "~((A1 & A2) | (B1 & B2) | C1)", "a22oi_1": "~((A1 & A2) | (B1 & B2))",
    "and2_1": "A & B", "and3_1": "A & B & C", "and4_1": "A & B & C & D",
    "mux2_1": "S ? A1 : A0", "mux4_1": "S1 ? (S0 ? A3 : A2) : (S0 ? A1 : A0)",
    "nand2_1": "~(A & B)", "nand2b_1": "~(~A_N & B)", "nand3_1": "~(A & B & C)",
    "nand3b_1": "~(~A_N & B & C)", "nand4_1": "~(A & B & C & D)", "nor2_1": "~(A | B)",
    "nor2b_1": "~(A | ~B_N)", "nor3_1": "~(A | B | C)", "nor4_1": "~(A | B | C | D)",
    "o21ai_1": "~((A1 | A2) & B1)", "or2_1": "A | B", "or3_1": "A | B | C",
    "or4_1": "A | B | C | D", "xnor2_1": "~(A ^ B)", "xor2_1": "A ^ B", "buf_1": "A",
    "inv_1": "~A",
}


# -- simulation -----------------------------------------------------------------------------------
def net(bit):
    return f"n{bit}" if isinstance(bit, int) else f"1'b{bit}"


def gates_in_verilog(module):
    """The flat netlist, a wire for each bit."""
    bits = {bit for one in (*module["cells"].values(), *module["ports"].values())
            for some in (one["connections"].values() if "connections" in one else [one["bits"]])
            for bit in some if isinstance(bit, int)}
    initial = {bit: value for wire in module["netnames"].values()
               for bit, value in zip(wire["bits"], wire["attributes"].get("init", "")[::-1],
                                     strict=False)}
    ports = module["ports"]
    lines = [f"module gates({', '.join(ports)});"]
    lines += [f"{port['direction']} [{len(port['bits']) - 1}:0] {name};"
              for name, port in ports.items()]
    flops = {one["connections"]["Q"][0] for one in module["cells"].values() if one["type"] == FLOP}
    lines += [f"{'reg' if bit in flops else 'wire'} n{bit};" for bit in sorted(bits)]
    for name, port in ports.items():
        joined = "{" + ", ".join(map(net, port["bits"][::-1])) + "}"
        ends = (joined, name) if port["direction"] == "input" else (name, joined)
        lines.append(f"assign {ends[0]} = {ends[1]};")
    for number, one in enumerate(module["cells"].values()):
        pins = {pin: net(some[0]) for pin, some in one["connections"].items()}
        if one["type"] == FLOP:
            begin = initial.get(one["connections"]["Q"][0], "x")
            lines += [f"initial {pins['Q']} = {int(begin == '1')};",
                      f"always @(posedge {pins['CLK']}) {pins['Q']} <= {pins['D']};"]
        elif one["type"] == CLOCK_GATE:
            # Open for what is at the gate while the clock is low.
            lines += [f"reg l{number}; always @* if (!{pins['CLK']}) l{number} = {pins['GATE']};",
                      f"assign {pins['GCLK']} = {pins['CLK']} & l{number};"]
        elif one["type"] != "$scopeinfo":
            body = FUNCTIONS[one["type"].removeprefix("sg13g2_")]
            body = re.sub(r"\b[A-D]\d?(_N)?\b|\bS[01]?\b", lambda pin, pins=pins: pins[pin[0]],
                          body)
            (out,) = (pins[pin] for pin in ("X", "Y") if pin in pins)
            lines.append(f"assign {out} = {body};")
    return "\n".join([*lines, "endmodule", ""])


def bench(top, ports, stimuli, work):
    """Both designs with the same inputs, which change with the clock."""
    inputs = [name for name, port in ports.items()
              if port["direction"] == "input" and name != "clk"]
    outputs = [name for name, port in ports.items() if port["direction"] == "output"]
    width = {name: len(port["bits"]) for name, port in ports.items()}
    total = sum(width[name] for name in inputs)
    words = []
    for row in stimuli:
        word = 0
        for name in inputs:
            word = word << width[name] | row[name]
        words.append(f"{word:x}")
    (work / "stimuli.hex").write_text("\n".join(words) + "\n")
    joined = "{" + ", ".join(inputs) + "}"
    lines = ["`timescale 1ns/1ns", "module bench;", "reg clk = 0; integer cycle = 0, file;",
             f"reg [{total - 1}:0] stimuli [0:{len(stimuli) - 1}];"]
    lines += [f"reg [{width[name] - 1}:0] {name};" for name in inputs]
    for kind, instance in ((top, "rtl"), ("gates", "mapped")):
        lines += [f"wire [{width[name] - 1}:0] {instance}_{name};" for name in outputs]
        joins = [f".{name}({name})" for name in ("clk", *inputs)]
        joins += [f".{name}({instance}_{name})" for name in outputs]
        lines.append(f"{kind} {instance}({', '.join(joins)});")
    shown = ", ".join(f"rtl_{name}" for name in outputs)
    form = " ".join(["%h"] * len(outputs))
    lines += [
        "initial begin", '  $readmemh("stimuli.hex", stimuli);', f"  {joined} = stimuli[0];",
        '  $dumpfile("gates.vcd"); $dumpvars(1, mapped); file = $fopen("outputs.txt");', "end",
        # Rows are what there is before an edge, at 10, 20, ...
        f'always @(posedge clk) begin $fwrite(file, "{form}\\n", {shown}); cycle = cycle + 1;',
        f"  if (cycle == {len(stimuli)}) $finish; {joined} <= stimuli[cycle]; end",
        "always #5 clk = !clk;", "endmodule", ""]
    (work / "bench.v").write_text("\n".join(lines))
    return outputs


def vcd_of(path, rows):
    """By wire ``n...``: its value in each row."""
    names, values, at = {}, {}, 0
    changes = defaultdict(list)
    for line in path.read_text().splitlines():
        if found := re.match(r"\$var (?:wire|reg) +1 (\S+) n(\d+) ", line):
            names[found[1]] = int(found[2])
        elif line.startswith("#"):
            at = int(line[1:])
        elif line[:1] in "01x" and line[1:] in names:
            changes[names[line[1:]]].append((at, int(line[0] == "1")))
    for bit, some in changes.items():
        times = [time for time, _ in some]
        # Edges are at 5, 15, ...: row n is what there is at 5 + 10 n, the edge excluded.
        values[bit] = [some[max(bisect_right(times, 4 + 10 * n) - 1, 0)][1] for n in range(rows)]
    return values


class Simulated:
    def __init__(self, top, verilog, stimuli, work, clock_gates=False):
        self.design = mapped(top, verilog, clock_gates=clock_gates)
        self.module = self.design.flat["modules"][top]
        (work / "rtl.v").write_text(verilog)
        (work / "gates.v").write_text(gates_in_verilog(self.module))
        outputs = bench(top, self.module["ports"], stimuli, work)
        for command in (["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v",
                         "rtl.v", "gates.v"], ["vvp", "-n", "bench.vvp"]):
            subprocess.run(command, cwd=work, check=True, capture_output=True, text=True)
        said = [dict(zip(outputs, (int(word, 16) for word in line.split()), strict=True))
                for line in (work / "outputs.txt").read_text().splitlines()]
        self.values = vcd_of(work / "gates.vcd", len(stimuli))
        self.record = recorded({name: len(port["bits"]) for name, port in
                                self.module["ports"].items() if name != "clk"},
                               [a | b for a, b in zip(stimuli, said, strict=True)])

    def rows(self, bit):
        return self.values.get(bit, []) if isinstance(bit, int) else [int(bit == "1")] * CYCLES

    def moves(self, bit, first, end):
        rows = self.rows(bit)
        return sum(a != b for a, b in zip(rows[first - 1 : end - 1], rows[first:end], strict=True))


# -- prices ---------------------------------------------------------------------------------------
@cache
def cells():
    said = json.loads(FILE.read_text())
    return {one["name"]: one for one in said["cells"]}, said["slews_ns"]


def at(xs, x):
    """The point below, and how far it is to the next."""
    x = min(max(x, xs[0]), xs[-1])
    n = min(max(n for n, edge in enumerate(xs) if edge <= x), len(xs) - 2)
    return n, (x - xs[n]) / (xs[n + 1] - xs[n])


def read(name, pin, table, slew, load):
    one, slews = cells()[0][name], cells()[1]
    (i, u), (j, v) = at(slews, slew), at(one["loads_pf"], load)
    rows = one["arcs"][pin][table]
    low, high = (rows[k][j] + v * (rows[k][j + 1] - rows[k][j]) for k in (i, i + 1))
    return low + u * (high - low)


def both(name, pin, what, slew, load):
    return (read(name, pin, f"rise_{what}", slew, load)
            + read(name, pin, f"fall_{what}", slew, load)) / 2


def alone(name, pin, when, side, slew):
    """pJ of a pin that moves nothing, by slew."""
    row = next(row for row in cells()[0][name]["passive"][pin] if row["when"] == when)
    i, u = at(cells()[1], slew)
    return row[side][i] + u * (row[side][i + 1] - row[side][i])


class Priced:
    """pJ of what Icarus Verilog saw, rows ``first`` to ``end``."""

    PORTS = 0.0966      # slew of inputs, and of D

    def __init__(self, simulated, first, end):
        self.seen, self.first, self.end = simulated, first, end
        self.cells = [one for one in simulated.module["cells"].values()
                      if one["type"] != "$scopeinfo"]
        self.load = defaultdict(float)
        self.driver = {}
        for one in self.cells:
            pf = cells()[0][one["type"]]["inputs_pf"]
            for pin, (bit,) in one["connections"].items():
                if pin in pf:
                    self.load[bit] += pf[pin]
                else:
                    self.driver[bit] = one
        self.clock = self._clock()
        self.tree = self._tree()
        self.slews = {}

    def _clock(self):
        slew, load = self.PORTS, 20 * cells()[0][FLOP]["inputs_pf"]["CLK"]
        for _ in range(8):
            slew = both("sg13g2_buf_8", "A", "slew_ns", slew, load)
        return slew

    def _tree(self):
        load = 20 * cells()[0][FLOP]["inputs_pf"]["CLK"]
        buffer = 2 * both("sg13g2_buf_8", "A", "pj", self.clock, load)
        return (buffer + 1.44 * cells()[0]["sg13g2_buf_8"]["inputs_pf"]["A"]) / 20

    def slew(self, bit):
        if bit not in self.slews:
            one = self.driver.get(bit)
            if one is None:
                self.slews[bit] = self.PORTS
            elif one["type"] == FLOP:
                self.slews[bit] = both(FLOP, "CLK", "slew_ns", self.clock, self.load[bit])
            else:
                pins = cells()[0][one["type"]]["arcs"]
                self.slews[bit] = sum(
                    both(one["type"], pin, "slew_ns", self.slew(one["connections"][pin][0]),
                         self.load[bit]) for pin in pins) / len(pins)
        return self.slews[bit]

    def datapath(self):
        found = 0.0
        inputs = [bit for port in self.seen.module["ports"].values()
                  if port["direction"] == "input" for bit in port["bits"]]
        clocks = {one["connections"]["CLK"][0] for one in self.cells
                  if one["type"] in (FLOP, CLOCK_GATE)}
        for bit in {*inputs, *self.driver} - clocks:
            found += 0.72 * self.load[bit] * self.seen.moves(bit, self.first, self.end)
        for bit, one in self.driver.items():
            if one["type"] in (FLOP, CLOCK_GATE):
                continue
            name, pins = one["type"], cells()[0][one["type"]]["arcs"]
            inside = sum(both(name, pin, "pj", self.slew(one["connections"][pin][0]),
                              self.load[bit]) for pin in pins) / len(pins)
            found += inside * self.seen.moves(bit, self.first, self.end)
            for pin in cells()[0][name]["passive"]:
                source = one["connections"][pin][0]
                slew = self.slew(source)
                price = (alone(name, pin, "", "rise_pj", slew)
                         + alone(name, pin, "", "fall_pj", slew)) / 2
                found += price * self.seen.moves(source, self.first, self.end)
        return found

    def _on(self, one, n):
        """Whether the clock of a flip-flop rises behind row ``n``."""
        gate = self.driver.get(one["connections"]["CLK"][0])
        return gate is None or self.seen.rows(gate["connections"]["GATE"][0])[n]

    def _flop(self, one):
        d, q = (self.seen.rows(one["connections"][pin][0]) for pin in "DQ")
        load = self.load[one["connections"]["Q"][0]]
        pin = 1.44 * cells()[0][FLOP]["inputs_pf"]["CLK"] + self.tree
        found = 0.0
        for n in range(self.first - 1, self.end - 1):       # rows in front of an edge
            if self._on(one, n):
                found += pin
                if d[n] == q[n]:
                    when = f"({'' if d[n] else '!'}D * RESET_B * {'' if q[n] else '!'}Q)"
                    found += alone(FLOP, "CLK", when, "rise_pj", self.clock)
                else:
                    found += read(FLOP, "CLK", "rise_pj" if d[n] else "fall_pj", self.clock, load)
            if self._on(one, n - 1):        # the clock was high, and fell before row n
                when = f"({'' if d[n] else '!'}D * RESET_B * {'' if q[n] else '!'}Q)"
                found += alone(FLOP, "CLK", when, "fall_pj", self.clock)
            if d[n] != d[n - 1]:
                when = "CLK" if self._on(one, n - 1) else "(!CLK * RESET_B)"
                found += (alone(FLOP, "D", when, "rise_pj", self.PORTS)
                          + alone(FLOP, "D", when, "fall_pj", self.PORTS)) / 2
        return found

    def _gate(self, one):
        rows = self.seen.rows(one["connections"]["GATE"][0])
        pin = 1.44 * cells()[0][CLOCK_GATE]["inputs_pf"]["CLK"] + self.tree
        load = 4 * cells()[0][FLOP]["inputs_pf"]["CLK"]
        found = 0.0
        for n in range(self.first - 1, self.end - 1):
            found += pin + (alone(CLOCK_GATE, "CLK", "", "rise_pj", self.clock)
                            + alone(CLOCK_GATE, "CLK", "", "fall_pj", self.clock))
            found += 2 * both(CLOCK_GATE, "CLK", "pj", self.clock, load) * rows[n]
        moved = sum(rows[n] != rows[n - 1] for n in range(self.first, self.end))
        return found + moved * (alone(CLOCK_GATE, "GATE", "", "rise_pj", self.PORTS)
                                + alone(CLOCK_GATE, "GATE", "", "fall_pj", self.PORTS)) / 2

    def kinds(self):
        leakage = sum(cells()[0][one["type"]]["leakage_pw"] for one in self.cells)
        return {"datapath": self.datapath(),
                "clock": sum(self._flop(one) for one in self.cells if one["type"] == FLOP)
                + sum(self._gate(one) for one in self.cells if one["type"] == CLOCK_GATE),
                "memory": 0.0, "leakage": leakage * 1e-8 * (self.end - self.first)}


# -- both methods ---------------------------------------------------------------------------------
def stimuli_of(ports, cycles, seed=2):
    """Random inputs, in reset for two cycles; each is quiet for a while now and then."""
    rng, now, rows = Random(seed), {}, []
    for n in range(cycles):
        for name, width in ports.items():
            if name not in now or rng.random() < 0.6:
                now[name] = rng.getrandbits(width)
        if "rst" in ports:
            now["rst"] = int(n < 2)
        rows.append(dict(now))
    return rows


def block(component, name):
    verilog, ports = to_verilog(component, name)
    return verilog, {port.name: port.width for port in ports
                     if port.direction == "input" and port.name != "clk"}


TINY = load_config("hdp_tiny")
BLOCKS = {
    "multiplier": lambda: (*block(ComposableMultiplier(config=TINY), "multiplier"), False),
    "gated": lambda: (GATED, {"rst": 1, "e": 1, "f": 1, "d": 6}, True),
    "free": lambda: (GATED, {"rst": 1, "e": 1, "f": 1, "d": 6}, False),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_icarus_counts_the_same_energy(name, tmp_path):
    """Of every kind, to rounding: no change is missed, and none is priced otherwise."""
    verilog, ports, clock_gates = BLOCKS[name]()
    top = "gated" if name == "free" else name
    seen = Simulated(top, verilog, stimuli_of(ports, CYCLES), tmp_path, clock_gates)
    wanted = Priced(seen, FIRST, CYCLES).kinds()
    netlist = seen.design.netlist()
    prices = Prices(netlist, library())
    counts = replay(netlist, library(), seen.record, (FIRST, CYCLES))
    found = {kind: 1e12 * float(some.sum())
             for kind, some in prices.energy(counts, 100e6).by_block.items()}
    assert counts.differing_bits == 0 and counts.compared_bits > 0
    assert wanted["datapath"] > 100 and wanted["clock"] > 500
    assert found == {kind: pytest.approx(value, rel=1e-9) for kind, value in wanted.items()}

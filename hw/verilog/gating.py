# SPDX-License-Identifier: Apache-2.0
"""Clock gates of an ASIC's process in front of the registers that share an enable.

Yosys finds the enables: the next value of a register becomes multiplexers, and where one of them
gives the register itself, its select is an enable. Here gates are put in and new nets get names.
Yosys' own pass ``clockgate`` would count registers, of any width, where flip-flops are meant.

All else stays as it is: combinational processes are put aside meanwhile, and memories with the
registers of their read ports have the clock itself.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from prunus.golden.names import KEYWORDS

from . import yosys
from .netlist import unique

__all__ = ["LEAST_GATED", "ClockGate", "Gated", "gate_clocks"]

# Enables of fewer flip-flops are multiplexers: a clock gate costs about as much as one flip-flop.
LEAST_GATED = 4

_MODULE = re.compile(r"^module (\S+)\n(.*?)^end\n", re.M | re.S)
_PROCESS = re.compile(r"^  process .*\n(?:    .*\n)*  end\n", re.M)
_NEXT = re.compile(r"^  cell \$dff \S+\n(?:    .*\n)*?    connect \\D (\S+)", re.M)
_ASSIGN = re.compile(r"assign (\S+) (\[[\d:]+\])")
_STANDS = re.compile(r"(?:^  attribute .*\n)*^  cell \$anyseq \$aside.*\n(?:    .*\n)*  end\n",
                     re.M)
_DRIVEN = re.compile(r"^  cell \$anyseq \$aside.*\n(?:    .*\n)*?    connect \\Y (.*)\n", re.M)
_WIDTH = re.compile(r"\bwidth (\d+)")
_WIRE = re.compile(r"((?:^  attribute .*\n)*)^  wire ((?:.* )?)(\S+)\n", re.M)
_INIT = re.compile(r"^  attribute \\init \d+'([01x]+)\n", re.M)
_CELL = re.compile(r"^  cell (\S+) (\S+)\n((?:    .*\n)*)  end\n", re.M)
_CONNECT = re.compile(r"^    connect \\(\S+) (.*)\n", re.M)
_NAME = re.compile(r"[\\$]\S+")
_SIGNAL = re.compile(r"(\d+)'([01xz-]+)|([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?|(-?\d+)")
_NOTES = re.compile(r"^  attribute \\(?:full_case|parallel_case|unused_bits) .*\n", re.M)
_NUMBERED = re.compile(r"^\\(\w+)_(\d+)$")
_KEEP = "  attribute \\keep 1\n"

# Found by name: operators of the design itself are not touched, nor are registers merged that are
# copies for the sake of their fan-out.
_MADE = "c:$procmux* c:$auto* %u"
_ENABLES = ("proc -norom -noopt", "opt_clean", "opt_dff -nosdff", f"opt_expr -mux_undef {_MADE}",
            f"opt_merge {_MADE} t:$dff t:$dffe %u %d", "opt_clean", "write_rtlil")

_MODEL = """\
// SPDX-License-Identifier: Apache-2.0
// CELL as simulators may see it, where the process brings no model. Synthesis takes the cell
// itself. The latch is open while the clock is low, so the gated clock has no pulse that is cut.
/* verilator lint_off LATCH */
module CELL(CLOCK, ENABLE, GATED);
  input CLOCK;
  input ENABLE;
  output GATED;
  reg HELD;
  always @(CLOCK or ENABLE)
    if (!CLOCK) HELD = ENABLE;
  assign GATED = CLOCK & HELD;
endmodule
/* verilator lint_on LATCH */
"""


@dataclass(frozen=True)
class ClockGate:
    """A cell with a latch that passes the pulse of a clock if its enable was 1 before it.

    Members
    -------
    cell : str
    enable, clock, gated : str
        Its pins, the last an output.
    """

    cell: str
    enable: str
    clock: str
    gated: str

    @classmethod
    def of(cls, text: str) -> "ClockGate":
        """Of ``CELL:ENABLE:CLOCK:GATED``.

        Raises
        ------
        ValueError
            The text says what it must be.
        """
        names = text.split(":")
        if (len(names) != 4 or len(set(names[1:])) != 3 or KEYWORDS & {*names}
                or not all(re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) for name in names)):
            raise ValueError("must be CELL:ENABLE:CLOCK:GATED, the names in Verilog of a clock "
                             "gate and of its three pins, such as sg13g2_lgcp_1:GATE:CLK:GCLK, "
                             f"not {text!r}")
        return cls(*names)

    def __str__(self) -> str:
        return f"{self.cell}:{self.enable}:{self.clock}:{self.gated}"

    def model(self) -> str:
        """A module of the cell for simulators."""
        held = "held" if "held" not in (self.enable, self.clock, self.gated) else "held_"
        names = {"CELL": self.cell, "ENABLE": self.enable, "CLOCK": self.clock,
                 "GATED": self.gated, "HELD": held}
        return re.sub(r"\b(CELL|ENABLE|CLOCK|GATED|HELD)\b", lambda m: names[m[0]], _MODEL)


@dataclass
class Gated:
    """What became of a design: counts are those of all instances, memories aside.

    Members
    -------
    text : str
        RTLIL whose names are all plain Verilog identifiers.
    clock_gates, flip_flops, gated_flip_flops : int
    """

    text: str
    clock_gates: int
    flip_flops: int
    gated_flip_flops: int


@dataclass
class _Counts:
    """Of a module itself, and the modules of its instances."""

    own: Counter = field(default_factory=Counter)
    children: Counter = field(default_factory=Counter)


def _bits(signal: str, widths: dict[str, int]) -> list[tuple[str, int]]:
    """Bits of a signal in RTLIL, the lowest first: wire and number, or a constant's value and 0."""
    found = []
    for _, constant, wire, high, low, number in _SIGNAL.findall(signal):
        if number:      # of 32 bits
            constant = f"{int(number) % 2**32:032b}"
        first, last = (int(low or high), int(high)) if high else (0, widths.get(wire, 1) - 1)
        found += ([(digit, 0) for digit in constant] if constant else
                  [(wire, n) for n in range(last, first - 1, -1)])
    return found[::-1]


def _signal(bits: list[tuple[str, int]]) -> str:
    """Bits as a signal in RTLIL."""
    parts: list[list] = []          # wire, highest and lowest bit; or digits of a constant
    for name, n in reversed(bits):
        if not _NAME.match(name):
            if parts and len(parts[-1]) == 1:
                parts[-1][0] += name
            else:
                parts.append([name])
        elif parts and len(parts[-1]) == 3 and parts[-1][0] == name and parts[-1][2] == n + 1:
            parts[-1][2] = n
        else:
            parts.append([name, n, n])
    texts = [f"{len(part[0])}'{part[0]}" if len(part) == 1 else f"{part[0]} [{part[1]}:{part[2]}]"
             for part in parts]
    return texts[0] if len(texts) == 1 else f"{{ {' '.join(texts)} }}"


def _one_by_one(body: str) -> str:
    """A module with multiplexers of two in the place of larger ones."""
    widths = {wire[3]: int(width[1]) if (width := _WIDTH.search(wire[2])) else 1
              for wire in _WIRE.finditer(body)}
    wires = []

    def split(cell: re.Match) -> str:
        kind, name, inside = cell.groups()
        if kind != "$pmux":
            return cell[0]
        signals = dict(_CONNECT.findall(inside))
        pins = {pin: _bits(signal, widths) for pin, signal in signals.items()}
        width, other, text = len(pins["Y"]), signals["A"], ""
        for n, select in reversed([*enumerate(pins["S"])]):
            result = f"{name}_Y{n}" if n else signals["Y"]
            if n:
                wires.append(f"  wire width {width} {result}\n")
            text += (f"  cell $mux {name}_{n}\n    parameter \\WIDTH {width}\n"
                     f"    connect \\A {other}\n"
                     f"    connect \\B {_signal(pins['B'][n * width : (n + 1) * width])}\n"
                     f"    connect \\S {_signal([select])}\n    connect \\Y {result}\n  end\n")
            other = result
        return text

    body = _CELL.sub(split, body)
    return "".join(wires) + body


@dataclass
class _Aside:
    """The combinational processes of a module.

    A cell ``$anyseq`` stands for each, or Yosys would take an alias for what it drives, and what
    it reads is kept.
    """

    processes: list[str] = field(default_factory=list)
    driven: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)

    def take(self, body: str) -> str:
        """The module without them."""
        after = set(_NEXT.findall(body))

        def cut(match: re.Match) -> str:
            name, bits = _ASSIGN.search(match[0]).groups()      # type: ignore[union-attr]
            if name in after:
                return match[0]
            high, _, low = (bits or "").strip("[]").partition(":")
            width = int(high) - int(low or high) + 1
            self.processes.append(match[0])
            self.driven.append(f"{name} {bits}")
            return (f"  attribute \\keep 1\n  cell $anyseq $aside${len(self.driven)}\n"
                    f"    parameter \\WIDTH {width}\n    connect \\Y {name} {bits}\n  end\n")

        body = _PROCESS.sub(cut, body)
        used = set(_NAME.findall("".join(self.processes)))

        def keep(match: re.Match) -> str:
            if match[3] not in used or _KEEP in match[1]:
                return match[0]
            self.kept.add(match[3])
            return _KEEP + match[0]

        return _WIRE.sub(keep, body)

    def put_back(self, body: str) -> str:
        """A module as Yosys writes it, with them."""
        widths = {wire[3]: int(width[1]) if (width := _WIDTH.search(wire[2])) else 1
                  for wire in _WIRE.finditer(body)}
        driven = set(_DRIVEN.findall(body))
        for bits in self.driven:
            name, _, part = bits.partition(" ")
            if part in (f"[{widths[name] - 1}:0]", "[0]" if widths[name] == 1 else ""):
                bits = name
            if bits not in driven:
                raise RuntimeError(f"Yosys has another name for {bits}")
        body = _WIRE.sub(lambda wire: wire[0].replace(_KEEP, "") if wire[3] in self.kept
                         else wire[0], _STANDS.sub("", body))
        return body + "".join(self.processes)


class _Module:
    """A module as Yosys writes it, with registers that have enables."""

    def __init__(self, body: str, gate: ClockGate) -> None:
        self._gate = gate
        self._body = body
        self._taken = {wire[3] for wire in _WIRE.finditer(body)}
        self._taken |= {cell[2] for cell in _CELL.finditer(body)}
        self._taken |= set(re.findall(r"^  memory .*?(\S+)$", body, re.M))
        self._highest: dict[str, int] = defaultdict(int)
        for name in self._taken:
            if numbered := _NUMBERED.match(name):
                self._highest[numbered[1]] = max(self._highest[numbered[1]], int(numbered[2]))
        self._inits = {wire[3]: init[1] for wire in _WIRE.finditer(body)
                       if (init := _INIT.search(wire[1]))}
        self._names: dict[str, str] = {}
        self._wires: list[str] = []
        self._cells: list[str] = []
        self.counts = _Counts()

    def rewritten(self) -> str:
        registers = [cell for cell in _CELL.finditer(self._body) if cell[1] in ("$dff", "$dffe")]
        groups: dict[tuple[str, ...], list[re.Match]] = defaultdict(list)
        for cell in registers:
            self.counts.own["flip_flops"] += self._width(cell)
            if cell[1] == "$dffe":
                groups[self._clocking(cell)].append(cell)
        clocks = {}
        for (clock, enable, positive), cells in groups.items():
            label = _base(max(cells, key=lambda cell: (self._width(cell), cell[2]))[3])
            if enable.startswith("$"):
                self._names[enable] = unique(f"{label}_enable", self._taken)
            width = sum(map(self._width, cells))
            if width >= LEAST_GATED:
                gated = self._add_gate(label, clock, enable, positive == "1")
                clocks.update({cell[2]: gated for cell in cells})
                self.counts.own["gated_flip_flops"] += width
        body = _CELL.sub(lambda cell: self._cell(cell, clocks), self._body)
        body += "".join(self._cells)
        body = "".join(self._wires) + body
        return _NAME.sub(lambda name: self._names.get(name[0], name[0]), body)

    @staticmethod
    def _width(cell: re.Match) -> int:
        return int(re.search(r"parameter \\WIDTH (\d+)", cell[3])[1])      # type: ignore[index]

    @staticmethod
    def _clocking(cell: re.Match) -> tuple[str, str, str]:
        pins = dict(_CONNECT.findall(cell[3]))
        positive = re.search(r"parameter \\EN_POLARITY (\d)", cell[3])[1]  # type: ignore[index]
        return pins["CLK"], pins["EN"], positive

    def _add_gate(self, label: str, clock: str, enable: str, positive: bool) -> str:
        """Its clock."""
        if not positive:
            inverse = unique(f"{label}_enable", self._taken)
            self._wires.append(f"  wire {inverse}\n")
            self._cells.append(
                f"  cell $not $enable{inverse}\n    parameter \\A_SIGNED 0\n"
                "    parameter \\A_WIDTH 1\n    parameter \\Y_WIDTH 1\n"
                f"    connect \\A {enable}\n    connect \\Y {inverse}\n  end\n")
            enable = inverse
        gated = unique(f"{label}_clock", self._taken)
        name = unique(f"{label}_gate", self._taken)
        gate = self._gate
        pins = sorted([(gate.clock, clock), (gate.enable, enable), (gate.gated, gated)])
        self._wires.append(f"  wire {gated}\n")
        self._cells.append(f"  cell \\{gate.cell} {name}\n"
                           + "".join(f"    connect \\{pin} {net}\n" for pin, net in pins)
                           + "  end\n")
        self.counts.own["clock_gates"] += 1
        return gated

    def _cell(self, cell: re.Match, clocks: dict[str, str]) -> str:
        kind, name, inside = cell.groups()
        if not kind.startswith("$"):
            self.counts.children[kind] += 1
        pins = dict(_CONNECT.findall(inside))
        made = pins.get("Y", "")
        if made.startswith("$") and made not in self._names:
            self._highest[kind[1:]] += 1
            self._names[made] = unique(f"\\{kind[1:]}_{self._highest[kind[1:]]}", self._taken)
        if kind not in ("$dff", "$dffe"):
            return cell[0]
        joint, bits = "", pins["Q"]
        if not _NAME.fullmatch(bits):
            part = self._part(cell)
            inside = inside.replace(f"connect \\Q {bits}\n", f"connect \\Q {part}\n")
            joint = f"  connect {bits} {part}\n"
        if name in clocks:
            kind = "$dff"
            inside = re.sub(r"    (parameter \\EN_POLARITY|connect \\EN) .*\n", "", inside)
            inside = re.sub(r"(connect \\CLK) .*", lambda m: f"{m[1]} {clocks[name]}", inside)
        return f"  cell {kind} {name}\n{inside}  end\n{joint}"

    def _part(self, cell: re.Match) -> str:
        """A register of its own for bits of one whose others have another enable."""
        name = unique(f"{_base(cell[3])}_part", self._taken)
        bits = ""
        for wire, n in _bits(dict(_CONNECT.findall(cell[3]))["Q"], {})[::-1]:
            bits += self._inits[wire][-1 - n] if wire in self._inits else ""
        init = f"  attribute \\init {len(bits)}'{bits}\n" if bits else ""
        self._wires.append(f"{init}  wire width {self._width(cell)} {name}\n")
        return name


def _base(inside: str) -> str:
    """The name of the register that a flip-flop is part of."""
    return _NAME.search(dict(_CONNECT.findall(inside))["Q"])[0]       # type: ignore[index]


def _totals(modules: dict[str, _Counts], top: str) -> Counter:
    """Counts of a module and of all in it."""
    total = Counter(modules[top].own)
    for child, times in modules[top].children.items():
        if child in modules:
            for name, count in _totals(modules, child).items():
                total[name] += times * count
    return total


def gate_clocks(rtlil: str, top: str, gate: ClockGate) -> Gated:
    """Put clock gates into a design.

    Parameters
    ----------
    rtlil : str
        As :func:`prunus.hw.verilog.netlist.tidy` gives it.
    top : str
        Name of the top module.
    gate : ClockGate

    Raises
    ------
    RuntimeError
        When Yosys fails.
    """
    stripped: list[str] = []
    aside: dict[str, _Aside] = defaultdict(_Aside)
    for name, body in _MODULE.findall(rtlil):
        stripped.append(f"module {name}\n{aside[name].take(body)}end\n")
    texts, modules = [], {}
    for name, body in _MODULE.findall(yosys.run(yosys.read("\n".join(stripped)), *_ENABLES)):
        module = _Module(_one_by_one(aside[name].put_back(_NOTES.sub("", body))), gate)
        texts.append(f"module {name}\n{module.rewritten()}end\n")
        modules[name] = module.counts
    total = _totals(modules, f"\\{top}")
    return Gated("\n".join(texts), total["clock_gates"], total["flip_flops"],
                 total["gated_flip_flops"])

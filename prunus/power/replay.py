# SPDX-License-Identifier: Apache-2.0
"""Replays a record of the ports of a coprocessor through its gates, and counts what moves.

The simulator is in C (``replay.c``): levelised, a byte for each net, all cells of a function in a
level at once. It is compiled once for the functions of the library's cells.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from prunus.sim.record import Record
from prunus.sim.simulators.cache import build_root, cached, digest

from ..errors import InputError, RunError
from ..synth.pdk.cells import Library
from ..synth.pdk.functions import expression, truth
from .netlist import Group, Netlist

__all__ = ["Counts", "Delays", "MemoryCounts", "Weights", "replay"]

SOURCE = Path(__file__).with_name("replay.c")
FLAGS = ("-O3", "-std=c99", "-shared", "-fPIC")
HORIZON_PS = 1 << 17     # of what moves after an edge; all is quiet long before
ROWS = 512              # of a call, after which progress is told
_BIT = ctypes.POINTER(ctypes.c_uint8)
_I32 = ctypes.POINTER(ctypes.c_int32)
_I64 = ctypes.POINTER(ctypes.c_int64)
_U32 = ctypes.POINTER(ctypes.c_uint32)


class _ReadPort(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("words", "width", "address_bits", "clocked")),
        ("address", _I32), *((name, ctypes.c_int32) for name in ("first", "enable", "reset")),
        ("reset_value", _BIT), ("reads", ctypes.c_uint64), ("idle", ctypes.c_uint64),
        ("wanted", _BIT), ("contents", _BIT)]


class _Memory(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("words", "width", "address_bits", "uniform")),
        *((name, _I32) for name in ("address", "data", "enable")), ("contents", _BIT),
        *((name, ctypes.c_uint64) for name in ("writes", "changed", "both", "none")),
        ("first_read", ctypes.c_int32), ("reads", ctypes.c_int32),
        ("read_weight", ctypes.c_float), ("write_weight", ctypes.c_float)]


class _Bank(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int32), ("first", ctypes.c_int32), ("data", _I32), ("enable", _I32),
        ("rise", _U32 * 4), ("fall", _U32 * 4), ("moved_high", _U32), ("moved_low", _U32),
        ("before", _BIT), ("clocked", _BIT)]


class _Delays(ctypes.Structure):
    _fields_ = [
        ("first", _I64), *((name, _I32) for name in (
            "gate", "rise_ps", "fall_ps", "gate_net")),
        ("truth", ctypes.POINTER(ctypes.c_uint64)), ("gate_inputs", _I64),
        *((name, _I32) for name in ("input_net", "start_ps", "port_ps", "pending_ps", "next",
                                    "last", "head")),
        ("horizon_ps", ctypes.c_int32), ("events", ctypes.c_uint64),
        ("swallowed", ctypes.c_uint64)]


class _Design(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in (
            "nets", "steps", "banks", "memories", "read_ports", "input_bits", "output_bits",
            "stride", "gates")),
        ("now", _BIT), ("before", _BIT), ("toggles", _U32),
        ("weights", ctypes.POINTER(ctypes.c_float)), ("step_kind", _I32), ("step_first", _I32),
        ("step_count", _I32), ("step_inputs", ctypes.POINTER(_I32)),
        ("bank", ctypes.POINTER(_Bank)), ("memory", ctypes.POINTER(_Memory)),
        ("port", ctypes.POINTER(_ReadPort)), ("gate", _I32),
        ("gate_open", _U32), ("input_net", _I32), ("input_at", _I32), ("output_net", _I32),
        ("output_at", _I32), ("compared", ctypes.c_uint64), ("differing", ctypes.c_uint64),
        ("different_cycle", ctypes.c_uint64), ("different_output", ctypes.c_int32),
        ("trace", ctypes.POINTER(ctypes.c_double)), ("clock_weight", ctypes.c_float),
        ("cycle_weight", ctypes.c_float), ("cycle", ctypes.c_uint64),
        ("compare_from", ctypes.c_uint64), ("counting", ctypes.c_int32),
        ("delays", ctypes.POINTER(_Delays)), ("sources", ctypes.c_int32), ("wanted", _BIT)]


# -- what comes out -------------------------------------------------------------------------------
@dataclass(frozen=True)
class MemoryCounts:
    """Of a memory, in the cycles that are counted.

    Members
    -------
    reads : list of int
        Cycles in which a clocked port reads, by port.
    writes, both, none : int
        Cycles with a write, with a write and a read, and with neither.
    changed : int
        Bits that were written with another value than they had.
    """

    reads: list[int]
    writes: int
    both: int
    none: int
    changed: int


@dataclass(frozen=True, eq=False)
class Counts:
    """What moved in the cycles that are counted.

    Members
    -------
    cycles : int
    compared_bits, differing_bits : int
        Bits of outputs in all cycles of the record, and those that are not the RTL's.
    toggles : ndarray of int64
        By net.
    rise, fall : list of ndarray of int64, shape (4, flip-flops)
        By bank: clock edges by state ``D + 2 Q``.
    moved_high, moved_low : list of ndarray of int64
        By bank: changes of D in cycles with a clock and without.
    gate_open : ndarray of int64
        By clock gate: cycles in which it lets the clock through.
    memories : list of MemoryCounts
    trace : ndarray of float or None
        Energy by cycle, in the unit of the weights.
    """

    cycles: int
    compared_bits: int
    differing_bits: int
    toggles: np.ndarray
    rise: list[np.ndarray]
    fall: list[np.ndarray]
    moved_high: list[np.ndarray]
    moved_low: list[np.ndarray]
    gate_open: np.ndarray
    memories: list[MemoryCounts]
    trace: np.ndarray | None


# -- the program ----------------------------------------------------------------------------------
def _evaluate(library: Library) -> tuple[str, dict[str, int]]:
    """The function in C that evaluates cells of a kind, and the kinds' numbers."""
    kinds: dict[str, int] = {}
    cases = []
    for name, cell in library.cells.items():
        if cell.kind != "gate":
            continue
        kinds[name] = len(kinds)
        pins = sorted(cell.inputs)
        body = expression(cell.function)
        terms = "".join(f" const uint8_t {pin} = now[in[{n} * count + i]];"
                        for n, pin in enumerate(pins))
        cases.append(f"    case {kinds[name]}: for (int i = 0; i < count; i++) "
                     f"{{{terms} out[i] = {body}; }} return;")
    text = ("#include <stdint.h>\n"
            "static void evaluate(int kind, const uint8_t *restrict now, uint8_t *restrict out, "
            "int count, const int32_t *restrict in) {\n    switch (kind) {\n"
            + "\n".join(cases) + "\n    }\n}\n")
    return text, kinds


def _truth(function: str, pins: Sequence[str]) -> int:
    """Values of a function, that of inputs 0, 0, ... in the lowest bit, the first pin varying most
    often."""
    return sum(truth(function, {pin: state >> n & 1 for n, pin in enumerate(pins)}) << state
               for state in range(2 ** len(pins)))


def _compiler() -> str:
    for name in ("gcc", "cc", "clang"):
        if path := shutil.which(name):
            return path
    raise InputError("power needs a C compiler, and gcc is missing (Debian, Ubuntu: apt-get "
                     "install gcc)")


@cache
def _program(library: Library) -> tuple[ctypes.CDLL, dict[str, int]]:
    functions, kinds = _evaluate(library)
    text = functions + SOURCE.read_text(encoding="utf-8")
    compiler = _compiler()
    directory = build_root() / "power" / f"replay-{digest(text, ' '.join(FLAGS))}"

    def make(work: Path) -> None:
        (work / "replay.c").write_text(text, encoding="utf-8")
        done = subprocess.run([compiler, *FLAGS, "-o", "replay.so", "replay.c"], cwd=work,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(f"{compiler} does not compile the simulator of gates: "
                           f"{done.stderr.strip()[-500:]}")

    cached(directory, make)
    found = ctypes.CDLL(str(directory / "replay.so"))
    found.begin.argtypes = [ctypes.POINTER(_Design), ctypes.c_void_p]
    found.run.argtypes = [ctypes.POINTER(_Design), ctypes.c_void_p, *[ctypes.c_uint64] * 3]
    return found, kinds


@dataclass(frozen=True, eq=False)
class Weights:
    """Energies for the trace over cycles, of any unit.

    Members
    -------
    nets : ndarray of float
        Of a change, by net.
    clock, cycle : float
        Of a flip-flop that is clocked, and of every cycle.
    memories : list of (float, float)
        Of a read and of a write, by memory.
    """

    nets: np.ndarray
    clock: float
    cycle: float
    memories: list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Delays:
    """How long changes take, in ps.

    Members
    -------
    start : ndarray of int32
        By net: from the edge of the clock to the change of an input, a flip-flop or a memory.
    rise, fall : list of ndarray of int32, shape (pins, gates)
        By group of gates, from an input to the output, which rises or falls.
    ports : list of int
        By port of the memories, from its address to its data, where it has no clock.
    """

    start: np.ndarray
    rise: list[np.ndarray]
    fall: list[np.ndarray]
    ports: list[int]


class _Kept:
    """Arrays, alive as long as the C program may look at them."""

    def __init__(self) -> None:
        self._arrays: list[Any] = []

    def pointer(self, values: Any, dtype: type, kind: Any) -> Any:
        array: np.ndarray = np.ascontiguousarray(values, dtype)
        self._arrays.append(array)
        return array.ctypes.data_as(kind)

    def zeros(self, size: int, dtype: type) -> np.ndarray:
        array: np.ndarray = np.zeros(max(size, 1), dtype)
        self._arrays.append(array)
        return array

    def hold(self, what: Any) -> None:
        self._arrays.append(what)

    def structures(self, some: Sequence[Any], kind: Any) -> Any:
        made = (kind * max(len(some), 1))(*some)
        self._arrays.append(made)
        return made


def _bits_of(ports: dict[str, np.ndarray], record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Nets of ports, and where their bits lie in a row of the record."""
    nets: list[int] = []
    places: list[int] = []
    for name, some in ports.items():
        if name not in record.ports:
            raise RunError(f"port {name} was not recorded")
        first = 8 * record.ports[name][0]
        nets += some.tolist()
        places += range(first, first + len(some))
    return np.array(nets, np.int32), np.array(places, np.int32)


class _Machine:
    """A netlist in the form that the C program wants."""

    def __init__(self, netlist: Netlist, library: Library, record: Record,
                 weights: Weights | None, delays: Delays | None, cycles: int):
        self._program, kinds = _program(library)
        self._netlist, self._keep = netlist, _Kept()
        keep = self._keep
        self.now = keep.zeros(netlist.nets, np.uint8)
        self.now[1] = 1
        self.toggles = keep.zeros(netlist.nets, np.uint32)
        self.gate_open = keep.zeros(len(netlist.gates), np.uint32)
        self.trace = np.zeros(cycles) if weights else None
        self._banks = [self._bank(bank) for bank in netlist.banks]
        self._ports: list[_ReadPort] = []
        said = weights or Weights(np.zeros(1), 0.0, 0.0, [(0.0, 0.0)] * len(netlist.memories))
        self._memories = [self._memory(memory, *prices) for memory, prices in
                          zip(netlist.memories, said.memories, strict=True)]
        ports = keep.structures(self._ports, _ReadPort)
        first = np.cumsum([0, *(len(memory.reads) for memory in netlist.memories)])
        steps, some_inputs = [], []
        for step in netlist.steps:
            if isinstance(step, Group):
                steps.append((kinds[step.cell], step.first, step.inputs.shape[1]))
                some_inputs.append(keep.pointer(step.inputs, np.int32, _I32))
            else:
                steps.append((-1, int(first[step[0]]) + step[1], 1))
                some_inputs.append(_I32())
        table = np.array(steps, np.int32).reshape(-1, 3)
        ins = _bits_of(netlist.inputs, record)
        outs = _bits_of(netlist.outputs, record)

        def i32(values: Any) -> Any:
            return keep.pointer(values, np.int32, _I32)

        def u8(array: np.ndarray) -> Any:
            return array.ctypes.data_as(_BIT)

        def u32(array: np.ndarray) -> Any:
            return array.ctypes.data_as(_U32)

        self.memory = keep.structures(self._memories, _Memory)
        self.port = ports
        self.design = _Design(
            nets=netlist.nets, steps=len(steps), banks=len(netlist.banks),
            memories=len(netlist.memories), read_ports=len(self._ports), input_bits=len(ins[0]),
            output_bits=len(outs[0]), stride=record.rows.shape[1],
            gates=len(netlist.gates), now=u8(self.now),
            before=u8(keep.zeros(netlist.nets, np.uint8)), toggles=u32(self.toggles),
            weights=keep.pointer(said.nets, np.float32, ctypes.POINTER(ctypes.c_float)),
            step_kind=i32(table[:, 0]), step_first=i32(table[:, 1]), step_count=i32(table[:, 2]),
            step_inputs=keep.structures(some_inputs, _I32),
            bank=keep.structures([bank for bank, _ in self._banks], _Bank), memory=self.memory,
            port=self.port, gate=i32(netlist.gates),
            gate_open=u32(self.gate_open), input_net=i32(ins[0]), input_at=i32(ins[1]),
            output_net=i32(outs[0]), output_at=i32(outs[1]), clock_weight=said.clock,
            cycle_weight=said.cycle,
            trace=self.trace.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
            if self.trace is not None else None)
        if delays:
            self.design.sources = min((group.first for group in netlist.groups),
                                      default=netlist.nets)
            self.design.wanted = u8(keep.zeros(netlist.nets, np.uint8))
            self.design.delays = ctypes.pointer(self._delays(delays, library))

    def _delays(self, delays: Delays, library: Library) -> _Delays:
        """Sinks of nets, with what they need to know."""
        netlist, keep = self._netlist, self._keep
        sinks: list[tuple[np.ndarray, ...]] = []
        nets: list[np.ndarray] = []
        truths: list[np.ndarray] = []
        inputs: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        begun = 0
        for group, rise, fall in zip(netlist.groups, delays.rise, delays.fall, strict=True):
            cell = library.cells[group.cell]
            numbers = np.arange(begun, begun + group.count)
            begun += group.count
            nets.append(np.arange(group.first, group.first + group.count))
            truths.append(np.full(group.count, _truth(cell.function, sorted(cell.inputs)),
                                  np.uint64))
            inputs.append(group.inputs.T.ravel())
            counts.append(np.full(group.count, len(group.inputs)))
            for pin, some in enumerate(group.inputs):
                sinks.append((some, numbers, rise[pin], fall[pin]))
        number = 0
        for memory in netlist.memories:
            for port in memory.reads:
                if not port.clocked:
                    size = len(port.address)
                    sinks.append((port.address, np.full(size, -1 - number), np.zeros(size),
                                  np.zeros(size)))
                number += 1
        table = [np.concatenate(column).astype(np.int32) for column in zip(*sinks, strict=True)]
        order = np.argsort(table[0], kind="stable")
        table = [column[order] for column in table]
        first = np.searchsorted(table[0], np.arange(netlist.nets + 1))

        def i32(values: Any) -> Any:
            return keep.pointer(values, np.int32, _I32)

        def i64(values: Any) -> Any:
            return keep.pointer(values, np.int64, _I64)

        never = np.full(netlist.nets, -1)
        made = _Delays(
            first=i64(first), gate=i32(table[1]), rise_ps=i32(table[2]),
            fall_ps=i32(table[3]), gate_net=i32(np.concatenate(nets)),
            truth=keep.pointer(np.concatenate(truths), np.uint64,
                               ctypes.POINTER(ctypes.c_uint64)),
            gate_inputs=i64(np.cumsum(np.concatenate([[0], *counts]))),
            input_net=i32(np.concatenate(inputs)), start_ps=i32(delays.start),
            port_ps=i32(delays.ports), pending_ps=i32(never), next=i32(never), last=i32(never),
            head=i32(np.full(HORIZON_PS, -1)), horizon_ps=HORIZON_PS)
        keep.hold(made)
        return made

    def _bank(self, bank) -> tuple[_Bank, dict[str, Any]]:
        keep, count = self._keep, len(bank.data)
        self.now[bank.first : bank.first + count] = bank.initial
        rise, fall = ([keep.zeros(count, np.uint32) for _ in range(4)] for _ in range(2))
        high, low = (keep.zeros(count, np.uint32) for _ in range(2))
        pointers = _U32 * 4
        made = _Bank(
            count=count, first=bank.first, data=keep.pointer(bank.data, np.int32, _I32),
            enable=keep.pointer(bank.enable, np.int32, _I32),
            rise=pointers(*(some.ctypes.data_as(_U32) for some in rise)),
            fall=pointers(*(some.ctypes.data_as(_U32) for some in fall)),
            moved_high=high.ctypes.data_as(_U32), moved_low=low.ctypes.data_as(_U32),
            before=keep.zeros(count, np.uint8).ctypes.data_as(_BIT),
            clocked=keep.zeros(count, np.uint8).ctypes.data_as(_BIT))
        return made, {"rise": rise, "fall": fall, "high": high, "low": low}

    def _memory(self, memory, read_weight: float, write_weight: float) -> _Memory:
        keep = self._keep
        bits = keep.zeros(memory.words * memory.width, np.uint8)
        bits[:] = memory.initial
        contents = bits.ctypes.data_as(_BIT)
        first = len(self._ports)
        for port in memory.reads:
            wanted = keep.zeros(port.width, np.uint8)
            wanted[: port.width] = port.initial
            if port.clocked:
                self.now[port.first : port.first + port.width] = port.initial
            self._ports.append(_ReadPort(
                words=memory.words, width=port.width, address_bits=len(port.address),
                clocked=int(port.clocked), address=keep.pointer(port.address, np.int32, _I32),
                first=port.first, enable=port.enable, reset=port.reset,
                reset_value=keep.pointer(port.reset_value, np.uint8, _BIT),
                wanted=wanted.ctypes.data_as(_BIT), contents=contents))
        return _Memory(
            words=memory.words, width=memory.width, address_bits=len(memory.address),
            uniform=int(bool((memory.enable == memory.enable[0]).all())),
            address=keep.pointer(memory.address, np.int32, _I32),
            data=keep.pointer(memory.data, np.int32, _I32),
            enable=keep.pointer(memory.enable, np.int32, _I32), contents=contents,
            first_read=first, reads=len(memory.reads), read_weight=read_weight,
            write_weight=write_weight)

    def run(self, record: Record, window: tuple[int, int],
            progress: Callable[[int, int], None] | None) -> None:
        rows = record.rows
        first = np.ascontiguousarray(rows[:1])
        self._program.begin(self.design, first.ctypes.data)
        for at in range(1, len(rows), ROWS):
            some = np.ascontiguousarray(rows[at : at + ROWS])
            self._program.run(self.design, some.ctypes.data, len(some), *window)
            if progress:
                progress(min(at + ROWS, len(rows)), len(rows))

    def counts(self, cycles: int) -> Counts:
        def wide(some: Any) -> np.ndarray:
            return np.array(some, np.int64)

        return Counts(
            cycles=cycles, compared_bits=self.design.compared,
            differing_bits=self.design.differing, toggles=wide(self.toggles),
            rise=[wide(kept["rise"]) for _, kept in self._banks],
            fall=[wide(kept["fall"]) for _, kept in self._banks],
            moved_high=[wide(kept["high"]) for _, kept in self._banks],
            moved_low=[wide(kept["low"]) for _, kept in self._banks],
            gate_open=wide(self.gate_open),
            memories=[MemoryCounts(
                reads=[self.port[p].reads for p in range(m.first_read, m.first_read + m.reads)
                       if self.port[p].clocked],
                writes=m.writes, both=m.both, none=m.none, changed=m.changed)
                for m in self.memory[: len(self._memories)]],
            trace=self.trace)

    def difference(self) -> str:
        """The first output that is not the RTL's."""
        at, names = self.design.different_output, []
        for name, nets in self._netlist.outputs.items():
            names += [f"{name}[{n}]" for n in range(len(nets))]
        return f"{names[at]} in cycle {self.design.different_cycle}"


def replay(netlist: Netlist, library: Library, record: Record, window: tuple[int, int],
           weights: Weights | None = None,
           delays: Delays | None = None, compare_from: int = 0,
           progress: Callable[[int, int], None] | None = None) -> Counts:
    """Play a record through gates.

    Parameters
    ----------
    netlist : Netlist
    library : Library
    record : Record
        Of the RTL that the gates were made of.
    window : (int, int)
        Rows of the record whose changes are counted, the second excluded.
    weights : Weights or None
        For the trace over cycles; without them there is none.
    delays : Delays or None
        Changes take so long, and those that another comes before are swallowed: nets change several
        times in a cycle. Without them each net changes at most once.
    compare_from : int
        The first row whose outputs are compared: behind the reset, if states begin otherwise than
        the RTL's.
    progress : callable or None
        Called with the rows done and all rows.

    Raises
    ------
    InputError
        Without a C compiler.
    RunError
        When an output is not the RTL's, or a port was not recorded.
    """
    first, end = window
    if not 1 <= first < end <= len(record.rows):
        raise ValueError(f"window must lie in rows 1 to {len(record.rows)}, not {window}")
    machine = _Machine(netlist, library, record, weights, delays, end - first)
    machine.design.compare_from = compare_from
    machine.run(record, window, progress)
    counts = machine.counts(end - first)
    if counts.differing_bits:
        raise RunError(f"{counts.differing_bits} of {counts.compared_bits} bits of outputs are not "
                       f"the RTL's, the first is {machine.difference()}")
    return counts

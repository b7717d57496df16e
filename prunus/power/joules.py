# SPDX-License-Identifier: Apache-2.0
"""Prices of what moves in gates: energies of SG13G2's cells and macros, times counts of a replay.

An output that changes costs the internal energy of its cell, the mean over its input pins and over
rising and falling, and half of C V^2 for the pins and wires that it drives. Some pins have a table
of their own (selects of multiplexers, inputs that are inverted first): the tables of outputs leave
that out, so that it is added whenever the pin changes. Slews follow from the loads, from the inputs
of the design on. Flip-flops cost by what their D and Q are at both edges of the clock, clock gates
and the buffers of the clock tree in every cycle that they see. D settles while the clock is high.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..synth.macros import Macro, is_macro, macro
from ..synth.pdk.cells import Arc, Library, Passive
from ..synth.pdk.functions import truth
from .netlist import Bank, Memory, Netlist
from .replay import Counts, Delays, Weights

__all__ = ["FLOPS_PER_BUFFER", "KINDS", "NO_WIRES", "Energy", "Prices", "RegisterFile"]

PICO = 1e-12
KINDS = ("datapath", "clock", "memory", "leakage")
# Of the clock tree: pins of a buffer, and the cells that it is made of.
FLOPS_PER_BUFFER = 20
BUFFER, GATE, MUX = "sg13g2_buf_8", "sg13g2_lgcp_1", "sg13g2_mux4_1"
FLOP, SELECT = "sg13g2_dfrbpq_1", "sg13g2_and2_1"
INPUT_SLEW_NS = 0.0966          # of the ports of the design
NO_WIRES = "none"


def _pairs(wire_pf: Sequence[tuple[int, float]], fanout: np.ndarray) -> np.ndarray:
    """Capacitance of wires by how many pins they reach: through the points of a model, from 0 on,
    and beyond the last at its slope."""
    pins = np.array([0, *(n for n, _ in wire_pf)], float)
    pf = np.array([0.0, *(c for _, c in wire_pf)])
    slope = (pf[-1] - pf[-2]) / (pins[-1] - pins[-2])
    inside = np.interp(fanout, pins, pf)
    return np.where(fanout > pins[-1], pf[-1] + (fanout - pins[-1]) * slope, inside)


class _Tables:
    """Tables of a library, read between their points and not beyond them."""

    def __init__(self, library: Library):
        self._slews = library.slews

    def by_slew(self, table: np.ndarray, slew: np.ndarray) -> np.ndarray:
        return np.interp(slew, self._slews, table)

    def of(self, arc: Arc, table: np.ndarray, slew: np.ndarray, load: np.ndarray) -> np.ndarray:
        """Bilinear, of a table of an arc."""
        slew = np.clip(slew, self._slews[0], self._slews[-1])
        load = np.clip(load, arc.loads[0], arc.loads[-1])
        i = np.clip(np.searchsorted(self._slews, slew, "right") - 1, 0, len(self._slews) - 2)
        j = np.clip(np.searchsorted(arc.loads, load, "right") - 1, 0, len(arc.loads) - 2)
        u = (slew - self._slews[i]) / (self._slews[i + 1] - self._slews[i])
        v = (load - arc.loads[j]) / (arc.loads[j + 1] - arc.loads[j])
        return ((1 - u) * ((1 - v) * table[i, j] + v * table[i, j + 1])
                + u * ((1 - v) * table[i + 1, j] + v * table[i + 1, j + 1]))

    def energy(self, arc: Arc, slew: np.ndarray, load: np.ndarray) -> np.ndarray:
        """pJ of a change, the mean of rising and falling."""
        return (self.of(arc, arc.rise_pj, slew, load) + self.of(arc, arc.fall_pj, slew, load)) / 2

    def slew(self, arc: Arc, slew: np.ndarray, load: np.ndarray) -> np.ndarray:
        return (self.of(arc, arc.rise_slew_ns, slew, load)
                + self.of(arc, arc.fall_slew_ns, slew, load)) / 2


@dataclass(frozen=True)
class RegisterFile:
    """A memory of flip-flops: a clock gate and a select gate a word, multiplexers of four to read.

    It is no part of the netlist: its accesses are counted there and priced here.

    Members
    -------
    cycle_j : float
        Of the clock gates of all words, in every cycle.
    write_j : float
        Of a word's clock.
    changed_j : float
        Of a bit that is written with another value.
    data_j, address_j : float
        Of a change of an input bit: of the flip-flops' D, and of the multiplexers of a read port by
        how much the bit of the address selects.
    read_j : float
        Of an output bit that changes.
    data_pf, address_pf : float
        What an input bit drives.
    leakage_w : float
    """

    cycle_j: float
    write_j: float
    changed_j: float
    data_j: float
    read_j: float
    data_pf: float
    address_j: tuple[float, ...]
    address_pf: tuple[float, ...]
    leakage_w: float


@dataclass(frozen=True, eq=False)
class Energy:
    """Joules of the cycles that were counted.

    Members
    -------
    blocks : list of tuple of str
        Paths of instances.
    by_block : dict of str to ndarray of float, shape (blocks,)
        By kind.
    assumed : dict of str to float
        Parts of it that rest on an assumption: ``clock_tree``, the buffers of the clock;
        ``register_files``; and what would be added, ``late_data``, if every D settled while the
        clock is low.
    """

    blocks: list[tuple[str, ...]]
    by_block: dict[str, np.ndarray]
    assumed: dict[str, float]


class Prices:
    """What a change of each net costs, and all else that costs something.

    Parameters
    ----------
    netlist : Netlist
    library : Library
    wires : str
        Wire-load model of the library.
    """

    def __init__(self, netlist: Netlist, library: Library, wires: str = NO_WIRES):
        self._netlist, self._library = netlist, library
        self._tables = _Tables(library)
        self._wire_pf = library.wire_pf[wires] if wires != NO_WIRES else [(1, 0.0), (2, 0.0)]
        self.macros: dict[int, Macro] = {}
        self.files: dict[int, RegisterFile] = {}
        self._clock_slew = self._slew_of_clock()
        for number, memory in enumerate(netlist.memories):
            if is_macro(memory):
                self.macros[number] = macro(memory.words, memory.width, memory.dual)
            else:
                self.files[number] = self._register_file(memory)
        self.loads = self._loads()
        self._slews = np.full(netlist.nets, INPUT_SLEW_NS)
        self.net_j, self.pins, self.pin_j = self._gates()

    # -- nets -------------------------------------------------------------------------------------
    def _loads(self) -> np.ndarray:
        """pF that each net drives."""
        netlist, cells = self._netlist, self._library.cells
        load, fanout = np.zeros(netlist.nets), np.zeros(netlist.nets)

        def add(nets: np.ndarray, pf: float | Sequence[float], pins: float = 1.0) -> None:
            np.add.at(load, nets, pf)
            np.add.at(fanout, nets, pins)

        for group in netlist.groups:
            cell = cells[group.cell]
            for pin, nets in zip(sorted(cell.inputs), group.inputs, strict=True):
                add(nets, cell.inputs[pin])
        for bank in netlist.banks:
            add(bank.data, cells[bank.cell].inputs["D"])
        add(netlist.gates, cells[GATE].inputs["GATE"])
        for number, memory in enumerate(netlist.memories):
            if number in self.macros:
                of = self.macros[number]
                add(memory.data, of.data_pf)
                add(memory.address, of.address_pf)
                add(np.unique(memory.enable), of.enable_pf)
                for port in memory.reads:
                    add(port.address, of.address_pf)
                    add(np.array([port.enable]), of.enable_pf)
            else:
                file = self.files[number]
                add(memory.data, file.data_pf, memory.words)
                # The address of a write goes to a select gate of each word, by either polarity.
                add(memory.address, memory.words / 2 * cells[SELECT].inputs["A"],
                    memory.words / 2)
                add(np.unique(memory.enable), memory.words * cells[SELECT].inputs["B"],
                    memory.words)
                for port in memory.reads:
                    add(port.address, file.address_pf, memory.width)
        load += _pairs(self._wire_pf, fanout)
        load[:2] = 0        # constants
        return load

    def _wire(self, pins: int) -> float:
        return float(_pairs(self._wire_pf, np.array([float(pins)]))[0])

    def _switched(self, pf: np.ndarray | float) -> np.ndarray | float:
        """J of a change."""
        return 0.5 * PICO * np.asarray(pf) * self._library.volt**2

    def _gates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """J by net of a change; pins with tables of their own and the gates' outputs; their J."""
        netlist, tables = self._netlist, self._tables
        price = np.array(self._switched(self.loads))
        pins, pin_j = [np.zeros((0, 2), np.int32)], [np.zeros(0)]
        for bank in netlist.banks:
            arc = self._library.cells[bank.cell].arcs["CLK"]
            nets = np.arange(bank.first, bank.first + bank.count)
            self._slews[nets] = tables.slew(
                arc, np.full(bank.count, self._clock_slew), self.loads[nets])
        for group in netlist.groups:
            cell = self._library.cells[group.cell]
            nets = np.arange(group.first, group.first + group.count)
            load = self.loads[nets]
            internal, slew = [], []
            for pin, sources in zip(sorted(cell.inputs), group.inputs, strict=True):
                if pin in cell.arcs:
                    internal.append(tables.energy(cell.arcs[pin], self._slews[sources], load))
                    slew.append(tables.slew(cell.arcs[pin], self._slews[sources], load))
                if pin in cell.passive:
                    pins.append(np.stack([sources, nets], axis=1))
                    pin_j.append(PICO * self._passive(cell.passive[pin], self._slews[sources]))
            if internal:
                price[nets] += PICO * np.mean(internal, axis=0)
                self._slews[nets] = np.mean(slew, axis=0)
        return price, np.concatenate(pins).astype(np.int32), np.concatenate(pin_j)

    def _passive(self, rows: Sequence[Passive], slew: np.ndarray) -> np.ndarray:
        """pJ of a change, the mean of rising and falling, and over states unless there is one table
        for all."""
        some = [row for row in rows if not row.when] or list(rows)
        return np.mean([(self._tables.by_slew(row.rise, slew) + self._tables.by_slew(
            row.fall, slew)) / 2 for row in some], axis=0)

    # -- clock ------------------------------------------------------------------------------------
    def _slew_of_clock(self) -> float:
        """Behind a buffer of the tree, whose own slew is the same."""
        slew = np.array([INPUT_SLEW_NS])
        load = np.array([self._pins_of_buffer()])
        for _ in range(8):
            slew = self._tables.slew(self._library.cells[BUFFER].arcs["A"], slew, load)
        return float(slew[0])

    def _pins_of_buffer(self) -> float:
        """pF that a buffer of the tree drives."""
        return (FLOPS_PER_BUFFER * self._library.cells[FLOP].inputs["CLK"]
                + self._wire(FLOPS_PER_BUFFER))

    @cached_property
    def tree_j(self) -> float:
        """Of a cycle, by pin that hangs on the clock: its share of a buffer, and the wires."""
        cell, slew = self._library.cells[BUFFER], np.array([self._clock_slew])
        load = self._pins_of_buffer()
        internal = 2 * PICO * self._tables.energy(cell.arcs["A"], slew, np.array([load]))[0]
        # What the buffer drives beside the pins, which are counted with their cells.
        wires = 2 * self._switched(self._wire(FLOPS_PER_BUFFER) + cell.inputs["A"])
        return float(internal + wires) / FLOPS_PER_BUFFER

    def _edge(self, cell: str, rising: bool) -> np.ndarray:
        """J of the clock pin at an edge, by state ``D + 2 Q``; without what an output costs."""
        found = np.zeros(4)
        rows = self._library.cells[cell].passive["CLK"]
        for state in range(4):
            pins = {"D": state & 1, "Q": state >> 1, "RESET_B": 1}
            row = next(row for row in rows if not row.when or truth(row.when, pins))
            found[state] = self._tables.by_slew(row.rise if rising else row.fall,
                                                np.array([self._clock_slew]))[0]
        return PICO * found

    def _moved(self, cell: str, high: bool) -> float:
        """J of a change of D while the clock is high or low."""
        rows = self._library.cells[cell].passive["D"]
        row = next(row for row in rows if not row.when or truth(
            row.when, {"CLK": int(high), "RESET_B": 1}))
        slew = np.array([INPUT_SLEW_NS])
        return float(PICO * (self._tables.by_slew(row.rise, slew)
                             + self._tables.by_slew(row.fall, slew))[0] / 2)

    def _bank_j(self, bank: Bank, number: int, counts: Counts) -> np.ndarray:
        """J of each flip-flop: internal energy, its clock pin, its share of the tree."""
        cell = self._library.cells[bank.cell]
        nets = slice(bank.first, bank.first + len(bank.data))
        slew, load = np.full(len(bank.data), self._clock_slew), self.loads[nets]
        rise, fall = counts.rise[number], counts.fall[number]
        rising, falling = self._edge(bank.cell, True), self._edge(bank.cell, False)
        arc = cell.arcs["CLK"]
        # D is 1 and Q 0, so that Q rises, or the other way.
        q_rises = PICO * self._tables.of(arc, arc.rise_pj, slew, load)
        q_falls = PICO * self._tables.of(arc, arc.fall_pj, slew, load)
        joules = (rise[0] * rising[0] + rise[3] * rising[3] + rise[1] * q_rises + rise[2] * q_falls
                  + falling @ fall)
        joules += (counts.moved_high[number] * self._moved(bank.cell, True)
                   + counts.moved_low[number] * self._moved(bank.cell, False))
        clocked = rise.sum(axis=0)
        return joules + clocked * self._clocked_j(bank.cell)

    def _clocked_j(self, cell: str) -> float:
        """J of the clock's wires and pin at a flip-flop, in a cycle that it sees."""
        return float(2 * self._switched(self._library.cells[cell].inputs["CLK"])) + self.tree_j

    def _held_j(self) -> float:
        """J of a cycle of a flip-flop that holds 0."""
        return float(self._edge(FLOP, True)[0] + self._edge(FLOP, False)[0]) + self._clocked_j(
            FLOP)

    @cached_property
    def gate_j(self) -> tuple[float, float]:
        """J of a clock gate in every cycle, and more in one in which it lets the clock through.

        As for gates, what the pin takes itself comes in addition to what the output takes.
        """
        cell, slew = self._library.cells[GATE], np.array([self._clock_slew])
        passive = 2 * PICO * self._passive(cell.passive["CLK"], slew)[0]
        pin = 2 * self._switched(cell.inputs["CLK"]) + self.tree_j
        load = np.array([4 * self._library.cells[FLOP].inputs["CLK"]])
        through = 2 * PICO * self._tables.energy(cell.arcs["CLK"], slew, load)[0]
        return float(passive + pin), float(through)

    # -- memories ---------------------------------------------------------------------------------
    def _register_file(self, memory: Memory) -> RegisterFile:
        cells, words, width = self._library.cells, memory.words, memory.width
        flop, mux = cells[FLOP], cells[MUX]
        slew, load = np.array([INPUT_SLEW_NS]), np.array([mux.inputs["A0"]])
        clock = self._held_j()
        arc = flop.arcs["CLK"]
        changed = PICO * float(self._tables.energy(
            arc, np.array([self._clock_slew]), load)[0]) + float(
            self._switched(len(memory.reads) * mux.inputs["A0"])) - float(self._edge(FLOP, True)[0])
        mux_j = PICO * float(np.mean([self._tables.energy(arc, slew, load)[0]
                                      for arc in mux.arcs.values()])) + float(
            self._switched(mux.inputs["A0"]))
        levels = max(1, int(np.ceil(np.log(max(words, 2)) / np.log(4))))
        muxes = [self._selected(words, bit) for bit in range(len(memory.address))]
        idle, through = self.gate_j
        return RegisterFile(
            cycle_j=words * idle, write_j=width * clock + through, changed_j=changed,
            data_j=words * self._moved(FLOP, False), read_j=levels * mux_j,
            data_pf=words * flop.inputs["D"],
            # Half of the multiplexers have different inputs to choose from.
            address_j=tuple(width * count * mux_j / 2 for count in muxes),
            address_pf=tuple(width * count * mux.inputs["S0" if bit % 2 == 0 else "S1"]
                             for bit, count in enumerate(muxes)),
            leakage_w=PICO * words * (width * flop.leakage_pw + cells[GATE].leakage_pw
                                      + width * mux.leakage_pw / 3))

    @staticmethod
    def _selected(words: int, bit: int) -> float:
        """Multiplexers of four, of a bit that is read, that a bit of the address selects."""
        return max(1.0, words / 4 ** (bit // 2 + 1))

    def _memory_j(self, number: int, counts: Counts) -> float:
        memory, said = self._netlist.memories[number], counts.memories[number]
        toggles = counts.toggles

        def moves(nets: np.ndarray) -> np.ndarray:
            return toggles[nets]

        if number in self.macros:
            of = self.macros[number]
            joules = sum(said.reads) * of.read_j + said.writes * of.write_j
            idle = of.ports * counts.cycles - sum(said.reads) - said.writes
            joules += idle * of.idle_j
            joules += counts.cycles * float(2 * self._switched(of.clock_pf)) \
                + counts.cycles * of.ports * of.pieces * self.tree_j
            joules += of.data_j * moves(memory.data).sum()
            joules += of.address_j * moves(memory.address).sum()
            joules += of.enable_j * moves(np.unique(memory.enable)).sum()
            for port in memory.reads:
                joules += of.address_j * moves(port.address).sum()
                joules += of.enable_j * toggles[port.enable]
            return float(joules)
        file = self.files[number]
        joules = (counts.cycles * file.cycle_j + said.writes * file.write_j
                  + said.changed * file.changed_j + file.data_j * moves(memory.data).sum())
        reads = iter(said.reads)
        for port in memory.reads:
            joules += float(np.dot(file.address_j, moves(port.address)))
            out = np.arange(port.first, port.first + port.width)
            joules += file.read_j * moves(out).sum()
            if port.clocked:
                # A flip-flop for each bit behind the multiplexers.
                joules += next(reads) * port.width * self._held_j()
        return float(joules)

    # -- all of it --------------------------------------------------------------------------------
    @cached_property
    def leakage_w(self) -> np.ndarray:
        """W by block."""
        netlist, cells = self._netlist, self._library.cells
        leak = np.zeros(len(netlist.blocks))
        for part in netlist.parts:
            blocks = netlist.block[part.first : part.first + part.count]
            np.add.at(leak, blocks, PICO * cells[part.cell].leakage_pw)
        np.add.at(leak, netlist.gate_block, PICO * cells[GATE].leakage_pw)
        return leak

    def memory_leakage_w(self, number: int) -> float:
        return (self.macros[number] if number in self.macros else self.files[number]).leakage_w

    def weights(self) -> Weights:
        """For a trace over cycles: each flip-flop costs what one does whose D and Q are equal."""
        netlist = self._netlist
        rising, falling = self._edge(FLOP, True), self._edge(FLOP, False)
        held = float(np.mean([rising[s] + falling[s] for s in (0, 3)]))
        nets = self.net_j.copy()
        np.add.at(nets, self.pins[:, 0], self.pin_j)
        for bank in netlist.banks:
            arc = self._library.cells[bank.cell].arcs["CLK"]
            some = slice(bank.first, bank.first + len(bank.data))
            nets[some] += PICO * self._tables.energy(
                arc, np.full(len(bank.data), self._clock_slew), self.loads[some]) - float(
                    np.mean(rising[[0, 3]]))
        cycle, memories = len(netlist.gates) * self.gate_j[0], []
        for number in range(len(netlist.memories)):
            if number in self.macros:
                of = self.macros[number]
                memories.append((of.read_j, of.write_j))
                cycle += float(2 * self._switched(of.clock_pf))
            else:
                memories.append((0.0, self.files[number].write_j))
                cycle += self.files[number].cycle_j
        return Weights(nets, held + self._clocked_j(FLOP), cycle, memories)

    def delays(self) -> Delays:
        """Of cells by slew and load; a register file is as slow as its multiplexers."""
        netlist, cells, tables = self._netlist, self._library.cells, self._tables

        def ps(ns: np.ndarray) -> np.ndarray:
            return np.maximum(np.round(1000 * ns), 1).astype(np.int32)

        start = np.ones(netlist.nets, np.int32)
        for bank in netlist.banks:
            arc = cells[bank.cell].arcs["CLK"]
            nets = np.arange(bank.first, bank.first + bank.count)
            slew = np.full(bank.count, self._clock_slew)
            start[nets] = ps((tables.of(arc, arc.rise_ns, slew, self.loads[nets])
                              + tables.of(arc, arc.fall_ns, slew, self.loads[nets])) / 2)
        rise, fall = [], []
        for group in netlist.groups:
            cell = cells[group.cell]
            load = self.loads[group.first : group.first + group.count]
            arcs = [cell.arcs[pin] for pin in sorted(cell.inputs)]
            pairs = [[ps(tables.of(arc, table, self._slews[nets], load))
                      for table in (arc.rise_ns, arc.fall_ns)]
                     for arc, nets in zip(arcs, group.inputs, strict=True)]
            rise.append(np.array([pair[0] for pair in pairs]).reshape(-1, group.count))
            fall.append(np.array([pair[1] for pair in pairs]).reshape(-1, group.count))
        arc = cells[MUX].arcs["S0"]
        mux = float(tables.of(arc, arc.rise_ns, np.array([INPUT_SLEW_NS]),
                              np.array([cells[MUX].inputs["A0"]]))[0])
        ports = []
        for number, memory in enumerate(netlist.memories):
            levels = max(1, int(np.ceil(np.log(max(memory.words, 2)) / np.log(4))))
            for port in memory.reads:
                ports.append(round(1000 * levels * mux))
                if port.clocked:
                    start[port.first : port.first + port.width] = round(1000 * (
                        self.macros[number].delay_ns if number in self.macros else mux))
        return Delays(start, rise, fall, ports)

    def energy(self, counts: Counts, clock_hz: float) -> Energy:
        """Of a replay, with leakage for the time that its cycles take."""
        netlist = self._netlist
        found = {kind: np.zeros(len(netlist.blocks)) for kind in KINDS}
        np.add.at(found["datapath"], netlist.block, counts.toggles * self.net_j)
        np.add.at(found["datapath"], netlist.block[self.pins[:, 1]],
                  counts.toggles[self.pins[:, 0]] * self.pin_j)
        for number, bank in enumerate(netlist.banks):
            blocks = netlist.block[bank.first : bank.first + len(bank.data)]
            np.add.at(found["clock"], blocks, self._bank_j(bank, number, counts))
        idle, through = self.gate_j
        moved = PICO * self._passive(self._library.cells[GATE].passive["GATE"],
                                     np.array([INPUT_SLEW_NS]))[0]
        np.add.at(found["clock"], netlist.gate_block,
                  counts.cycles * idle + counts.gate_open * through
                  + moved * counts.toggles[netlist.gates])
        number_of = {path: n for n, path in enumerate(netlist.blocks)}
        seconds = counts.cycles / clock_hz
        found["leakage"] += self.leakage_w * seconds
        for number, memory in enumerate(netlist.memories):
            block = number_of[memory.path]
            found["memory"][block] += self._memory_j(number, counts)
            found["leakage"][block] += self.memory_leakage_w(number) * seconds
        return Energy(netlist.blocks, found, self._assumed(counts))

    def _assumed(self, counts: Counts) -> dict[str, float]:
        netlist = self._netlist
        pins = sum(int(rise.sum()) for rise in counts.rise) + counts.cycles * (
            len(netlist.gates) + sum(of.pieces * of.ports for of in self.macros.values()))
        late = sum(float(moved.sum()) * (self._moved(bank.cell, False)
                                         - self._moved(bank.cell, True))
                   for bank, moved in zip(netlist.banks, counts.moved_high, strict=True))
        return {"clock_tree": pins * self.tree_j,
                "register_files": sum(self._memory_j(n, counts) for n in self.files),
                "late_data": late}

# SPDX-License-Identifier: Apache-2.0
"""Which state without a reset reaches what controls a design, by way of logic alone.

State without a reset holds after one what it held before. That is well for data that a register
with a reset says to be there, and a fault where it moves a queue, a state or a handshake.
"""

import re
from collections import defaultdict

from amaranth.hdl import Fragment, Signal
from amaranth.hdl._ir import build_netlist
from amaranth.hdl._nir import (
    AssignmentList,
    AsyncReadPort,
    FlipFlop,
    Net,
    Netlist,
    Operator,
    SyncReadPort,
    SyncWritePort,
)
from amaranth.lib import fifo, stream, wiring

from prunus.hw.verilog.hierarchy import signature_ports

__all__ = ["unreset"]

_COUNTS = re.compile(r"fsm_state|credit|room|left|outstanding|unclaimed|pending|level|produce"
                     r"|consume|count|inside")


def unreset(top: wiring.Component) -> dict[tuple[str, str], set[str]]:
    """Registers without a reset and reads of memories, as block and name, and what each controls.

    What controls: valid and ready of streams, the enables of FIFOs and memories, registers of one
    bit, states and counts. Registers with a reset end a way.
    """
    fragment = Fragment.get(top, None)
    blocks = list(_walk(fragment, "top"))
    sinks = [sink for inner, path in blocks for sink in _joints(inner, path)]
    driven = {id(signal) for inner, _ in blocks for signal in _registers(inner)}
    netlist = build_netlist(fragment, ports=signature_ports(top))
    ways = _Ways(netlist, driven)
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, nets in [*((name, netlist.signals.get(signal, ())) for name, signal in sinks),
                       *ways.controls()]:
        for source in ways.back(nets):
            found[source].add(name)
    return dict(found)


def _walk(fragment: Fragment, path: str):
    yield fragment, path
    for n, (child, name, _) in enumerate(fragment.subfragments):
        yield from _walk(child, f"{path}.{name or n}")


def _registers(fragment: Fragment):
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            for statement in statements:
                yield from statement._lhs_signals()


def _joints(fragment: Fragment, path: str):
    """Handshakes at the border of a block."""
    for origin in fragment.origins or ():
        if isinstance(origin, fifo.FIFOInterface):
            yield from ((f"{path}.{name}", getattr(origin, name)) for name in ("w_en", "r_en"))
        elif isinstance(origin, wiring.Component):
            yield from _streams(origin.signature, origin, path)


def _streams(signature, value, path: str):
    plain = getattr(signature, "flip", lambda: signature)()
    if isinstance(signature, stream.Signature) or isinstance(plain, stream.Signature):
        yield from ((f"{path}.{name}", getattr(value, name)) for name in ("valid", "ready"))
        return
    for name, member in signature.members.items():
        if not member.is_signature:
            continue
        values = [getattr(value, name)]
        for _ in member.dimensions:
            values = [inner for outer in values for inner in outer]
        for n, inner in enumerate(values):
            yield from _streams(member.signature, inner, f"{path}.{name}_{n}")


class _Ways:
    """The logic of a netlist, bit by bit, from what it ends in to where it begins."""

    def __init__(self, netlist: Netlist, driven: set[int]):
        self.netlist = netlist
        self.registers: dict[Net, Signal] = {}
        for signal, value in netlist.signals.items():
            if id(signal) in driven:
                self.registers |= {net: signal for net in value if not net.is_const
                                   and isinstance(netlist.cells[net.cell], FlipFlop)}

    def _block(self, cell) -> str:
        return re.sub(r"\$\d+", "", ".".join(self.netlist.modules[cell.module_idx].name))

    def controls(self):
        """Enables of memories, and registers with a reset that say what happens."""
        for cell in self.netlist.cells:
            if isinstance(cell, SyncWritePort):
                yield f"{self._block(cell)}.write", cell.en
        for signal in {id(s): s for s in self.registers.values()}.values():
            if not signal.reset_less and (len(signal) == 1 or _COUNTS.search(signal.name)):
                yield signal.name, self.netlist.signals[signal]

    def back(self, nets) -> set[tuple[str, str]]:
        """What these bits come from that has no reset; those of a register from its data."""
        cells = self.netlist.cells
        todo = [cells[net.cell].data[net.bit] if self._is_reset(net) else net for net in nets]
        seen, found = set(), set()
        while todo:
            net = todo.pop()
            if net in seen or net.is_const:
                continue
            seen.add(net)
            cell = cells[net.cell]
            if isinstance(cell, FlipFlop):
                signal = self.registers.get(net)
                if signal is not None and signal.reset_less:
                    found.add((self._block(cell), signal.name))
            elif isinstance(cell, SyncReadPort | AsyncReadPort):
                found.add((self._block(cell), "memory"))
                if isinstance(cell, AsyncReadPort):
                    todo += cell.addr
            elif net.cell:                      # 0 is the outside
                todo += self._inputs(cell, net.bit)
        return found

    def _is_reset(self, net: Net) -> bool:
        return (not net.is_const and isinstance(self.netlist.cells[net.cell], FlipFlop)
                and not (net in self.registers and self.registers[net].reset_less))

    @staticmethod
    def _inputs(cell, bit: int) -> list[Net]:
        """What a bit of a cell depends on."""
        if isinstance(cell, Operator) and cell.operator in ("&", "|", "^", "~"):
            return [value[bit] for value in cell.inputs]
        if isinstance(cell, Operator) and cell.operator == "m":
            return [*cell.inputs[0], cell.inputs[1][bit], cell.inputs[2][bit]]
        if isinstance(cell, AssignmentList):
            reached = [cell.default[bit]]
            for choice in cell.assignments:
                if choice.start <= bit < choice.start + len(choice.value):
                    reached += [choice.cond, choice.value[bit - choice.start]]
            return reached
        return list(cell.input_nets())

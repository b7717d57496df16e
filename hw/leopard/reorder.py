# SPDX-License-Identifier: Apache-2.0
"""Puts what a dot-product unit decides back into the order of the keys."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import PENDING, digits_width, row_numbers
from prunus.hw.parts.repeated import Repeated

__all__ = ["Reorder", "decision_layout", "offer_layout", "row_ports"]


def decision_layout(config: LeopardConfig) -> data.StructLayout:
    """What became of a key: kept with ``excess`` = score - T_int (modulo 2**score_width), at digit
    ``digit``, from 0."""
    return data.StructLayout({
        "kept": 1, "digit": range(config.digits), "excess": config.score_width})


def offer_layout(config: LeopardConfig) -> data.StructLayout:
    """A survivor of a unit; with ``ahead`` it is of the row after the one that is being merged."""
    return data.StructLayout({"valid": 1, "ahead": 1, "key": range(config.l_max),
                              "excess": config.score_width})


def row_ports(config: LeopardConfig) -> dict:
    """The ports of a unit that have to do with rows and what comes out of them."""
    return {
        "loaded": In(row_numbers(config)),
        "offer": Out(offer_layout(config)),
        "take": In(1),
        "ended": Out(1),
        "digits": Out(digits_width(config)),
        "advance": In(1),
    }


class Reorder(Repeated):
    """Survivors of a dot-product unit in the order of their keys, and the ends of its rows.

    A key gets a place when it is begun, and its decision is put there, so that keys may
    overtake each other in the unit, those of a later row too. Decisions leave in order, one per
    cycle: dropped keys only add their digits. A unit may begin keys while there is ``room``, and
    nothing ever needs to stop what is begun.

    A survivor is at ``offer`` two cycles after its decision at the earliest. A row's end takes a
    cycle. The unit's next row may be served while others are still at this one, but not end.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    first : In
        The unit's first key of row ``opens``; every N_QK-th one behind it is its own, too.
    keys : In
        Keys of row ``row``, all units' together.
    loaded : In
        Rows that were begun, as ``row_numbers``; ``row`` is one of them if it is another number.
        ``first`` is that of a row already in the cycle before.
    row, opens : Out
        The row that is at work or comes next, and the one that is begun after it or instead.
    begin : In(1)
        Strobe, only with ``room``: a key gets ``place``.
    place, room : Out
    decide, decided, decision : In
        Strobe, and what became of the key at place ``decided``.
    offer : Out(offer_layout)
        Stays until ``take``.
    take : In(1)
    ended, digits : Out
        All of this unit's keys of the row that is being merged have left or are at ``offer``, and
        the digits they took; until ``advance``.
    advance : In(1)
        Strobe: all units have ended the row, the next one is merged.
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            **row_ports(config),
            "first": In(range(max(2, config.dpus))),
            "keys": In(config.length_width),
            "row": Out(row_numbers(config)),
            "opens": Out(row_numbers(config)),
            "begin": In(1),
            "place": Out(range(PENDING)),
            "room": Out(1, init=1),
            "decide": In(1),
            "decided": In(range(PENDING)),
            "decision": In(decision_layout(config)),
        }, config=config)

    def build(self):
        m = Module()
        config, offer = self._config, self.offer
        m.submodules.decisions = decisions = memory.Memory(
            shape=self.decision.shape(), depth=PENDING, init=[])
        write = decisions.write_port()
        read = decisions.read_port(domain="comb")
        known = Signal(PENDING)                 # places whose decision is there
        head = Signal(range(PENDING))
        pop, at_end, end, free, waiting = (
            Signal(name=name) for name in ("pop", "at_end", "end", "free", "waiting"))
        key = Signal(range(config.l_max + config.dpus))
        total = Signal.like(self.digits)
        m.d.comb += [
            write.en.eq(self.decide), write.addr.eq(self.decided), write.data.eq(self.decision),
            read.addr.eq(head),
            waiting.eq(self.row == self.loaded),        # the next row is not there yet
            self.opens.eq(Mux(waiting, self.row, self.row + 1)),
            at_end.eq(~waiting & (key >= self.keys)),
            end.eq(at_end & (~self.ended | self.advance)),
            free.eq(~offer.valid | self.take),
            pop.eq(known.bit_select(head, 1) & ~at_end & (~read.data.kept | free)),
        ]
        self._room(m, pop)
        with m.If(pop):
            m.d.sync += [head.eq(head + 1), key.eq(key + config.dpus),
                         total.eq(total + read.data.digit + 1)]
        m.d.sync += known.eq((known | Mux(self.decide, 1 << self.decided, 0))
                             & ~Mux(pop, 1 << head, 0))
        with m.If(waiting):
            m.d.sync += key.eq(self.first)
        with m.If(self.advance):
            m.d.sync += [self.ended.eq(0), offer.ahead.eq(0)]
        with m.If(self.take):
            m.d.sync += offer.valid.eq(0)
        with m.If(pop & read.data.kept):
            m.d.sync += [offer.valid.eq(1), offer.ahead.eq(self.ended & ~self.advance),
                         offer.key.eq(key), offer.excess.eq(read.data.excess)]
        with m.If(end):
            m.d.sync += [self.ended.eq(1), self.digits.eq(total), total.eq(0),
                         key.eq(self.first), self.row.eq(self.row + 1)]
        return m

    def _room(self, m, pop):
        pending = Signal(range(PENDING + 1))
        after = Signal.like(pending)
        m.d.comb += after.eq(pending + self.begin - pop)
        m.d.sync += [pending.eq(after), self.room.eq(after != PENDING)]
        with m.If(self.begin):
            m.d.sync += self.place.eq(self.place + 1)

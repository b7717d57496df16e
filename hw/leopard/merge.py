# SPDX-License-Identifier: Apache-2.0
"""One stream of survivors, row by row."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.arith.tree import add_levels, levels_latency
from prunus.hw.leopard.layouts import digits_width, front_end, row_numbers
from prunus.hw.leopard.reorder import offer_layout
from prunus.hw.shell.arbiter import RoundRobin, selected
from prunus.hw.survivors.layouts import survivor_layout

__all__ = ["Merger"]


class Merger(wiring.Component):
    """The survivors of all dot-product units, one per cycle, and the end of each row behind them.

    A survivor is at ``o`` two cycles after it was offered, if it is its turn. The end of a row
    follows its last survivor, but not before the units' digits are added up,
    ``levels_latency(N_QK)`` cycles after the last unit has ended it. Nothing of the next row
    comes before it.

    Parameters
    ----------
    config : LeopardConfig
    tag_width : int

    Members
    -------
    offers, ended, digits : In
        Of each unit, see :class:`prunus.hw.leopard.reorder.Reorder`.
    take : Out
        Strobes: the offers that are taken.
    advance : Out(1)
        Strobe: the end of the row is on its way.
    thresholds, tags : In
        T_int and tags by slot.
    row : Out
        Rows whose end is at ``o`` or was there, as ``row_numbers``.
    o : Out(stream of survivor_layout)
    """

    def __init__(self, *, config: LeopardConfig, tag_width: int):
        self._config = config
        super().__init__({
            "offers": In(data.ArrayLayout(offer_layout(config), config.dpus)),
            "ended": In(config.dpus),
            "digits": In(data.ArrayLayout(digits_width(config), config.dpus)),
            "take": Out(config.dpus),
            "advance": Out(1),
            "thresholds": In(data.ArrayLayout(signed(config.threshold_width), config.rows)),
            "tags": In(data.ArrayLayout(tag_width, config.rows)),
            "row": Out(row_numbers(config)),
            "o": Out(stream.Signature(survivor_layout(config, front_end(config), tag_width))),
        })

    def elaborate(self, platform):
        m = Module()
        config, o = self._config, self.o
        wants, turn = self._turn(m)
        # What was chosen waits here for its threshold to be added.
        full, end, move, load = (Signal(name=name) for name in ("full", "end", "move", "load"))
        key = Signal(range(config.l_max))
        excess = Signal(config.score_width)
        survivors = Signal(config.length_width)
        digits = Signal(digits_width(config))
        count = Signal.like(survivors)
        added = self._added(m)
        m.d.comb += [
            move.eq(full & (~o.valid | o.ready)), load.eq(~full | move),
            self.take.eq(Mux(load, turn, 0)),
            self.advance.eq(load & added.valid & ~wants.any()),
        ]
        with m.If(o.ready):
            m.d.sync += o.valid.eq(0)
        with m.If(move):
            slot = self.row[:-1]
            m.d.sync += [
                o.valid.eq(1), o.payload.end.eq(end), o.payload.key.eq(key),
                o.payload.score.eq(excess + self.thresholds[slot]),
                o.payload.survivors.eq(survivors), o.payload.digits.eq(digits),
                o.payload.tag.eq(self.tags[slot]), self.row.eq(self.row + end),
            ]
        with m.If(load):
            m.d.sync += [
                full.eq(wants.any() | self.advance), end.eq(self.advance),
                key.eq(selected(turn, [offer.key for offer in self.offers])),
                excess.eq(selected(turn, [offer.excess for offer in self.offers])),
                survivors.eq(count), digits.eq(added.digits),
                count.eq(Mux(self.advance, 0, count + wants.any())),
            ]
        return m

    def _turn(self, m):
        """The units that offer something of this row, and which of them it is."""
        dpus = self._config.dpus
        wants = Signal(dpus)
        m.d.comb += wants.eq(Cat(offer.valid & ~offer.ahead for offer in self.offers))
        if dpus == 1:
            return wants, wants
        m.submodules.turn = turn = RoundRobin(clients=dpus)
        m.d.comb += [turn.wants.eq(wants), turn.take.eq(self.take.any())]
        return wants, turn.turn

    def _added(self, m):
        """The digits of the row, and whether they are all there."""
        added = Signal(data.StructLayout({"valid": 1, "digits": self.digits[0].shape()}))
        valid = Signal()
        m.d.comb += valid.eq(self.ended.all())
        for n in range(levels_latency(self._config.dpus)):
            after = Signal(name=f"valid_{n}")
            m.d.sync += after.eq(valid & ~self.advance)
            valid = after
        m.d.comb += [added.digits.eq(add_levels(m, list(self.digits), "digits")),
                     added.valid.eq(valid)]
        return added

# SPDX-License-Identifier: Apache-2.0
"""A dot-product unit: a digit of a key per cycle, of as many keys in turn as its pipeline is
long."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, memory
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import unread
from prunus.hw.arith.tree import levels_latency
from prunus.hw.leopard.dot_product import DotProduct
from prunus.hw.leopard.keys import KeyBank, word_width
from prunus.hw.leopard.layouts import (
    PENDING,
    address_width,
    firsts_layout,
    place_layout,
    row_numbers,
    slot_layout,
)
from prunus.hw.leopard.query import QueryStore, piece_layout
from prunus.hw.leopard.reorder import Reorder, row_ports
from prunus.hw.parts.repeated import Repeated

__all__ = ["DotProductUnit"]


def context_layout(config: LeopardConfig) -> data.StructLayout:
    """A key on its way through the pipeline: its slot, place in the order, and the word it is at.

    ``first``: of its words, ``last``: of its digit's, ``top``: of its first digit.
    """
    return data.StructLayout({
        "valid": 1, "address": address_width(config), "query": place_layout(config),
        "place": range(PENDING), "digit": range(config.digits), "first": 1, "last": 1,
        "top": 1,
    })


class DotProductUnit(Repeated):
    """Bounds of scores, digit by digit, until they are below the threshold or are the score.

    A word of keys per cycle: one digit of ``taps`` dimensions. What it decides is known ``latency``
    cycles later, which is when the same key comes round again: ``latency`` keys are under
    way, one per stage, so every word is asked for in the knowledge that it is needed, and no cycle
    waits for a decision. Where a key ends its place is taken in the same cycle by the next one,
    of the next row if there is none left in this one::

          +--------------------------- key goes on, or the next one ----------------------+
          v                                                                               |
        address -> bank -> register -> |q| * e -> sum over taps -> << r -> - -> U - T_int +
                   slot -> query store ----^                               ^------- start |
                                                                           +---- delay <--+

    The accumulator holds U - T_int, so its sign is the decision. It begins with ``start``, which is
    M_0 - T_int, and each word takes from it what :class:`DotProduct` says, in its place. All
    digits are unsigned to it, with the top one's sign inverted, so that it only ever falls:
    from M_0 - T_int to S - T_int. Both ends, and so everything between, lie within
    2**(score_width - 2) + 2**(score_width - 1) of 0: one bit more than a score never wraps.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    loaded, advance, take, offer, ended, digits
        As of :class:`prunus.hw.leopard.reorder.Reorder`.
    slots : In
        Of the rows that are loaded and have not ended.
    firsts : In(firsts_layout)
        The unit's first key of each of them, there a cycle before the row is loaded.
    write : In(piece_layout)
        Queries.
    en, address, slot : Out
        A word is asked for, for the row in ``slot``; ``data`` is to be there
        :attr:`KeyBank.latency` cycles later.
    data : In
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            **row_ports(config),
            "slots": In(data.ArrayLayout(slot_layout(config), config.rows)),
            "firsts": In(firsts_layout(config)),
            "write": In(piece_layout(config)),
            "en": Out(1),
            "address": Out(address_width(config)),
            "slot": Out(range(config.rows)),
            "data": In(word_width(config)),
        }, config=config)

    @property
    def latency(self) -> int:
        """Of a decision, and keys that are under way."""
        return KeyBank.latency + 1 + levels_latency(self._config.taps) + 1

    def build(self):
        m = Module()
        config = self._config
        m.submodules.reorder = reorder = Reorder(config=config)
        slots = self._slots(m)
        take = Signal()                         # the next key
        slot, address, there = self._next_key(m, slots, take)
        stages = self._contexts(m, slots)
        excess = self._accumulate(m, stages, slots)
        op, back = stages[0], stages[-1]
        decided = Signal()
        again = Signal()
        negative = Signal()
        m.d.comb += [
            negative.eq(excess[-1]),
            decided.eq(back.last & (negative | (back.digit == config.digits - 1))),
            again.eq(back.valid & ~decided),
            take.eq(there & reorder.room & ~again),
            op.valid.eq(again | take),
            op.address.eq(Mux(again, back.address, address)),
            op.query.slot.eq(Mux(again, back.query.slot, slot)),
            op.query.chunk.eq(Mux(again & ~back.last, back.query.chunk, 0)),
            op.place.eq(Mux(again, back.place, reorder.place)),
            op.digit.eq(Mux(again, back.digit + back.last, 0)),
            op.first.eq(~again),
            self.en.eq(op.valid), self.address.eq(op.address),
            self.slot.eq(op.query.slot),
        ]
        m.d.comb += [
            reorder.begin.eq(take),
            reorder.decide.eq(back.valid & decided), reorder.decided.eq(back.place),
            reorder.decision.kept.eq(~negative), reorder.decision.digit.eq(back.digit),
            reorder.decision.excess.eq(excess),
            reorder.loaded.eq(self.loaded), reorder.first.eq(self.firsts[reorder.opens[:-1]]),
            reorder.keys.eq(slots["keys"][reorder.row[:-1]]),
            reorder.take.eq(self.take), reorder.advance.eq(self.advance),
            self.offer.eq(reorder.offer), self.ended.eq(reorder.ended),
            self.digits.eq(reorder.digits),
        ]
        return m

    def _slots(self, m):
        """Each field of the slots as an array of its own."""
        fields, rows = {}, self._config.rows
        for name in ("keys", "base", "stride", "last_chunk", "start"):
            shape = self.slots[0][name].shape()
            fields[name] = Signal(data.ArrayLayout(shape, rows), name=f"slot_{name}")
            m.d.comb += [fields[name][n].eq(self.slots[n][name]) for n in range(rows)]
        return fields

    def _next_key(self, m, slots, take):
        """Slot and address of the next key, and whether there is one; its strobe comes back.

        A row follows another without a pause if it is loaded by then and has a key for this unit.
        """
        config = self._config
        row, after, candidate = (Signal(row_numbers(config), name=name)
                                 for name in ("row", "after", "candidate"))
        opened, there = (Signal(name=name) for name in ("opened", "there"))
        key, step = (Signal(range(config.l_max + config.dpus), name=name)
                     for name in ("key", "step"))
        address = Signal(address_width(config))
        first = Signal(range(max(2, config.dpus)))
        m.d.comb += [
            after.eq(row + 1), step.eq(key + config.dpus),
            candidate.eq(Mux(opened, after, row)), first.eq(self.firsts[candidate[:-1]]),
            there.eq((candidate != self.loaded) & (first < slots["keys"][candidate[:-1]])),
        ]
        exhausted = step >= slots["keys"][row[:-1]]
        with m.If(take):
            m.d.sync += [key.eq(step), address.eq(address + slots["stride"][row[:-1]])]
        with m.If(Mux(opened, take & exhausted, row != self.loaded)):
            # Without a row that has a key this goes on to the row after, a cycle each.
            m.d.sync += [opened.eq(there), key.eq(first),
                         address.eq(slots["base"][candidate[:-1]]),
                         row.eq(Mux(opened | there, candidate, after))]
        return row[:-1], address, opened

    def _contexts(self, m, slots):
        """The stages of the pipeline; the first one is left to be driven."""
        stages = [Signal(context_layout(self._config), name=f"stage_{n}")
                  for n in range(self.latency + 1)]
        asked, there = stages[1], stages[2]
        for before, after in zip(stages, stages[1:], strict=False):
            if after is not there:
                m.d.sync += after.eq(before)
        m.d.sync += [there[name].eq(asked[name])
                     for name in ("valid", "place", "digit", "first")]
        m.d.sync += [                           # from here on what the next word will be
            there.address.eq(asked.address + 1),
            there.query.slot.eq(asked.query.slot),
            there.query.chunk.eq(asked.query.chunk + 1),
            there.last.eq(asked.query.chunk == slots["last_chunk"][asked.query.slot]),
            there.top.eq(asked.digit == 0),
        ]
        return stages

    def _products(self, m, stages):
        """The sum of the word of the last stage but one."""
        config = self._config
        m.submodules.queries = queries = QueryStore(config=config)
        m.submodules.dot = dot = DotProduct(config=config)
        m.d.comb += [
            queries.write.eq(self.write), queries.place.eq(stages[1].query),
            dot.query.eq(queries.query), dot.digits.eq(self.data), dot.top.eq(stages[2].top),
        ]
        return dot.o

    def _accumulate(self, m, stages, slots):
        """U - T_int after the word of the last stage."""
        config, depth = self._config, self.latency - 2
        excess = Signal(signed(config.score_width + 1), reset_less=True)
        # It goes round with its key, in distributed RAM.
        m.submodules.delay = delay = memory.Memory(shape=excess.shape(), depth=depth, init=[])
        write = delay.write_port()
        read = delay.read_port(domain="comb")
        at = Signal(range(depth))
        held = Signal.like(excess, reset_less=True)
        m.d.comb += [write.en.eq(1), write.addr.eq(at), write.data.eq(excess), read.addr.eq(at)]
        m.d.sync += at.eq(Mux(at == depth - 1, 0, at + 1))
        early, now = stages[-3], stages[-2]
        m.d.sync += held.eq(Mux(early.first, slots["start"][early.query.slot], read.data))
        taken = Signal(config.score_width + 1)
        total = self._products(m, stages)
        with m.Switch(now.digit):
            for n in range(config.digits):
                with m.Case(n):
                    m.d.comb += taken.eq(total << unread(n + 1, config.width, config.digit))
        m.d.sync += excess.eq(held - taken)
        return excess

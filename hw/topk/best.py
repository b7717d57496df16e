# SPDX-License-Identifier: Apache-2.0
"""The K best of a row."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.topk.config import TopkConfig
from prunus.hw.survivors.layouts import TAG, survivor_layout
from prunus.hw.topk.layouts import front_end, scored_layout

__all__ = ["BestFilter"]


class BestFilter(wiring.Component):
    """Keeps the largest scores of a row in order, and hands over the first K when it ends.

    A score per cycle. Every place compares it with its own: the places with less move one down,
    and it takes the first of them. Of equal scores the one that came first stays ahead, which is
    that of the lower key. At its end a row goes into registers of its own, from where it leaves
    entry by entry, the best first, while the next row comes in. That takes a cycle more than the
    row has survivors; a row that is complete earlier waits, so rows with more keys than the row
    before them kept follow each other without a pause::

        i -> register -> places, the best first -> leaving -> o

    Parameters
    ----------
    config : TopkConfig

    Members
    -------
    i : In(stream of scored_layout)
        The keys of a row by rising index.
    top_k : In
        K of the job that the row at ``tag`` belongs to.
    tag : Out
        Of the row that is handed over next.
    o : Out(stream of survivor_layout)
    """

    def __init__(self, *, config: TopkConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(scored_layout(config))),
            "top_k": In(range(config.k_max + 1)),
            "tag": Out(TAG),
            "o": Out(stream.Signature(survivor_layout(config, front_end(config)))),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        entry = data.StructLayout({"score": signed(config.score_width),
                                   "key": range(config.l_max)})
        places = Signal(data.ArrayLayout(entry, config.k_max), reset_less=True)
        used = Signal(config.k_max)             # places that hold something, the first ones
        come = Signal(scored_layout(config))        # the register
        there = Signal()
        take, complete, move = (Signal(name=name) for name in ("take", "complete", "move"))
        count = Signal(range(config.k_max + 1))                     # places used
        m.d.comb += [take.eq(there & (~complete | move)), self.i.ready.eq(~there | take)]
        with m.If(self.i.ready):
            m.d.sync += [there.eq(self.i.valid), come.eq(self.i.payload)]
        with m.If(move):
            m.d.sync += [complete.eq(0), used.eq(0), count.eq(0)]
        with m.If(take):
            m.d.sync += [complete.eq(come.item.last), self.tag.eq(come.item.tag)]
        self._insert(m, come, take & ~come.item.none, move, places, used, count)
        self._leave(m, complete, move, places, count)
        return m

    def _insert(self, m, come, insert, move, places, used, count):
        """Puts what has come in its place; with ``move`` the places are empty by now."""
        config = self._config
        ahead = Signal(config.k_max)            # places that stay where they are
        for n, place in enumerate(places):
            score = Signal.like(come.score, name=f"score_{n}")
            m.d.comb += [score.eq(place.score),
                         ahead[n].eq(used[n] & ~move & ~(come.score > score))]
        with m.If(insert):
            kept = Mux(move, 0, used)
            m.d.sync += used.eq(kept << 1 | 1)
            with m.If(move | ~used[-1]):
                m.d.sync += count.eq(Mux(move, 0, count) + 1)
            for n, place in enumerate(places):
                with m.If(~ahead[n]):
                    m.d.sync += [place.score.eq(come.score), place.key.eq(come.item.key)]
                    if n:
                        with m.If(~ahead[n - 1]):
                            m.d.sync += place.eq(places[n - 1])

    def _leave(self, m, complete, move, places, count):
        """A row on its way out: its entries, then its end."""
        config, out = self._config, self.o.payload
        leaving = Signal(places.shape(), reset_less=True)
        busy = Signal()
        tag = Signal(TAG)
        left = Signal.like(count)
        survivors = Signal.like(count)
        kept = Signal.like(count)
        m.d.comb += [
            kept.eq(Mux(count > self.top_k, self.top_k, count)),
            self.o.valid.eq(busy), out.end.eq(left == 0),
            out.key.eq(leaving[0].key), out.score.eq(leaving[0].score),
            out.survivors.eq(survivors), out.tag.eq(tag),
            move.eq(complete & (~busy | (self.o.ready & out.end))),
        ]
        with m.If(self.o.ready & out.end):
            m.d.sync += busy.eq(0)
        with m.If(busy & self.o.ready):
            m.d.sync += left.eq(left - 1)
            m.d.sync += [leaving[n].eq(leaving[n + 1]) for n in range(config.k_max - 1)]
        with m.If(move):
            m.d.sync += [busy.eq(1), leaving.eq(places), left.eq(kept), survivors.eq(kept),
                         tag.eq(self.tag)]

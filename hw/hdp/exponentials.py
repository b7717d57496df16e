# SPDX-License-Identifier: Apache-2.0
"""The first half of the softmax unit: from scores to exponentials."""

from amaranth.hdl import Array, Cat, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC, SCALE_BITS
from prunus.hw.parts.pipeline import delayed_view
from prunus.hw.softmax.exp2 import Exp2
from prunus.hw.softmax.exponent import Exponent

from .softmax_layouts import (
    item_layout,
    row_background_layout,
    row_token_layout,
    score_entry_layout,
    score_index_width,
)

__all__ = ["RowExponentials"]


class RowExponentials(wiring.Component):
    """Reads the scores of a row and gives their exponentials, the background's first.

    ``softmax_lanes`` exponentials per cycle, from one row to the next with 3 idle cycles; the
    first comes ``latency`` cycles after the token. A row of fewer cycles than that holds the next
    token back until its first exponential has left.

    ::

        token -> address -> buffer -> score -> top - score -> Exponent -> Exp2 -> item
                                               column < limit ------------------->

    Parameters
    ----------
    config : HdpConfig
    tag_width : int
        Bits of the tag that accompanies a row.

    Members
    -------
    en : In
        The pipeline advances; without it every register keeps its value and no token is taken.
    i : In(stream)
        Rows, see :func:`row_token_layout`. A token is taken when no score of the row before it
        is needed any more.
    score_en, score_addr, score_data : Out, In
        Read port of the score buffer, with data from one cycle after the address until that after
        the next read.
    item, e : Out
        What comes out, see :func:`item_layout`, and its exponentials.
    first_next : Out
        ``item.first`` after the next enabled cycle.
    row : Out
        The row of the item with ``first``.
    """

    def __init__(self, *, config: HdpConfig, tag_width: int):
        self._config = config
        self._lanes = config.softmax_lanes
        self._phases = 4 // config.softmax_lanes
        self._exponents = [Exponent(config=config) for _ in range(self._lanes)]
        self._exp2s = [Exp2() for _ in range(self._lanes)]
        super().__init__({
            "en": In(1),
            "i": In(stream.Signature(row_token_layout(config, tag_width))),
            "score_en": Out(1),
            "score_addr": Out(score_index_width(config)),
            "score_data": In(score_entry_layout(config)),
            "item": Out(item_layout(config)),
            "e": Out(ArrayLayout(EXP_FRAC + 1, config.softmax_lanes)),
            "first_next": Out(1),
            "row": Out(row_background_layout(config, tag_width)),
        })

    @property
    def latency(self) -> int:
        return 4 + self._exponents[0].latency + self._exp2s[0].latency

    def elaborate(self, platform):
        m = Module()
        # Per query, worked out when the token is taken: the score to subtract from, whether it
        # has a background.
        top = Signal(ArrayLayout(signed(self._config.score_width), 2), reset_less=True)
        zero = Signal(ArrayLayout(1, 2), reset_less=True)
        limit = Signal(self.i.payload.limit.shape(), reset_less=True)
        scale = Signal(StructLayout({"mant": SCALE_BITS, "shift": 6}), reset_less=True)
        taken = Signal()
        m.d.comb += taken.eq(self.i.valid & self.i.ready)
        token = self.i.payload
        with m.If(taken):
            m.d.sync += limit.eq(token.limit)
            m.d.sync += scale.mant.eq(token.mant), scale.shift.eq(token.shift)
            m.d.sync += self.row.count.eq(token.count), self.row.tag.eq(token.tag)
            if self._config.tile:
                m.d.sync += self.row.row.eq(token.row), self.row.resumes.eq(token.resumes)
            for n in range(2):
                is_low = ~token.some[n] | (token.top[n] < 0)
                has_zero = ~token.drop & token.hides[n]
                m.d.sync += zero[n].eq(has_zero)
                m.d.sync += top[n].eq(Mux(has_zero & is_low, 0, token.top[n]))
                m.d.sync += self.row.limit[n].eq(token.limit[n])

        pick, scores = self._scores(m, self._fetch(m, taken))
        item, diffs = self._differences(m, pick, scores, top, zero, limit)
        self._exponentials(m, item, diffs, scale)

        # The row's registers serve its items up to the exponents, and then the first one to come
        # out. Until then it is pending; the items come without a gap, so that none is left to
        # pick when picking ends.
        pending = Signal()
        with m.If(taken):
            m.d.sync += pending.eq(1)
        with m.Elif(self.item.first):
            m.d.sync += pending.eq(0)
        m.d.comb += self.i.ready.eq(self.en & ~(pick.valid | pending))
        return EnableInserter(self.en)(m)

    def _fetch(self, m, taken):
        """Addresses the background and then the entries; returns what the buffer shows."""
        config = self._config
        address = Signal(StructLayout({
            "valid": 1,
            "background": 1,
            "phase": range(self._phases),
            "index": score_index_width(config),
        }))
        left = Signal(range(config.blocks + 1))
        with m.If(taken):
            m.d.sync += [
                address.valid.eq(1),
                address.background.eq(1),
                address.phase.eq(0),
                address.index.eq(self.i.payload.base),
                left.eq(self.i.payload.count),
            ]
        with m.Elif(address.valid):
            m.d.sync += address.phase.eq(address.phase + 1)
            with m.If(address.phase == self._phases - 1):
                m.d.sync += address.background.eq(0)
                m.d.sync += address.index.eq(address.index + ~address.background)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += address.valid.eq(0)

        shown = Signal(StructLayout({**_members(address), "first": 1, "last": 1}))
        is_first = address.valid & address.background & (address.phase == 0)
        is_last = address.valid & (left == 0) & (address.phase == self._phases - 1)
        m.d.sync += [shown[name].eq(address[name]) for name in _members(address)]
        m.d.sync += shown.first.eq(is_first), shown.last.eq(is_last)
        m.d.comb += [
            self.score_en.eq(self.en & address.valid & ~address.background
                             & (address.phase == 0)),
            self.score_addr.eq(address.index),
        ]
        return shown

    def _scores(self, m, shown):
        """Registers the buffer's data, whose own output is slow; the background's scores are 0."""
        pick = Signal(StructLayout({**_members(shown), "column": self._config.block_width}))
        flags = ("valid", "first", "last", "background")
        m.d.sync += [pick[name].eq(shown[name]) for name in flags]
        loads = [pick[name].eq(shown[name]) for name in _members(shown) if name not in flags]
        loads.append(pick.column.eq(self.score_data.column))
        scores = []
        for lane in range(self._lanes):
            choices = [self.score_data.score[phase * self._lanes + lane]
                       for phase in range(self._phases)]
            score = Signal(signed(self._config.score_width), name=f"score_{lane}",
                           reset_less=True)
            loads.append(score.eq(Mux(shown.background, 0,
                                      self._by_phase(shown.phase, choices))))
            scores.append(score)
        with m.If(shown.valid):
            m.d.sync += loads
        return pick, scores

    def _differences(self, m, pick, scores, top, zero, limit):
        """Items without exponentials, and the difference of each lane's score from the top."""
        item = Signal(self.item.shape())
        m.d.sync += [item[name].eq(pick[name])
                     for name in ("valid", "first", "last", "background")]
        loads = [item[name].eq(pick[name]) for name in ("phase", "column")]
        diffs = []
        for lane, score in enumerate(scores):
            places = [phase * self._lanes + lane for phase in range(self._phases)]
            tops, zeros, limits = ([values[place // 2] for place in places]
                                   for values in (top, zero, limit))
            keys = [place % 2 for place in places]
            key = Cat(self._by_phase(pick.phase, keys), pick.column)
            diff = Signal(self._config.score_width, name=f"diff_{lane}", reset_less=True)
            loads += [diff.eq(self._by_phase(pick.phase, tops) - score),
                      item.seen[lane].eq(Mux(pick.background,
                                             self._by_phase(pick.phase, zeros),
                                             key < self._by_phase(pick.phase, limits)))]
            diffs.append(diff)
        with m.If(pick.valid):
            m.d.sync += loads
        return item, diffs

    def _exponentials(self, m, item, diffs, scale):
        """The lanes, and the items beside them."""
        exponents, exp2s = self._exponents, self._exp2s
        latency = exponents[0].latency + exp2s[0].latency
        items = delayed_view(m, item, latency, name="item",
                             strobes=("valid", "first", "last", "background"))
        m.d.comb += self.item.eq(items[-1]), self.first_next.eq(items[-2].first)
        for lane, (exponent, exp2) in enumerate(zip(exponents, exp2s, strict=True)):
            m.submodules[f"exponent_{lane}"] = exponent
            m.submodules[f"exp2_{lane}"] = exp2
            m.d.comb += [
                exponent.valid.eq(item.valid),
                exponent.diff.eq(diffs[lane]),
                exponent.mant.eq(scale.mant),
                exponent.shift.eq(scale.shift),
                exp2.valid.eq(items[exponent.latency].valid),
                exp2.t.eq(exponent.t),
                self.e[lane].eq(exp2.e),
            ]

    def _by_phase(self, phase, choices):
        return choices[0] if self._phases == 1 else Array(choices)[phase]


def _members(view) -> dict:
    return {name: field.shape for name, field in view.shape()}

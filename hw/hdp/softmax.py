# SPDX-License-Identifier: Apache-2.0
"""The softmax unit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC
from prunus.hw.hdp.weight import PairQuantiser
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.reciprocal import Reciprocal

from .exponentials import RowExponentials
from .softmax_layouts import (
    buffer_address_layout,
    row_result_layout,
    row_token_layout,
    score_entry_layout,
    score_index_width,
    weight_entry_layout,
    weight_pair_layout,
)

__all__ = ["SoftmaxUnit"]


class SoftmaxUnit(wiring.Component):
    """Turns the scores of a block row into weights and a reciprocal of their denominator.

    Bit for bit what golden's HDP head does with a row between its scores and its output. A row of
    n entries gives its result ``latency + (n + 1) * 4/softmax_lanes`` cycles after its token. The
    exponentials of the next row are worked out meanwhile, up to the first one, so that rows follow
    each other every ``(n + 1) * 4/softmax_lanes + 11`` cycles, or 14 if that is more, where
    results are taken at once.

    ::

        i -> RowExponentials -> - e0 -> PairQuantiser -> weight port
                             -> sum -> + e0 * hidden -> Reciprocal -> o

    With ``HdpConfig.tile`` the denominators of a row's tiles are added up; the result of a tile
    has the reciprocal of those so far.

    Parameters
    ----------
    config : HdpConfig
    tag_width : int
        Bits of the tag that accompanies a row.

    Members
    -------
    i : In(stream)
        Rows, see :func:`row_token_layout`. When a token is taken, the scores of the row before it
        are no longer needed.
    score_addr, score_data : Out, In
        Read port of the score buffer, with data one cycle after the address in every cycle.
    weight_en, weight_addr, weight_data : Out
        Write port of the weight buffer. Rows go to slots 0, 1, 0, 1...; no weight of a row is
        written before the result of the row before it is taken.
    o : Out(stream)
        Results, see :func:`row_result_layout`, when all weights of the row are written.
    """

    def __init__(self, *, config: HdpConfig, tag_width: int):
        self._config = config
        self._lanes = config.softmax_lanes
        self._phases = 4 // config.softmax_lanes
        self._denominators = []         # write ports of their memories
        self._front = RowExponentials(config=config, tag_width=tag_width)
        self._reciprocal = Reciprocal(config=config)
        super().__init__({
            "i": In(stream.Signature(row_token_layout(config, tag_width))),
            "score_addr": Out(score_index_width(config)),
            "score_data": In(score_entry_layout(config)),
            "weight_en": Out(1),
            "weight_addr": Out(buffer_address_layout(config)),
            "weight_data": Out(weight_entry_layout(config)),
            "o": Out(stream.Signature(row_result_layout(config, tag_width))),
        })

    @property
    def latency(self) -> int:
        return self._front.latency + self._reciprocal.latency + 5

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = self._front
        wiring.connect(m, wiring.flipped(self.i), front.i)
        m.d.comb += self.score_addr.eq(front.score_addr), front.score_data.eq(self.score_data)

        # The registers after the exponentials serve one row, from its first item until its result
        # is taken. The next row's first item waits for that; a register knows a cycle ahead.
        occupied = Signal()
        stall = Signal()
        start = Signal()
        released = self.o.valid & self.o.ready
        m.d.comb += front.en.eq(~stall), start.eq(front.item.first & front.en)
        m.d.sync += stall.eq(occupied & ~released
                             & Mux(stall, front.item.first, front.first_next))
        with m.If(start):
            m.d.sync += occupied.eq(1)
        with m.Elif(released):
            m.d.sync += occupied.eq(0)

        slot = Signal(init=1)
        hidden = Signal(front.row.hidden.shape(), reset_less=True)
        with m.If(start):
            m.d.sync += [
                slot.eq(~slot),
                hidden.eq(front.row.hidden),
                self.o.payload.count.eq(front.row.count),
                self.o.payload.tag.eq(front.row.tag),
            ]
        m.d.comb += self.o.payload.slot.eq(slot)

        e0, part, weights, exponentials = self._background(m)
        m.d.comb += self.o.payload.e0.eq(e0)
        self._write(m, start, slot, part, weights)
        sums = self._sums(m, start, part, exponentials)
        row = Signal(self._config.block_width)
        if self._config.tile:
            with m.If(start):
                m.d.sync += row.eq(front.row.row)
        self._finish(m, part, e0, hidden, sums, row)
        with m.If(released):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _row(self, lane: int, phase):
        """Which query a lane serves in a phase."""
        return {4: Const(lane // 2), 2: phase, 1: phase[-1:]}[self._lanes]

    def _background(self, m):
        """Captures e0 and subtracts it from the entries' exponentials."""
        item, e, is_moving = self._front.item, self._front.e, self._front.en
        e0 = Signal(ArrayLayout(EXP_FRAC + 1, 2), reset_less=True)
        part = Signal(StructLayout({
            "valid": 1,
            "last": 1,
            "phase": range(self._phases),
            "column": self._config.block_width,
        }))
        m.d.sync += [
            part.valid.eq(item.valid & ~item.background & is_moving),
            part.last.eq(item.last & is_moving),
            part.phase.eq(item.phase),
            part.column.eq(item.column),
        ]
        weights, exponentials = [], []
        for lane in range(self._lanes):
            weight = Signal(signed(EXP_FRAC + 2), name=f"weight_{lane}", reset_less=True)
            exponential = Signal(EXP_FRAC + 1, name=f"exponential_{lane}", reset_less=True)
            row = self._row(lane, item.phase)
            seen = Mux(item.seen[lane], e[lane], 0)
            m.d.sync += exponential.eq(seen)
            m.d.sync += weight.eq(Mux(item.seen[lane], e[lane] - e0[row], 0))
            with m.If(item.valid & item.background & is_moving):
                m.d.sync += e0[row].eq(seen)
            weights.append(weight)
            exponentials.append(exponential)
        return e0, part, weights, exponentials

    def _write(self, m, start, slot, part, weights):
        """Quantises pairs of weights, puts blocks together and writes them."""
        if self._lanes == 1:
            key_0 = Signal(weights[0].shape(), reset_less=True)
            with m.If(part.valid):
                m.d.sync += key_0.eq(weights[0])
            pairs = [(key_0, weights[0])]
        else:
            pairs = [weights[n:n + 2] for n in range(0, self._lanes, 2)]
        rows = []
        for n, pair in enumerate(pairs):
            m.submodules[f"quantiser_{n}"] = quantiser = PairQuantiser()
            m.d.comb += [quantiser.w[key].eq(weight) for key, weight in enumerate(pair)]
            rows.append(quantiser.o)

        written = delayed(m, part, PairQuantiser.latency, name="part", reset_less=False)[-1]
        if self._phases > 1:
            row_0 = Signal(weight_pair_layout(), reset_less=True)
            with m.If(written.valid & (written.phase == self._phases // 2 - 1)):
                m.d.sync += row_0.eq(rows[0])
            rows = [row_0, rows[0]]

        index = Signal(self._config.block_width)
        with m.If(start):
            m.d.sync += index.eq(0)
        with m.Elif(self.weight_en):
            m.d.sync += index.eq(index + 1)
        m.d.comb += [
            self.weight_en.eq(written.valid & (written.phase == self._phases - 1)),
            self.weight_addr.slot.eq(slot),
            self.weight_addr.index.eq(index),
            self.weight_data.column.eq(written.column),
            *(self.weight_data.row[n].eq(row) for n, row in enumerate(rows)),
        ]

    def _sums(self, m, start, part, exponentials):
        """Adds up the exponentials of each query's entries."""
        sums = Signal(ArrayLayout(self._config.denominator_width, 2), reset_less=True)
        step = min(self._lanes, 2)
        so_far = self._sums_so_far(m)
        with m.If(start):
            m.d.sync += sums.eq(so_far)
        with m.Elif(part.valid):
            for lane in range(0, self._lanes, step):
                row = self._row(lane, part.phase)
                m.d.sync += sums[row].eq(sums[row] + sum(exponentials[lane:lane + step]))
        return sums

    def _sums_so_far(self, m):
        """Denominators of the earlier tiles of the row that starts."""
        config, row = self._config, self._front.row
        if not config.tile:
            return 0
        sums = []
        for n in range(2):
            mem = memory.Memory(shape=config.denominator_width, depth=config.blocks, init=[])
            m.submodules[f"denominators_{n}"] = mem
            write = mem.write_port()
            read = mem.read_port()
            self._denominators.append(write)
            m.d.comb += read.addr.eq(row.row)
            sums.append(Mux(row.resumes, read.data, 0))
        return Cat(sums)

    def _finish(self, m, part, e0, hidden, sums, row):
        """Denominators and their reciprocals, query 0 and then query 1; then the result is there.

        This takes longer than what is left of the weights' way, so that they are written before.
        """
        turn = Signal(2)
        m.d.sync += turn.eq(Cat(part.last, turn[0]))
        # What is multiplied is known, and chosen, a cycle before the last sum.
        factor = Signal(EXP_FRAC + 1, reset_less=True)
        times = Signal(self._config.held_width, reset_less=True)
        background = Signal(len(factor) + len(times), reset_less=True)
        entries = Signal(self._config.denominator_width, reset_less=True)
        den = Signal(self._config.denominator_width, reset_less=True)
        m.d.sync += factor.eq(e0[turn[0]]), times.eq(hidden[turn[0]])
        m.d.sync += background.eq(factor * times), entries.eq(sums[turn[1]])
        m.d.sync += den.eq(entries + background)

        m.submodules.reciprocal = reciprocal = self._reciprocal
        m.d.comb += reciprocal.den.eq(den)
        turns = delayed(m, turn, 2 + reciprocal.latency, name="turn", reset_less=False)
        done = turns[-1]
        for n, write in enumerate(self._denominators):
            m.d.comb += [write.en.eq(turns[2][n]), write.addr.eq(row), write.data.eq(den)]
        result = self.o.payload
        for n in range(2):
            with m.If(done[n]):
                m.d.sync += [
                    result.r[n].eq(reciprocal.r),
                    result.p[n].eq(reciprocal.p),
                    result.empty[n].eq(reciprocal.empty),
                ]
        with m.If(done[1]):
            m.d.sync += self.o.valid.eq(1)

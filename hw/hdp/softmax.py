# SPDX-License-Identifier: Apache-2.0
"""The softmax unit."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC, SHIFT_STEP
from prunus.hw.hdp.ring import ROWS, free_entries
from prunus.hw.hdp.weight import PairQuantiser
from prunus.hw.parts.pipeline import delayed, delayed_view
from prunus.hw.softmax.quantise import STEPS
from prunus.hw.softmax.reciprocal import Reciprocal

from .exponentials import RowExponentials
from .softmax_layouts import (
    row_result_layout,
    row_token_layout,
    score_entry_layout,
    score_index_width,
    weight_entry_layout,
    weight_index_width,
    weight_pair_layout,
)

__all__ = ["SoftmaxUnit"]


class SoftmaxUnit(wiring.Component):
    """Turns the scores of a block row into weights and a reciprocal of their denominator.

    Bit for bit what golden's HDP head does with a row between its scores and its output. A row of
    n entries gives its result ``latency + (n + 1) * 4/softmax_lanes`` cycles after its token. The
    exponentials of the next row come meanwhile, as soon as the sums of this one are complete and
    there is room for its weights, so that rows follow each other every
    ``(n + 1) * 4/softmax_lanes + 7`` cycles, in tiles ``+ 9``.

    ::

        i -> RowExponentials -> - e0 -> PairQuantiser -+-> weight port
                     |                                 +-> sum -> Reciprocal -> o
                     +-> e0 * limit -----------------------^

    The weight buffer is a ring of as many entries as two of the longest rows have, of up to
    ``ROWS`` rows.

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
    score_en, score_addr, score_data : Out, In
        Read port of the score buffer, with data from one cycle after the address until that after
        the next read.
    weight_en, weight_addr, weight_data : Out
        Write port of the weight buffer.
    row_read, read_entries : In
        Strobe: the weights of the first row that still has its place there, so many, are not needed
        any more.
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
            "score_en": Out(1),
            "score_addr": Out(score_index_width(config)),
            "score_data": In(score_entry_layout(config)),
            "weight_en": Out(1),
            "weight_addr": Out(weight_index_width(config)),
            "weight_data": Out(weight_entry_layout(config)),
            "row_read": In(1),
            "read_entries": In(range(config.blocks + 1)),
            "o": Out(stream.Signature(row_result_layout(config, tag_width))),
        })

    @property
    def latency(self) -> int:
        return self._front.latency + self._reciprocal.latency + 8

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = self._front
        wiring.connect(m, wiring.flipped(self.i), front.i)
        m.d.comb += [self.score_en.eq(front.score_en), self.score_addr.eq(front.score_addr),
                     front.score_data.eq(self.score_data)]

        # The registers after the exponentials serve one row, from its first item until its sums
        # are complete. The next row's first item waits for that and for room for its weights; a
        # register knows a cycle ahead.
        occupied = Signal()
        stall = Signal()
        start = Signal()
        over = Signal()
        fits = self._room(m, start)
        m.d.comb += front.en.eq(~stall), start.eq(front.item.first & front.en)
        m.d.sync += stall.eq(((occupied & ~over) | ~fits)
                             & Mux(stall, front.item.first, front.first_next))
        with m.If(start):
            m.d.sync += occupied.eq(1)
        with m.Elif(over):
            m.d.sync += occupied.eq(0)

        limit = Signal(front.row.limit.shape(), reset_less=True)
        now = Signal(self.o.payload.shape(), reset_less=True)
        e0, part, weights = self._background(m)
        written, rows = self._quantise(m, e0, part, weights)
        tail = self._write(m, written, rows)
        with m.If(start):
            m.d.sync += [
                limit.eq(front.row.limit), now.count.eq(front.row.count),
                now.tag.eq(front.row.tag), now.base.eq(tail),
            ]
        sums, last = self._sums(m, start, e0, limit, part, written, rows)
        row = Signal(self._config.block_width)
        if self._config.tile:
            with m.If(start):
                m.d.sync += row.eq(front.row.row)
        self._finish(m, last, sums, row, now, e0, over)
        return m

    def _room(self, m, start):
        """Whether there is room for the weights of the row that comes next."""
        config, count = self._config, self._front.row.count
        free = free_entries(m, 2 * config.blocks, taken=start, taken_entries=count,
                            given=self.row_read, given_entries=self.read_entries,
                            name="free_weights")
        in_work = Signal(range(ROWS + 1))
        m.d.sync += in_work.eq(in_work + start - self.row_read)
        fits = Signal()         # known long before the row's first item comes
        m.d.sync += fits.eq((count <= free) & (in_work != ROWS))
        return fits

    def _row(self, lane: int, phase):
        """Which query a lane serves in a phase."""
        return {4: Const(lane // 2), 2: phase, 1: phase[-1:]}[self._lanes]

    def _background(self, m):
        """Captures e0 and subtracts it from the entries' exponentials."""
        item, e, is_moving = self._front.item, self._front.e, self._front.en
        e0 = Signal(ArrayLayout(EXP_FRAC, 2), reset_less=True)
        part = Signal(StructLayout({
            "valid": 1,
            "background": 1,
            "last": 1,
            "phase": range(self._phases),
            "column": self._config.block_width,
        }))
        moves = item.valid & is_moving
        m.d.sync += [
            part.valid.eq(moves & ~item.background),
            part.background.eq(moves & item.background & (item.phase == self._phases - 1)),
            part.last.eq(item.last & is_moving),
        ]
        with m.If(moves):
            m.d.sync += [part.phase.eq(item.phase), part.column.eq(item.column)]
        weights = []
        for lane in range(self._lanes):
            weight = Signal(signed(EXP_FRAC + 1), name=f"weight_{lane}", reset_less=True)
            row = self._row(lane, item.phase)
            with m.If(moves):
                m.d.sync += weight.eq(Mux(item.seen[lane], e[lane] - e0[row], 0))
                with m.If(item.background):
                    m.d.sync += e0[row].eq(Mux(item.seen[lane], e[lane], 0))
            weights.append(weight)
        return e0, part, weights

    def _quantise(self, m, e0, part, weights):
        """Pairs of weights as mantissas, of one query or of both, and what goes along with them."""
        if self._lanes == 1:
            key_0 = Signal(weights[0].shape(), reset_less=True)
            with m.If(part.valid):
                m.d.sync += key_0.eq(weights[0])
            pairs = [(key_0, weights[0])]
        else:
            pairs = [weights[n:n + 2] for n in range(0, self._lanes, 2)]
        parts = delayed_view(m, part, PairQuantiser.latency, name="part",
                             strobes=("valid", "background", "last"))
        rows = []
        for n, pair in enumerate(pairs):
            m.submodules[f"quantiser_{n}"] = quantiser = PairQuantiser()
            m.d.comb += quantiser.valid.eq(part.valid)
            m.d.comb += [quantiser.w[key].eq(weight) for key, weight in enumerate(pair)]
            query = self._row(2 * n, parts[PairQuantiser.background_latency].phase)
            m.d.comb += quantiser.e0.eq(e0[query])
            rows.append(quantiser.o)
        return parts[-1], rows

    def _write(self, m, written, rows):
        """Puts blocks together and writes them; where the next one goes."""
        if self._phases > 1:
            row_0 = Signal(weight_pair_layout(), reset_less=True)
            with m.If(written.valid & (written.phase == self._phases // 2 - 1)):
                m.d.sync += row_0.eq(rows[0])
            rows = [row_0, rows[0]]

        m.d.sync += self.weight_addr.eq(self.weight_addr + self.weight_en)
        m.d.comb += [
            self.weight_en.eq(written.valid & (written.phase == self._phases - 1)),
            self.weight_data.column.eq(written.column),
            *(self.weight_data.row[n].eq(row) for n, row in enumerate(rows)),
        ]
        return self.weight_addr

    def _sums(self, m, start, e0, limit, part, written, rows):
        """Adds up the background of each query, for every key that it sees, and its weights.

        The background is there before the first weight has left the quantiser. Returns the sums,
        and a strobe: those of a row are complete in the next cycle.
        """
        config = self._config
        sums = Signal(ArrayLayout(signed(config.denominator_width + 1), 2), reset_less=True)
        turns = delayed(m, part.background, 3, name="background", reset_less=False)
        factor = Signal(EXP_FRAC, reset_less=True)
        times = Signal(config.held_width, reset_less=True)
        background = Signal(len(factor) + len(times), reset_less=True)
        with m.If(turns[0] | turns[1]):
            m.d.sync += [factor.eq(e0[turns[1]]), times.eq(limit[turns[1]])]
        with m.If(turns[1] | turns[2]):
            m.d.sync += background.eq(factor * times)

        added = delayed_view(m, written, 1, name="added",
                             strobes=("valid", "background", "last"))[-1]
        is_pair = added.phase[0] if self._lanes == 1 else 1
        so_far = self._sums_so_far(m)
        for query in range(2):
            pair = rows[query if self._lanes == 4 else 0]
            total = Signal(signed(EXP_FRAC + 2), name=f"total_{query}", reset_less=True)
            with m.If(written.valid):
                m.d.sync += total.eq(_pair_sum(pair))
            is_mine = self._row(2 * query if self._lanes == 4 else 0, added.phase) == query
            with m.If(start):
                m.d.sync += sums[query].eq(so_far[query])
            with m.Elif(turns[2 + query]):
                m.d.sync += sums[query].eq(sums[query] + background)
            with m.Elif(added.valid & is_pair & is_mine):
                m.d.sync += sums[query].eq(sums[query] + total)
        return sums, added.last

    def _sums_so_far(self, m):
        """Denominators of the earlier tiles of the row that starts."""
        config, row = self._config, self._front.row
        if not config.tile:
            return 0, 0
        sums = []
        for n in range(2):
            mem = memory.Memory(shape=config.denominator_width, depth=config.blocks, init=[])
            m.submodules[f"denominators_{n}"] = mem
            write = mem.write_port()
            read = mem.read_port()
            self._denominators.append(write)
            m.d.comb += read.addr.eq(row.row)
            sums.append(Mux(row.resumes, read.data, 0))
        return sums

    def _finish(self, m, last, sums, row, now, e0, over):
        """Reciprocals of query 0 and then query 1; then the result is there, in a queue.

        This takes longer than what is left of the weights' way, so that they are written before,
        and less than the next row takes to come as far.
        """
        m.submodules.reciprocal = reciprocal = self._reciprocal
        turn = Signal(2)
        m.d.sync += turn.eq(Cat(last, turn[0]))
        den = Signal(self._config.denominator_width)
        m.d.comb += [den.eq(sums[turn[1]]), reciprocal.valid.eq(turn != 0),
                     reciprocal.den.eq(den)]
        for n, write in enumerate(self._denominators):
            m.d.comb += [write.en.eq(turn[n]), write.addr.eq(row), write.data.eq(den)]
        # The next row may overwrite sums once they are read; in tiles it may go on with the
        # denominators that are being written.
        ends = turn[0]
        if self._config.tile:
            ends = delayed(m, ends, 2, name="ends", reset_less=False)[-1]
        m.d.comb += over.eq(ends)
        done = delayed(m, turn, reciprocal.latency, name="turn", reset_less=False)[-1]
        held = Signal(now.shape(), reset_less=True)
        with m.If(turn[0]):
            m.d.sync += [held.base.eq(now.base), held.count.eq(now.count), held.tag.eq(now.tag),
                         held.e0.eq(e0)]
        result = Signal(now.shape())
        m.d.comb += result.eq(held)
        for part, value in ((held, 0), (result, 1)):
            assign = [part.r[value].eq(reciprocal.r), part.p[value].eq(reciprocal.p),
                      part.empty[value].eq(reciprocal.empty)]
            if value:
                m.d.comb += assign
            else:
                with m.If(done[0]):
                    m.d.sync += assign
        m.submodules.results = results = fifo.SyncFIFO(width=now.shape().size, depth=ROWS)
        m.d.comb += [
            results.w_en.eq(done[1]), results.w_data.eq(result),
            self.o.valid.eq(results.r_rdy), self.o.payload.as_value().eq(results.r_data),
            results.r_en.eq(self.o.ready),
        ]


def _pair_sum(pair):
    """The two weights of a pair together."""
    mants = [Mux(mant.sign, -mant.mag, mant.mag) for mant in pair.mant]
    total = mants[0] + mants[1]
    return Array(total << SHIFT_STEP * k for k in range(STEPS + 1))[pair.shift]

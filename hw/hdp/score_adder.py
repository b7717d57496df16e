# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of kept scores together and gathers a row of them."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import group_bits
from prunus.hw.hdp.layouts import (
    integer_scores_layout,
    products_layout,
    row_tag_layout,
    score_row_layout,
    scores_layout,
    tag_layout,
)
from prunus.hw.hdp.ring import ROWS, free_entries, ring_width
from prunus.hw.hdp.softmax_layouts import row_token_layout, score_entry_layout, score_index_width

__all__ = ["ScoreAdder"]


def _shifted(value, bits: int):
    """To the left, or to the right over zeros."""
    if bits > 0:
        return value << bits
    return value >> -bits if bits else value


class ScoreAdder(wiring.Component):
    """``score = integer score + fraction products``, and what softmax must know of a row.

    Takes a block per cycle, in the order of the announced rows. Two cycles after a block it is in
    the score buffer; the row's token follows its last block by four cycles, or the announcement
    of an empty row by two.

    The score buffer is a ring of as many entries as two of the longest rows have. A row is
    announced when there is room for all its visible blocks, and gives them back when the token of
    the row after it is taken.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    integer_valid, integer, score_valid, score, tag, early_valid, early : In
        From the array: integer scores of a group, to be kept if ``tag.integer``; the kept blocks'
        fraction or full products. ``early`` is the tag ``LOOKAHEAD`` cycles ahead, and valid if
        these will be fraction products.
    row : In(stream of score_row_layout)
        A row is about to come, after those announced before.
    token : Out(stream of row_token_layout)
        The row is complete.
    row_scored, scored_columns : Out
        Strobe: the kept integer scores of a row of so many blocks are not needed any more.
    score_en, score_addr, score_data
        Read port of the score buffer, data from the next cycle until that after the next read.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        self._tag = row_tag_layout(config)
        super().__init__({
            "integer_valid": In(1),
            "integer": In(integer_scores_layout(config)),
            "score_valid": In(1),
            "score": In(products_layout(config)),
            "tag": In(tag_layout(config)),
            "early_valid": In(1),
            "early": In(tag_layout(config)),
            "row": In(stream.Signature(score_row_layout(config))),
            "token": Out(stream.Signature(row_token_layout(config, self._tag.size))),
            "row_scored": Out(1),
            "scored_columns": Out(range(config.blocks + 1)),
            "score_en": In(1),
            "score_addr": In(score_index_width(config)),
            "score_data": Out(score_entry_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.rows = rows = fifo.SyncFIFO(
            width=score_row_layout(config).size, depth=ROWS)
        m.d.comb += [
            rows.w_en.eq(self.row.valid & self.row.ready), rows.w_data.eq(self.row.payload),
        ]
        added, tag, valid = self._add(m)
        base, count = self._store(m, added, tag, valid)
        kept, top, complete, integer = self._statistics(m, added, tag, valid)

        row = data.View(score_row_layout(config), rows.r_data)
        done = Signal()
        none = Signal()
        token = Signal(row_token_layout(config, self._tag.size))
        m.d.comb += [
            # Announcements take a cycle each, so that an empty row is through before the next
            # row's last block.
            done.eq(complete | (rows.r_rdy & ((row.columns == 0) | none))),
            rows.r_en.eq(done),
            token.base.eq(base), token.count.eq(Mux(complete, count, 0)),
            token.limit.eq(row.tag.limit), token.drop.eq(row.drop),
            token.mant.eq(row.mant), token.shift.eq(row.shift), token.tag.eq(row.tag),
            token.top.eq(top),
        ]
        for q in range(2):
            own = Signal(config.held_width, name=f"own_{q}")
            m.d.comb += [
                own.eq(Mux(complete, kept[q], 0)),
                token.some[q].eq(own != 0), token.hides[q].eq(own < row.tag.limit[q]),
            ]
        if config.tile:
            m.d.comb += token.row.eq(row.tag.row)
        m.d.comb += [self.row_scored.eq(complete & integer), self.scored_columns.eq(row.columns)]
        if config.tile:
            m.d.comb += none.eq(row.none & (row.columns != 0))
            with m.If(rows.r_rdy & none):
                m.d.comb += self.row_scored.eq(row.integer)
        self._hand_over(m, done, Cat(token, row.columns))
        return m

    def _hand_over(self, m, done, token_and_columns):
        """Queues the tokens and keeps account of the score buffer."""
        config = self._config
        m.submodules.tokens = tokens = fifo.SyncFIFO(width=len(token_and_columns), depth=ROWS)
        columns = Signal(range(config.blocks + 1))
        m.d.comb += [
            tokens.w_en.eq(done), tokens.w_data.eq(token_and_columns),
            self.token.valid.eq(tokens.r_rdy), tokens.r_en.eq(self.token.ready),
            Cat(self.token.payload, columns).eq(tokens.r_data),
        ]
        announced = Signal()
        taken = Signal()
        in_work = Signal(range(ROWS + 1))
        held = Signal.like(columns)             # by the row whose token was taken last
        free = free_entries(m, 2 * config.blocks, taken=announced,
                            taken_entries=self.row.payload.columns,
                            given=taken, given_entries=held, name="free")
        m.d.comb += [
            announced.eq(self.row.valid & self.row.ready),
            taken.eq(self.token.valid & self.token.ready),
            self.row.ready.eq((in_work != ROWS) & (self.row.payload.columns <= free)),
        ]
        m.d.sync += in_work.eq(in_work + announced - taken)
        with m.If(taken):
            m.d.sync += held.eq(columns)

    def _statistics(self, m, added, tag, valid):
        """Kept keys and the largest score of both queries; a strobe when a row's are there, and
        whether it had integer scores."""
        config = self._config
        # The largest of the two keys, then of the row. A query that sees the second key of a block
        # sees the first as well.
        best = Signal(data.ArrayLayout(signed(config.score_width), 2))
        seen = Signal(data.ArrayLayout(range(3), 2))
        best_valid, best_first, best_last, best_integer = (
            Signal(name=f"best_{name}") for name in ("valid", "first", "last", "integer"))
        first = Signal(init=1)
        for q in range(2):
            a, b = added[2 * q], added[2 * q + 1]
            see_a, see_b = tag.visible[2 * q], tag.visible[2 * q + 1]
            with m.If(valid):
                m.d.sync += [best[q].eq(Mux(see_b & (b > a), b, a)), seen[q].eq(see_a + see_b)]
        m.d.sync += [best_valid.eq(valid), best_first.eq(first), best_last.eq(valid & tag.last),
                     best_integer.eq(tag.integer)]
        with m.If(valid):
            m.d.sync += first.eq(tag.last)
        top = Signal(data.ArrayLayout(signed(config.score_width), 2))
        kept = Signal(data.ArrayLayout(config.held_width, 2))
        complete = Signal()
        integer = Signal()
        for q in range(2):
            before = Mux(best_first, 0, kept[q])
            with m.If(best_valid):
                m.d.sync += kept[q].eq(before + seen[q])
                with m.If((seen[q] != 0) & ((before == 0) | (best[q] > top[q]))):
                    m.d.sync += top[q].eq(best[q])
        m.d.sync += [complete.eq(best_last), integer.eq(best_integer)]
        return kept, top, complete, integer

    def _add(self, m):
        """Scores of a block, their tag and their valid bit, registered."""
        config = self._config
        added = Signal(scores_layout(config))
        tag = Signal(tag_layout(config))
        valid = Signal()
        m.d.sync += valid.eq(self.score_valid)
        with m.If(self.score_valid):
            m.d.sync += tag.eq(self.tag)
        if not config.keep_integer_scores:      # all come as full products
            with m.If(self.score_valid):
                m.d.sync += [added[n].eq(_shifted(self.score[n], -2 * config.lift))
                             for n in range(4)]
            return added, tag, valid
        kept = self._integer_scores(m)
        for n in range(4):
            score = self.score[n]
            whole = (kept[n] << 2 * config.frac) + _shifted(score, config.frac - config.lift)
            full = _shifted(score, -2 * config.lift)
            with m.If(self.score_valid):
                m.d.sync += added[n].eq(Mux(self.tag.integer, whole, full))
        return added, tag, valid

    def _integer_scores(self, m):
        """The memory of integer scores, and those of the block whose scores are there."""
        config = self._config
        m.submodules.integer = integer = memory.Memory(
            shape=integer_scores_layout(config), depth=1 << ring_width(config), init=[])
        write = integer.write_port()
        read = integer.read_port()
        bits = group_bits(config)
        m.d.comb += [
            write.en.eq(self.integer_valid & self.tag.integer), write.data.eq(self.integer),
            write.addr.eq(self.tag.entry >> bits), read.addr.eq(self.early.entry >> bits),
            read.en.eq(self.early_valid),
        ]
        kept = Signal(read.data[0].shape(), reset_less=True)
        there = Signal()
        place = Signal(bits)
        m.d.sync += there.eq(self.early_valid)
        with m.If(self.early_valid):
            m.d.sync += place.eq(self.early.entry)
        with m.If(there):
            m.d.sync += kept.eq(read.data[place] if bits else read.data[0])
        return kept

    def _store(self, m, added, tag, valid):
        """Writes the block to the score buffer; base and entries of the row that is complete."""
        config = self._config
        m.submodules.scores = scores = memory.Memory(
            shape=score_entry_layout(config), depth=1 << score_index_width(config), init=[])
        write = scores.write_port()
        read = scores.read_port()
        tail = Signal.like(self.score_addr)
        base = Signal.like(self.score_addr)
        count = Signal(range(config.blocks + 1))
        m.d.comb += [
            write.en.eq(valid),
            write.addr.eq(tail),
            write.data.column.eq(tag.column),
            write.data.score.eq(added),
            read.addr.eq(self.score_addr), read.en.eq(self.score_en),
            self.score_data.eq(read.data),
        ]
        # The statistics are two cycles behind.
        row = [Signal(data.StructLayout({"base": base.shape(), "count": count.shape()}),
                      name=f"row_{n}") for n in range(2)]
        late = Signal()
        m.d.sync += late.eq(valid)
        with m.If(late):
            m.d.sync += row[1].eq(row[0])
        with m.If(valid):
            m.d.sync += [row[0].base.eq(base), row[0].count.eq(count + 1)]
            m.d.sync += [tail.eq(tail + 1), count.eq(count + 1)]
            with m.If(tag.last):
                m.d.sync += [base.eq(tail + 1), count.eq(0)]
        return row[1].base, row[1].count

# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of kept scores together and gathers a row of them."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hw.hdp.layouts import row_tag_layout, score_row_layout, scores_layout, tag_layout
from hw.softmax.layouts import buffer_address_layout, row_token_layout, score_entry_layout

__all__ = ["ScoreAdder"]


class ScoreAdder(wiring.Component):
    """``score = integer score + fraction products``, and what softmax must know of a row.

    Takes a block per cycle, in the order of the announced rows. Two cycles after a block it is in
    the score buffer; the row's token follows its last block by four cycles, or the announcement
    of an empty row by two. One row at a time is under way between its announcement and the
    acceptance of its token, so that the two slots of the score buffer suffice.

    Parameters
    ----------
    config : Config

    Members
    -------
    integer_valid, score_valid, score, tag, early : In
        From the array: integer scores to be kept if ``tag.integer``; the kept blocks' fraction or
        full products. ``early`` is the tag one cycle ahead.
    row : In(stream of score_row_layout)
        A row is about to come.
    token : Out(stream of row_token_layout)
        The row is complete.
    row_scored : Out(1)
        Strobe: a row's kept integer scores are not needed any more.
    score_addr, score_data
        Read port of the score buffer, data in the next cycle.
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._tag = row_tag_layout(config)
        super().__init__({
            "integer_valid": In(1),
            "score_valid": In(1),
            "score": In(scores_layout(config)),
            "tag": In(tag_layout(config)),
            "early": In(tag_layout(config)),
            "row": In(stream.Signature(score_row_layout(config))),
            "token": Out(stream.Signature(row_token_layout(config, self._tag.size))),
            "row_scored": Out(1),
            "score_addr": In(buffer_address_layout(config)),
            "score_data": Out(score_entry_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        active = Signal()
        row = Signal(score_row_layout(config))
        slot = Signal()
        done = Signal()
        m.d.comb += self.row.ready.eq(~active)
        with m.If(self.row.valid & self.row.ready):
            m.d.sync += [active.eq(1), row.eq(self.row.payload), slot.eq(~slot)]
        with m.If(self.token.valid & self.token.ready):
            m.d.sync += [active.eq(0), self.token.valid.eq(0)]

        added, tag, valid = self._add(m)
        entry_index = self._store(m, added, tag, valid, slot)

        # The largest of the two keys, then of the row. A query that sees the second key of a block
        # sees the first as well.
        best = Signal(data.ArrayLayout(signed(config.score_width), 2))
        seen = Signal(data.ArrayLayout(range(3), 2))
        best_valid, best_last = Signal(), Signal()
        for q in range(2):
            a, b = added[2 * q], added[2 * q + 1]
            see_a, see_b = tag.visible[2 * q], tag.visible[2 * q + 1]
            m.d.sync += [best[q].eq(Mux(see_b & (b > a), b, a)),
                         seen[q].eq(see_a + see_b)]
        m.d.sync += [best_valid.eq(valid), best_last.eq(valid & tag.last)]
        top = Signal(data.ArrayLayout(signed(config.score_width), 2))
        kept = Signal(data.ArrayLayout(config.length_width, 2))
        for q in range(2):
            with m.If(best_valid & (seen[q] != 0)):
                m.d.sync += kept[q].eq(kept[q] + seen[q])
                with m.If((kept[q] == 0) | (best[q] > top[q])):
                    m.d.sync += top[q].eq(best[q])
        m.d.sync += done.eq(best_last | (self.row.valid & self.row.ready & self.row.payload.empty))

        token = self.token.payload
        with m.If(done):
            m.d.sync += [
                token.slot.eq(slot), token.count.eq(entry_index), token.limit.eq(row.tag.limit),
                token.kept.eq(kept), token.top.eq(top), token.drop.eq(row.drop),
                token.mant.eq(row.mant), token.shift.eq(row.shift), token.tag.eq(row.tag),
                self.token.valid.eq(1),
                entry_index.eq(0), kept.eq(0),
            ]
        return m

    def _add(self, m):
        """Scores of a block, their tag and their valid bit, registered."""
        config = self._config
        m.submodules.integer = integer = memory.Memory(
            shape=data.ArrayLayout(signed(config.int_score_width), 4),
            depth=2 << config.block_width, init=[])
        write, read = integer.write_port(), integer.read_port()
        m.d.comb += [
            write.en.eq(self.integer_valid & self.tag.integer),
            write.addr.eq(Cat(self.tag.column, self.tag.slot)),
            read.addr.eq(Cat(self.early.column, self.early.slot)),
        ]
        added = Signal(scores_layout(config))
        tag, valid = Signal(tag_layout(config)), Signal()
        m.d.sync += [tag.eq(self.tag), valid.eq(self.score_valid)]
        m.d.comb += self.row_scored.eq(valid & tag.last & tag.integer)
        for n in range(4):
            score = self.score[n]
            m.d.comb += write.data[n].eq(score)
            whole = (read.data[n] << 2 * config.frac) + (score << config.frac)
            m.d.sync += added[n].eq(Mux(self.tag.integer, whole, score))
        return added, tag, valid

    def _store(self, m, added, tag, valid, slot):
        """Writes the block to the score buffer; its index in the row."""
        m.submodules.scores = scores = memory.Memory(
            shape=score_entry_layout(self._config), depth=2 << self._config.block_width, init=[])
        write, read = scores.write_port(), scores.read_port()
        index = Signal(range(self._config.blocks + 1))
        m.d.comb += [
            write.en.eq(valid),
            write.addr.eq(Cat(index[: self._config.block_width], slot)),
            write.data.column.eq(tag.column),
            write.data.score.eq(added),
            read.addr.eq(Cat(self.score_addr.index, self.score_addr.slot)),
            self.score_data.eq(read.data),
        ]
        with m.If(valid):
            m.d.sync += index.eq(index + 1)
        return index

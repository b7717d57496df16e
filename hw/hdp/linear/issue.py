# SPDX-License-Identifier: Apache-2.0
"""Leads linear jobs through the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.sizes import Sizes
from prunus.hw.hdp.linear.layouts import (
    LENGTH,
    PAIRS,
    WORD_BLOCKS,
    chunk_bits,
    granule_bits,
    job_layout,
    op_layout,
)

__all__ = ["LinearIssue"]


class LinearIssue(wiring.Component):
    """An operation of the array in every cycle, block by block.

    Of a tile all blocks of a pair of rows follow each other, or if ``transposed`` all blocks of a
    pair of channels. A block takes two cycles at least.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    valid, job, bank, taken : as of LinearFetch
        ``taken``: the last operation goes out.
    strip_there, take_strip : In, Out
        X of a strip has come; it is begun.
    tile_there, take_tile : In, Out
        So have the weights of a tile.
    held_there : In(1)
        What the jobs before hold is written.
    may : In(1)
        There is room for another word behind the array.
    word : Out(1)
        Strobe: the last operation of a word goes out.
    free, freed : Out
        Strobe: so many granules of X are through with.
    free_tile : Out(2)
        So many halves of the buffer of W are.
    en, op : Out
        The operation, registered.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "valid": In(1), "job": In(job_layout(config)), "bank": In(1), "taken": Out(1),
            "strip_there": In(1), "take_strip": Out(1), "tile_there": In(1), "take_tile": Out(1),
            "held_there": In(1), "may": In(1), "word": Out(1),
            "free": Out(1), "freed": Out(granule_bits(config)), "free_tile": Out(2),
            "en": Out(1), "op": Out(op_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        sizes, t = Sizes(config), config.taps
        per = sizes.granule // t                    # chunks of a granule
        base = Signal(granule_bits(config) - 1)     # of the strip
        slot = Signal()
        rows_left = Signal(LENGTH)
        channels_left = Signal(LENGTH)
        pairs = Signal(LENGTH - 1)                  # of rows
        uneven = Signal()
        columns = Signal(range(PAIRS + 1))          # pairs of channels
        size = Signal(LENGTH + granule_bits(config))
        at = Signal(data.StructLayout({
            "row": LENGTH - 1, "column": range(PAIRS + 1), "chunk": LENGTH,
            "x": chunk_bits(config), "w": chunk_bits(config)}))     # where rows and channels begin
        group = Signal(chunk_bits(config))          # where its dimensions begin in a row
        chunks = Signal(LENGTH)                     # operations of a block
        tile_x = Signal(chunk_bits(config))
        tile_w = Signal(chunk_bits(config))
        row_end = rows_left <= job.strip
        tile_end = channels_left <= job.tile
        row_last, column_last = at.row == pairs - 1, at.column == columns - 1
        last = at.chunk == chunks - 1
        inside = Signal()           # of a block
        gap = Signal()              # a block of one operation has just gone
        go = Signal()
        full = Mux(job.wide, (at.column & 1) == 1,
                   (at.column & WORD_BLOCKS - 1) == WORD_BLOCKS - 1)
        ends = Mux(job.transposed, (at.row & WORD_BLOCKS - 1) == WORD_BLOCKS - 1,
                   full | column_last)
        op = self.op
        m.d.sync += [
            self.en.eq(go), op.narrow.eq(job.narrow), op.first.eq(at.chunk == 0), op.last.eq(last),
            op.x.eq(at.x + group + Mux(job.narrow, at.chunk << 1, at.chunk)),
            op.w.eq(at.w + Mux(job.narrow, at.chunk << 1, at.chunk)),
            op.tag.pair.eq(at.column), op.tag.slot.eq(slot), op.tag.ends.eq(ends),
            op.tag.single.eq(uneven & row_last), op.tag.job.eq(self.bank),
            gap.eq(go & last & (chunks == 1)),
        ]
        m.d.comb += [self.word.eq(go & last & ends), self.freed.eq(size)]
        x_step = Signal(chunk_bits(config))
        w_step = Signal(chunk_bits(config))
        m.d.comb += [x_step.eq(job.x_granules * per), w_step.eq(job.w_granules * per)]
        tile_over = Signal()
        with m.If(go):
            m.d.sync += [at.chunk.eq(at.chunk + 1), inside.eq(1)]
            with m.If(last):
                m.d.sync += [at.chunk.eq(0), inside.eq(0)]
                with m.If(job.transposed):
                    m.d.sync += [at.row.eq(at.row + 1), at.x.eq(at.x + x_step)]
                    with m.If(row_last):
                        m.d.sync += [at.row.eq(0), at.x.eq(tile_x), at.column.eq(at.column + 1),
                                     at.w.eq(at.w + w_step)]
                with m.Else():
                    m.d.sync += [at.column.eq(at.column + 1), at.w.eq(at.w + w_step)]
                    with m.If(column_last):
                        m.d.sync += [at.column.eq(0), at.w.eq(tile_w), at.row.eq(at.row + 1),
                                     at.x.eq(at.x + x_step)]
                m.d.comb += tile_over.eq(row_last & column_last)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [rows_left.eq(job.m),
                             chunks.eq(Mux(job.narrow, (job.k + 2 * t - 1) >> t.bit_length(),
                                           (job.k + t - 1) >> t.bit_length() - 1))]
                with m.If(self.valid & (job.error != 0)):
                    m.d.comb += self.taken.eq(1)
                with m.Elif(self.valid & (~job.held_x | self.held_there)):
                    m.next = "STRIP"
            with m.State("STRIP"):
                rows = Mux(row_end, rows_left, job.strip)
                m.d.sync += [pairs.eq((rows + 1) >> 1), uneven.eq(rows[0]),
                             channels_left.eq(job.channels), group.eq(0)]
                with m.If(self.strip_there | job.held_x):
                    m.d.comb += self.take_strip.eq(~job.held_x)
                    m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += [size.eq(pairs * job.x_granules), tile_x.eq(base * per)]
                m.next = "TILE"
            with m.State("TILE"):
                first_w = Mux(job.half & slot, sizes.ring // 2 * per, 0)
                m.d.sync += [
                    columns.eq(Mux(tile_end, channels_left, job.tile) >> 1), tile_w.eq(first_w),
                    at.w.eq(first_w), at.x.eq(tile_x), at.row.eq(0), at.column.eq(0)]
                with m.If(self.tile_there):
                    m.d.comb += self.take_tile.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += go.eq((inside | self.may) & ~gap)
                with m.If(tile_over):
                    m.d.comb += self.free_tile.eq(Mux(job.half, 1, 2))
                    m.d.sync += [slot.eq(~slot), channels_left.eq(channels_left - job.tile)]
                    with m.If(job.groups != 1):
                        m.d.sync += group.eq(group + chunks * Mux(job.narrow, 2, 1))
                    m.next = "TILE"
                    with m.If(tile_end):
                        m.d.comb += self.free.eq(1)
                        m.d.sync += [base.eq(base + size), rows_left.eq(rows_left - job.strip)]
                        m.next = "STRIP"
                        with m.If(row_end):
                            m.d.comb += self.taken.eq(1)
                            m.next = "IDLE"
        return m

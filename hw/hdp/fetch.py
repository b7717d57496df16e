# SPDX-License-Identifier: Apache-2.0
"""Fetch upon mask: only kept blocks reach the array again."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import group_bits, group_count, group_width
from prunus.hw.hdp.integer_pass import chunks, visibility
from prunus.hw.hdp.layouts import Mode, op_layout, row_layout, score_row_layout
from prunus.hw.hdp.ring import ROWS, ring_width
from prunus.hw.hdp.rows import RowWalker

__all__ = ["FetchUponMask", "MaskScanner"]

COLUMNS = 8     # kept columns that may wait for the array
WORDS = 5       # mask words of more than one bit that may wait to be taken apart
UNDER_WAY = 3   # from asking for a word of the mask to its place in a queue


def kept_column_layout(config: HdpConfig) -> data.StructLayout:
    """A kept column of a row of blocks, and whether it is the row's last one."""
    return data.StructLayout({"column": config.block_width, "last": 1})


def kept_row_layout(config: HdpConfig) -> data.StructLayout:
    """A row whose kept columns follow: ``chunks`` operations a block, fraction or full products."""
    return data.StructLayout({
        "score": score_row_layout(config),
        "fraction": 1,
        "exact": 1,
        "chunks": range(-(-config.d_max // config.taps) + 1),
    })


class MaskScanner(wiring.Component):
    """Finds the kept columns of rows of blocks, the mask bits of a group per cycle; ``COLUMNS`` may
    wait.

    A row takes a cycle per group or per kept column, whichever are more, and two more. While the
    columns of a group come one by one, up to ``WORDS`` more groups with kept columns are read.

    Each column comes with the word whether it is the row's last kept one, so it is held back
    until the next one or the end of the row is found: five cycles after ``start`` if it is the
    only one of the row, six with groups of more than one block. A mask keeps at least one column
    of a row.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    start, columns : In
        Strobe while not busy; ``columns > 0`` is held until it is not busy again.
    all : In(1)
        Every column is kept (dense), whatever the mask says.
    mask_read, mask_group : Out
        Strobe and address into the mask of the row; ``mask_bits`` answer in the next cycle.
    o : Out(stream of {column, last})
    busy : Out(1)
        Until the row's last mask bits are asked for.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "columns": In(range(config.blocks + 1)),
            "all": In(1),
            "mask_read": Out(1),
            "mask_group": Out(group_width(config)),
            "mask_bits": In(config.group),
            "o": Out(stream.Signature(kept_column_layout(config))),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = self._config.block_width
        m.submodules.found = found = fifo.SyncFIFO(width=width + 1, depth=COLUMNS)
        m.d.comb += [
            self.o.valid.eq(found.r_rdy),
            self.o.payload.as_value().eq(found.r_data),
            found.r_en.eq(self.o.ready),
        ]
        # What is under way and the end of the row may still follow what is in the queue.
        room = Signal()
        m.d.comb += room.eq(found.level <= COLUMNS - UNDER_WAY - 1)
        hit, column, end = self._bits(m, room)
        held = Signal()
        held_column = Signal(width)
        flush = Signal()
        m.d.sync += flush.eq(end)
        with m.If(hit):
            m.d.sync += [held.eq(1), held_column.eq(column)]
        with m.Elif(flush):
            m.d.sync += held.eq(0)
        m.d.comb += [
            found.w_en.eq(held & (hit | flush)),
            found.w_data.eq(Cat(held_column, flush)),
        ]
        return m

    def _words(self, m, room):
        """Reads the mask: a word is there, its bits of blocks that exist, its group and whether it
        is the row's last."""
        config = self._config
        bits = group_bits(config)
        scanning = Signal()
        step = Signal()
        last_group = Signal()
        group = Signal(range(group_count(config, config.blocks) + 1))
        m.d.comb += [
            step.eq(scanning & room), self.mask_read.eq(step & ~self.all),
            self.mask_group.eq(group), self.busy.eq(scanning),
            last_group.eq(group == (self.columns - 1) >> bits),
        ]
        with m.If(self.start):
            m.d.sync += [scanning.eq(1), group.eq(0)]
        with m.Elif(step):
            m.d.sync += group.eq(group + 1)
            with m.If(last_group):
                m.d.sync += scanning.eq(0)
        word = data.StructLayout({"valid": 1, "group": group_width(config), "last": 1})
        asked = Signal(word)
        there = Signal(word)
        exist = Signal(config.group, init=1)        # the first block of a group always does
        kept = Signal(config.group)                 # what leaves a block RAM is late in its cycle
        m.d.sync += [
            asked.valid.eq(step), asked.group.eq(group), asked.last.eq(last_group),
            there.eq(asked),
            kept.eq((self.mask_bits | self.all.replicate(config.group)) & exist),
        ]
        m.d.sync += [exist[n].eq(Cat(C(n, bits), group) < self.columns)
                     for n in range(1, config.group)]
        return there.valid, kept, there.group, there.last

    def _bits(self, m, room):
        """A kept column is there, which one, and the row ends with this cycle."""
        config = self._config
        if config.group == 1:
            asked, bit, column, last = self._words(m, room)
            return asked & bit, column, asked & last
        # Words wait to be taken apart; empty ones only if the row ends with them.
        width = config.group + group_width(config) + 1
        m.submodules.words = words = fifo.SyncFIFO(width=width, depth=WORDS)
        asked, bits, group, last = self._words(m, words.level <= WORDS - UNDER_WAY)
        m.d.comb += [words.w_en.eq(asked & (bits.any() | last)),
                     words.w_data.eq(Cat(bits, group, last))]
        served, left, after = (Signal(config.group, name=name)
                               for name in ("served", "left", "after"))
        take = Signal()
        place = Signal(group_bits(config))
        kept, last = words.r_data[: config.group], words.r_data[-1]
        column = Cat(place, words.r_data[config.group : -1])[: config.block_width]
        m.d.comb += [
            take.eq(words.r_rdy & room),
            left.eq(kept & ~served),
            after.eq(left & (left - 1)),
            words.r_en.eq(take & ~after.any()),
        ]
        for n in reversed(range(config.group)):
            with m.If(left[n]):
                m.d.comb += place.eq(n)
        with m.If(take):
            m.d.sync += served.eq(Mux(words.r_en, 0, kept & ~after))
        return take & left.any(), column, words.r_en & last


class FetchUponMask(wiring.Component):
    """Issues the kept blocks of a head, ceil(d / 2T) cycles each, or ceil(d / T) in full.

    The mask is read ahead of the operations, see :class:`MaskScanner`, up to
    ``ROWS`` rows and into the next head, so that only rows with few kept blocks wait for the next
    one. A masked row is announced in the next cycle at the earliest, and its first operation comes
    five cycles later, six with groups of more than one block, or, where its columns are found by
    then, in the cycle after that.

    Rows whose integer scores were kept get the fraction pass; the others, and every block in the
    exact and dense modes, the full product.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    start : In(1)
        Strobe while not busy; the job's fields are held from then on while busy.
    bank, valid_q, valid_kv, offset, causal, d8, exact, dense, drop, mant, shift : In
        The job; ``d8`` is d / 8.
    integer_rows, integer_from : In
        Rows from ``integer_from`` on have their integer scores, if ``integer_rows``.
    masked_rows : In
        Rows of the head whose mask is complete.
    mask_read, mask_row, mask_group : Out
        Strobe and mask address in ``bank``; ``mask_bits`` in the next cycle.
    some_row, some : Out, In
        Only with tiles: has that row of ``bank`` kept blocks; in the same cycle.
    op : Out(stream of op_layout)
    row : Out(stream of score_row_layout)
        Announces each row before its operations; taken when there is room for its scores.
    columns_en, columns : Out
        Strobe with each row of ``bank``: its visible blocks, for the statistics of a dense head.
    busy : Out(1)
        Until the last row's mask is read.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "bank": In(1),
            "valid_q": In(config.held_width),
            "valid_kv": In(config.held_width),
            "offset": In(signed(config.length_width + 2)),
            "causal": In(1),
            "d8": In(5),
            "exact": In(1),
            "dense": In(1),
            "drop": In(1),
            "mant": In(16),
            "shift": In(6),
            "integer_rows": In(1),
            "integer_from": In(config.block_width),
            "masked_rows": In(range(config.blocks + 1)),
            "mask_read": Out(1),
            "mask_row": Out(config.block_width),
            "mask_group": Out(group_width(config)),
            "mask_bits": In(config.group),
            **({"some_row": Out(config.block_width), "some": In(1)} if config.tile else {}),
            "op": Out(stream.Signature(op_layout(config))),
            "row": Out(stream.Signature(score_row_layout(config))),
            "columns_en": Out(1),
            "columns": Out(range(config.blocks + 1)),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        layout = kept_row_layout(self._config)
        m.submodules.walker = walker = RowWalker(config=self._config)
        m.submodules.scanner = scanner = MaskScanner(config=self._config)
        m.submodules.rows = rows = fifo.SyncFIFO(width=layout.size, depth=ROWS)
        m.d.comb += [
            walker.start.eq(self.start), walker.valid_q.eq(self.valid_q),
            walker.valid_kv.eq(self.valid_kv), walker.offset.eq(self.offset),
            walker.causal.eq(self.causal),
            scanner.mask_bits.eq(self.mask_bits), scanner.all.eq(self.dense),
            self.mask_read.eq(scanner.mask_read), self.mask_group.eq(scanner.mask_group),
        ]
        self._scan(m, walker.o, scanner, rows)
        self._issue(m, scanner.o, rows)
        return m

    def _scan(self, m, walk, scanner, rows):
        """Takes masked rows, queues them and has their masks read."""
        row = Signal(row_layout(self._config))
        take = Signal()
        start = Signal()
        next_row = walk.payload
        masked = self.dense | (self.masked_rows > next_row.row) | (next_row.columns == 0)
        kept = self._kept_row(m, next_row)
        m.d.comb += [
            take.eq(walk.valid & masked & rows.w_rdy & ~scanner.busy & ~start),
            walk.ready.eq(take),
            self.columns_en.eq(take), self.columns.eq(next_row.columns),
            rows.w_en.eq(take), rows.w_data.eq(kept),
            scanner.start.eq(start), scanner.columns.eq(row.columns), self.mask_row.eq(row.row),
        ]
        m.d.sync += start.eq(take & self._has_kept(kept.score))
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(take):
            m.d.sync += row.eq(next_row)
        with m.Elif(row.last & ~start & ~scanner.busy):
            # The last row is never without columns.
            m.d.sync += [row.last.eq(0), self.busy.eq(0)]

    def _kept_row(self, m, next_row):
        """What the operations of a row need."""
        config = self._config
        kept = Signal(kept_row_layout(config))
        score = kept.score
        full = Signal()
        fraction = Signal()
        m.d.comb += [
            full.eq(self.exact | self.dense),
            fraction.eq(~full & self.integer_rows & (next_row.row >= self.integer_from)),
            score.tag.bank.eq(self.bank), score.tag.row.eq(next_row.row),
            score.tag.limit.eq(next_row.limit), score.tag.last.eq(next_row.last),
            score.columns.eq(next_row.columns), score.drop.eq(self.drop),
            score.mant.eq(self.mant), score.shift.eq(self.shift),
            kept.exact.eq(full), kept.fraction.eq(fraction),
            kept.chunks.eq(Mux(fraction, chunks(self.d8, 2 * config.taps),
                               chunks(self.d8, config.taps))),
        ]
        if config.tile:
            m.d.comb += [self.some_row.eq(next_row.row), score.none.eq(~self.dense & ~self.some),
                         score.integer.eq(fraction)]
        return kept

    def _has_kept(self, row):
        """Whether operations of a row will come."""
        return (row.columns != 0) & ~row.none if self._config.tile else row.columns != 0

    def _issue(self, m, found, rows):
        """Announces the rows and issues their blocks."""
        layout = kept_row_layout(self._config)
        waiting = data.View(layout, rows.r_data)
        row = Signal(layout)
        base = Signal(ring_width(self._config))          # of the row's integer scores, in groups
        op = self.op.payload
        column, tag = found.payload.column, row.score.tag
        chunk = Signal.like(op.chunk)
        m.d.comb += [
            op.mode.eq(Mux(row.fraction, Mode.FRACTION, Mode.FULL)),
            op.exact.eq(row.exact),
            op.bank.eq(tag.bank),
            op.row.eq(tag.row),
            op.column.eq(column),
            op.chunk.eq(chunk),
            op.first.eq(chunk == 0),
            op.last.eq(chunk == row.chunks - 1),
            op.tag.column.eq(column),
            op.tag.visible.eq(visibility(column, tag.limit)),
            op.tag.last.eq(found.payload.last),
            op.tag.integer.eq(row.fraction),
            op.tag.entry.eq(Cat(C(0, group_bits(self._config)), base) + column),
            self.row.payload.eq(waiting.score),
        ]
        with m.FSM():
            with m.State("ROW"):
                m.d.comb += [self.row.valid.eq(rows.r_rdy), rows.r_en.eq(self.row.ready)]
                with m.If(rows.r_rdy & self.row.ready):
                    m.d.sync += row.eq(waiting)
                    with m.If(self._has_kept(waiting.score)):
                        m.next = "RUN"
                    if self._config.tile:
                        with m.Elif((waiting.score.columns != 0) & waiting.fraction):
                            m.d.sync += base.eq(
                                base + group_count(self._config, waiting.score.columns))
            with m.State("RUN"):
                m.d.comb += self.op.valid.eq(found.valid)
                with m.If(self.op.valid & self.op.ready):
                    m.d.sync += chunk.eq(chunk + 1)
                    with m.If(op.last):
                        m.d.sync += chunk.eq(0)
                        m.d.comb += found.ready.eq(1)
                        with m.If(found.payload.last):
                            with m.If(row.fraction):
                                m.d.sync += base.eq(
                                    base + group_count(self._config, row.score.columns))
                            m.next = "ROW"

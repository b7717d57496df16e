# SPDX-License-Identifier: Apache-2.0
"""Fetch upon mask: only kept blocks reach the array again."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hw.hdp.integer_pass import chunks, visibility
from hw.hdp.layouts import Mode, op_layout, row_layout, score_row_layout
from hw.hdp.rows import RowWalker

__all__ = ["FetchUponMask", "MaskScanner"]


def kept_column_layout(config: Config) -> data.StructLayout:
    """A kept column of a row of blocks, and whether it is the row's last one."""
    return data.StructLayout({"column": config.block_width, "last": 1})


class MaskScanner(wiring.Component):
    """Finds the kept columns of a row of blocks, a mask bit per cycle; up to four wait.

    Each column comes with the word whether it is the row's last kept one, so it is held back
    until the next one or the end of the row is found: four cycles after ``start`` if it is the
    only one of the row. A mask keeps at least one column of a row.

    Parameters
    ----------
    config : Config

    Members
    -------
    start, columns : In
        Strobe once the previous row's last column has been taken; ``columns > 0`` is held.
    all : In(1)
        Every column is kept (dense), whatever the mask says.
    mask_column : Out
        Address into the mask of the row; ``mask_bit`` answers in the next cycle.
    o : Out(stream of {column, last})
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__({
            "start": In(1),
            "columns": In(range(config.blocks + 1)),
            "all": In(1),
            "mask_column": Out(config.block_width),
            "mask_bit": In(1),
            "o": Out(stream.Signature(kept_column_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        width = self._config.block_width
        m.submodules.found = found = fifo.SyncFIFO(width=width + 1, depth=4)
        m.d.comb += [
            self.o.valid.eq(found.r_rdy),
            self.o.payload.as_value().eq(found.r_data),
            found.r_en.eq(self.o.ready),
        ]
        # A bit under way and the end of the row may still follow what is in the queue.
        room = Signal()
        m.d.comb += room.eq(found.level <= 1)
        scanning = Signal()
        column = Signal(range(self._config.blocks + 1))
        step = Signal()
        m.d.comb += [step.eq(scanning & room), self.mask_column.eq(column)]
        with m.If(self.start):
            m.d.sync += [scanning.eq(1), column.eq(0)]
        with m.Elif(step):
            m.d.sync += column.eq(column + 1)
            with m.If(column == self.columns - 1):
                m.d.sync += scanning.eq(0)

        asked, asked_column, asked_last = Signal(), Signal(width), Signal()
        m.d.sync += [
            asked.eq(step), asked_column.eq(column), asked_last.eq(column == self.columns - 1),
        ]
        held, held_column, flush = Signal(), Signal(width), Signal()
        hit = Signal()
        m.d.comb += hit.eq(asked & (self.mask_bit | self.all))
        m.d.sync += flush.eq(asked & asked_last)
        with m.If(hit):
            m.d.sync += [held.eq(1), held_column.eq(asked_column)]
        with m.Elif(flush):
            m.d.sync += held.eq(0)
        m.d.comb += [
            found.w_en.eq(held & (hit | flush)),
            found.w_data.eq(Cat(held_column, flush)),
        ]
        return m


class FetchUponMask(wiring.Component):
    """Issues the kept blocks of a head, ceil(d / 2T) cycles each, or ceil(d / T) in full.

    A row's first operation comes five cycles after its announcement at the earliest; a mask bit is
    read per cycle, so that only rows with few kept blocks wait for the next one.

    Rows whose integer scores were kept get the fraction pass; the others, and every block in the
    exact and dense modes, the full product.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : In(1)
        Strobe while not busy; the job's fields are held from then on while busy.
    bank, valid_q, valid_kv, causal, d8, exact, dense, drop, mant, shift : In
        The job; ``d8`` is d / 8.
    integer_rows, integer_from : In
        Rows from ``integer_from`` on have their integer scores, if ``integer_rows``.
    masked_rows : In
        Rows of the head whose mask is complete.
    mask_row, mask_column : Out
        Mask address in ``bank``; ``mask_bit`` in the next cycle.
    op : Out(stream of op_layout)
    row : Out(stream of score_row_layout)
        Announces each row before its operations; taken when there is room for its scores.
    columns_en, columns : Out
        Strobe with each row: its visible blocks, for the statistics of a dense head.
    busy : Out(1)
        Until the last operation has been issued.
    """

    def __init__(self, *, config: Config):
        self._config = config
        super().__init__({
            "start": In(1),
            "bank": In(1),
            "valid_q": In(config.length_width),
            "valid_kv": In(config.length_width),
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
            "mask_row": Out(config.block_width),
            "mask_column": Out(config.block_width),
            "mask_bit": In(1),
            "op": Out(stream.Signature(op_layout(config))),
            "row": Out(stream.Signature(score_row_layout(config))),
            "columns_en": Out(1),
            "columns": Out(range(config.blocks + 1)),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walker = walker = RowWalker(config=config)
        m.submodules.scanner = scanner = MaskScanner(config=config)
        row = Signal(row_layout(config))
        m.d.comb += [
            walker.start.eq(self.start), walker.valid_q.eq(self.valid_q),
            walker.valid_kv.eq(self.valid_kv), walker.causal.eq(self.causal),
            scanner.columns.eq(row.columns), scanner.all.eq(self.dense),
            scanner.mask_bit.eq(self.mask_bit),
            self.mask_row.eq(row.row), self.mask_column.eq(scanner.mask_column),
        ]
        full = Signal()
        m.d.comb += full.eq(self.exact | self.dense)
        full_chunks = Signal(range(-(-config.d_max // config.taps) + 1))
        fraction_chunks = Signal.like(full_chunks)
        fraction = Signal()              # this row gets the fraction pass
        slot = Signal()                  # of the integer scores
        chunk = Signal.like(self.op.payload.chunk)
        op, found, next_row = self.op.payload, scanner.o.payload, walker.o.payload
        m.d.comb += [
            op.mode.eq(Mux(fraction, Mode.FRACTION, Mode.FULL)),
            op.exact.eq(full),
            op.bank.eq(self.bank),
            op.chunk.eq(chunk),
            op.first.eq(chunk == 0),
            op.last.eq(chunk == Mux(fraction, fraction_chunks, full_chunks) - 1),
            op.tag.integer.eq(fraction),
            op.tag.slot.eq(slot),
        ]
        self._place(m, row, found)
        self._announce(m, next_row)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        fraction_chunks.eq(chunks(self.d8, 2 * config.taps)),
                        full_chunks.eq(chunks(self.d8, config.taps)),
                    ]
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.busy.eq(1)
                masked = self.dense | (self.masked_rows > next_row.row) | (next_row.columns == 0)
                m.d.comb += self.row.valid.eq(walker.o.valid & masked)
                with m.If(self.row.valid & self.row.ready):
                    m.d.comb += [walker.o.ready.eq(1), self.columns_en.eq(1)]
                    m.d.sync += [
                        row.eq(next_row),
                        fraction.eq(~full & self.integer_rows
                                    & (next_row.row >= self.integer_from)),
                    ]
                    # The last row is never without columns.
                    with m.If(next_row.columns != 0):
                        m.next = "SCAN"
            with m.State("SCAN"):
                m.d.comb += [self.busy.eq(1), scanner.start.eq(1)]
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(1), self.op.valid.eq(scanner.o.valid)]
                with m.If(self.op.valid & self.op.ready):
                    m.d.sync += chunk.eq(chunk + 1)
                    with m.If(op.last):
                        m.d.sync += chunk.eq(0)
                        m.d.comb += scanner.o.ready.eq(1)
                        with m.If(found.last):
                            m.d.sync += slot.eq(slot ^ fraction)
                            m.next = "ROW"
                            with m.If(row.last):
                                m.next = "IDLE"
        return m

    def _place(self, m, row, found):
        """The block that is issued."""
        op = self.op.payload
        m.d.comb += [
            op.row.eq(row.row),
            op.column.eq(found.column),
            op.tag.column.eq(found.column),
            op.tag.visible.eq(visibility(found.column, row.limit)),
            op.tag.last.eq(found.last),
        ]

    def _announce(self, m, next_row):
        announced = self.row.payload
        m.d.comb += [
            announced.tag.bank.eq(self.bank),
            announced.tag.row.eq(next_row.row),
            announced.tag.limit.eq(next_row.limit),
            announced.tag.last.eq(next_row.last),
            announced.empty.eq(next_row.columns == 0),
            announced.drop.eq(self.drop),
            announced.mant.eq(self.mant),
            announced.shift.eq(self.shift),
            self.columns.eq(next_row.columns),
        ]

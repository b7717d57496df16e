# SPDX-License-Identifier: Apache-2.0
"""The integer pass: every visible block of a head, row by row."""

from amaranth.hdl import C, Cat, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import group_bits, group_count, group_width
from prunus.hw.hdp.layouts import Mode, integer_dims, op_layout, row_layout, sparsity_row_layout
from prunus.hw.hdp.ring import ROWS, free_entries, ring_width
from prunus.hw.hdp.rows import RowWalker

__all__ = ["IntegerPass", "chunks", "visibility"]


def chunks(d8, size: int):
    """Chunks of ``size`` dimensions (a power of two) in 8*d8 dimensions."""
    return (d8 + (size // 8 - 1)) >> (size // 8).bit_length() - 1 if size >= 8 \
        else d8 << (8 // size).bit_length() - 1


def visibility(column, limit):
    """Bit 2*query + key: may the query see that key of the block column."""
    return Cat(*(Cat(key, column) < limit[query] for query in range(2) for key in range(2)))


class IntegerPass(wiring.Component):
    """Issues the integer products of a head, ceil(d / 4T) cycles per visible block.

    With G > 1 blocks in a group it is ceil(d / 64) cycles per group; the last one of a row need not
    be full.

    A row takes one more cycle to begin. It does when there is room for it in the ring of thetas
    and, once the head is known to be kept, in that of integer scores; earlier rows do not keep
    theirs and are computed in full later.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    start : In(1)
        Strobe while not busy; the job's fields are held from then on while busy.
    bank, valid_q, valid_kv, offset, causal, distance, d8 : In
        The job; ``d8`` is d / 8.
    keep : In(1)
        The head is known to be kept and its scores are approximate.
    row_masked, row_scored : In(1)
        Strobes: the sparsity engine is through with a row; a row's kept integer scores are used.
    masked_columns, scored_columns : In
        Blocks of that row.
    op : Out(stream of op_layout)
    begin : Out(1)
    row : Out(sparsity_row_layout)
        Strobe: this row's scores follow.
    kept_row : Out(1)
        With ``begin``: its integer scores are kept.
    busy : Out(1)
        Until the last operation has been issued.
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
            "distance": In(1),
            "d8": In(5),
            "keep": In(1),
            "row_masked": In(1),
            "masked_columns": In(range(config.blocks + 1)),
            "row_scored": In(1),
            "scored_columns": In(range(config.blocks + 1)),
            "op": Out(stream.Signature(op_layout(config))),
            "begin": Out(1),
            "row": Out(sparsity_row_layout(config)),
            "kept_row": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walker = walker = RowWalker(config=config)
        m.d.comb += [
            walker.start.eq(self.start), walker.valid_q.eq(self.valid_q),
            walker.valid_kv.eq(self.valid_kv), walker.offset.eq(self.offset),
            walker.causal.eq(self.causal),
        ]
        row = Signal(row_layout(config))
        dims, bits = integer_dims(config), group_bits(config)
        chunk_count = Signal(range(-(-config.d_max // dims) + 1))
        group = Signal(group_width(config))
        chunk = Signal.like(self.op.payload.chunk)
        entry = Signal(ring_width(config))
        last_group = Signal()
        op = self.op.payload
        m.d.comb += [
            last_group.eq(group == (row.columns - 1) >> bits),
            op.mode.eq(Mode.INTEGER),
            op.bank.eq(self.bank),
            op.row.eq(row.row),
            op.column.eq(group << bits),
            op.chunk.eq(chunk),
            op.first.eq(chunk == 0),
            op.last.eq(chunk == chunk_count - 1),
            op.tag.column.eq(group << bits),
            op.tag.visible.eq(Cat(visibility(Cat(C(n, bits), group), row.limit)
                                  for n in range(config.group))),
            op.tag.last.eq(last_group),
            op.tag.distance.eq(self.distance),
            op.tag.entry.eq(entry << bits),
        ]
        next_row = walker.o.payload
        m.d.comb += [
            self.row.bank.eq(self.bank), self.row.row.eq(next_row.row),
            self.row.columns.eq(next_row.columns), self.row.last.eq(next_row.last),
        ]
        ready = self._has_room(m, next_row.columns)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += chunk_count.eq(chunks(self.d8, dims))
                    m.next = "ROW"
            with m.State("ROW"):
                m.d.comb += self.busy.eq(1)
                with m.If(walker.o.valid & (next_row.columns == 0)):
                    m.d.comb += walker.o.ready.eq(1)
                with m.Elif(walker.o.valid & ready):
                    m.d.comb += [walker.o.ready.eq(1), self.begin.eq(1),
                                 self.kept_row.eq(self.keep)]
                    m.d.sync += [
                        row.eq(next_row), group.eq(0), op.tag.integer.eq(self.keep),
                    ]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(1), self.op.valid.eq(1)]
                with m.If(self.op.ready):
                    m.d.sync += chunk.eq(chunk + 1)
                    with m.If(op.last):
                        m.d.sync += [chunk.eq(0), group.eq(group + 1),
                                     entry.eq(entry + op.tag.integer)]
                        with m.If(last_group):
                            m.next = "ROW"
                            with m.If(row.last):
                                m.next = "IDLE"
        return m

    def _has_room(self, m, columns):
        """True while a row of that many blocks fits."""
        def entries(columns):
            return group_count(self._config, columns)

        capacity = 2 * entries(self._config.blocks)
        taken = entries(columns)
        thetas = free_entries(m, capacity, taken=self.begin, taken_entries=taken,
                              given=self.row_masked, given_entries=entries(self.masked_columns),
                              name="free_thetas")
        scores = free_entries(m, capacity, taken=self.kept_row, taken_entries=taken,
                              given=self.row_scored, given_entries=entries(self.scored_columns),
                              name="free_scores")
        rows = Signal(range(ROWS + 1))                   # on their way to be masked
        m.d.sync += rows.eq(rows + self.begin - self.row_masked)
        return (rows != ROWS) & (taken <= thetas) & (~self.keep | (taken <= scores))

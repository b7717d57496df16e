# SPDX-License-Identifier: Apache-2.0
"""Sends the rows of a head to the QK unit."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import (
    copies_index,
    copies_range,
    front_end,
    query_layout,
    row_layout,
)
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.layouts import PIECE, TAG, head_layout, visible_keys

__all__ = ["PIECES", "RowIssue"]

PIECES = 8      # of queries that are under way or wait


class RowIssue(wiring.Component):
    """Rows of valid queries and the keys that each sees; their queries beside them.

    A row is ready in the cycle after the one before it was taken, its query a piece per cycle.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    head : In(stream of head_layout)
        Has at least one valid query; taken with its last row.
    en, bank, row, chunk : Out
        A piece of a query is asked for; ``data`` is to be there two cycles later.
    data : In
    rows : Out(stream of row_layout)
        The tag is the bank of the queries and the slot of the job.
    query : Out(stream of query_layout)
    """

    def __init__(self, *, config: LeopardConfig):
        self._config = config
        super().__init__({
            "head": In(stream.Signature(head_layout(config, front_end(config)))),
            "en": Out(1),
            "bank": Out(1),
            "row": Out(range(config.l_max)),
            "chunk": Out(range(max(2, config.d_max // PIECE))),
            "data": In(query_layout(config)),
            "rows": Out(stream.Signature(row_layout(config, TAG))),
            "query": Out(stream.Signature(query_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        self._queries(m)
        head, out = self.head.payload, self.rows.payload
        row = Signal(range(self._config.l_max))
        limit = Signal(signed(self._config.length_width + 2))
        known = Signal()
        last = Signal()
        copies = Signal(copies_range(self._config))
        m.d.comb += [
            last.eq(row == head.valid_q - 1),
            out.keys.eq(visible_keys(head, limit)),
            out.d8.eq(head.d8), out.bank.eq(head.kv), out.copies.eq(copies),
            out.threshold.eq(head.threshold),
            out.tag.eq(Cat(head.bank, head.slot)),
            self.rows.valid.eq(known), self.head.ready.eq(self.rows.ready & known & last),
        ]
        with m.If(~known):
            m.d.sync += [limit.eq(head.valid_kv + 1 - head.valid_q), known.eq(self.head.valid),
                         copies.eq(copies_index(self._config, head.valid_kv, head.d8))]
        with m.Elif(self.rows.ready):
            m.d.sync += [row.eq(Mux(last, 0, row + 1)), limit.eq(limit + 1), known.eq(~last)]
        return m

    def _queries(self, m):
        """Reads pieces ahead of the rows, as far as there is room for them."""
        config, head = self._config, self.head.payload
        m.submodules.pieces = pieces = fifo.SyncFIFO(
            width=query_layout(config).size, depth=PIECES)
        left = Signal(range(PIECES + 1), init=PIECES)
        done = Signal()
        step = Signal()
        chunk_last = Signal()
        row_last = Signal()
        m.d.comb += [
            step.eq(self.head.valid & ~done & (left != 0)), self.en.eq(step),
            self.bank.eq(head.bank),
            chunk_last.eq(self.chunk == head.d8 - 1), row_last.eq(self.row == head.valid_q - 1),
            self.query.valid.eq(pieces.r_rdy), self.query.payload.eq(pieces.r_data),
            pieces.r_en.eq(self.query.ready),
        ]
        with m.If(step):
            m.d.sync += self.chunk.eq(Mux(chunk_last, 0, self.chunk + 1))
            with m.If(chunk_last):
                m.d.sync += [self.row.eq(Mux(row_last, 0, self.row + 1)), done.eq(row_last)]
        with m.If(self.head.ready):
            m.d.sync += done.eq(0)
        coming = Signal(CodeBuffer.latency)
        m.d.sync += [coming.eq(Cat(step, coming)),
                     left.eq(left - step + (self.query.valid & self.query.ready))]
        m.d.comb += [pieces.w_en.eq(coming[-1]), pieces.w_data.eq(self.data)]

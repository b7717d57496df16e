# SPDX-License-Identifier: Apache-2.0
"""P.V: issues the kept blocks of a row once per chunk of T dimensions."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.integer_pass import chunks
from prunus.hw.hdp.layouts import row_tag_layout, value_op_layout
from prunus.hw.hdp.row_output import CHUNKS, output_row_layout
from prunus.hw.hdp.softmax_layouts import (
    row_result_layout,
    weight_entry_layout,
    weight_index_width,
)

__all__ = ["ValuePass"]


class ValuePass(wiring.Component):
    """Runs over the weights of a row for each chunk of dimensions, an operation per cycle.

    A row's first operation comes 5 cycles after its result, if V is loaded by then, or right after
    the last one of the row before. A row without weights has one operation per chunk, with weights
    of 0.

    Output stationary: the 2 x T accumulators of a chunk are finished before the next one is
    begun. A causal row with a background needs the keys that its queries see and the previous
    row did not; one more word of V per chunk is fetched for them.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    result : In(stream of row_result_layout)
        A row whose weights are complete; not taken before the previous row's have been read.
    row_read, read_entries : Out
        Strobe: the weights of a row, so many, have been read.
    weight_en, weight_addr, weight_data : In
        Write port of the weight buffer.
    bank : Out(1)
        The head of the row; for it:
    loaded, kv, causal, background, d8, offset, valid_kv : In
        V is complete, its bank, the job's fields (``d8`` is d / 8), and whether pruned keys count
        at all.
    first, last : In(1)
        With tiles: this one is the first, or the last one, of its strip.
    op : Out(stream of value_op_layout)
        Of a chunk with a pair of keys to fetch, that comes first, as ``background``.
    row : Out(stream of output_row_layout)
        Announces the row to the output, before its first operation.
    chunk_taken : In(1)
        Strobe: the output has worked off a chunk; at most ``CHUNKS`` are on their way there.
    busy : Out(1)
        Operations of a row that was taken are still to come.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "result": In(stream.Signature(
                row_result_layout(config, row_tag_layout(config).size))),
            "weight_en": In(1),
            "weight_addr": In(weight_index_width(config)),
            "weight_data": In(weight_entry_layout(config)),
            "row_read": Out(1),
            "read_entries": Out(range(config.blocks + 1)),
            "bank": Out(1),
            "loaded": In(1),
            "kv": In(1),
            "causal": In(1),
            "background": In(1),
            "d8": In(5),
            "offset": In(signed(config.length_width + 2)),
            "valid_kv": In(config.held_width),
            **({"first": In(1), "last": In(1)} if config.tile else {}),
            "op": Out(stream.Signature(value_op_layout(config))),
            "row": Out(stream.Signature(output_row_layout(config))),
            "chunk_taken": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        result = self.result.payload
        tag = data.View(row_tag_layout(config), result.tag)
        m.d.comb += self.bank.eq(tag.bank)

        # The pair of keys in which the limits of a causal row lie: row + floor((off + 1) / 2).
        offset = Signal.like(self.offset)
        edge = Signal.like(self.offset)
        m.d.sync += [offset.eq(self.offset), edge.eq(tag.row + ((offset + 1) >> 1))]
        fetches = Signal()
        m.d.comb += fetches.eq(self.causal & self.background & (edge >= 0)
                               & ((edge << 1) < self.valid_kv))
        fetched = Signal()               # an earlier row of the head did
        self._announce(m, result, tag, edge, fetches, fetched)

        # The row that is being read.
        now = Signal(data.StructLayout({
            "bank": 1, "base": weight_index_width(config), "zero": 1, "fetches": 1,
            "pair": config.block_width, "last_index": config.block_width,
            "chunks": range(config.d_max // 2 + 1),
        }))
        running = Signal()
        place = Signal(weight_index_width(config))
        done = self._walk(m, now, running, place)
        # What a row needs is worked out while the one before it is read.
        settled = Signal(range(3))
        accept = Signal()
        m.d.comb += [
            self.row.valid.eq((settled == 2) & self.loaded & (~running | done)),
            accept.eq(self.row.valid & self.row.ready),
            self.result.ready.eq(accept),
            self.busy.eq(running | self.op.valid),
        ]
        with m.If(accept):
            m.d.sync += [
                settled.eq(0), running.eq(1), fetched.eq(~tag.last & (fetched | fetches)),
                now.bank.eq(tag.bank), now.base.eq(result.base), place.eq(result.base),
                now.zero.eq(result.count == 0), now.fetches.eq(fetches), now.pair.eq(edge),
                now.last_index.eq(Mux(result.count == 0, 0, result.count - 1)),
                now.chunks.eq(chunks(self.d8, config.taps)),
            ]
        with m.Else():
            with m.If(self.result.valid & (settled != 2)):
                m.d.sync += settled.eq(settled + 1)
            with m.If(done):
                m.d.sync += running.eq(0)
        return m

    def _announce(self, m, result, tag, edge, fetches, fetched):
        row = self.row.payload
        m.d.comb += [
            row.bank.eq(tag.bank), row.last.eq(tag.last), row.d8.eq(self.d8),
            row.e0.eq(result.e0), row.r.eq(result.r), row.p.eq(result.p),
            row.empty.eq(result.empty), row.fetches.eq(fetches),
            row.kv.eq(self.kv), row.running.eq(fetched),
        ]
        if self._config.tile:
            m.d.comb += [row.row.eq(tag.row), row.resumes.eq(~self.first), row.ends.eq(self.last)]
        first = Signal(signed(len(edge) + 1))
        m.d.comb += first.eq(edge << 1)
        for k in range(2):
            for q in range(2):
                m.d.comb += row.sees[2 * q + k].eq(first + k < tag.limit[q])

    def _walk(self, m, now, running, place):
        """Reads the weights, that at ``place`` next, and queues the operations; true in the last
        cycle of a row."""
        config = self._config
        m.submodules.weights = weights = memory.Memory(
            shape=weight_entry_layout(config), depth=2 << config.block_width, init=[])
        write = weights.write_port()
        read = weights.read_port()
        index = Signal(config.block_width)
        m.d.comb += [
            write.en.eq(self.weight_en),
            write.addr.eq(self.weight_addr), write.data.eq(self.weight_data),
            read.addr.eq(place),
        ]
        chunk = Signal.like(self.op.payload.chunk)
        fetched = Signal()               # the background word of this chunk is behind us
        pending = Signal(range(CHUNKS + 1))
        m.submodules.queue = queue = fifo.SyncFIFO(width=value_op_layout(config).size, depth=4)

        fetch = now.fetches & ~fetched
        at_start = Mux(now.fetches, fetch, index == 0)
        at_end = ~fetch & (index == now.last_index)
        step = Signal()
        done = Signal()
        m.d.comb += [
            read.en.eq(step & ~fetch & ~now.zero),
            step.eq(running & (queue.level <= 2) & ~(at_start & (pending == CHUNKS))),
            done.eq(step & at_end & (chunk == now.chunks - 1)),
            self.row_read.eq(done), self.read_entries.eq(Mux(now.zero, 0, now.last_index + 1)),
        ]
        m.d.sync += pending.eq(pending + (step & at_start) - self.chunk_taken)
        with m.If(step):
            m.d.sync += fetched.eq(1)
            with m.If(~fetch):
                m.d.sync += [index.eq(index + 1), place.eq(place + 1)]
            with m.If(at_end):
                m.d.sync += [fetched.eq(0), index.eq(0), place.eq(now.base), chunk.eq(chunk + 1)]
        with m.If(done):
            m.d.sync += chunk.eq(0)

        asked = Signal(value_op_layout(config))
        queued = Signal(value_op_layout(config))
        asked_valid = Signal()
        asked_zero = Signal()
        m.d.sync += [
            asked_valid.eq(step), asked_zero.eq(now.zero),
            asked.bank.eq(now.bank), asked.column.eq(now.pair), asked.chunk.eq(chunk),
            asked.first.eq(index == 0), asked.last.eq(at_end), asked.background.eq(fetch),
        ]
        m.d.comb += [
            queued.eq(asked),
            queued.column.eq(Mux(asked.background, asked.column, read.data.column)),
            queued.w.eq(Mux(asked_zero, 0, read.data.row.as_value())),
            queue.w_en.eq(asked_valid), queue.w_data.eq(queued),
            self.op.valid.eq(queue.r_rdy), self.op.payload.as_value().eq(queue.r_data),
            queue.r_en.eq(self.op.ready),
        ]
        return done

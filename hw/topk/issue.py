# SPDX-License-Identifier: Apache-2.0
"""Asks for the keys of rows, chunk by chunk."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.topk.config import TopkConfig
from prunus.hw.survivors.layouts import PIECE, chunk_count, head_layout, visible_keys
from prunus.hw.topk.layouts import front_end, step_layout

__all__ = ["SCORES", "KeyIssue", "address_members"]

SCORES = 16     # that are under way or wait


def address_members(config: TopkConfig) -> dict:
    """A chunk of a row that is asked for."""
    return {"en": Out(1), "bank": Out(1), "row": Out(range(config.l_max)),
            "chunk": Out(range(max(2, config.chunks)))}


class KeyIssue(wiring.Component):
    """A chunk of a key per cycle, from key to key and row to row without a pause.

    A head begins two cycles after it is offered. A query is read with each chunk; one of a single
    chunk only once, since it stays where it was read. Keys come a cycle after the query.

    Parameters
    ----------
    config : TopkConfig

    Members
    -------
    head : In(stream of head_layout)
        Has at least one valid query; taken with its last chunk.
    taken : In(1)
        Strobe: a score has been taken; at most ``SCORES`` are under way.
    query, key : Out(address_members)
        Chunks that are asked for.
    step : Out(step_layout)
        In the cycle of ``query``.
    """

    def __init__(self, *, config: TopkConfig):
        self._config = config
        super().__init__({
            "head": In(stream.Signature(head_layout(config, front_end(config)))),
            "taken": In(1),
            "query": Out(wiring.Signature(address_members(config))),
            "key": Out(wiring.Signature(address_members(config))),
            "step": Out(step_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config, head, step = self._config, self.head.payload, self.step
        row = Signal(range(config.l_max))
        key = Signal(range(config.l_max))
        chunk = Signal.like(self.query.chunk)
        left = Signal(range(SCORES + 1), init=SCORES)
        keys = Signal(config.length_width)          # that this row sees
        limit = Signal(signed(config.length_width + 2))     # of the next row
        begun, known, none, one_chunk, row_last = (
            Signal(name=name) for name in ("begun", "known", "none", "one_chunk", "row_last"))
        m.d.comb += [
            step.valid.eq(known & (left != 0)),
            step.first.eq(chunk == 0),
            none.eq(keys == 0),
            step.done.eq(none | (chunk == chunk_count(config, head.d8) - 1)),
            step.pieces.eq(self._pieces(head.d8, chunk)),
            step.item.key.eq(key), step.item.none.eq(none),
            step.item.last.eq(none | (key == keys - 1)),
            step.item.tag.eq(Cat(head.bank, head.slot)),
            row_last.eq(row == head.valid_q - 1),
            self.head.ready.eq(step.valid & step.done & step.item.last & row_last),
        ]
        m.d.sync += left.eq(left - (step.valid & step.done) + self.taken)
        with m.If(~begun):
            m.d.sync += [begun.eq(self.head.valid),
                         limit.eq(head.valid_kv + 1 - head.valid_q)]
        with m.Elif(~known | (step.valid & step.done & step.item.last)):
            m.d.sync += [keys.eq(visible_keys(head, limit)), limit.eq(limit + 1), known.eq(1)]
        with m.If(step.valid):
            m.d.sync += chunk.eq(Mux(step.done, 0, chunk + 1))
            with m.If(step.done):
                m.d.sync += key.eq(Mux(step.item.last, 0, key + 1))
                with m.If(step.item.last):
                    m.d.sync += row.eq(row + 1)
        with m.If(self.head.ready):
            m.d.sync += [begun.eq(0), known.eq(0), row.eq(0)]
        m.d.comb += [
            one_chunk.eq(chunk_count(config, head.d8) == 1),
            self.query.en.eq(step.valid & ~step.item.none & ((key == 0) | ~one_chunk)),
            self.query.bank.eq(head.bank), self.query.row.eq(row), self.query.chunk.eq(chunk),
        ]
        m.d.sync += [
            self.key.en.eq(step.valid & ~step.item.none),
            self.key.bank.eq(head.kv), self.key.row.eq(key), self.key.chunk.eq(chunk),
        ]
        return m

    def _pieces(self, d8, chunk):
        """Those of a chunk that are not beyond d, a bit each."""
        lanes, config = self._config.taps // PIECE, self._config
        bits = [C(1)] + [d8 > n for n in range(1, config.chunks * lanes)]
        return Cat(*bits).word_select(chunk[: (config.chunks - 1).bit_length()], lanes) \
            if config.chunks > 1 else Cat(*bits)

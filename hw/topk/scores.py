# SPDX-License-Identifier: Apache-2.0
"""Heads in, the scores of their rows out."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.topk.config import TopkConfig
from prunus.hw.parts.pipeline import delayed
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.layouts import head_layout
from prunus.hw.topk.dot_product import DotProduct
from prunus.hw.topk.issue import SCORES, KeyIssue, address_members
from prunus.hw.topk.layouts import front_end, scored_layout

__all__ = ["ScoreUnit"]


class ScoreUnit(wiring.Component):
    """Scores of all keys that each row sees, by rising index, row by row.

    A chunk of a key per cycle. A score is at ``o`` ``latency`` cycles after its last chunk was
    asked for. What is under way always has a place in the queue, so nothing in between ever
    stops::

        head -> KeyIssue -> buffers of q and k -> DotProduct -> FIFO -> o

    Parameters
    ----------
    config : TopkConfig

    Members
    -------
    head : In(stream of head_layout)
    query, key : Out
        A chunk of a row is asked for with ``en``: its bank, row and place in the row. ``data`` is
        to be there two cycles later.
    scored : Out(1)
        Strobe: the last chunk of a key is asked for.
    o : Out(stream of scored_layout)
    """

    def __init__(self, *, config: TopkConfig):
        self._config = config
        self._dot_product = DotProduct(config=config)
        reads = wiring.Signature({
            **address_members(config),
            "data": In(data.ArrayLayout(signed(config.width), config.taps))})
        super().__init__({
            "head": In(stream.Signature(head_layout(config, front_end(config)))),
            "query": Out(reads),
            "key": Out(reads),
            "scored": Out(1),
            "o": Out(stream.Signature(scored_layout(config))),
        })

    @property
    def latency(self) -> int:
        return CodeBuffer.latency + self._dot_product.latency + 1

    def elaborate(self, platform):
        m = Module()
        config, dot_product = self._config, self._dot_product
        m.submodules.issue = issue = KeyIssue(config=config)
        m.submodules.dot_product = dot_product
        m.submodules.scores = scores = fifo.SyncFIFO(
            width=scored_layout(config).size, depth=SCORES)
        connect(m, flipped(self.head), issue.head)
        for read, asked in ((self.query, issue.query), (self.key, issue.key)):
            m.d.comb += [read.en.eq(asked.en), read.bank.eq(asked.bank), read.row.eq(asked.row),
                         read.chunk.eq(asked.chunk)]
        step = Signal(issue.step.shape())
        m.d.comb += [
            step.eq(issue.step),
            dot_product.step.eq(delayed(m, step, CodeBuffer.latency, name="step",
                                        reset_less=False)[-1]),
            dot_product.query.eq(self.query.data), dot_product.key.eq(self.key.data),
            scores.w_en.eq(dot_product.valid), scores.w_data.eq(dot_product.o),
            self.o.valid.eq(scores.r_rdy), self.o.payload.eq(scores.r_data),
            scores.r_en.eq(self.o.ready), issue.taken.eq(self.o.valid & self.o.ready),
            self.scored.eq(step.valid & step.done & ~step.item.none),
        ]
        return m

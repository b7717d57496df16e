# SPDX-License-Identifier: Apache-2.0
"""Scores of whole heads between the buffers and a filter that may wait, and their cycles."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.jobs import AttentionJob, visible_limits
from prunus.golden.topk.config import TopkConfig
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.layouts import head_layout
from prunus.hw.topk.layouts import front_end, scored_layout
from prunus.hw.topk.scores import ScoreUnit
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.topk.heads import codes

ROWS = 12
CONFIGS = [TopkConfig(name="one", d_max=24, l_max=ROWS),
           TopkConfig(name="chunks", d_max=24, taps=8, l_max=ROWS),
           TopkConfig(name="odd", width=12, d_max=40, taps=16, l_max=ROWS, axi_data_width=128)]
by_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


@dataclass(frozen=True, kw_only=True)
class Head:
    """Of queries in a bank and keys in another; ``offer`` is as the scheduler has it."""

    valid_q: int
    valid_kv: int
    d: int
    causal: bool = False
    bank: int = 0
    kv: int = 0
    slot: int = 0

    @property
    def offer(self):
        return {"slot": self.slot, "bank": self.bank, "kv": self.kv, "valid_q": self.valid_q,
                "valid_kv": self.valid_kv, "causal": self.causal, "d8": self.d // 8}

    @property
    def limits(self):
        """Keys that each row sees."""
        q, k = (np.zeros((rows, 8), int) for rows in (self.valid_q, self.valid_kv))
        return visible_limits(AttentionJob(q=q, k=k, v=k, scale=(0, 63),
                                           causal=self.causal)).tolist()

    def scores(self, q, k):
        """``(tag, key, last, none, score)`` of all that come; None for a score that means
        nothing."""
        tag = self.bank | self.slot << 1
        for row, limit in enumerate(self.limits):
            for key in range(limit):
                yield (tag, key, key == limit - 1, 0,
                       int(q[self.bank, row, : self.d] @ k[self.kv, key, : self.d]))
            if not limit:
                yield tag, 0, 1, 1, None


class Bench(wiring.Component):
    """The unit and its buffers."""

    def __init__(self, config):
        self.config = config
        self.q, self.k = (CodeBuffer(width=config.width, beat=8, read=config.taps, rows=ROWS,
                                     d_max=config.d_max) for _ in range(2))
        super().__init__({
            "head": In(stream.Signature(head_layout(config, front_end(config)))),
            "scored": Out(1),
            "o": Out(stream.Signature(scored_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = ScoreUnit(config=self.config)
        m.submodules.q, m.submodules.k = self.q, self.k
        connect(m, flipped(self.head), unit.head)
        connect(m, unit.o, flipped(self.o))
        m.d.comb += self.scored.eq(unit.scored)
        for buffer, read in ((self.q, unit.query), (self.k, unit.key)):
            m.d.comb += [buffer.en.eq(read.en), buffer.bank.eq(read.bank),
                         buffer.row.eq(read.row), buffer.chunk.eq(read.chunk),
                         read.data.eq(buffer.data)]
        return m


def run(config, heads, stall_in=0.0, stall_out=0.0):
    """The cycles in which a last chunk was asked for; checks what comes out."""
    rng, random = np.random.default_rng(len(config.name)), Random(1)
    q, k = (codes(rng, config, 2, ROWS, config.d_max) for _ in range(2))
    expected = [score for head in heads for score in head.scores(q, k)]
    dut, asked = Bench(config), []

    async def load(ctx):
        for bank, row, beat in np.ndindex(2, ROWS, config.d_max // 8):
            for buffer, operand in ((dut.q, q), (dut.k, k)):
                ctx.set(buffer.write_en, 1)
                ctx.set(buffer.write_bank, bank)
                ctx.set(buffer.write_row, row)
                ctx.set(buffer.write_beat, beat)
                ctx.set(buffer.write_data, operand[bank, row, 8 * beat : 8 * beat + 8].tolist())
            await ctx.tick()
        for buffer in (dut.q, dut.k):
            ctx.set(buffer.write_en, 0)
        await send(ctx, dut.head, [head.offer for head in heads], random, stall_in)

    async def take(ctx):
        for n, (*want, score) in enumerate(expected):
            got, = await receive(ctx, dut.o, 1, random, stall_out)
            item = got.item
            assert [item.tag, item.key, item.last, item.none] == want, n
            assert score is None or got.score == score, n

    async def watch(ctx):
        cycle = 0
        while True:
            _, _, scored = await ctx.tick().sample(dut.scored)
            asked.extend([cycle] * scored)
            cycle += 1

    simulate(dut, load, take, background=[watch])
    return asked


@by_config
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_heads(config, stall_in, stall_out):
    """Of any number of dimensions, with rows that see nothing, banks and slots in turn."""
    d = config.d_max
    run(config, [Head(valid_q=3, valid_kv=12, d=d), Head(valid_q=12, valid_kv=5, d=8, causal=True,
                                                         bank=1, slot=1),
                 Head(valid_q=1, valid_kv=1, d=d, kv=1, slot=2),
                 Head(valid_q=4, valid_kv=1, d=16, causal=True, bank=1, kv=1),
                 Head(valid_q=1, valid_kv=7, d=d, causal=True, slot=1),
                 Head(valid_q=5, valid_kv=6, d=d - 8, causal=True, kv=1, slot=2)],
        stall_in, stall_out)


@by_config
@pytest.mark.parametrize("causal", [False, True])
def test_a_chunk_per_cycle(config, causal):
    """From key to key and from row to row; two cycles and more pass from head to head."""
    heads = [Head(valid_q=6, valid_kv=6, d=config.d_max, causal=causal, bank=n, kv=n, slot=n)
             for n in range(2)]
    asked = run(config, heads)
    keys = sum(heads[0].limits)
    for first in (0, keys):
        mine = asked[first : first + keys]
        assert mine == list(range(mine[0], mine[0] + keys * config.chunks, config.chunks))
    assert asked[keys] - asked[keys - 1] == config.chunks + 2

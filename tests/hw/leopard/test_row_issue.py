# SPDX-License-Identifier: Apache-2.0
"""Rows of heads, the keys that each sees, and their queries."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.jobs import AttentionJob, visible_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import front_end, query_layout, row_layout
from prunus.hw.leopard.row_issue import RowIssue
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.layouts import TAG, head_layout
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.leopard.heads import codes, copies_number, pieces

CONFIG = LeopardConfig(name="rows", width=8, dpus=2, d_max=24, l_max=16)


class Bench(wiring.Component):
    """The issue and the buffer of queries."""

    def __init__(self):
        self.buffer = CodeBuffer(width=8, beat=8, read=8, rows=16, d_max=24)
        super().__init__({
            "head": In(stream.Signature(head_layout(CONFIG, front_end(CONFIG)))),
            "rows": Out(stream.Signature(row_layout(CONFIG, TAG))),
            "query": Out(stream.Signature(query_layout(CONFIG))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.issue = issue = RowIssue(config=CONFIG)
        m.submodules.buffer = buffer = self.buffer
        connect(m, flipped(self.head), issue.head)
        connect(m, issue.rows, flipped(self.rows))
        connect(m, issue.query, flipped(self.query))
        m.d.comb += [buffer.en.eq(issue.en), buffer.bank.eq(issue.bank), buffer.row.eq(issue.row),
                     buffer.chunk.eq(issue.chunk), issue.data.eq(buffer.data)]
        return m


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_heads(stall_in, stall_out):
    rng, random = np.random.default_rng(1), Random(2)
    queries = codes(rng, CONFIG, 2, 16, 24)
    heads = []
    for n, (valid_q, valid_kv, causal, d) in enumerate([
            (16, 16, True, 24), (1, 5, False, 8), (1, 5, True, 8), (9, 3, True, 16),
            (3, 9, True, 24), (16, 1, False, 8), (2, 16, True, 24)]):
        heads.append({"slot": n % 3, "bank": n % 2, "kv": n // 2 % 2, "valid_q": valid_q,
                      "valid_kv": valid_kv, "causal": causal, "d8": d // 8,
                      "threshold": 100 * n - 300})
    dut, rows, got = Bench(), [], []

    async def load(ctx):
        for bank in range(2):
            for row in range(16):
                for n in range(3):
                    ctx.set(dut.buffer.write_en, 1)
                    ctx.set(dut.buffer.write_bank, bank)
                    ctx.set(dut.buffer.write_row, row)
                    ctx.set(dut.buffer.write_beat, n)
                    ctx.set(dut.buffer.write_data, queries[bank, row, 8 * n : 8 * n + 8].tolist())
                    await ctx.tick()
        ctx.set(dut.buffer.write_en, 0)
        await send(ctx, dut.head, heads, random, stall_in)

    async def take(ctx):
        """As the front end does: a row with the last piece of its query."""
        for head in heads:
            for _ in range(head["valid_q"]):
                got.append(await receive(ctx, dut.query, head["d8"], random, stall_out))
                rows.extend(await receive(ctx, dut.rows, 1, random, stall_out))

    simulate(dut, load, take)
    expected, wanted = [], []
    for head in heads:
        zeros = np.zeros((max(head["valid_q"], 1), 8), int)
        job = AttentionJob(q=zeros, k=np.zeros((head["valid_kv"], 8), int), v=zeros, scale=(0, 63),
                           causal=head["causal"])
        copies = copies_number(CONFIG, head["valid_kv"], 8 * head["d8"])
        expected += [(int(limit), head["d8"], head["kv"], copies, head["threshold"],
                      head["bank"] | head["slot"] << 1) for limit in visible_limits(job)]
        wanted += [pieces(queries[head["bank"], row, : 8 * head["d8"]])
                   for row in range(head["valid_q"])]
    assert [(row.keys, row.d8, row.bank, row.copies, row.threshold, row.tag)
            for row in rows] == expected
    assert {row[3] for row in expected} == {0, 1}
    assert [[list(piece) for piece in query] for query in got] == wanted

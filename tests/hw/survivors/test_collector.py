# SPDX-License-Identifier: Apache-2.0
"""The ring of survivors: entries and largest scores of rows, and when it is full."""

from random import Random

import pytest

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import front_end
from prunus.hw.survivors.collector import WAITING, RowCollector
from prunus.hw.survivors.layouts import ring_depth
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIG = LeopardConfig(name="ring", width=8, dpus=2, d_max=8, l_max=8)
LIMIT = 1 << CONFIG.score_width - 1


def random_rows(rng, count):
    """Rows of (key, score), all lengths, the largest score anywhere, also below zero."""
    rows = []
    for _ in range(count):
        base = rng.choice([-LIMIT, -1000, 0, LIMIT - 100])
        rows.append([(rng.randrange(8), base + rng.randrange(100))
                     for _ in range(rng.choice([0, 0, 1, 1, 2, 3, 7, 8]))])
    return rows


def items(rows):
    for n, row in enumerate(rows):
        yield from ({"end": 0, "key": key, "score": score} for key, score in row)
        # What belongs to the other kind means nothing.
        yield {"end": 1, "survivors": len(row), "tag": n % 8, "key": 7, "score": LIMIT - 1}


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(stall_in, stall_out):
    rng = Random(3)
    rows = random_rows(rng, 120)
    dut = RowCollector(config=CONFIG, front=front_end(CONFIG))

    async def give(ctx):
        await send(ctx, dut.i, items(rows), rng, stall_in)

    async def take(ctx):
        address = 0
        for n, row in enumerate(rows):
            token, = await receive(ctx, dut.row, 1, rng, stall_out)
            assert (token.count, token.tag) == (len(row), n % 8)
            assert not row or token.top == max(score for _, score in row)
            for expected in row:
                while rng.random() < stall_out:
                    await ctx.tick()
                ctx.set(dut.address, address)
                ctx.set(dut.freed, 1)       # its read is under way
                address = (address + 1) % ring_depth(CONFIG)
                _, _, = await ctx.tick()
                ctx.set(dut.freed, 0)
                entry = ctx.get(dut.entry)
                assert (entry.key, entry.score) == expected

    simulate(dut, give, take)


def test_full():
    """It takes two of the longest rows and no survivor more, until one is freed."""
    dut, depth = RowCollector(config=CONFIG, front=front_end(CONFIG)), ring_depth(CONFIG)
    assert depth == 2 * CONFIG.l_max
    survivors = [{"end": 0, "key": n % 8, "score": n} for n in range(depth)]

    async def bench(ctx):
        assert await send(ctx, dut.i, survivors) == depth
        ctx.set(dut.i.payload, {"end": 0, "key": 5, "score": -9})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.freed, 1)
        await ctx.tick()
        ctx.set(dut.freed, 0)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        assert not ctx.get(dut.i.ready)
        # An end takes no place.
        ctx.set(dut.i.payload, {"end": 1, "survivors": 8})
        assert ctx.get(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.freed, 1)               # an entry is read as it is freed, and only then
        ctx.set(dut.address, 1)
        await ctx.tick()
        assert ctx.get(dut.entry.score) == 1
        ctx.set(dut.address, 0)             # where the survivor behind the ring's end went
        ctx.set(dut.freed, 0)
        await ctx.tick()
        assert ctx.get(dut.entry.score) == 1
        ctx.set(dut.freed, 1)
        await ctx.tick()
        assert ctx.get(dut.entry.score) == -9

    simulate(dut, bench)


def test_as_many_rows_as_may_wait():
    dut = RowCollector(config=CONFIG, front=front_end(CONFIG))

    async def bench(ctx):
        ends = [{"end": 1, "survivors": 0, "tag": n % 8} for n in range(WAITING)]
        assert await send(ctx, dut.i, ends) == WAITING
        ctx.set(dut.i.payload, {"end": 1, "survivors": 0, "tag": 5})
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.payload, {"end": 0})
        assert ctx.get(dut.i.ready)
        tags = [row.tag for row in await receive(ctx, dut.row, WAITING)]
        assert tags == [n % 8 for n in range(WAITING)]

    simulate(dut, bench)

# SPDX-License-Identifier: Apache-2.0
"""The filter against sorting, and how long it takes."""

from random import Random

import pytest

from prunus.golden.topk.config import TopkConfig
from prunus.hw.topk.best import BestFilter
from tests.hw.helpers import receive, send, simulate, stall_cases


def config_of(k_max):
    return TopkConfig(name="best", d_max=8, l_max=32, k_max=k_max)


def random_row(rng, config, length):
    """(key, score) by rising key; many scores are equal, some the largest or the least."""
    limit = 1 << config.score_width - 1
    base, span = rng.choice([-limit, 0, limit - 4, -2]), rng.choice([1, 3])
    return [(key, base + rng.randrange(span + 1) if rng.random() < 0.8
             else rng.randrange(-limit, limit)) for key in sorted(rng.sample(range(32), length))]


def items(rows):
    for n, row in enumerate(rows):
        for key, score in row:
            yield {"score": score, "item": {"key": key, "last": key == row[-1][0], "none": 0,
                                            "tag": n % 6}}
        if not row:
            yield {"score": -1, "item": {"key": 5, "last": 1, "none": 1, "tag": n % 6}}


def best(row, top_k):
    return sorted(row, key=lambda entry: (-entry[1], entry[0]))[:top_k]


async def take(ctx, dut, wanted, rng=None, stall=0.0):
    """Rows of survivors, the best first, and their ends."""
    for n, want in enumerate(wanted):
        got = await receive(ctx, dut.o, len(want) + 1, rng, stall)
        assert [item.end for item in got] == [0] * len(want) + [1], n
        assert [(item.key, item.score) for item in got[:-1]] == want, n
        assert (got[-1].survivors, got[-1].tag) == (len(want), n % 6), n


@pytest.mark.parametrize("k_max", [1, 2, 5, 16])
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(k_max, stall_in, stall_out):
    """Rows of all lengths, none too; each tag with a K of its own."""
    config, rng = config_of(k_max), Random(f"{k_max}{stall_in}{stall_out}")
    top_ks = [1, k_max, max(1, k_max // 2), k_max, max(1, k_max - 1), 1]
    lengths = [0, 1, k_max, k_max + 1, 32, 3, 0, 0, max(0, k_max - 1)]
    rows = [random_row(rng, config, rng.choice(lengths)) for _ in range(60)]
    dut = BestFilter(config=config)

    async def lookup(ctx):
        async for tag, in ctx.changed(dut.tag):
            if tag < 6:
                ctx.set(dut.top_k, top_ks[tag])

    async def give(ctx):
        await send(ctx, dut.i, items(rows), rng, stall_in)

    async def taken(ctx):
        await take(ctx, dut, [best(row, top_ks[n % 6]) for n, row in enumerate(rows)], rng,
                   stall_out)

    simulate(dut, give, taken, background=[lookup])


@pytest.mark.parametrize("length, pause", [(9, 0), (32, 0), (8, 1), (5, 1)])
def test_rows_follow_each_other(length, pause):
    """A score per cycle; rows that keep all their keys take a cycle more for their ends."""
    config, rng, count = config_of(8), Random(length), 12
    rows = [random_row(rng, config, length) for _ in range(count)]
    dut = BestFilter(config=config)

    async def give(ctx):
        ctx.set(dut.top_k, 8)
        cycles = await send(ctx, dut.i, items(rows))
        # Of the first two and of the last rows nothing waits yet.
        assert abs(cycles - count * length - pause * (count - 2)) <= 2

    async def taken(ctx):
        await take(ctx, dut, [best(row, 8) for row in rows])

    simulate(dut, give, taken)


def test_a_row_waits_for_the_one_before():
    """Nothing is lost while survivors are not taken."""
    config, rng = config_of(4), Random(1)
    rows = [random_row(rng, config, 6) for _ in range(3)]
    dut = BestFilter(config=config)

    async def give(ctx):
        ctx.set(dut.top_k, 4)
        await send(ctx, dut.i, items(rows))

    async def taken(ctx):
        for _ in range(40):
            await ctx.tick()
        assert not ctx.get(dut.i.ready)
        await take(ctx, dut, [best(row, 4) for row in rows])

    simulate(dut, give, taken)

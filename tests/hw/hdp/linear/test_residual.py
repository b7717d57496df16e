# SPDX-License-Identifier: Apache-2.0
"""Residuals: what is asked for, and the codes that come of it."""

from random import Random

import numpy as np
import pytest

from prunus.hw.hdp.linear.layouts import Plane
from prunus.hw.hdp.linear.residual import WORDS, LinearResidual
from tests.hw.hdp.linear.layers import TINY, fields_of, layer, words_of
from tests.hw.helpers import receive, simulate

END = 1 << 32


def _jobs(rng):
    """With a residual, without, and one that is refused."""
    def codes(m, n):
        return {"residual": rng.integers(-128, 128, (m, n)), "residual_scale": (9, 3)}

    jobs = [(layer(rng, 5, 8, 40, **codes(5, 40)), {}), (layer(rng, 4, 8, 8), {}),
            (layer(rng, 1, 8, 8, **codes(1, 8)), {}), (layer(rng, 3, 8, 24, **codes(3, 24)),
                                                       {"error": 2}),
            (layer(rng, 21, 8, 72, **codes(21, 72)), {"strip": 8, "tile": 16}),
            (layer(rng, 6, 32, 64, groups=2, **codes(6, 64)), {}),
            (layer(rng, 4, 8, 16, **codes(4, 16)), {"r": END - 48})]
    return [(job, fields_of(job, TINY, index=n, **{"r": 0x1000 * (n + 1), **more}))
            for n, (job, more) in enumerate(jobs)]


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_residuals(stall):
    rng = Random(2)
    jobs, dut = _jobs(np.random.default_rng(3)), LinearResidual(config=TINY)
    live = [(n, job, fields) for n, (job, fields) in enumerate(jobs)
            if job.residual is not None and not fields["error"]]
    wanted, words = [], []
    for n, job, fields in live:
        for word in words_of(job, fields):
            words.append([[int(job.residual[place]) for place in lane] for lane in word])
            for lane, places in enumerate(word):
                row, channel = places[0]
                at = fields["r"] + row * job.channels + channel
                wanted.append((n, n % 2, lane, at % END, at >= END, len(places) // 8,
                               lane == len(word) - 1, places))
    begun, used, asked = [0], [0], [0]

    async def host(ctx):
        for n, (_, fields) in enumerate(jobs):
            ctx.set(dut.job, fields)
            ctx.set(dut.bank, n % 2)
            ctx.set(dut.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(dut.taken)
            ctx.set(dut.valid, 0)

    async def memory(ctx):
        for n, bank, lane, at, refused, beats, ends, places in wanted:
            [got] = await receive(ctx, dut.command, 1, rng, stall)
            assert got.plane == Plane.RESIDUAL
            assert (got.index, got.bank, got.slot, got.address, got.refused, got.beats,
                    got.ends) == (n, bank, lane, at, refused, beats, ends)
            asked[0] += ends
            assert asked[0] - used[0] <= WORDS
            codes = bytes(int(jobs[n][0].residual[place]) & 0xFF for place in places)
            for beat in range(beats):
                while rng.random() < stall:
                    ctx.set(dut.beat.en, 0)
                    await ctx.tick()
                ctx.set(dut.beat, {"en": 1, "last": beat == beats - 1, "lane": lane, "ends": ends,
                                   "data": int.from_bytes(codes[8 * beat : 8 * beat + 8],
                                                          "little")})
                await ctx.tick()
            ctx.set(dut.beat, {"en": 0, "last": 1, "ends": 1})

    async def issue(ctx):
        """A word may begin once all it needs is there."""
        while begun[0] < len(words):
            ctx.set(dut.word, 0)
            await ctx.tick()
            if ctx.get(dut.there) and rng.random() >= stall:
                ctx.set(dut.word, 1)
                begun[0] += 1
                await ctx.tick()
        ctx.set(dut.word, 0)
        await ctx.tick()
        assert not ctx.get(dut.there)

    async def results(ctx):
        for word in words:
            while begun[0] == used[0]:
                await ctx.tick()
            for n in range(len(word[0])):
                while rng.random() < stall:
                    ctx.set(dut.take, 0)
                    await ctx.tick()
                ctx.set(dut.take, 1)
                ctx.set(dut.end, n == len(word[0]) - 1)
                ctx.set(dut.single, len(word) == 1)
                for lane, codes in enumerate(word):
                    assert ctx.get(dut.o[lane]) == codes[n]
                await ctx.tick()
            ctx.set(dut.take, 0)
            ctx.set(dut.end, 0)
            used[0] += 1

    simulate(dut, host, memory, issue, results, limit=40_000)


def test_it_reads_ahead_and_no_further():
    rng = np.random.default_rng(1)
    job = layer(rng, 16, 8, 64, residual=rng.integers(-128, 128, (16, 64)), residual_scale=(1, 0))
    dut, asked = LinearResidual(config=TINY), [0]

    async def body(ctx):
        ctx.set(dut.job, fields_of(job, TINY))
        ctx.set(dut.valid, 1)
        ctx.set(dut.command.ready, 1)
        for _ in range(200):
            _, _, valid = await ctx.tick().sample(dut.command.valid)
            asked[0] += valid
        assert not ctx.get(dut.taken)

    simulate(dut, body)
    assert asked[0] == 2 * WORDS

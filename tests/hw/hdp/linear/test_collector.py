# SPDX-License-Identifier: Apache-2.0
"""Words against results put side by side."""

from random import Random

import pytest

from prunus.hw.hdp.linear.collector import WORDS, LinearCollector
from tests.hw.helpers import receive, simulate


def _words(rng, count):
    """Words as (wide, results of each lane, single)."""
    words = []
    for _ in range(count):
        wide = rng.random() < 0.4
        size, bits = (4, 32) if wide else (rng.choice([8, 16, 16]), 8)
        lanes = [[rng.getrandbits(bits) for _ in range(size)] for _ in range(2)]
        words.append((wide, lanes, rng.random() < 0.3))
    return words


def _packed(lane, bits):
    return sum(value << n * bits for n, value in enumerate(lane))


@pytest.mark.parametrize("stall_in, stall_out", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.8), (0.3, 0.6)])
def test_words(stall_in, stall_out):
    rng = Random(4)
    words, dut, room = _words(rng, 80), LinearCollector(), [WORDS]

    async def source(ctx):
        for wide, lanes, single in words:
            while not room[0]:          # who issues sees to it
                await ctx.tick()
            room[0] -= 1
            for n in range(len(lanes[0])):
                while rng.random() < stall_in:
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.i.ends, rng.random() < 0.5)
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.wide, wide)
                junk = 0 if wide else rng.getrandbits(24) << 8
                ctx.set(dut.i, {"lanes": [lane[n] | junk for lane in lanes], "single": single,
                                "ends": n == len(lanes[0]) - 1})
                await ctx.tick()
            ctx.set(dut.valid, 0)

    async def sink(ctx):
        for wide, lanes, single in words:
            [word] = await receive(ctx, dut.o, 1, rng, stall_out)
            room[0] += 1
            assert (word.short, word.single) == (not wide and len(lanes[0]) == 8, single)
            assert list(word.lanes) == [_packed(lane, 32 if wide else 8) for lane in lanes]

    simulate(dut, source, sink)

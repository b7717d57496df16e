# SPDX-License-Identifier: Apache-2.0
"""The array of P.V against integer arithmetic."""

import numpy as np
import pytest

from prunus.golden.softmax import MANT_BITS, SHIFT_STEP
from prunus.hw.hdp.value_array import NEAR, ValueArray
from prunus.hw.softmax.quantise import STEPS
from tests.hw.hdp.heads import small_config
from tests.hw.hdp.test_array import codes, word_of
from tests.hw.helpers import simulate

# Multipliers, width and the chance of a cycle without an operation: outputs that share registers
# are some, just as many as may, and more of them.
CASES = [(8, 8, 0.0), (8, 8, 0.4), (8, 12, 0.3), (4 * NEAR, 8, 0.2), (8 * NEAR, 8, 0.1)]
MOST = (1 << MANT_BITS) - 1


class Chunk:
    """T outputs of two queries over some pairs of keys."""

    def __init__(self, rng, config, pairs, extreme=False):
        self.v = codes(rng, config.codes_of("v"), (pairs, 2, config.taps))
        self.mant = rng.integers(-MOST, MOST + 1, (pairs, 2, 2))
        self.shift = rng.integers(0, STEPS + 1, (pairs, 2))
        if extreme:
            self.v[:] = config.min_code
            self.mant[:] = [[MOST], [-MOST]]
            self.shift[:] = STEPS

    def expected(self):
        w = self.mant << (SHIFT_STEP * self.shift)[..., None]
        return np.einsum("cqk,ckt->qt", w, self.v).tolist()

    def weights(self, n):
        return [{"shift": int(self.shift[n, q]),
                 "mant": [{"mag": abs(int(x)), "sign": int(x < 0)} for x in self.mant[n, q]]}
                for q in range(2)]


def run(config, chunks, bubbles=0.0):
    """Operations of chunks one after the other; weights a cycle ahead of the values."""
    dut, rng = ValueArray(config=config), np.random.default_rng(3)
    ops = [(chunk, n) for chunk in chunks for n in range(len(chunk.v))]
    got, ends, seen = [], [], []

    async def drive(ctx):
        values, cycle = None, 0
        while ops or values is not None:
            idle = not ops or rng.random() < bubbles
            ctx.set(dut.en, not idle)
            v, values = values, None
            # Where there is no operation anything may lie at the inputs.
            chunk, n = ops.pop(0) if not idle else (chunks[0], 0)
            last = n == len(chunk.v) - 1
            ctx.set(dut.w, chunk.weights(n))
            ctx.set(dut.first, n == 0)
            ctx.set(dut.last, last or idle)
            if not idle:
                values = chunk.v[n]
                if last:
                    ends.append(cycle + 1)
            if v is None:
                v = chunks[0].v[0]
            ctx.set(dut.v.as_value(), word_of(v, v < 0, config.width))
            await ctx.tick()
            cycle += 1
        ctx.set(dut.en, 0)
        await ctx.tick().repeat(dut.latency + 1)

    async def watch(ctx):
        cycle = 0
        while True:
            if ctx.get(dut.value_valid):
                seen.append(cycle)
                got.append([[ctx.get(dut.value[q][n]) for n in range(config.taps)]
                            for q in range(2)])
            await ctx.tick()
            cycle += 1

    simulate(dut, drive, background=[watch])
    assert got == [chunk.expected() for chunk in chunks]
    assert seen == [end + dut.latency for end in ends]


@pytest.mark.parametrize("multipliers, width, bubbles", CASES)
def test_chunks(multipliers, width, bubbles):
    config = small_config(multipliers=multipliers, width=width, value_array="own")
    rng = np.random.default_rng(5)
    run(config, [Chunk(rng, config, int(rng.integers(1, 6))) for _ in range(12)], bubbles)


@pytest.mark.parametrize("width", [8, 12])
def test_extremes(width):
    """The largest products of either sign, as many as the longest row has."""
    config = small_config(multipliers=8, width=width, value_array="own")
    rng = np.random.default_rng(6)
    run(config, [Chunk(rng, config, config.blocks, extreme=True), Chunk(rng, config, 1)])

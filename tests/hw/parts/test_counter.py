# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import Module, Signal

from prunus.hw.parts.counter import count
from tests.hw.helpers import simulate


@pytest.mark.parametrize("bits, most", [(32, 1), (32, 8), (12, 63), (32, 100)])
def test_counts(bits, most):
    m, rng = Module(), Random(most)
    value, step, clear = Signal(bits), Signal(range(most + 1)), Signal()
    count(m, value, step, clear)

    async def testbench(ctx):
        expected = 0
        for _ in range(2000):
            grows = rng.choice([0, most, rng.randint(0, most)])
            cleared = rng.random() < 0.002
            ctx.set(step, grows)
            ctx.set(clear, cleared)
            await ctx.tick()
            expected = 0 if cleared else (expected + grows) % (1 << bits)
            assert ctx.get(value) == expected
        assert expected > 16

    simulate(m, testbench)

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from prunus.hw.arith.rounding import clamped, halved
from prunus.hw.parts.pipeline import delayed


@pytest.mark.parametrize("width", [1, 2, 4, 6, 7])
def test_halved_and_clamped(width):
    m = Module()
    x, half, clamp = Signal(signed(6)), Signal(signed(6)), Signal(signed(8))
    m.d.comb += half.eq(halved(x)), clamp.eq(clamped(x, width))
    values = np.arange(-32, 32)
    seen = []

    async def testbench(ctx):
        for value in values:
            ctx.set(x, int(value))
            seen.append((ctx.get(half), ctx.get(clamp)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    limit = 1 << width - 1
    np.testing.assert_array_equal([h for h, _ in seen], (values + 1) >> 1)
    np.testing.assert_array_equal([c for _, c in seen], np.clip(values, -limit, limit - 1))


def test_delayed():
    m = Module()
    x = Signal(signed(5))
    taps = delayed(m, x, 3, name="x")
    m.d.sync += x.eq(x + 1)
    seen = []

    async def testbench(ctx):
        for _ in range(8):
            seen.append([ctx.get(tap) for tap in taps])
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen == [[n, *(max(n - back, 0) for back in (1, 2, 3))] for n in range(8)]

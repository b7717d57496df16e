# SPDX-License-Identifier: Apache-2.0
"""The multiplier that the composable one is measured against multiplies."""

import pytest
from amaranth.sim import Simulator

from golden.config import load_config
from prunus.synth.plain import PlainMultiplier


@pytest.mark.parametrize("name", ["hdp_tiny", "hdp_w12"])
def test_products(name):
    config = load_config(name)
    dut = PlainMultiplier(config=config)
    top = (1 << config.width) - 1
    step = 17 if config.width == 8 else 251
    pairs = [(x, y) for x in (*range(0, top, step), top) for y in (*range(0, top, step), top)]

    async def bench(ctx):
        for n in range(len(pairs) + dut.latency):
            if n >= dut.latency:
                x, y = pairs[n - dut.latency]
                assert (ctx.get(dut.o), ctx.get(dut.o_sign)) == (x * y, (x ^ y) & 1)
            if n < len(pairs):
                x, y = pairs[n]
                ctx.set(dut.x, {"mag": x, "sign": x & 1})
                ctx.set(dut.y, {"mag": y, "sign": y & 1})
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()

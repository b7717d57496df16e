# SPDX-License-Identifier: Apache-2.0
"""What blocks are measured against does its work: multiplier, accumulator, loader of rows."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from prunus.golden.engines import load_config
from prunus.golden.leopard import digits
from prunus.synth.plain import PlainAccumulator, PlainMultiplier, PlainRowLoader
from tests.hw.helpers import send, simulate
from tests.hw.leopard.heads import codes, pieces


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


@pytest.mark.parametrize("name", ["leopard_tiny", "leopard_ae", "leopard_base"])
def test_scores(name):
    """Of keys in digits, all of them read; the ends of the range of codes among them."""
    config = load_config(name)
    rng, taps = np.random.default_rng(1), config.taps
    q, keys = codes(rng, config, 20, taps), codes(rng, config, 20, taps)
    q[:2], keys[:2] = config.min_code, np.array([[config.min_code], [config.max_code]])
    dut = PlainAccumulator(config=config)

    async def bench(ctx):
        for query, key in zip(q, keys, strict=True):
            planes = digits.planes(key, width=config.width, digit=config.digit)
            for n, plane in enumerate(planes):
                ctx.set(dut.total, int(query @ plane))
                ctx.set(dut.digit, n)
                ctx.set(dut.first, n == 0)
                await ctx.tick()
            assert ctx.get(dut.o) == query @ key

    simulate(dut, bench)


def test_rows_are_loaded_without_a_threshold():
    """Pieces go where those of the row loader go; four rows at a time."""
    config = load_config("leopard_tiny")
    q = codes(np.random.default_rng(2), config, 6, 16)
    dut, written = PlainRowLoader(config=config, tag_width=3), []

    async def rows(ctx):
        await send(ctx, dut.row, [{"keys": n, "d8": 2, "threshold": 99, "tag": n}
                                  for n in range(len(q))])

    async def queries(ctx):
        await send(ctx, dut.query, [piece for row in q for piece in pieces(row)])

    async def watch(ctx):
        while True:
            _, _, write = await ctx.tick().sample(dut.write)
            if write.en:
                written.append((write.place.slot, write.lane, write.last, [
                    tap.mag if tap.positive else -tap.mag for tap in write.taps]))

    async def rest(ctx):
        await ctx.tick().repeat(40)
        assert ctx.get(dut.loaded) == 4
        ctx.set(dut.freed, 2)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.loaded) == 6
        assert [ctx.get(tag) for tag in dut.tags] == [4, 5, 2, 3]

    simulate(dut, rows, queries, rest, background=[watch])
    assert written == [(n % 4, lane, lane == 1, piece) for n, row in enumerate(q)
                       for lane, piece in enumerate(pieces(row))]

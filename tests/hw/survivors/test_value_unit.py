# SPDX-License-Identifier: Apache-2.0
"""Sums of weights times values, chunk by chunk, and what is asked of the buffer."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.softmax import EXP_FRAC, SHIFT_STEP
from prunus.hw.softmax.quantise import STEPS
from prunus.hw.survivors.value_unit import VALUES, ValueUnit
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.leopard.heads import codes

CONFIGS = [LeopardConfig(name=name, l_max=16, **fields) for name, fields in {
    "one": {"width": 8, "d_max": 16}, "chunks": {"width": 12, "d_max": 24, "taps": 8},
    "w16": {"width": 16, "d_max": 16, "taps": 8}}.items()]


def random_rows(rng, count):
    """Rows of (key, magnitude, shift), weights up to 1; of one without survivors None."""
    rows = []
    for _ in range(count):
        rows.append(None if rng.random() < 0.2 else [])
        for _ in range(rng.choice([1, 1, 2, 5, 16]) if rows[-1] is not None else 0):
            shift = rng.randrange(STEPS + 1)
            largest = min(255, 1 << EXP_FRAC - SHIFT_STEP * shift)
            rows[-1].append((rng.randrange(16), rng.choice(
                [0, 1, largest, rng.randrange(largest)]), shift))
    return rows


def weights(rows):
    for row in rows:
        for n, (key, mag, shift) in enumerate(row or [(0, 0, 0)]):
            yield {"key": key, "mag": mag, "shift": shift, "first": n == 0, "none": row is None,
                   "last": n == len(row or [0]) - 1, "tag": 0}


class Buffer:
    """Values of two banks, two cycles late; counts what it was asked for."""

    def __init__(self, dut, v, taps):
        self.dut, self.taps, self.asked = dut, taps, 0
        self.v = np.pad(v, ((0, 0), (0, 0), (0, -v.shape[2] % taps)))

    async def serve(self, ctx):
        dut, coming = self.dut, None
        while True:
            _, _, en, bank, row, chunk = await ctx.tick().sample(
                dut.en, dut.row_bank, dut.row, dut.chunk)
            if coming is not None:
                ctx.set(dut.data, coming)
            self.asked += en
            coming = self.v[bank, row, self.taps * chunk :][: self.taps].tolist() if en else None


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(config, stall_in, stall_out):
    rng = Random(config.name)
    v = codes(np.random.default_rng(1), config, 2, 16, config.d_max)
    dut = ValueUnit(config=config)
    buffer, got, wanted = Buffer(dut, v, config.taps), [], []
    heads = [(bank, d, random_rows(rng, 20))
             for bank, d in ((0, config.d_max), (1, 8), (1, config.d_max))]
    chunks = [-(-d // config.taps) for _, d, _ in heads]

    async def give(ctx):
        for bank, d, rows in heads:
            ctx.set(dut.bank, bank)
            ctx.set(dut.d8, d // 8)
            await send(ctx, dut.i, weights(rows), rng, stall_in)

    async def take(ctx):
        for (_, _, rows), count in zip(heads, chunks, strict=True):
            got.extend(await receive(ctx, dut.o, count * len(rows), rng, stall_out))

    simulate(dut, give, take, background=[buffer.serve])
    for (bank, _, rows), count in zip(heads, chunks, strict=True):
        for row in rows:
            total = sum((mag << SHIFT_STEP * shift) * buffer.v[bank, key]
                        for key, mag, shift in row or [(0, 0, 0)])
            wanted += np.reshape(total, (-1, config.taps))[:count].tolist()
    assert [list(chunk) for chunk in got] == wanted
    assert buffer.asked == sum(count * sum(len(row or ()) for row in rows)
                               for (_, _, rows), count in zip(heads, chunks, strict=True))


def test_latency_and_room():
    """A row is there so many cycles after its last weight; the last weight of one too many
    waits."""
    config = CONFIGS[0]
    dut, times = ValueUnit(config=config), []

    async def give(ctx):
        ctx.set(dut.d8, 2)
        assert await send(ctx, dut.i, weights([[(0, 1, 0)]] * VALUES)) == VALUES
        one, = weights([[(0, 1, 0)]])
        ctx.set(dut.i.payload, one)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.i.payload, {**one, "last": 0})
        assert ctx.get(dut.i.ready)
        ctx.set(dut.i.payload, one)
        assert await receive(ctx, dut.o, 1)
        assert ctx.get(dut.i.ready)

    async def watch(ctx):
        cycle = 0
        while True:
            _, _, taken, valid = await ctx.tick().sample(dut.i.ready & dut.i.valid, dut.o.valid)
            cycle += 1
            if taken and not times or valid and len(times) == 1:
                times.append(cycle)

    simulate(dut, give, background=[watch])
    assert times[1] - times[0] == dut.latency


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_reset_leaves_nothing_of_a_row(config):
    """At any cycle of its way; the row behind it is right, in all its chunks."""
    v = codes(np.random.default_rng(2), config, 2, 16, config.d_max)
    dut, reset = ValueUnit(config=config), Signal()
    buffer, chunks = Buffer(dut, v, config.taps), -(-config.d_max // config.taps)
    wanted = np.reshape(3 * buffer.v[0, 5], (-1, config.taps))[:chunks].tolist()

    async def bench(ctx):
        ctx.set(dut.d8, config.d_max // 8)
        for cycle in range(dut.latency + 3):
            await send(ctx, dut.i, weights([[(4, 1, 0)]]))
            for _ in range(cycle):
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            for _ in range(2 * dut.latency):
                assert not ctx.get(dut.o.valid), f"after {cycle} cycles"
                await ctx.tick()
            await send(ctx, dut.i, weights([[(5, 3, 0)]]))
            got = await receive(ctx, dut.o, chunks)
            assert [list(chunk) for chunk in got] == wanted, f"after {cycle} cycles"

    simulate(ResetInserter(reset)(dut), bench, background=[buffer.serve])

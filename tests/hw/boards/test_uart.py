# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import Module

from prunus.hw.boards.uart import UartReceiver, UartTransmitter
from tests.hw.helpers import PERIOD, refusal, send, simulate


async def listen(ctx, strobed, got: list):
    """Collect the payloads of a Strobed."""
    while True:
        _, _, valid, payload = await ctx.tick().sample(strobed.valid, strobed.payload)
        if valid:
            got.append(payload)


@pytest.mark.parametrize("divisor", [4, 5, 13])
def test_there_and_back(divisor):
    m = Module()
    m.submodules.tx = tx = UartTransmitter(divisor=divisor)
    m.submodules.rx = rx = UartReceiver(divisor=divisor)
    m.d.comb += rx.rx.eq(tx.tx)
    rng = Random(divisor)
    values = [0x00, 0xFF, 0x55, 0xAA, *rng.randbytes(20)]
    got = []

    async def testbench(ctx):
        cycles = await send(ctx, tx.i, values)
        await ctx.tick().repeat(12 * divisor)
        assert cycles <= 10 * divisor * len(values)         # no pause between bytes
        assert [(p.data, p.error) for p in got] == [(value, 0) for value in values]

    async def listener(ctx):
        await listen(ctx, rx.o, got)

    simulate(m, testbench, background=(listener,))


@pytest.mark.parametrize("drift", [-0.03, 0.0, 0.03])
def test_another_clock(drift):
    """The sender's clock differs and is in no phase with ours."""
    divisor = 16
    rx = UartReceiver(divisor=divisor)
    values = [0x00, 0xFF, 0x81, *Random(1).randbytes(20)]
    got = []

    async def testbench(ctx):
        bit = divisor * PERIOD * (1 + drift)
        await ctx.delay(PERIOD * 30.4)
        for value in values:
            for level in (0, *(value >> n & 1 for n in range(8)), 1):
                ctx.set(rx.rx, level)
                await ctx.delay(bit)
        await ctx.delay(bit)
        assert [(p.data, p.error) for p in got] == [(value, 0) for value in values]

    async def listener(ctx):
        await listen(ctx, rx.o, got)

    simulate(rx, testbench, background=(listener,))


def test_noise_and_a_broken_line():
    """A spike is no start bit; a byte without its stop bit is an error, one for the whole break."""
    divisor = 8
    rx = UartReceiver(divisor=divisor)
    got = []

    async def testbench(ctx):
        async def hold(level, cycles):
            ctx.set(rx.rx, level)
            await ctx.tick().repeat(cycles)

        await hold(1, 20)
        await hold(0, 2)
        await hold(1, 12 * divisor)
        assert got == []
        await hold(0, 25 * divisor)
        await hold(1, 12 * divisor)
        assert [(p.data, p.error) for p in got] == [(0, 1)]
        for level in (0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1):
            await hold(level, divisor)
        assert [(p.data, p.error) for p in got[1:]] == [(0b101, 0)]

    async def listener(ctx):
        await listen(ctx, rx.o, got)

    simulate(rx, testbench, background=(listener,))


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [3, 65537])
def test_refused(kind, divisor):
    assert refusal(lambda: kind(divisor=divisor)) == (
        f"divisor must lie in 4..65536, not {divisor}")

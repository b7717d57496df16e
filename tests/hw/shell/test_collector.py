# SPDX-License-Identifier: Apache-2.0
"""The write collector: bursts that are whole when they are asked for."""

from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.shell.collector import WriteCollector
from tests.hw.helpers import receive, refusal, send, simulate, stall_cases

CONFIGS = [load_config("hdp_tiny"), HdpConfig(name="wide", axi_data_width=512)]


def _bursts(requests, size, burst):
    """Requests cut where their addresses are multiples of a burst."""
    for address, beats in requests:
        while beats:
            now = min(beats, burst - address // size % burst)
            yield address, now
            address, beats = address + now * size, beats - now


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("burst", [4, 16])
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_bursts(config, burst, stall_in, stall_out):
    rng = Random(f"{config.name}{burst}{stall_in}{stall_out}")
    size = config.axi_data_width // 8
    requests = [(size * rng.randrange(1 << 16), rng.choice([1, 2, rng.randint(1, 70)]))
                for _ in range(25)]
    expected = list(_bursts(requests, size, burst))
    words = [rng.getrandbits(8 * size) for _, beats in requests for _ in range(beats)]
    dut = WriteCollector(config=config, burst=burst)
    counted = {"in": 0, "claimed": 0}

    async def source(ctx):
        await send(ctx, dut.req, [{"address": a, "beats": b} for a, b in requests], rng, stall_in)

    async def beats(ctx):
        await send(ctx, dut.i, [{"data": word} for word in words], rng, stall_in)

    async def asked(ctx):
        got = await receive(ctx, dut.burst, len(expected), rng, stall_out)
        assert [(r.address, r.beats) for r in got] == expected

    async def sink(ctx):
        got = await receive(ctx, dut.o, len(words), rng, stall_out)
        assert [beat.data for beat in got] == words
        for _ in range(5):
            await ctx.tick()
        assert ctx.get(dut.idle)

    async def watch(ctx):
        """A burst is asked for only when all its beats have come."""
        while True:
            _, _, valid, ready, more, asks, taken, count, idle = await ctx.tick().sample(
                dut.i.valid, dut.i.ready, dut.o.valid, dut.burst.valid, dut.burst.ready,
                dut.burst.payload.beats, dut.idle)
            if asks:
                assert counted["in"] - counted["claimed"] >= count
                counted["claimed"] += count * taken
            if counted["in"] - counted["claimed"] or more:
                assert not idle
            counted["in"] += valid & ready

    simulate(dut, source, beats, asked, sink, background=[watch])


def test_a_beat_per_cycle():
    dut = WriteCollector(config=CONFIGS[0])
    count = 200

    async def source(ctx):
        await send(ctx, dut.req, [{"address": 0, "beats": count}])

    async def beats(ctx):
        # The first two bursts fill the FIFO while the first is being asked for.
        assert await send(ctx, dut.i, [{"data": n} for n in range(count)]) == count

    async def asked(ctx):
        await receive(ctx, dut.burst, -(-count // 16))

    async def sink(ctx):
        while not ctx.get(dut.burst.valid):
            await ctx.tick()
        await receive(ctx, dut.o, count)

    simulate(dut, source, beats, asked, sink)


def test_idle_falls_with_a_request_and_with_a_beat():
    for which in ("req", "i"):
        dut = WriteCollector(config=CONFIGS[0])

        async def body(ctx, dut=dut, which=which):
            assert ctx.get(dut.idle)
            if which == "req":
                await send(ctx, dut.req, [{"address": 64, "beats": 3}])
            else:
                await send(ctx, dut.i, [{"data": 3}])
            for _ in range(6):
                assert not ctx.get(dut.idle) and not ctx.get(dut.burst.valid)
                await ctx.tick()

        simulate(dut, body)


def test_bad_burst():
    text = refusal(lambda: WriteCollector(config=CONFIGS[0], burst=24))
    assert text == "burst must be a power of two in 1..256, not 24"

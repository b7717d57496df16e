# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.hw.shell.bursts import BurstSplitter
from tests.hw.helpers import receive, refusal, send, simulate, stall_cases


def _requests(rng, count, beat_bytes, most):
    return [{"address": rng.randrange(1 << 20) * beat_bytes, "beats": rng.randint(1, most),
             "tag": rng.randrange(8)} for _ in range(count)]


def _bursts(requests, beat_bytes, burst):
    """Cut at every multiple of the burst size."""
    bursts = []
    for request in requests:
        first = request["address"] // beat_bytes
        index, end = first, first + request["beats"]
        while index < end:
            stop = min(end, (index // burst + 1) * burst)
            bursts.append({"address": index * beat_bytes, "beats": stop - index,
                           "last": stop == end, "tag": request["tag"]})
            index = stop
    return bursts


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
@pytest.mark.parametrize("preset, burst", [
    ("hdp_tiny", 16), ("hdp_tiny", 1), ("hdp_tiny", 256), ("hdp_w12", 16)])
def test_bursts(preset, burst, stall_in, stall_out):
    config = load_config(preset)
    dut = BurstSplitter(config=config, burst=burst, tag_width=3)
    rng = Random(f"{preset}{burst}{stall_in}")
    beat_bytes = config.axi_data_width // 8
    requests = (_requests(rng, 40, beat_bytes, 3) + _requests(rng, 20, beat_bytes, 4 * burst)
                + [{"address": 0xFF8 // beat_bytes * beat_bytes, "beats": 2 * burst, "tag": 7}])
    expected = _bursts(requests, beat_bytes, burst)

    async def source(ctx):
        await send(ctx, dut.i, requests, rng, stall_in)

    async def sink(ctx):
        got = await receive(ctx, dut.o, len(expected), rng, stall_out)
        assert got == expected
        await ctx.tick()
        assert not ctx.get(dut.o.valid)
        assert not ctx.get(dut.busy)

    simulate(dut, source, sink)


def test_longest_request():
    config = load_config("hdp_tiny")
    dut = BurstSplitter(config=config, burst=256)
    beats = (1 << 20) - 1
    request = {"address": 0x8000_0008, "beats": beats}

    async def source(ctx):
        await send(ctx, dut.i, [request])

    async def sink(ctx):
        got = await receive(ctx, dut.o, 4096)
        assert sum(burst.beats for burst in got) == beats
        assert [burst.last for burst in got] == [0] * 4095 + [1]
        assert got[-1].address == 0x8000_0000 + 4095 * 2048

    simulate(dut, source, sink)


def test_one_burst_per_cycle():
    config = load_config("hdp_tiny")
    dut = BurstSplitter(config=config, burst=16)
    requests = [{"address": 128 * n, "beats": 16} for n in range(50)]
    requests += [{"address": 8 * n, "beats": 1} for n in range(50)]

    async def source(ctx):
        await send(ctx, dut.i, requests)

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for _ in range(99):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert valid

    simulate(dut, source, sink)


@pytest.mark.parametrize("preset, arguments, text", [
    ("hdp_tiny", {"burst": 0}, "burst must be a power of two in 1..256, not 0"),
    ("hdp_tiny", {"burst": 12}, "burst must be a power of two in 1..256, not 12"),
    ("hdp_tiny", {"burst": 512}, "burst must be a power of two in 1..256, not 512"),
    ("hdp_tiny", {"tag_width": 65}, "tag_width must lie in 0..64, not 65"),
])
def test_bad_arguments(preset, arguments, text):
    assert refusal(lambda: BurstSplitter(config=load_config(preset), **arguments)) == text

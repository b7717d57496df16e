# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.golden.registers import Cause
from prunus.hw.shell.reader import Reader
from tests.hw.helpers import AxiMemory, receive, refusal, send, simulate, stall_cases

SIZE = 1 << 16
RESPONSES = [0b10, 0b11]


def _beat_bytes(config):
    return config.axi_data_width // 8


def _requests(rng, count, beat_bytes, tag_width=3):
    """Short and long runs, every third across a 4 KB border."""
    requests = []
    for n in range(count):
        beats = rng.choice([1, 2, rng.randint(1, 16), rng.randint(1, 70)])
        first = rng.randrange(SIZE // beat_bytes - beats)
        if n % 3 == 0:
            border = rng.randrange(1, SIZE >> 12) * 4096 // beat_bytes
            first = border - rng.randint(0, beats)
        requests.append({"address": first * beat_bytes, "beats": beats,
                         "tag": rng.randrange(1 << tag_width)})
    return requests


def _expected(requests, memory):
    size = memory.beat_bytes
    beats = []
    for request in requests:
        for n in range(request["beats"]):
            at = request["address"] + n * size
            beats.append({"data": int.from_bytes(memory.data[at : at + size], "little"),
                          "tag": request["tag"], "last": n == request["beats"] - 1,
                          "error": at in memory.bad and memory.resp >= 2})
    return beats


def _run(dut, config, requests, memory, rng, stall_in=0.0, stall_out=0.0, limit=20_000):
    """Cycles from the first request to the last beat; the beats are compared."""
    expected = _expected(requests, memory)
    counted = {"cycles": 0, "last": 0, "beat": 0}

    async def source(ctx):
        await send(ctx, dut.req, requests, rng, stall_in)

    async def sink(ctx):
        assert await receive(ctx, dut.o, len(expected), rng, stall_out) == expected
        await ctx.tick()
        assert counted["beat"] == len(expected)
        for _ in range(memory.latency + 8):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    async def serve(ctx):
        await memory.reads(ctx, dut.axi)

    async def monitor(ctx):
        while True:
            _, _, beat, rready, valid, ready = await ctx.tick().sample(
                dut.beat, dut.axi.rready, dut.o.valid, dut.o.ready)
            assert rready, "the reader stalled the bus"
            counted["cycles"] += 1
            counted["beat"] += beat
            if valid and ready:
                counted["last"] = counted["cycles"]

    simulate(dut, source, sink, background=[serve, monitor], limit=limit)
    assert sum(beats for _, beats in memory.read_bursts) == len(expected)
    return counted["last"]


def _memory(config, rng, **arguments):
    return AxiMemory(bytearray(rng.randbytes(SIZE)), config.axi_data_width, rng=rng, **arguments)


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
@pytest.mark.parametrize("preset, burst", [("hdp_tiny", 16), ("hdp_tiny", 4), ("hdp_w12", 16)])
def test_data(preset, burst, stall_in, stall_out):
    config = load_config(preset)
    rng = Random(f"{preset}{burst}{stall_in}{stall_out}")
    dut = Reader(config=config, tag_width=3, burst=burst)
    memory = _memory(config, rng, burst=burst, latency=rng.choice([1, 2, 9, 40]), stall=stall_in)
    _run(dut, config, _requests(rng, 40, _beat_bytes(config)), memory, rng, stall_in, stall_out)


def test_slow_memory_with_one_burst_at_a_time():
    config = load_config("hdp_tiny")
    rng = Random(1)
    dut = Reader(config=config, tag_width=3)
    memory = _memory(config, rng, latency=5, stall=0.8, max_reads=1)
    _run(dut, config, _requests(rng, 15, 8), memory, rng, limit=40_000)


@pytest.mark.parametrize("resp, bad", [(0b10, 1), (0b11, 1), (0b01, 0)])
def test_errors_mark_their_beats(resp, bad):
    config = load_config("hdp_tiny")
    rng = Random(resp)
    dut = Reader(config=config, tag_width=3)
    requests = _requests(rng, 30, 8)
    addresses = {r["address"] + 8 * rng.randrange(r["beats"]) for r in requests[::2]}
    memory = _memory(config, rng, latency=4, stall=0.2, bad=addresses, resp=resp)
    assert any(beat["error"] for beat in _expected(requests, memory)) == bad
    _run(dut, config, requests, memory, rng, 0.2, 0.2)


@pytest.mark.parametrize("latency", [1, 32])
@pytest.mark.parametrize("count, beats", [(1, 1000), (125, 8), (20, 50), (300, 3)])
def test_one_beat_per_cycle(latency, count, beats):
    config = load_config("hdp_edge")
    rng = Random(count)
    dut = Reader(config=config, tag_width=3)
    memory = _memory(config, rng, latency=latency)
    # Aligned, unaligned and adjacent runs alike.
    requests = [{"address": (n * beats + 3) * 8, "beats": beats, "tag": n % 8}
                for n in range(count)]
    cycles = _run(dut, config, requests, memory, rng)
    assert cycles == count * beats + latency + 4


WINDOWS = {0: (0x1000, 0x2FFF), 1: (0x40, 0x7F)}


def _inside(request):
    base, limit = WINDOWS[request.get("record", 0)]
    return base <= request["address"] and request["address"] + 8 * request["beats"] - 1 <= limit


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_nothing_is_read_outside_the_window(stall):
    """Beats of refused requests come in their place, with an error, and tell of themselves."""
    rng = Random(5)
    config = load_config("hdp_tiny")
    dut = Reader(config=config, tag_width=3)
    memory = _memory(config, rng, latency=7, stall=stall)
    border = [(0x1000, 1), (0x0FF8, 1), (0x0FF8, 2), (0x2FF8, 1), (0x2FF8, 2), (0x3000, 1),
              (0x1000, 1024), (0x1000, 1025), (0xFFFF_FFC0, 8), (0xFFFF_FFC0, 9),
              (0xFFFF_FF80, 1000), (0xFFFF_FFF8, 1), (0, 1)]
    requests = [{"address": address, "beats": beats} for address, beats in border]
    requests += [{"address": rng.randrange(0x800) * 8, "beats": rng.randint(1, 40),
                  "record": rng.randrange(2)} for _ in range(60)]
    requests += [{"address": 0x40, "beats": 8, "record": 1}, {"address": 0x48, "beats": 8,
                                                              "record": 1}]
    requests = [{**request, "tag": rng.randrange(8), "job": n}
                for n, request in enumerate(requests)]
    expected, faults = [], []
    for request in requests:
        beats = _expected([request], memory)
        expected += beats if _inside(request) else [
            {**beat, "data": None, "error": 1} for beat in beats]

    async def source(ctx):
        ctx.set(dut.windows, [{"base": base >> 6, "limit": limit >> 6}
                              for base, limit in WINDOWS.values()])
        await send(ctx, dut.req, requests, rng, stall)

    async def sink(ctx):
        got = await receive(ctx, dut.o, len(expected), rng, stall)
        for beat, want in zip(got, expected, strict=True):
            assert (beat.tag, beat.last, beat.error) == (want["tag"], want["last"], want["error"])
            assert want["data"] in (None, beat.data)
        await ctx.tick()
        assert not ctx.get(dut.busy)

    async def watch(ctx):
        while True:
            _, _, fault = await ctx.tick().sample(dut.fault)
            if fault.valid:
                assert fault.cause == Cause.WINDOW
                faults.append(fault.job)

    async def serve(ctx):
        await memory.reads(ctx, dut.axi)

    simulate(dut, source, sink, background=[watch, serve])
    assert sorted(set(faults)) == [r["job"] for r in requests if not _inside(r)]
    assert sum(beats for _, beats in memory.read_bursts) == sum(
        r["beats"] for r in requests if _inside(r))


def test_beats_that_nobody_has_asked_for():
    """Those of before a reset are dropped until something is asked for."""
    dut = Reader(config=load_config("hdp_tiny"))

    async def bench(ctx):
        ctx.set(dut.axi.rvalid, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(20):
            _, _, ready, valid, busy = await ctx.tick().sample(
                dut.axi.rready, dut.o.valid, dut.busy)
            assert (ready, valid, busy) == (1, 0, 0)

    simulate(dut, bench)


def test_stop():
    """At any cycle: no further address, and the beats of those before all come."""
    config, rng = load_config("hdp_tiny"), Random(2)
    dut = Reader(config=config)
    memory = _memory(config, rng, latency=3, stall=0.3)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(25):
            await send(ctx, dut.req, [{"address": 0, "beats": 64}])
            for _ in range(cycle):
                await ctx.tick()
            ctx.set(dut.stop, 1)
            valid = True
            while ctx.get(dut.busy) or valid:
                before = valid
                _, _, valid = await ctx.tick().sample(dut.axi.arvalid)
                assert before or not valid
            ctx.set(dut.stop, 0)
            for _ in range(200):
                await ctx.tick()
            assert sum(beats for _, beats in memory.read_bursts) == 64 * (cycle + 1)

    async def serve(ctx):
        await memory.reads(ctx, dut.axi)

    simulate(dut, bench, background=[serve])


def test_stalled_consumer_bounds_what_is_asked_for():
    config = load_config("hdp_tiny")
    rng = Random(3)
    dut = Reader(config=config, depth=32)
    memory = _memory(config, rng)

    async def source(ctx):
        await send(ctx, dut.req, [{"address": 0, "beats": 500, "tag": 0}])
        for _ in range(100):
            await ctx.tick()
        # The beat in the output register gave its credit back, which is no burst's worth.
        assert memory.read_bursts == [(0, 16), (128, 16)]

    async def serve(ctx):
        await memory.reads(ctx, dut.axi)

    simulate(dut, source, background=[serve])


@pytest.mark.parametrize("arguments, text", [
    ({"tag_width": 0}, "tag_width must lie in 1..64, not 0"),
    ({"burst": 7}, "burst must be a power of two in 1..256, not 7"),
    ({"depth": 16}, "depth must be a power of two of at least 32, not 16"),
    ({"depth": 48}, "depth must be a power of two of at least 32, not 48"),
])
def test_bad_arguments(arguments, text):
    assert refusal(lambda: Reader(config=load_config("hdp_tiny"), **arguments)) == text

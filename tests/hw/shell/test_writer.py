# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import ResetInserter, Signal

from prunus.golden.engines import load_config
from prunus.golden.records import Error
from prunus.golden.registers import Cause
from prunus.hw.shell.writer import Writer
from tests.hw.helpers import AxiMemory, refusal, send, simulate, stall_cases

SIZE = 1 << 16
FILL = 0xA5


def _requests(rng, count, beat_bytes):
    """Runs that do not overlap, from all over the memory and often across a 4 KB border."""
    requests, first = [], 0
    while len(requests) < count:
        first += rng.choice([0, 0, rng.randrange(60)])
        beats = rng.choice([1, 2, rng.randint(1, 16), rng.randint(1, 70)])
        requests.append({"address": first * beat_bytes, "beats": beats})
        first += beats
    assert first * beat_bytes <= SIZE
    rng.shuffle(requests)
    return requests


def _run(dut, requests, memory, rng, stall_req=0.0, stall_data=0.0, limit=20_000):
    """Cycles from the start to idle, and the bursts with errors; the memory is compared."""
    size = memory.beat_bytes
    words = [rng.getrandbits(8 * size) for r in requests for _ in range(r["beats"])]
    expected = bytearray([FILL]) * SIZE
    left = iter(words)
    for request in requests:
        for n in range(request["beats"]):
            at = request["address"] + n * size
            expected[at : at + size] = next(left).to_bytes(size, "little")
    counted = {"beat": 0, "error": 0}
    sent = []
    cycles = []

    async def source(ctx):
        await send(ctx, dut.req, requests, rng, stall_req)
        sent.append("req")

    async def data(ctx):
        await send(ctx, dut.i, [{"data": word} for word in words], rng, stall_data)
        sent.append("data")

    async def finish(ctx):
        idle = False
        cycle = 0
        while not (idle and len(sent) == 2):
            _, _, idle, beat, error = await ctx.tick().sample(dut.idle, dut.beat, dut.error)
            counted["beat"] += beat
            counted["error"] += error
            cycle += 1
        cycles.append(cycle)
        # All is settled when idle rises: no strobe comes late.
        assert counted["beat"] == len(words)
        assert memory.data == expected
        for _ in range(memory.latency + 8):
            _, _, idle, beat, error = await ctx.tick().sample(dut.idle, dut.beat, dut.error)
            assert (idle, beat, error) == (1, 0, 0)

    async def serve(ctx):
        await memory.writes(ctx, dut.axi)

    # ``finish`` comes last, so that it sees what was sent in the same cycle.
    simulate(dut, source, data, finish, background=[serve], limit=limit)
    assert sum(beats for _, beats in memory.write_bursts) == len(words)
    return cycles[0], counted["error"]


def _memory(config, rng, **arguments):
    return AxiMemory(bytearray([FILL]) * SIZE, config.axi_data_width, rng=rng, **arguments)


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
@pytest.mark.parametrize("preset, burst", [("hdp_tiny", 16), ("hdp_tiny", 4), ("hdp_w12", 16)])
def test_data(preset, burst, stall_in, stall_out):
    config = load_config(preset)
    rng = Random(f"{preset}{burst}{stall_in}{stall_out}")
    dut = Writer(config=config, burst=burst)
    memory = _memory(config, rng, burst=burst, latency=rng.choice([1, 2, 9, 40]), stall=stall_out)
    requests = _requests(rng, 40, config.axi_data_width // 8)
    _, errors = _run(dut, requests, memory, rng, stall_in, stall_in)
    assert errors == 0


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("order", ["aw", "w"])
def test_memory_that_wants_one_channel_first(order, stall):
    config = load_config("hdp_tiny")
    rng = Random(order)
    dut = Writer(config=config)
    memory = _memory(config, rng, latency=3, stall=stall, order=order)
    _run(dut, _requests(rng, 40, 8), memory, rng)


@pytest.mark.parametrize("stall_req, stall_data", [(0.95, 0.0), (0.0, 0.9)])
def test_late_requests_or_data(stall_req, stall_data):
    config = load_config("hdp_tiny")
    rng = Random(7)
    dut = Writer(config=config)
    memory = _memory(config, rng, latency=3, stall=0.3)
    _run(dut, _requests(rng, 25, 8), memory, rng, stall_req, stall_data)


@pytest.mark.parametrize("resp, failing", [(0b10, True), (0b11, True), (0b01, False)])
def test_errors(resp, failing):
    config = load_config("hdp_tiny")
    rng = Random(resp)
    dut = Writer(config=config)
    requests = _requests(rng, 30, 8)
    bad = {r["address"] + 8 * rng.randrange(r["beats"]) for r in requests[::3]}
    memory = _memory(config, rng, latency=6, stall=0.2, bad=bad, resp=resp)
    _, errors = _run(dut, requests, memory, rng, 0.2, 0.2)
    hit = sum(any(at <= b < at + 8 * beats for b in bad) for at, beats in memory.write_bursts)
    assert hit > 0
    assert errors == (hit if failing else 0)


@pytest.mark.parametrize("latency", [1, 32])
@pytest.mark.parametrize("count, beats", [(1, 1000), (125, 8), (20, 50), (300, 3)])
def test_one_beat_per_cycle(latency, count, beats):
    config = load_config("hdp_edge")
    rng = Random(count)
    dut = Writer(config=config)
    memory = _memory(config, rng, latency=latency)
    requests = [{"address": (n * beats + 3) * 8, "beats": beats} for n in range(count)]
    cycles, _ = _run(dut, requests, memory, rng)
    assert cycles == count * beats + latency + max(2, min(beats, 16)) + 4


def test_late_responses():
    """More single bursts than the writer counts, all answered long after."""
    config = load_config("hdp_tiny")
    rng = Random(9)
    dut = Writer(config=config)
    memory = _memory(config, rng, latency=300)
    cycles, _ = _run(dut, [{"address": 8 * n, "beats": 1} for n in range(40)], memory, rng)
    assert 2 * 300 < cycles < 4 * 300       # 16, 16 and 8 bursts wait for each other


def test_address_waits_for_all_data_of_its_burst():
    config = load_config("hdp_tiny")
    dut = Writer(config=config)
    rng = Random(2)
    memory = _memory(config, rng)

    async def bench(ctx):
        assert ctx.get(dut.idle)
        await send(ctx, dut.req, [{"address": 64, "beats": 20}])
        assert not ctx.get(dut.idle)
        await send(ctx, dut.i, [{"data": n} for n in range(7)])
        for _ in range(20):
            _, _, awvalid, wvalid = await ctx.tick().sample(dut.axi.awvalid, dut.axi.wvalid)
            assert not awvalid and not wvalid
        await send(ctx, dut.i, [{"data": 7}])      # the burst to the next multiple of 128
        for _ in range(20):
            await ctx.tick()
        assert memory.write_bursts == [(64, 8)]
        assert not ctx.get(dut.idle)
        await send(ctx, dut.i, [{"data": n} for n in range(12)])
        for _ in range(30):
            await ctx.tick()
        assert memory.write_bursts == [(64, 8), (128, 12)]
        assert ctx.get(dut.idle)
        await send(ctx, dut.i, [{"data": 1}])      # data ahead of their request
        assert not ctx.get(dut.idle)

    async def serve(ctx):
        await memory.writes(ctx, dut.axi)

    simulate(dut, bench, background=[serve])


def test_a_reset_forgets_a_burst():
    """At any cycle of one; the burst behind it has its own beats and no more."""
    dut, reset = Writer(config=load_config("hdp_tiny")), Signal()
    axi = dut.axi

    async def bench(ctx):
        ctx.set(axi.awready, 1)
        ctx.set(axi.wready, 1)
        for cycle in range(24):
            await send(ctx, dut.req, [{"address": 0, "beats": 16}])
            await send(ctx, dut.i, [{"data": n} for n in range(16)])
            for _ in range(cycle):
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            for _ in range(24):
                assert ctx.get(dut.idle) and not ctx.get(axi.awvalid | axi.wvalid), cycle
                await ctx.tick()
            await send(ctx, dut.req, [{"address": 128, "beats": 3}])
            await send(ctx, dut.i, [{"data": n} for n in (100, 101, 102)])
            beats = []
            for _ in range(24):
                _, _, valid, *beat = await ctx.tick().sample(axi.wvalid, axi.wdata, axi.wlast)
                beats += [tuple(beat)] * valid
            assert beats == [(100, 0), (101, 0), (102, 1)], cycle
            ctx.set(axi.bvalid, 1)
            await ctx.tick()
            ctx.set(axi.bvalid, 0)
            assert ctx.get(dut.idle), cycle

    simulate(ResetInserter(reset)(dut), bench)


def _window(base, limit):
    """Of the bytes from ``base`` to ``limit``."""
    return {"base": base >> 6, "limit": limit >> 6}


class _Watch:
    """What a writer tells of, and what is answered by hand."""

    def __init__(self, dut):
        self.dut, self.faults, self.failed, self.bursts, self.beats = dut, [], 0, [], []

    async def run(self, ctx):
        axi = self.dut.axi
        while True:
            _, _, fault, failed, aw, address, length, w, word = await ctx.tick().sample(
                self.dut.fault, self.dut.failed, axi.awvalid & axi.awready, axi.awaddr, axi.awlen,
                axi.wvalid & axi.wready, axi.wdata)
            if fault.valid:
                self.faults.append((fault.cause, fault.job, fault.address, fault.response))
            self.failed += failed
            self.bursts += [(address, length + 1)] * aw
            self.beats += [word] * w


async def _answer(ctx, axi, response):
    ctx.set(axi.bvalid, 1)
    ctx.set(axi.bresp, response)
    await ctx.tick()
    ctx.set(axi.bvalid, 0)


async def _ticks(ctx, count):
    for _ in range(count):
        await ctx.tick()


RECORD = [5 << 32 | 1, 2, 3, 4, 5, 6, 7, 8]
WRONG = [1 | Error.WRITE << 8, *[0] * 7]
OWN = [1 | Error.BUS << 8, *[0] * 7]


@pytest.mark.parametrize("record, response, told, failed", [
    (RECORD, 0, RECORD, 0), (RECORD, 2, WRONG, 1), (RECORD, 3, WRONG, 1), (OWN, 2, OWN, 0)])
def test_a_record_tells_of_failed_writes(record, response, told, failed):
    """It waits for their responses, and the next one knows nothing of them."""
    dut = Writer(config=load_config("hdp_tiny"))
    watch, axi = _Watch(dut), dut.axi

    async def bench(ctx):
        ctx.set(axi.awready, 1)
        ctx.set(axi.wready, 1)
        await send(ctx, dut.req, [{"address": 0, "beats": 18, "job": 3}])
        await send(ctx, dut.i, [{"data": n} for n in range(18)])
        await send(ctx, dut.req, [{"address": 1024, "beats": 8, "job": 3, "record": 1}])
        await send(ctx, dut.i, [{"data": n} for n in record])
        await _ticks(ctx, 40)
        assert watch.bursts == [(0, 16), (128, 2)]
        await _answer(ctx, axi, response)
        await _ticks(ctx, 20)
        assert len(watch.bursts) == 2
        await _answer(ctx, axi, 0)
        await _ticks(ctx, 20)
        assert watch.bursts[2:] == [(1024, 8)]
        assert watch.beats[18:] == told
        await _answer(ctx, axi, 0)
        await _ticks(ctx, 3)
        assert ctx.get(dut.idle) and not ctx.get(dut.busy)
        assert watch.failed == failed
        assert watch.faults == [(Cause.WRITE, 3, 0, response)] * (response > 1)
        await send(ctx, dut.req, [{"address": 2048, "beats": 8, "job": 4, "record": 1}])
        await send(ctx, dut.i, [{"data": n} for n in RECORD])
        await _ticks(ctx, 20)
        assert watch.beats[26:] == RECORD
        await _answer(ctx, axi, 2)              # of the record itself
        await _ticks(ctx, 3)
        assert watch.failed == failed + 1
        assert watch.faults[-1] == (Cause.WRITE, 4, 2048, 2)

    simulate(dut, bench, background=[watch.run])


@pytest.mark.parametrize("address, beats, inside", [
    (0x1000, 32, True), (0x1000, 33, False), (0x10F8, 1, True), (0x0FF8, 1, False),
    (0x0FF8, 2, False), (0x1100, 1, False), (0, 1, False), (0x40, 1, False),
    (0xFFFF_FFC0, 9, False), (0xFFFF_FFF8, 1, False)])
def test_nothing_is_written_outside_the_window(address, beats, inside):
    """The beats of a refused request are dropped, its record tells, and the next one is written."""
    dut = Writer(config=load_config("hdp_tiny"))
    watch, axi = _Watch(dut), dut.axi

    async def bench(ctx):
        ctx.set(axi.awready, 1)
        ctx.set(axi.wready, 1)
        ctx.set(dut.windows, [_window(0x1000, 0x10FF), _window(0x40, 0x7F)])
        await send(ctx, dut.req, [{"address": address, "beats": beats, "job": 9}])
        await send(ctx, dut.i, [{"data": n} for n in range(beats)])
        await _ticks(ctx, 60)
        bursts = -(-(address % 128 // 8 + beats) // 16)
        for _ in range(bursts if inside else 0):
            await _answer(ctx, axi, 0)
        await _ticks(ctx, 3)
        assert ctx.get(dut.idle)
        assert len(watch.bursts) == (bursts if inside else 0)
        assert watch.beats == (list(range(beats)) if inside else [])
        assert {fault[:2] for fault in watch.faults} == (set() if inside else {(Cause.WINDOW, 9)})
        del watch.beats[:]
        await send(ctx, dut.req, [{"address": 0x40, "beats": 8, "record": 1}])
        await send(ctx, dut.i, [{"data": n} for n in RECORD])
        await _ticks(ctx, 20)
        assert watch.beats == (RECORD if inside else WRONG)
        await _answer(ctx, axi, 0)
        await send(ctx, dut.req, [{"address": 0x1000, "beats": 8, "record": 1}])    # no place
        await send(ctx, dut.i, [{"data": n} for n in RECORD])
        await _ticks(ctx, 20)
        assert ctx.get(dut.idle) and len(watch.beats) == 8
        assert watch.failed == 2 - inside

    simulate(dut, bench, background=[watch.run])


def test_responses_that_nobody_waits_for():
    """Those of before a reset are dropped; nothing is counted below zero."""
    dut = Writer(config=load_config("hdp_tiny"))
    watch = _Watch(dut)

    async def bench(ctx):
        for _ in range(3):
            await _answer(ctx, dut.axi, 2)
        await _ticks(ctx, 3)
        assert ctx.get(dut.idle) and not ctx.get(dut.busy)
        assert (watch.faults, watch.failed) == ([], 0)

    simulate(dut, bench, background=[watch.run])


def test_stop():
    """At any cycle: what has its address ends, and nothing else goes out."""
    dut, reset = Writer(config=load_config("hdp_tiny")), Signal()
    axi = dut.axi
    seen = set()

    async def bench(ctx):
        ctx.set(axi.awready, 1)
        ctx.set(axi.wready, 1)
        for cycle in range(60):
            watch.bursts.clear()
            watch.beats.clear()
            ctx.set(dut.stop, 0)
            await send(ctx, dut.req, [{"address": 0, "beats": 48}])
            for n in range(48):     # the FIFO holds all of it
                ctx.set(dut.stop, n >= cycle)
                await send(ctx, dut.i, [{"data": n}])
            for n in range(48, 64):
                ctx.set(dut.stop, n >= cycle)
                await ctx.tick()
            await _ticks(ctx, 40)
            assert len(watch.beats) == 16 * len(watch.bursts)
            assert ctx.get(dut.busy) == bool(watch.bursts)
            for _ in watch.bursts:
                await _answer(ctx, axi, 0)
            await ctx.tick()
            assert not ctx.get(dut.busy)
            seen.add(len(watch.bursts))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        assert seen == {0, 1, 2, 3}

    watch = _Watch(dut)
    simulate(ResetInserter(reset)(dut), bench, background=[watch.run])


def test_bad_burst():
    text = refusal(lambda: Writer(config=load_config("hdp_tiny"), burst=24))
    assert text == "burst must be a power of two in 1..256, not 24"

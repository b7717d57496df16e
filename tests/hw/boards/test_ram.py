# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.hw.boards.ram import BlockMemory
from tests.hw.helpers import channel, receive, refusal, send, simulate, stall_cases

CONFIG = load_config("hdp_tiny")
SIZE = 1024
OKAY, DECERR = 0b00, 0b11


@pytest.fixture(autouse=True, params=[2048, 32], ids=["one_bank", "four_banks"])
def bank(request, monkeypatch):
    monkeypatch.setattr("prunus.hw.boards.ram.BANK", request.param)


class _Master:
    """The coprocessor's side and the host's."""

    def __init__(self, dut, rng, stall_in, stall_out):
        self.dut, self.rng, self.stalls = dut, rng, (stall_in, stall_out)
        read, write = dut.read, dut.write
        self.ar = channel(read, "ar", "araddr", "arlen", "arid")
        self.r = channel(read, "r", "rdata", "rlast", "rresp", "rid")
        self.aw = channel(write, "aw", "awaddr", "awlen", "awid")
        self.w = channel(write, "w", "wdata", "wlast", "wstrb")
        self.b = channel(write, "b", "bresp", "bid")

    async def addresses(self, ctx, which, bursts):
        await send(ctx, which, [at | (count - 1) << 32 | (n & 1) << 40
                                for n, (at, count) in enumerate(bursts)], self.rng,
                   self.stalls[0])

    async def read(self, ctx, beats):
        """(word, last, response, id) of beats."""
        raw = await receive(ctx, self.r, beats, self.rng, self.stalls[1])
        return [(x & (1 << 64) - 1, x >> 64 & 1, x >> 65 & 3, x >> 67) for x in raw]

    async def write(self, ctx, beats):
        await send(ctx, self.w, [word | last << 64 | strobe << 65 for word, last, strobe in beats],
                   self.rng, self.stalls[0])


def _bursts(rng, count, end):
    """Bursts within ``end`` bytes."""
    for _ in range(count):
        beats = rng.choice([1, 2, 16, rng.randrange(1, 17)])
        yield 8 * rng.randrange((end - 8 * beats) // 8 + 1), beats


async def _fill(ctx, dut, contents):
    for n in range(0, len(contents), 8):
        word = int.from_bytes(contents[n : n + 8], "little")
        await send(ctx, dut.host, [{"index": n // 8, "data": word, "write": 1}])


async def _host_read(ctx, dut, index):
    await send(ctx, dut.host, [{"index": index, "data": 0, "write": 0}])
    while not ctx.get(dut.host_valid):
        await ctx.tick()
    return ctx.get(dut.host_word)


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_reads(stall_in, stall_out):
    """Bursts back to back, beyond the end too, while the host reads and writes elsewhere."""
    rng = Random(1)
    dut = BlockMemory(config=CONFIG, size=SIZE)
    contents = bytearray(rng.randbytes(SIZE))
    bursts = [*_bursts(rng, 40, SIZE // 2), (SIZE - 16, 4), (1 << 31, 1), (SIZE // 2 - 8, 1)]
    master = _Master(dut, rng, stall_in, stall_out)
    filled = []

    async def addresses(ctx):
        await _fill(ctx, dut, contents)
        filled.append(True)
        await master.addresses(ctx, master.ar, bursts)

    async def beats(ctx):
        got = await master.read(ctx, sum(count for _, count in bursts))
        expected = []
        for n, (at, count) in enumerate(bursts):
            for beat in range(count):
                here = at + 8 * beat
                inside = here < SIZE
                word = int.from_bytes(contents[here : here + 8], "little") if inside else 0
                expected.append((word, beat == count - 1, OKAY if inside else DECERR, n & 1))
        assert got == expected

    async def host(ctx):
        while not filled:
            await ctx.tick()
        for _ in range(60):
            index = rng.randrange(SIZE // 16, SIZE // 8 - 2)
            if rng.random() < 0.5:
                word = rng.getrandbits(64)
                contents[8 * index : 8 * index + 8] = word.to_bytes(8, "little")
                await send(ctx, dut.host, [{"index": index, "data": word, "write": 1}])
            else:
                word = int.from_bytes(contents[8 * index : 8 * index + 8], "little")
                assert await _host_read(ctx, dut, index) == word

    simulate(dut, addresses, beats, host)


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_writes(stall_in, stall_out):
    """Bursts with and without all strobes, beyond the end too, while the host writes elsewhere."""
    rng = Random(2)
    dut = BlockMemory(config=CONFIG, size=SIZE)
    contents = bytearray(rng.randbytes(SIZE))
    expected = bytearray(contents)
    bursts = [*_bursts(rng, 40, SIZE // 2), (SIZE - 16, 4), (1 << 31, 1), (0, 1)]
    master = _Master(dut, rng, stall_in, stall_out)
    filled = []
    beats, responses = [], []
    for n, (at, count) in enumerate(bursts):
        for beat in range(count):
            word, strobe = rng.getrandbits(64), rng.choice([0xFF, 0xFF, rng.getrandbits(8)])
            beats.append((word, beat == count - 1, strobe))
            for lane in range(8):
                here = at + 8 * beat + lane
                if here < SIZE and strobe >> lane & 1:
                    expected[here] = word >> 8 * lane & 0xFF
        responses.append((OKAY if at + 8 * count <= SIZE else DECERR) | (n & 1) << 2)

    async def fill(ctx):
        await _fill(ctx, dut, contents)
        filled.append(True)
        await master.addresses(ctx, master.aw, bursts)

    async def data(ctx):
        await ctx.tick().until(dut.write.awvalid)       # else they would be taken while filling
        await master.write(ctx, beats)

    async def answers(ctx):
        assert await receive(ctx, master.b, len(bursts), rng, stall_out) == responses
        for index in range(SIZE // 8):
            word = int.from_bytes(expected[8 * index : 8 * index + 8], "little")
            assert await _host_read(ctx, dut, index) == word

    async def host(ctx):
        while not filled:
            await ctx.tick()
        for _ in range(60):
            index, word = rng.randrange(SIZE // 16 + 1, SIZE // 8 - 2), rng.getrandbits(64)
            expected[8 * index : 8 * index + 8] = word.to_bytes(8, "little")
            await send(ctx, dut.host, [{"index": index, "data": word, "write": 1}])
            await ctx.tick().repeat(rng.randrange(1, 5))

    simulate(dut, fill, data, answers, host)


def test_throughput():
    """Without stalls a beat comes in every cycle, across bursts; the first after 8."""
    dut = BlockMemory(config=CONFIG, size=SIZE)
    master = _Master(dut, Random(0), 0, 0)
    taken = []

    async def addresses(ctx):
        await master.addresses(ctx, master.ar, [(0, 16), (128, 16), (256, 16)])

    async def clock(ctx):
        ctx.set(dut.read.rready, 1)
        for cycle in range(60):
            _, _, valid, last = await ctx.tick().sample(dut.read.rvalid, dut.read.rlast)
            if valid:
                taken.append((cycle, last))

    simulate(dut, addresses, clock)
    assert [cycle for cycle, _ in taken] == list(range(8, 8 + 48))
    assert [n for n, (_, last) in enumerate(taken) if last] == [15, 31, 47]


def test_a_reset_forgets_bursts_and_keeps_contents():
    dut = BlockMemory(config=CONFIG, size=SIZE)
    master = _Master(dut, Random(0), 0, 0)

    async def testbench(ctx):
        await _fill(ctx, dut, bytes(range(256)) * 4)
        await master.addresses(ctx, master.ar, [(0, 16)])
        await master.addresses(ctx, master.aw, [(512, 16)])
        await master.write(ctx, [(0, 0, 0xFF)])
        ctx.set(dut.reset, 1)
        await ctx.tick().repeat(4)
        ctx.set(dut.reset, 0)
        await ctx.tick().repeat(4)
        assert not ctx.get(dut.read.rvalid)
        await master.addresses(ctx, master.ar, [(8, 2)])
        got = await master.read(ctx, 2)
        assert got == [(0x0F0E0D0C0B0A0908, 0, 0, 0), (0x1716151413121110, 1, 0, 0)]
        await master.addresses(ctx, master.aw, [(16, 1)])
        await master.write(ctx, [(7, 1, 0xFF)])
        assert await receive(ctx, master.b, 1) == [OKAY]
        assert await _host_read(ctx, dut, 2) == 7
        assert await _host_read(ctx, dut, 64) == 0
        assert await _host_read(ctx, dut, 65) == 0x0F0E0D0C0B0A0908

    simulate(dut, testbench)


@pytest.mark.parametrize("size", [0, 8, 20])
def test_refused(size):
    assert refusal(lambda: BlockMemory(config=CONFIG, size=size)) == (
        f"size must be a multiple of 8 and at least 16, not {size}")

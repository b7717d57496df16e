# SPDX-License-Identifier: Apache-2.0
"""The row output against golden's normalisation, with the background of whole heads."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib import memory

from prunus.golden.hdp.compute import HdpJob, visible_limits
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC, normalise, reciprocal
from prunus.hw.hdp.row_output import CHUNKS, RowOutput
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [HdpConfig(name="tiny", width=8, frac=4, d_max=16, l_max=8, multipliers=8,
                  output_lanes=1, axi_data_width=64),
           HdpConfig(name="wide", width=12, frac=8, d_max=24, l_max=8, multipliers=16,
                  output_lanes=2, axi_data_width=128),
           HdpConfig(name="beat", width=12, frac=8, d_max=16, l_max=8, multipliers=8,
                  output_lanes=2, axi_data_width=64),
           HdpConfig(name="ragged", width=8, frac=4, d_max=24, l_max=8, multipliers=64,
                  output_lanes=4, axi_data_width=64),
           HdpConfig(name="short_rows", width=8, frac=4, d_max=40, l_max=16, multipliers=16,
                  output_lanes=4, axi_data_width=512),
           HdpConfig(name="short_wide_rows", width=12, frac=8, d_max=24, l_max=8, multipliers=32,
                  output_lanes=1, axi_data_width=512)]


@dataclass(eq=False)
class _Row:
    """A row of blocks: what it is announced with, its chunks, and the golden output words."""

    announcement: dict
    acc: np.ndarray         # (2, d)
    keys: np.ndarray        # (2, d) codes of V of the pair it fetches, or of anything
    expected: np.ndarray    # (2, d)


def _numerators(config, rng, e0, seen, den):
    """Accumulated weights times values (2, d) to which the background can be added."""
    half = 1 << config.accumulator_width - 1
    if rng.random() < 0.2:
        num = rng.choice([-half, half - 1], seen.shape)
    else:
        size = np.maximum(den, 1)[:, None] * rng.uniform(-1, 1, seen.shape)
        num = (size * (1 << config.width - 1)).astype(np.int64)
    return np.clip(num - e0[:, None] * seen, -half, half - 1)


def _head(config, rng, bank, causal, lengths=None, d=None, kv=0):
    """Rows of a head, and the column sums of bank ``kv`` as they are once V is loaded."""
    d = d or 8 * int(rng.integers(1, config.d_max // 8 + 1))
    l_q, l_kv = lengths or (int(x) for x in rng.integers(1, config.l_max + 1, 2))
    low, high = config.format.min_code, config.format.max_code
    v = (rng.integers(low, high + 1, (l_kv, d)) if rng.random() < 0.7
         else np.full((l_kv, d), low))
    job = HdpJob(q=np.zeros((l_q, d)), k=v, v=v, scale=(1, 12), causal=causal)
    limits = np.append(visible_limits(job), 0)
    prefix = np.concatenate([np.zeros((1, d), np.int64), np.cumsum(v, axis=0)])
    offset = l_kv - l_q
    base = int(np.clip((offset + 1) // 2 * 2, 0, l_kv)) if causal else l_kv
    rows = []
    for index in range(-(-l_q // 2)):
        limit = limits[2 * index : 2 * index + 2]
        first = 2 * (index + (offset + 1) // 2)        # the keys that this row begins to see
        fetches = causal and 0 <= first < l_kv
        pair = np.arange(first, first + 2)
        empty = (limit == 0) | (rng.random(2) < 0.1)
        e0 = rng.integers(0, (1 << EXP_FRAC) + 1, 2) * (rng.random(2) < 0.8)
        den = rng.integers(1 << EXP_FRAC, (config.l_max << EXP_FRAC) + 1, 2)
        den = np.where(empty, 0, den)
        r, p = reciprocal(np.where(empty, 1 << EXP_FRAC, den))
        acc = _numerators(config, rng, e0, prefix[limit], den)
        half = 1 << config.accumulator_width - 1
        num = acc + e0[:, None] * prefix[limit]
        if not ((-half <= num) & (num < half)).all():
            e0, num = 0 * e0, acc
        keys = rng.integers(low, high + 1, (2, d))
        if fetches:
            keys[pair < l_kv] = v[pair[pair < l_kv]]
        rows.append(_Row(
            announcement={
                "bank": bank, "kv": kv, "last": int(2 * index + 2 >= l_q), "d8": d // 8,
                "e0": e0.tolist(),
                "r": r.tolist(), "p": p.tolist(), "empty": empty.astype(int).tolist(),
                "fetches": int(fetches),
                "running": int(any(row.announcement["fetches"] for row in rows)),
                "sees": [int(key < limit[q]) for q in range(2) for key in pair]},
            acc=acc, keys=keys,
            expected=normalise(num, den, width=config.width, out_frac=config.out_frac)))
    return rows, prefix[base]


def _digits(codes):
    return [{"mag": abs(x), "sign": int(x < 0)} for x in codes.tolist()]


class _Array:
    """Chunks of rows and the pairs of keys that go with them, at most CHUNKS on their way."""

    def __init__(self, dut, config, rows, rng, stall):
        self.dut, self.rng, self.stall = dut, rng, stall
        self.chunks = []
        t = config.taps
        self.noise = np.random.default_rng(1).integers(-99, 99, (64, 2, t))
        for row in rows:
            for at in range(0, row.acc.shape[1], t):
                acc, keys = (self._chunk(x[:, at : at + t], t) for x in (row.acc, row.keys))
                self.chunks.append((acc, keys, row.announcement["fetches"]))

    def _chunk(self, part, t):
        """With something in the taps beyond the last dimension."""
        return np.concatenate([part, self.noise[0][:, : t - part.shape[1]]], axis=1)

    def _put(self, ctx, kind, chunk):
        dut, noise = self.dut, self.rng.choice(self.noise)
        if chunk is None and not ctx.get(getattr(dut, f"{kind}_valid")):
            return
        ctx.set(getattr(dut, f"{kind}_valid"), chunk is not None)
        if kind == "value":
            ctx.set(dut.value, (noise if chunk is None else chunk[0]).tolist())
        else:
            ctx.set(dut.fetch, [_digits(x) for x in (noise if chunk is None else chunk[1])])

    async def run(self, ctx):
        """The pair of keys comes with its chunk or up to CHUNKS chunks ahead."""
        begun = given = taken = 0
        while taken < len(self.chunks):
            fetch = value = None
            if begun < min(len(self.chunks), taken + CHUNKS) and self.rng.random() >= self.stall:
                fetch = self.chunks[begun] if self.chunks[begun][2] else None
                begun += 1
            if given < begun and self.rng.random() >= self.stall:
                value = self.chunks[given]
                given += 1
            self._put(ctx, "fetch", fetch)
            self._put(ctx, "value", value)
            _, _, strobe = await ctx.tick().sample(self.dut.chunk_taken)
            taken += strobe
            assert taken <= given
        self._put(ctx, "fetch", None)
        self._put(ctx, "value", None)


class _Bench(Elaboratable):
    """The row output and a memory of column sums."""

    def __init__(self, config):
        self.dut = RowOutput(config=config)
        self.group = config.output_lanes
        self.bits = (config.d_max - 1).bit_length()
        self.sums = memory.Memory(shape=self.dut.sum.shape(), init=[],
                                  depth=(4 << self.bits) // self.group)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        m.submodules.sums = self.sums
        write, read = self.sums.write_port(), self.sums.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(Cat(dut.sum_dimension, dut.sum_bank, dut.sum_running)
                         >> (self.group - 1).bit_length()),
            dut.sum.eq(read.data),
            write.addr.eq(Cat(dut.add_dimension, dut.add_bank, 1)
                          >> (self.group - 1).bit_length()),
            write.data.eq(dut.add_sum),
            write.en.eq(dut.add_en),
        ]
        return m

    def load(self, ctx, bank, sums):
        for dimension in range(0, len(sums), self.group):
            ctx.set(self.sums.data[(bank << self.bits | dimension) // self.group],
                    sums[dimension : dimension + self.group].tolist())


def _words(beats, config):
    """Output words of the beats of a row."""
    raw = b"".join(beat.to_bytes(config.axi_data_width // 8, "little") for beat in beats)
    return np.frombuffer(raw, {16: "<i2", 32: "<i4"}[config.out_width]).tolist()


def _run(config, heads, seed, stall_in=0.0, stall_out=0.0, in_turn=False, held=(0, 0)):
    """Run with nothing taken of either query in the first ``held`` cycles.

    Returns the cycles from the first row to the last beat, the chunks worked off after as many
    cycles as the longest hold, and the block's latency.
    """
    rng = Random(seed)
    rows = [row for head, _ in heads for row in head]
    bench = _Bench(config)
    dut = bench.dut
    array = _Array(dut, config, rows, rng, stall_in)
    taken = [0, 0]
    cycles = chunks = 0

    async def announce(ctx):
        before = 0
        for n, (head, sums) in enumerate(heads):
            # As in the core, a bank is free once the rows of the head before are written.
            while min(taken) < before - (len(heads[n - 1][0]) if n else 0):
                await ctx.tick()
            bench.load(ctx, head[0].announcement["kv"], sums)
            await send(ctx, dut.row, [row.announcement for row in head], rng, stall_in)
            before += len(head)

    async def take(ctx, row, query):
        while cycles < held[query]:
            await ctx.tick()
        d = row.expected.shape[1]
        count = -(-d * config.out_width // config.axi_data_width)
        words = _words(await receive(ctx, dut.o[query], count, rng, stall_out), config)
        assert words[:d] == row.expected[query].tolist()
        assert not any(words[d:])
        taken[query] += 1

    async def both(ctx):
        for row in rows:
            await take(ctx, row, 0)
            await take(ctx, row, 1)

    async def first(ctx):
        for row in rows:
            await take(ctx, row, 0)

    async def second(ctx):
        for row in rows:
            await take(ctx, row, 1)

    async def surroundings(ctx):
        nonlocal cycles, chunks
        while True:
            _, _, strobe = await ctx.tick().sample(dut.chunk_taken)
            cycles += 1
            chunks += strobe and cycles <= max(held)

    sinks = [both] if in_turn else [first, second]
    simulate(bench, announce, array.run, *sinks, background=[surroundings])
    return cycles, chunks, dut.latency


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_heads(config, stall_in, stall_out):
    """Causal and other heads in both banks, the queries taken in turn or both at once."""
    rng = np.random.default_rng(21)
    odd = config.l_max - 1
    heads = [_head(config, rng, n & 1, causal=n != 2, kv=~n & 1,
                   lengths=(odd, odd) if n == 0 else None) for n in range(4)]
    assert any(row.announcement["fetches"] for head, _ in heads for row in head)
    _run(config, heads, f"{stall_in}{stall_out}", stall_in, stall_out, in_turn=stall_in == 0)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("causal", [False, True])
def test_its_dimensions_per_cycle(config, causal):
    heads = [_head(config, np.random.default_rng(22), 0, causal)]
    rows, d = len(heads[0][0]), heads[0][0][0].expected.shape[1]
    cycles, _, latency = _run(config, heads, 0)
    assert cycles == rows * d // config.output_lanes + latency + 2


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("held", [(250, 250), (250, 0), (0, 250)])
def test_held_up(config, held):
    """What does not find room waits, whichever query is not taken; two rows find room."""
    l_max, d = config.l_max, config.d_max
    heads = [_head(config, np.random.default_rng(23), 0, True, (l_max, l_max), d)]
    _, chunks, _ = _run(config, heads, 0, held=held)
    per_row = -(-d // config.taps)
    assert 2 * per_row <= chunks < len(heads[0][0]) * per_row


def _strip(config, rng, first, rows, tiles, d):
    """Rows of ``tiles`` tiles, tile by tile, each with its column sums; what comes out at last.

    Tile ``first`` of all and those after it, the banks in turn.
    """
    low, high = config.format.min_code, config.format.max_code
    seen = rng.integers(low, high + 1, (tiles, d)) * config.held_rows
    e0 = rng.integers(0, (1 << EXP_FRAC) + 1, (rows, 2))
    den = rng.integers(1 << EXP_FRAC, 4 << EXP_FRAC, (rows, 2))
    acc = rng.integers(-1 << 22, 1 << 22, (tiles, rows, 2, d))
    num = acc.sum(axis=0) + e0[:, :, None] * seen.sum(axis=0)
    parts = []
    for n in range(tiles):
        for row in range(rows):
            r, p = reciprocal(den[row])
            parts.append(_Row(
                announcement={"bank": (first + n) % 2, "kv": (first + n) % 2,
                              "last": int(row == rows - 1),
                              "d8": d // 8, "e0": e0[row].tolist(), "r": r.tolist(),
                              "p": p.tolist(), "empty": [0, 0], "fetches": 0, "running": 0,
                              "sees": [0] * 4, "row": row, "resumes": int(n > 0),
                              "ends": int(n == tiles - 1)},
                acc=acc[n, row], keys=np.zeros((2, d), int),
                expected=normalise(num[row], den[row], width=config.width,
                                   out_frac=config.out_frac)))
    return parts, seen


@pytest.mark.parametrize("changes", [{}, {"output_lanes": 1}, {"d_max": 40, "multipliers": 16,
                                     "output_lanes": 4, "axi_data_width": 512}], ids=str)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_tiles(changes, stall_in, stall_out):
    """Only the last tile of a strip gives rows; one row by itself must wait for its own sums."""
    config = HdpConfig(**{"name": "tiles", "d_max": 16, "l_max": 40, "tile": 8, "multipliers": 8}
                    | changes)
    rng, stalls = np.random.default_rng(24), Random(f"{stall_in}{stall_out}")
    strips = [_strip(config, rng, *shape) for shape in (
        (0, 1, 5, 8), (5, 4, 3, 16), (8, 1, 2, 8), (10, 3, 1, 8), (11, 2, 4, 16))]
    bench = _Bench(config)
    dut = bench.dut
    parts = [part for strip, _ in strips for part in strip]
    ended, announced, done = [], [], []

    async def announce(ctx):
        for strip, seen in strips:
            rows = sum(part.announcement["last"] == 0 for part in strip) // len(seen) + 1
            for n, sums in enumerate(seen):
                for part in strip[n * rows : (n + 1) * rows]:
                    # As in the core, a bank is free once the tile before is through.
                    if part.announcement["row"] == 0:
                        while len(done) + len(ended) < len(announced) - 1:
                            await ctx.tick()
                        bench.load(ctx, len(announced) % 2, sums)
                        announced.append(n)
                    await send(ctx, dut.row, [part.announcement], stalls, stall_in)

    async def take(ctx):
        for strip, _ in strips:
            for part in strip:
                if not part.announcement["ends"]:
                    continue
                d = part.expected.shape[1]
                count = -(-d * config.out_width // config.axi_data_width)
                for q in range(2):
                    beats = await receive(ctx, dut.o[q], count, stalls, stall_out)
                    assert _words(beats, config)[:d] == part.expected[q].tolist()
            done.append(strip)

    async def strobes(ctx):
        while True:
            _, _, strobe, bank = await ctx.tick().sample(dut.ended, dut.ended_bank)
            if strobe:
                ended.append(bank)

    array = _Array(dut, config, parts, stalls, stall_in)
    simulate(bench, announce, array.run, take, background=[strobes])
    assert ended == [part.announcement["bank"] for part in parts
                     if part.announcement["last"] and not part.announcement["ends"]]

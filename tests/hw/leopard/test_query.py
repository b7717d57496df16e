# SPDX-License-Identifier: Apache-2.0
from itertools import product
from random import Random

import numpy as np
import pytest

from prunus.golden.leopard.banks import bank_words, key_stride, region_words, turn
from prunus.golden.leopard.compute import threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.query import QueryStore, RowLoader
from tests.hw.helpers import send, simulate
from tests.hw.leopard.heads import Row, codes, pieces


def config_of(**fields):
    return LeopardConfig(name="q", **{"width": 8, "d_max": 48, "l_max": 32} | fields)


CONFIGS = [config_of(taps=16), config_of(taps=48), config_of(taps=8, d_max=8),
           config_of(width=12, taps=32, rows=2), config_of(taps=16, pruning=False)]


def make_rows(config, count, rng):
    edges = [*threshold_limits(config), 0]
    return [Row(q=rng.choice([config.min_code, config.max_code], d) if n % 4 == 3
                else codes(rng, config, d), k=np.zeros((rng.integers(1, 33), d)),
                keys=int(rng.integers(32)),
                threshold=int(rng.choice(edges)) if n % 2 else int(rng.integers(-999, 999)),
                bank=int(rng.integers(2)), tag=n)
            for n, d in enumerate(rng.integers(1, config.d_max // 8 + 1, count) * 8)]


def expected_slot(row, config, number=0):
    """What a slot says of a row that is the ``number``-th of all, and its threshold."""
    half, q = 1 << config.width - 1, row.q
    threshold = row.threshold if config.pruning else threshold_limits(config)[0]
    most = (half - 1) * np.maximum(q, 0).sum() + half * np.maximum(-q, 0).sum()
    chunks = -(-len(q) // config.taps)
    count = row.copies(config)
    region = region_words(config, count) * (number % count)
    return {"keys": row.keys, "base": bank_words(config) * row.bank + region,
            "stride": key_stride(config, len(q)), "last_chunk": chunks - 1,
            "start": int(most) - threshold}, threshold


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS)
def test_rows(config, stall):
    """Slots and the stores' contents of every row, while it is loaded and until it is freed."""
    rng, random = np.random.default_rng(config.taps), Random(2)
    rows = make_rows(config, 14, rng)
    assert {row.copies(config) for row in rows} == {1, 2, 4}
    dut = RowLoader(config=config, tag_width=5)
    store, done = {}, []

    async def watch(ctx):
        while True:
            _, _, write = await ctx.tick().sample(dut.write)
            if write.en:
                place = write.place.slot, write.place.chunk
                store[*place, write.lane] = [(tap.mag, tap.positive) for tap in write.taps]
                for lane in range(write.lane + 1, config.taps // 8) if write.last else ():
                    store[*place, lane] = [(0, 0)] * 8

    async def free(ctx):
        for n, row in enumerate(rows):
            while (ctx.get(dut.loaded) - n) % (2 * config.rows) == 0:
                await ctx.tick()
            for _ in range(random.choice([0, 3, 60])):
                await ctx.tick()
            assert (ctx.get(dut.loaded) - n) % (2 * config.rows) <= config.rows
            slot, (expected, threshold) = n % config.rows, expected_slot(row, config, n)
            got = ctx.get(dut.slots[slot])
            assert {name: got[name] for name in expected} == expected
            shift = turn(config, row.copies(config), n)
            assert [ctx.get(first[slot]) for first in dut.firsts] == [
                (unit - shift) % config.dpus for unit in range(config.dpus)]
            assert ctx.get(dut.thresholds[slot]) == threshold
            assert ctx.get(dut.tags[slot]) == row.tag
            padded = [*row.q.tolist(), *[0] * (-len(row.q) % config.taps)]
            for first in range(0, len(padded), 8):
                got = store[slot, first // config.taps, first % config.taps // 8]
                assert got == [(abs(x), x > 0) for x in padded[first : first + 8]]
            done.append(row.tag)
            ctx.set(dut.freed, (n + 1) % (2 * config.rows))

    async def commands(ctx):
        await send(ctx, dut.row, [row.command(config) for row in rows], random, stall)

    async def queries(ctx):
        await send(ctx, dut.query, [p for row in rows for p in pieces(row.q)], random, stall)

    simulate(dut, commands, queries, free, background=[watch])
    assert len(done) == len(rows)


def test_cycles():
    """A cycle per piece, then the latency; a row follows another at once."""
    config = config_of(taps=16, rows=4)
    dut = RowLoader(config=config, tag_width=5)
    loaded = []

    async def bench(ctx):
        ctx.set(dut.row.valid, 1)
        ctx.set(dut.query.valid, 1)
        ctx.set(dut.row.payload, {"d8": 3, "keys": 1})
        for _ in range(40):
            loaded.append(ctx.get(dut.loaded))
            await ctx.tick()

    simulate(dut, bench)
    # Three pieces, and no room for a fifth row.
    assert [loaded.index(n) for n in range(1, 5)] == [
        3 * n - 1 + RowLoader.latency for n in range(1, 5)]
    assert loaded[-1] == 4


@pytest.mark.parametrize("config", CONFIGS[:3])
def test_store(config):
    """What was written last; behind a query's last piece its chunk is zero."""
    dut, random = QueryStore(config=config), Random(3)
    lanes = config.taps // 8
    held = {}

    async def bench(ctx):
        for round_, slot, chunk in product(range(2), range(config.rows), range(config.chunks)):
            end = random.randrange(lanes) if round_ else lanes - 1
            for lane in range(end + 1):
                taps = [random.getrandbits(config.width + 1) for _ in range(8)]
                held[slot, chunk, lane] = taps
                ctx.set(dut.write, {"en": 1, "last": lane == end,
                                    "place": {"slot": slot, "chunk": chunk},
                                    "lane": lane, "taps": [
                    {"mag": x >> 1, "positive": x & 1} for x in taps]})
                await ctx.tick()
            held.update({(slot, chunk, lane): [0] * 8 for lane in range(end + 1, lanes)})
        ctx.set(dut.write.en, 0)
        for (slot, chunk, lane), taps in held.items():
            ctx.set(dut.place, {"slot": slot, "chunk": chunk})
            await ctx.tick()
            got = [ctx.get(dut.query[8 * lane + n]) for n in range(8)]
            assert [(tap.mag << 1) + tap.positive for tap in got] == taps

    simulate(dut, bench)

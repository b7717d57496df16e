# SPDX-License-Identifier: Apache-2.0
"""Operations of the array, against loops over strips, tiles, blocks and chunks."""

from random import Random

import numpy as np
import pytest

from prunus.golden.hdp.linear import Sizes
from prunus.hw.hdp.linear.collector import WORDS
from prunus.hw.hdp.linear.issue import LinearIssue
from tests.hw.hdp.linear.layers import CONFIGS, TINY, fields_of, layer, strips, tiles
from tests.hw.helpers import simulate


def _jobs(config):
    rng = np.random.default_rng(5)
    jobs = [(layer(rng, 5, 24, 40), {}), (layer(rng, 1, 8, 8), {}),
            (layer(rng, 7, 8, 24, bits=4), {}), (layer(rng, 20, 40, 80), {"strip": 8, "tile": 16}),
            (layer(rng, 9, 32, 64, groups=2, bits=4), {}), (layer(rng, 6, 32, 48, groups=3), {}),
            (layer(rng, 4, 16, 24, target="wide"), {}),
            (layer(rng, 10, 128, 64, target="held"), {}), (layer(rng, 10, 64, 24, held=True), {}),
            (layer(rng, 48, 24, 24, run=1, inner=16), {"strip": 32, "tile": 16}),
            (layer(rng, 2, 256, 16, bits=4), {})]
    return [(job, fields_of(job, config, **more)) for job, more in jobs]


def _operations(config, jobs):
    """``(x, w, first, last, pair, slot, ends, single)`` of each operation, with what it frees."""
    sizes, t = Sizes(config), config.taps
    per, chunks_all = sizes.granule // t, sizes.ring * sizes.granule // t
    base, slot = 0, 0
    for job, fields in jobs:
        step = 2 if job.bits == 4 else 1
        count = -(-job.k // (t * step))
        for strip in strips(job, fields["strip"]):
            size = -(-len(strip) // 2) * fields["x_granules"]
            for tile in tiles(job, fields["tile"]):
                group = tile[0] // job.span * count * step if job.groups > 1 else 0
                begin = sizes.ring // 2 * per if fields["half"] and slot else 0
                rows, columns = range(-(-len(strip) // 2)), range(len(tile) // 2)
                order = ([(row, column) for column in columns for row in rows]
                         if job.transposed else
                         [(row, column) for row in rows for column in columns])
                blocks = 2 if fields["wide"] else 8
                for row, column in order:
                    ends = (row % 8 == 7 if job.transposed
                            else column % blocks == blocks - 1 or column == columns[-1])
                    for chunk in range(count):
                        x = (base + row * fields["x_granules"]) * per + group + chunk * step
                        w = begin + column * fields["w_granules"] * per + chunk * step
                        yield (x % chunks_all, w % chunks_all, chunk == 0, chunk == count - 1,
                               column, slot, ends,
                               2 * row + 1 == len(strip), step == 2)
                slot ^= 1
            base = (base + size) % sizes.ring


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_operations(config, stall):
    jobs, dut, rng = _jobs(config), LinearIssue(config=config), Random(3)
    wanted = list(_operations(config, jobs))
    got, times, words, freed, tiles_freed, taken_strips = [], [], [0, 0], [], [], [0]

    async def host(ctx):
        for n, (_, fields) in enumerate(jobs):
            ctx.set(dut.job, fields)
            ctx.set(dut.bank, n % 2)
            ctx.set(dut.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(dut.taken)
            ctx.set(dut.valid, 0)
        await ctx.tick().repeat(3)

    async def surroundings(ctx):
        """Strips and tiles are there now and then; there is room for so many words."""
        waiting, cycle = 0, 0
        while True:
            ctx.set(dut.strip_there, rng.random() >= stall)
            ctx.set(dut.tile_there, rng.random() >= stall)
            ctx.set(dut.held_there, rng.random() >= stall)
            ctx.set(dut.may, waiting < WORDS and rng.random() >= stall)
            _, _, en, op, word, free, size, tile, strip = await ctx.tick().sample(
                dut.en, dut.op, dut.word, dut.free, dut.freed, dut.free_tile, dut.take_strip)
            if en:
                got.append((op.x, op.w, op.first, op.last, op.tag.pair, op.tag.slot, op.tag.ends,
                            op.tag.single, op.narrow))
                times.append(cycle)
            waiting += word
            words[0] += word
            if waiting and rng.random() >= stall:
                waiting -= 1
            freed.extend([size] * free)
            tiles_freed.extend([tile] * bool(tile))
            taken_strips[0] += strip
            cycle += 1

    simulate(dut, host, background=[surroundings], limit=60_000)
    assert got == [tuple(map(int, each)) for each in wanted]
    assert words[0] == sum(last and ends for _, _, _, last, _, _, ends, _, _ in wanted)
    assert freed == [-(-len(strip) // 2) * fields["x_granules"] for job, fields in jobs
                     for strip in strips(job, fields["strip"])]
    assert tiles_freed == [1 if fields["half"] else 2 for job, fields in jobs
                           for _ in strips(job, fields["strip"])
                           for _ in tiles(job, fields["tile"])]
    assert taken_strips[0] == sum(not job.held for job, fields in jobs
                                  for _ in strips(job, fields["strip"]))
    # A block takes two cycles at least.
    ends = [time for time, (_, _, _, last, *_) in zip(times, wanted, strict=True) if last]
    assert min(b - a for a, b in zip(ends, ends[1:], strict=False)) >= 2


@pytest.mark.parametrize(("k", "bits", "cycles"), [(8, 8, 4), (24, 8, 12), (24, 4, 6), (8, 4, 2)])
def test_an_operation_in_every_cycle(k, bits, cycles):
    job, got = layer(np.random.default_rng(1), 4, k, 32, bits), []
    dut = LinearIssue(config=TINY)

    async def body(ctx):
        ctx.set(dut.job, fields_of(job, TINY))
        for signal in (dut.valid, dut.strip_there, dut.tile_there, dut.may):
            ctx.set(signal, 1)
        for cycle in range(400):
            _, _, en, taken = await ctx.tick().sample(dut.en, dut.taken)
            if taken:
                ctx.set(dut.valid, 0)
            got.extend([cycle] * en)

    simulate(dut, body)
    assert got[-1] - got[0] + 1 == 2 * 16 * cycles


def test_what_is_held_must_be_there():
    job, dut = layer(np.random.default_rng(1), 4, 16, 8, held=True), LinearIssue(config=TINY)

    async def body(ctx):
        ctx.set(dut.job, fields_of(job, TINY))
        for signal in (dut.valid, dut.tile_there, dut.may):
            ctx.set(signal, 1)
        for _ in range(20):
            _, _, en = await ctx.tick().sample(dut.en)
            assert not en
        ctx.set(dut.held_there, 1)
        await ctx.tick().repeat(8)
        assert ctx.get(dut.en)

    simulate(dut, body)

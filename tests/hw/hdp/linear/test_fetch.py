# SPDX-License-Identifier: Apache-2.0
"""What is read, in which order, against loops over strips and tiles."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from prunus.golden.hdp.linear import Sizes
from prunus.golden.hdp.linear.compute import codes_of_heads
from prunus.hw.hdp.linear.fetch import LinearFetch
from prunus.hw.hdp.linear.layouts import Plane
from tests.hw.hdp.linear.layers import CONFIGS, TINY, fields_of, layer, strips, tiles
from tests.hw.helpers import receive, simulate

END = 1 << 32


def _jobs(config):
    rng = np.random.default_rng(5)
    words = rng.integers(-1000, 1000, (3, 21, 16))
    table = {"activation": "table", "table": np.zeros(256, int)}
    jobs = [layer(rng, 5, 24, 40), layer(rng, 70, 64, 80, bits=4, **table),
            layer(rng, 4, 8, 8, bits=4), layer(rng, 9, 32, 64, groups=2, **table),
            layer(rng, 10, 128, 64, target="held"), layer(rng, 10, 64, 24, held=True),
            layer(rng, 3, 256, 32, bits=4, **table),
            replace(layer(rng, 21, 48, 16), x=codes_of_heads(words), heads=words)]
    return [(job, fields_of(job, config, index=n, x=0x1000 * (n + 1), w=0x10_0000 + 0x4000 * n,
                            c=0x80_0000 + 0x400 * n)) for n, job in enumerate(jobs)]


class _Buffers:
    """Where X and W go; both are rings."""

    def __init__(self, config):
        self.sizes, self.base, self.slot = Sizes(config), 0, 0

    def commands(self, job, fields):
        """``(claimed granules, or halves, or None, command)`` in order."""
        sizes, table = self.sizes, 256 * (fields["activation"] == 2)
        x_row = 2 * fields["x_run"] if fields["words"] else fields["dims"]
        w_row = 8 * -(-job.k * job.bits // 64)
        for number, strip in enumerate(strips(job, fields["strip"])):
            size = -(-len(strip) // 2) * fields["x_granules"]
            count = len(job.heads) if fields["words"] else 1
            for part in range(0 if job.held else count):
                first = part * fields["x_run"] // sizes.unit
                at = fields["x"] + (part * job.rows + strip[0]) * x_row
                yield None, {
                    "plane": Plane.WORDS if fields["words"] else Plane.X, "address": at,
                    "beats": len(strip) * x_row // 8, "row_beats": x_row // 8, "base": self.base,
                    "stride": fields["x_granules"], "first": first, "ends": part == count - 1}
            yield ("x", size), None
            self.base = (self.base + size) % sizes.ring
            for tile in tiles(job, fields["tile"]):
                yield ("w", 1 if fields["half"] else 2), None
                if table and number == tile[0] == 0:
                    yield None, {"plane": Plane.TABLE, "address": fields["c"], "beats": 32}
                yield None, {"plane": Plane.CHANNELS, "beats": len(tile), "slot": self.slot,
                             "address": fields["c"] + table + 8 * tile[0]}
                yield None, {
                    "plane": Plane.W4 if job.bits == 4 else Plane.W8,
                    "address": fields["w"] + tile[0] * w_row, "beats": len(tile) * w_row // 8,
                    "row_beats": w_row // 8, "stride": fields["w_granules"],
                    "base": sizes.ring // 2 if fields["half"] and self.slot else 0}
                self.slot ^= 1


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_commands(config, stall):
    """All there is room for and no more, in order."""
    jobs, buffers, dut = _jobs(config), _Buffers(config), LinearFetch(config=config)
    wanted = [(n, event) for n, (job, fields) in enumerate(jobs)
              for event in buffers.commands(job, fields)]
    rng, ring = Random(7), Sizes(config).ring
    claims, rooms = [], {"x": ring, "w": 2}
    asked = [event for event in wanted if event[1][1]]

    async def host(ctx):
        for n, (_, fields) in enumerate(jobs):
            ctx.set(dut.job, fields)
            ctx.set(dut.bank, n % 2)
            ctx.set(dut.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(dut.taken)
            ctx.set(dut.valid, 0)

    async def sink(ctx):
        for n, (_, want) in asked:
            [got] = await receive(ctx, dut.command, 1, rng, stall)
            assert (got.bank, got.index, got.refused) == (n % 2, n, 0)
            assert {name: got[name] for name in want} == {
                name: int(value) if not isinstance(value, Plane) else value
                for name, value in want.items()}, want

    async def room(ctx):
        """Frees some of what was claimed, now and then; nothing else may be claimed."""
        held = {"x": 0, "w": 0}
        while True:
            ctx.set(dut.room, rooms["x"])
            ctx.set(dut.halves, rooms["w"])
            _, _, claim, size, tile = await ctx.tick().sample(dut.claim, dut.claimed,
                                                              dut.claim_tile)
            for name, count in (("x", size if claim else 0), ("w", tile)):
                if count:
                    claims.append((name, count))
                    held[name] += count
                    rooms[name] -= count
                    assert rooms[name] >= 0
                elif held[name] and rng.random() < 0.15:
                    freed = rng.randint(1, min(held[name], 5))
                    held[name] -= freed
                    rooms[name] += freed

    simulate(dut, host, sink, background=[room], limit=40_000)
    assert claims == [event[0] for _, event in wanted if event[0]]


def test_beyond_the_last_address():
    """What lies there is asked for all the same, and refused."""
    rng, dut = np.random.default_rng(1), LinearFetch(config=TINY)
    job = layer(rng, 300, 64, 72)
    fields = fields_of(job, TINY, x=END - 8 * 64, w=END - 64 * 64, c=END - 64 * 8)
    got = []

    async def body(ctx):
        ctx.set(dut.job, fields)
        ctx.set(dut.valid, 1)
        ctx.set(dut.room, Sizes(TINY).ring)
        ctx.set(dut.halves, 2)
        ctx.set(dut.command.ready, 1)
        taken = False
        while not taken:
            _, _, taken, valid, command = await ctx.tick().sample(
                dut.taken, dut.command.valid, dut.command.payload)
            got.extend([(command.plane, command.refused)] * valid)

    simulate(dut, body)
    for planes in ((Plane.X,), (Plane.CHANNELS,), (Plane.W8,)):
        refused = [bool(flag) for plane, flag in got if plane in planes]
        assert not refused[0] and any(refused)


def test_a_refused_job_reads_nothing():
    dut = LinearFetch(config=TINY)
    job = layer(np.random.default_rng(1), 4, 8, 8)

    async def body(ctx):
        ctx.set(dut.job, fields_of(job, TINY, error=1))
        ctx.set(dut.valid, 1)
        ctx.set(dut.room, Sizes(TINY).ring)
        ctx.set(dut.halves, 2)
        await ctx.delay(1e-9)
        assert ctx.get(dut.taken)
        for _ in range(9):
            _, _, *strobes = await ctx.tick().sample(dut.command.valid, dut.claim, dut.claim_tile)
            assert not any(strobes)

    simulate(dut, body)

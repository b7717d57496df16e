# SPDX-License-Identifier: Apache-2.0
"""A core on whole heads, between a queue of jobs and a memory without a bus."""

from dataclasses import replace
from itertools import count
from random import Random

import numpy as np
import pytest

from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.hdp.planes import HdpLayout, held_planes
from prunus.golden.image import build_image, read_results
from prunus.golden.records import Error
from prunus.hw.hdp.core import HdpCore
from prunus.sim.engines.hdp import Recipe, build
from tests.hw.helpers import send, simulate

TINY = HdpConfig(name="tiny", width=8, frac=4, d_max=16, l_max=8, multipliers=8, softmax_lanes=1,
              axi_data_width=64)
BEAT = HdpConfig(name="beat", width=8, frac=4, d_max=8, l_max=8, multipliers=8, softmax_lanes=2,
              axi_data_width=128)
WIDE = HdpConfig(name="wide", width=12, frac=8, d_max=16, l_max=6, multipliers=8, softmax_lanes=4,
              axi_data_width=128)
PAIRS = HdpConfig(name="pairs", width=12, frac=8, d_max=72, l_max=10, multipliers=128,
               softmax_lanes=4, axi_data_width=128)
OWN = [config.model_copy(update={"name": f"own_{config.name}", "value_array": "own"})
       for config in (TINY, BEAT, WIDE)]
ADDRESSES = {"q_i": 6, "q_f": 7, "k_i": 8, "k_f": 9, "v": 10, "out": 11, "status": 12}


class _System:
    """A core whose reads come in order, some cycles later, and whose writes land at once.

    ``bad`` maps jobs to the plane whose first beat is answered with an error; a beat is written
    every ``write_cycles``.
    """

    def __init__(self, config, jobs, rng, stall=0.0, bad=None, write_cycles=1, limit=4000):
        self.limit = limit
        self.config, self.jobs, self.rng, self.stall = config, jobs, rng, stall
        self.write_cycles = write_cycles
        self.dut = HdpCore(config=config)
        self.image = build_image(jobs, config)
        self.words = np.frombuffer(self.image.data, "<u4", count=len(jobs) * 16).reshape(-1, 16)
        self.words = self.words.copy()
        self.bad = {int(self.words[n][ADDRESSES[plane]]) for n, plane in (bad or {}).items()}
        self.memory = bytearray(self.image.data)
        self.size = config.axi_data_width // 8
        self.asked, self.to_write = [], []
        self.done, self.failed, self.slots = 0, 0, {}

    def payload(self, n):
        """Fields of a decoded descriptor."""
        job = self.jobs[n]
        names = ("causal", "exact", "dense", "drop", "l_q", "l_kv", "valid_q", "valid_kv", "rho",
                 "tau_head", "same_kv")
        return {**{name: int(getattr(job, name)) for name in names}, "d8": job.d // 8,
                "mant": job.scale[0], "shift": job.scale[1],
                **{name: int(self.words[n][at]) for name, at in ADDRESSES.items()}}

    async def offer(self, ctx):
        await send(ctx, self.dut.job, [self.payload(n) for n in range(len(self.jobs))])
        while self.done < len(self.jobs):
            await ctx.tick()
        for _ in range(30):         # nothing more comes
            await ctx.tick()
            assert not ctx.get(self.dut.write.valid) and not ctx.get(self.dut.read_req.valid)

    async def requests(self, ctx):
        while True:
            ctx.set(self.dut.read_req.ready, self.rng.random() >= self.stall)
            ctx.set(self.dut.write_req.ready, self.rng.random() >= self.stall)
            _, _, *read = await ctx.tick().sample(
                self.dut.read_req.valid & self.dut.read_req.ready, self.dut.read_req.payload,
                self.dut.write_req.valid & self.dut.write_req.ready, self.dut.write_req.payload,
                self.dut.done, self.dut.failed, self.dut.occupancy)
            taken, request, written, write, done, failed, occupancy = read
            if taken:
                self.asked += [(request.address + n * self.size, request.tag,
                                n == request.beats - 1) for n in range(request.beats)]
            if written:
                self.to_write += [write.address + n * self.size for n in range(write.beats)]
            self.done += done
            self.failed += failed
            for n, name in enumerate(OCCUPANCY):
                self.slots[name] = self.slots.get(name, 0) + (occupancy >> n & 1)

    async def beats(self, ctx):
        while True:
            if not self.asked or self.rng.random() < self.stall:
                await ctx.tick()
                continue
            address, tag, last = self.asked.pop(0)
            word = int.from_bytes(self.memory[address : address + self.size], "little")
            beat = {"data": word, "tag": tag, "last": int(last), "error": int(address in self.bad)}
            ctx.set(self.dut.read.payload, beat)
            ctx.set(self.dut.read.valid, 1)
            _, _, ready = await ctx.tick().sample(self.dut.read.ready)
            assert ready
            ctx.set(self.dut.read.valid, 0)

    async def writes(self, ctx):
        waiting = []
        for cycle in count():
            ctx.set(self.dut.write.ready, cycle % self.write_cycles == 0
                    and self.rng.random() >= self.stall)
            _, _, taken, beat = await ctx.tick().sample(
                self.dut.write.valid & self.dut.write.ready, self.dut.write.payload.data)
            waiting += [beat] if taken else []
            while waiting and self.to_write:
                address = self.to_write.pop(0)
                word = waiting.pop(0).to_bytes(self.size, "little")
                self.memory[address : address + self.size] = word

    def run(self):
        simulate(self.dut, self.offer, background=[self.requests, self.beats, self.writes],
                 limit=self.limit)
        return read_results(bytes(self.memory), self.image, self.jobs, self.config)

    def check(self, errors=()):
        results = [head(job, self.config) for job in self.jobs]
        held = held_planes(self.jobs, [None if n in errors else result
                                       for n, result in enumerate(results)], self.config)
        for n, (out, status) in enumerate(self.run()):
            job, result = self.jobs[n], results[n]
            if n in errors:
                assert (status.done, status.error, status.theta_head) == (True, Error.BUS, 0), n
                continue
            assert (out == result.out).all(), n
            assert status == HdpKind().record(job, result, self.config, held[n]), n
        assert (self.done, self.failed) == (len(self.jobs), len(errors))


def _jobs(config, *recipes):
    defaults = {"patterns": ("uniform",) * 3, "d": config.d_max}
    jobs = []
    for n, recipe in enumerate(recipes):
        fields = {**defaults, "seed": n, "l_q": config.l_max, "l_kv": config.l_max, **recipe}
        fields = {"valid_q": fields["l_q"], "valid_kv": fields["l_kv"], **fields}
        jobs.append(build(Recipe(**fields), config))
    return jobs


@pytest.mark.parametrize("config", [BEAT, WIDE, *OWN[1:]], ids=lambda c: c.name)
def test_heads(config):
    """Heads of every kind in one run, the banks in turn."""
    jobs = _jobs(config, {"causal": True, "l_q": 6}, {"l_kv": 5, "rho": 64, "l_q": 3, "d": 8},
                 {"l_q": 4, "valid_q": 3, "causal": True, "drop": True}, {"dense": True, "l_q": 2},
                 {"tau": "above", "l_q": 3}, {"l_q": 2, "valid_q": 0},
                 {"exact": True, "l_q": 2, "l_kv": 3, "d": 8},
                 {"tau": "below", "rho": -127, "l_q": 4, "d": 8})
    system = _System(config, jobs, Random(1))
    system.check()
    assert all(system.slots.values())


@pytest.mark.slow
def test_groups():
    """Rows that are not whole groups, in every mode. Groups of four are too wide for Amaranth's
    simulator, whose code for a memory nests as deep as its words are wide: they have system tests.
    """
    jobs = _jobs(PAIRS, {"l_q": 3}, {"l_q": 10, "causal": True, "l_kv": 9, "rho": 64},
                 {"tau": "below", "l_q": 6, "d": 8}, {"dense": True, "l_q": 2, "l_kv": 7},
                 {"exact": True, "l_q": 3, "l_kv": 5}, {"tau": "above", "l_q": 2})
    _System(PAIRS, jobs, Random(5), stall=0.1).check()


@pytest.mark.parametrize("config", [TINY, OWN[0]], ids=lambda c: c.name)
def test_stalls(config):
    jobs = _jobs(config, {"causal": True, "l_q": 3}, {"tau": "below", "l_q": 5, "d": 8},
                 {"l_q": 1, "d": 8, "causal": True, "l_kv": 5})
    _System(config, jobs, Random(2), stall=0.5).check()


@pytest.mark.parametrize("causal", [False, True])
def test_grouped_heads(causal):
    """Heads that share K and V: what the first has read is not read again, kept or pruned."""
    shape = {"l_q": 5, "l_kv": 7, "d": 8, "causal": causal}
    jobs = _jobs(TINY, shape, {**shape, "tau": "above"}, shape, shape, {**shape, "tau": "above"},
                 shape, {**shape, "dense": True})
    for n in (1, 2, 3, 5, 6):
        jobs[n] = replace(jobs[n], k=jobs[n - 1].k, v=jobs[n - 1].v, same_kv=True)
    held = held_planes(jobs, [head(job, TINY) for job in jobs], TINY)
    assert held[5] == {"k_i"} != held[6]
    _System(TINY, jobs, Random(4), stall=0.1).check()


def test_bus_errors_leave_other_heads_alone():
    """Early and late ones, while writing is slow and the head before still has rows to come."""
    sizes = ({"l_q": 6}, {}, {"l_q": 2, "l_kv": 3}, {"l_q": 6}, {"l_q": 4}, {"l_q": 2, "l_kv": 3})
    jobs = _jobs(TINY, *({"d": 8, **size} for size in sizes))
    bad = {1: "v", 3: "q_f", 4: "k_i"}
    system = _System(TINY, jobs, Random(3), bad=bad, write_cycles=8)
    before = bytes(system.memory)
    system.check(errors=bad)
    for n in bad:
        start = system.image.out[n]
        size = jobs[n].l_q * HdpLayout(TINY).row_bytes("out", 8)
        assert system.memory[start : start + size] == before[start : start + size]


TILES = HdpConfig(name="tiles", width=8, frac=4, d_max=16, l_max=24, tile=8, multipliers=8,
               softmax_lanes=1, axi_data_width=64)


@pytest.mark.parametrize("recipes", [
    [{"l_q": 17, "l_kv": 9, "d": 8}, {"l_q": 3, "l_kv": 5, "d": 8, "causal": True}],
    [{"l_q": 6, "l_kv": 11, "causal": True, "exact": True}, {"l_q": 2, "l_kv": 8}],
    [{"l_q": 10, "l_kv": 3, "causal": True, "rho": 127, "drop": True}],
    [{"l_q": 1, "l_kv": 24, "rho": 127, "d": 8}, {"l_q": 9, "l_kv": 2, "dense": True, "d": 8}],
    [{"l_q": 9, "l_kv": 9, "tau": "above", "d": 8}, {"l_q": 9, "l_kv": 9, "tau": "equal", "d": 8},
     {"l_q": 20, "l_kv": 2, "valid_q": 17, "d": 8}],
], ids=["strips", "causal", "unseen_keys", "one_query", "theta_head"])
def test_heads_in_tiles(recipes):
    _System(TILES, _jobs(TILES, *recipes), Random(7), stall=0.2, limit=30_000).check()


@pytest.mark.parametrize("plane", ["k_i", "q_f", "v"])
def test_a_bus_error_in_a_tile(plane):
    """The record tells it, and the next head is as it should be."""
    jobs = _jobs(TILES, {"l_q": 9, "l_kv": 9, "d": 8}, {"l_q": 3, "l_kv": 9, "d": 8})
    _System(TILES, jobs, Random(8), bad={0: plane}, limit=30_000).check(errors={0})


def test_keys_of_one_tile_are_read_once():
    """Heads that share keys as well: those in tiles leave none to the next."""
    shape = {"l_q": 12, "l_kv": 4, "d": 8}
    jobs = _jobs(TILES, shape, shape, {**shape, "l_q": 3}, {**shape, "l_q": 2})
    for n in (1, 2, 3):
        jobs[n] = replace(jobs[n], k=jobs[0].k, v=jobs[0].v, same_kv=True)
    _System(TILES, jobs, Random(9), limit=30_000).check()

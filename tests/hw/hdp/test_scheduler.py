# SPDX-License-Identifier: Apache-2.0
"""The scheduler between models of the stages it leads, each at a pace of its own."""

from dataclasses import dataclass, field
from random import Random

import pytest

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.hw.hdp.loader import Plane
from prunus.hw.hdp.scheduler import Scheduler
from tests.hw.helpers import send, simulate

CONFIG = HdpConfig(name="tiny", width=8, frac=4, d_max=16, l_max=16, multipliers=8, softmax_lanes=1,
                axi_data_width=64)
INTEGER, REST = ["K_I", "Q_I"], ["K_F", "Q_F", "V"]


@dataclass
class Head:
    """A job, what the sparsity engine would find in it, and what happened to it so far."""

    job: dict
    thetas: list                # of the rows
    bad: str | None             # the plane with a bus error
    found: dict                 # blocks kept and total
    held: set                   # planes of K and V that it finds on the chip
    kv: int                     # their bank
    planes: list = field(default_factory=list)      # asked
    loaded: list = field(default_factory=list)
    beats: int = DESCRIPTOR_BYTES * 8 // CONFIG.axi_data_width
    integer_from: int | None = None
    masked: int = 0
    fails: bool = False         # by an error of the head whose planes it uses
    integer_started: bool = False
    fetch_started: bool = False
    fetch_done: bool = False
    dense_blocks: int = 0

    @property
    def idle(self):
        return bool(self.job["error"]) or not self.job["valid_q"] or not self.job["valid_kv"]

    @property
    def integer(self):
        """It has an integer pass."""
        return not (self.idle or self.job["dense"] or self.fails or self.bad in INTEGER)

    @property
    def kept(self):
        if self.job["error"] or self.fails or self.bad in INTEGER and not self.idle:
            return False
        if self.integer:
            return sum(self.thetas) >= self.job["tau_head"]
        return bool(self.job["dense"]) or self.job["tau_head"] == 0

    @property
    def at_once(self):
        """It is known to be kept before its integer planes come, which may be bad."""
        return bool(self.job["dense"]) or self.job["tau_head"] == 0

    @property
    def needed(self):
        """Planes that must be loaded for it."""
        planes = [] if self.idle else INTEGER + (REST if self.at_once or self.kept else [])
        return [plane for plane in planes if plane not in self.held]

    @property
    def decided(self):
        """The integer pass has shown that it is kept."""
        return sum(self.thetas[: self.masked + 1]) >= self.job["tau_head"]

    @property
    def computed(self):
        return self.kept and not self.idle

    @property
    def error(self):
        read = INTEGER + (REST if self.kept else [])
        bus = self.fails or (not self.idle and self.bad in read)
        return self.job["error"] or (Error.BUS if bus else 0)


def make_head(rng, n, before=None):
    """Head n; sometimes with the K and V of the one ``before``."""
    rows = rng.choice([1, 1, 2, 5, 8])
    valid_q = 2 * rows - rng.randrange(2)
    l_kv = rng.randrange(1, 17)
    job = {name: rng.random() < 0.25 for name in ("causal", "exact", "dense", "drop")}
    thetas = [rng.randrange(50) for _ in range(rows)]
    job |= {
        "l_q": valid_q, "l_kv": l_kv, "d8": rng.choice([1, 2]),
        "valid_q": valid_q if rng.random() < 0.9 else 0,
        "valid_kv": rng.randrange(l_kv + 1), "rho": rng.randrange(-127, 128),
        "tau_head": rng.choice([0, 0, sum(thetas), sum(thetas) + 1, sum(thetas) // 2]),
        "error": rng.choice([0] * 9 + [3]),
        **{name: 0x1000 * n + 0x40 * i for i, name in enumerate(
            ("q_i", "q_f", "k_i", "k_f", "v", "out", "status"), 1)},
    }
    bad = rng.choice([None] * 9 + INTEGER + REST)
    held, kv = set(), before.kv ^ 1 if before else 1
    if before and not before.error and not before.bad and rng.random() < 0.6:
        job |= {name: before.job[name] for name in ("d8", "valid_kv", "causal")} | {"same_kv": 1}
        if not job["causal"] or job["valid_q"] == before.job["valid_q"]:
            kv, bad = before.kv, None
            held = before.held | ({*before.needed} & {"K_I", "K_F", "V"})
    found = {"kept": rng.randrange(9), "total": rng.randrange(9, 64)}
    return Head(job, thetas, bad, found, held, kv)


def make_heads(rng, count):
    heads = [make_head(rng, 0)]
    while len(heads) < count:
        heads.append(make_head(rng, len(heads), heads[-1]))
    return heads


class Stages:
    """Loader, integer pass, sparsity engine, fetch upon mask and result writer."""

    def __init__(self, heads, rng, pause):
        self.heads, self.rng, self.pause = heads, rng, pause
        self.dut = Scheduler(config=CONFIG)
        self.to_mask = []
        self.at = {"integer": 0, "fetch": 0, "accepted": 0}
        self.finished = 0

    async def wait(self, ctx):
        for _ in range(self.rng.randrange(self.pause + 1)):
            await ctx.tick()

    def next_head(self, stage, wanted):
        """The next head in order that stage ``stage`` has to work on."""
        while not wanted(self.heads[self.at[stage]]):
            self.at[stage] += 1
        self.at[stage] += 1
        return self.heads[self.at[stage] - 1], (self.at[stage] - 1) & 1

    async def accept(self, ctx):
        """Banks are taken in turn, each only once its head is written."""
        dut = self.dut
        while True:
            _, _, accepted, bank = await ctx.tick().sample(dut.accepted, dut.accepted_bank)
            if accepted:
                n = self.at["accepted"]
                assert bank == n & 1 and self.finished > n - 2
                assert not self.heads[n].planes
                self.at["accepted"] += 1

    async def loader(self, ctx):
        dut = self.dut
        command = dut.command.payload
        while True:
            ctx.set(dut.command.ready, self.rng.random() < 0.5)
            _, _, valid, ready, p = await ctx.tick().sample(
                dut.command.valid, dut.command.ready, command)
            if not (valid and ready):
                continue
            ctx.set(dut.command.ready, 0)
            name = Plane(p.plane).name
            n = p.address >> 12
            head = self.heads[n]
            assert p.address == head.job[name.lower()] and p.bank == n & 1
            assert p.d8 == head.job["d8"] and p.kv == head.kv
            assert p.rows == head.job["valid_q" if name[0] == "Q" else "valid_kv"]
            head.planes.append(name)
            assert head.planes == head.needed[: len(head.planes)]
            if name in REST:
                assert head.at_once or (head.kept and (not head.integer or head.decided))
            await self.deliver(ctx, head, n & 1, name)
            for b, other in ((n & 1, head), *((m & 1, self.heads[m]) for m in (n - 1, n + 1)
                                              if self.finished <= m < self.at["accepted"])):
                assert ctx.get(dut.kv) >> b & 1 == other.kv

    async def deliver(self, ctx, head, bank, name):
        dut = self.dut
        await self.wait(ctx)
        beats = self.rng.randrange(1, 5)
        tag = {"plane": Plane[name], "bank": bank, "kv": head.kv}
        for n in range(beats):
            ctx.set(dut.beat, 1)
            ctx.set(dut.beat_tag, tag)
            ctx.set(dut.bus_error, head.bad == name and n == beats - 1)
            head.beats += 1
            await ctx.tick()
            ctx.set(dut.beat, 0)
            await self.wait(ctx)
        ctx.set(dut.loaded, 1)
        ctx.set(dut.loaded_tag, tag)
        head.loaded.append(name)
        if name == "V":
            assert ctx.get(dut.sum_base[bank]) == first_row_keys(head.job)
        await ctx.tick()
        ctx.set(dut.loaded, 0)
        assert (ctx.get(dut.v_loaded) >> bank & 1) == (
            name == ("Q_F" if "V" in head.held else "V"))

    async def integer_pass(self, ctx):
        dut = self.dut
        while True:
            _, _, start, bank = await ctx.tick().sample(dut.integer_start, dut.integer_bank)
            if not start:
                continue
            head, expected = self.next_head("integer", lambda head: head.integer)
            assert bank == expected and "Q_I" in head.loaded
            assert {"K_I"} <= {*head.loaded, *head.held}
            head.integer_started = True
            ctx.set(dut.integer_busy, 1)
            for row in range(len(head.thetas)):
                await self.wait(ctx)
                while row - head.masked >= 2:
                    await ctx.tick()
                keep = ctx.get(dut.integer_keep)
                assert not keep or (head.kept and not head.job["exact"])
                assert keep or head.job["exact"] or head.job["tau_head"]
                if keep and head.integer_from is None:
                    head.integer_from = row
                assert bool(keep) == (head.integer_from is not None)
                ctx.set(dut.integer_begin, 1)
                ctx.set(dut.integer_kept_row, keep)
                ctx.set(dut.integer_row, row)
                await ctx.tick()
                ctx.set(dut.integer_begin, 0)
                self.to_mask.append((head, bank, row))
            ctx.set(dut.integer_busy, 0)

    async def sparsity(self, ctx):
        dut = self.dut
        while True:
            await ctx.tick()
            if not self.to_mask:
                continue
            head, bank, row = self.to_mask.pop(0)
            await self.wait(ctx)
            last = row == len(head.thetas) - 1
            ctx.set(dut.masked_bank, bank)
            ctx.set(dut.masked_row, row)
            ctx.set(dut.heads[bank].theta, sum(head.thetas[: row + 1]))
            ctx.set(dut.reached, head.decided)
            await ctx.tick()
            ctx.set(dut.reached, 0)
            await self.wait(ctx)
            ctx.set(dut.heads[bank].kept, head.found["kept"])
            ctx.set(dut.heads[bank].total, head.found["total"])
            ctx.set(dut.masked, 1)
            ctx.set(dut.end_head, last)
            await ctx.tick()
            ctx.set(dut.masked, 0)
            ctx.set(dut.end_head, 0)
            head.masked = row + 1
            if ctx.get(dut.fetch_bank) == bank and head.fetch_started:
                assert ctx.get(dut.masked_rows) == head.masked

    async def fetch(self, ctx):
        dut = self.dut
        while True:
            _, _, start, bank, from_row, rows = await ctx.tick().sample(
                dut.fetch_start, dut.fetch_bank, dut.integer_from, dut.integer_rows)
            if not start:
                continue
            head, expected = self.next_head("fetch", lambda head: head.computed)
            assert bank == expected
            assert set(INTEGER + REST[:2]) <= {*head.loaded, *head.held}
            assert not rows or head.integer_from == from_row
            head.fetch_started = True
            ctx.set(dut.fetch_busy, 1)
            await ctx.tick()
            while head.integer and head.masked < len(head.thetas):
                assert ctx.get(dut.masked_rows) <= head.masked
                await ctx.tick()
            if head.integer:
                assert ctx.get(dut.integer_rows) == (head.integer_from is not None)
                assert ctx.get(dut.masked_rows) == len(head.thetas)
            for columns in (3, 5) if head.job["dense"] else ():
                ctx.set(dut.columns_en, 1)
                ctx.set(dut.columns, columns)
                head.dense_blocks += columns
                await ctx.tick()
            ctx.set(dut.columns_en, 0)
            for _ in range(self.rng.choice([0, 0, 150])):
                await ctx.tick()
            head.fetch_done = True
            ctx.set(dut.fetch_busy, 0)

    async def results(self, ctx):
        dut = self.dut
        for n, head in enumerate(self.heads):
            while not ctx.get(dut.result.valid):
                await ctx.tick()
            assert n < self.at["accepted"]
            await self.wait(ctx)
            while head.computed and not head.fetch_done:
                await ctx.tick()
            while not ctx.get(dut.complete):
                await ctx.tick()
            self.check_result(ctx, n, head)
            ctx.set(dut.result.ready, 1)
            _, _, done = await ctx.tick().sample(dut.done)
            ctx.set(dut.result.ready, 0)
            assert done
            self.finished += 1
            _, _, done = await ctx.tick().sample(dut.done)
            assert not done

    def check_result(self, ctx, n, head):
        dut, job = self.dut, head.job
        p = ctx.get(dut.result.payload)
        assert {name: p[name] for name in ("out", "status", "l_q", "valid_q", "d8")} == {
            name: job[name] for name in ("out", "status", "l_q", "valid_q", "d8")}
        assert bool(p.computed) == head.computed
        assert ctx.get(dut.result_error) == head.error
        assert head.integer_started == head.integer and head.fetch_started == head.computed
        # After an error in them, other planes come only if they are asked for already.
        integer = [plane for plane in head.needed if plane in INTEGER]
        assert head.loaded == head.needed or (not head.kept and head.loaded == integer)
        status = ctx.get(dut.status)
        assert bool(status.head_kept) == head.kept
        assert status.read_beats == head.beats
        blocks = (status.blocks_kept, status.blocks_total)
        if job["dense"]:
            assert blocks == (head.dense_blocks, head.dense_blocks)
        elif head.integer:
            assert blocks == (head.found["kept"], head.found["total"])
            assert status.theta_head == sum(head.thetas)

    def run(self):
        async def jobs(ctx):
            for n, head in enumerate(self.heads):
                job = {**head.job, "offset": head.job["valid_kv"] - head.job["valid_q"]}
                await send(ctx, self.dut.job, [job], self.rng, 0.99 if n % 8 == 0 else 0.2)

        simulate(self.dut, jobs, self.results, background=[
            self.accept, self.loader, self.integer_pass, self.sparsity, self.fetch])
        assert self.finished == len(self.heads)


def first_row_keys(job):
    """Keys that both queries of the first row of blocks see, in whole pairs."""
    if not job["causal"]:
        return job["valid_kv"]
    seen = sum(j <= job["valid_kv"] - job["valid_q"] for j in range(job["valid_kv"]))
    if job["valid_kv"] - job["valid_q"] + 1 > job["valid_kv"]:
        return job["valid_kv"]
    return seen // 2 * 2


@pytest.mark.parametrize("pause", [0, 3, 12])
def test_heads(pause):
    rng = Random(pause)
    heads = make_heads(rng, 120)
    Stages(heads, rng, pause).run()
    assert {head.kept for head in heads if head.integer} == {False, True}
    assert any(head.integer_from for head in heads)
    assert any(head.error == Error.BUS for head in heads)
    assert {frozenset(head.held) for head in heads} == {
        frozenset(), frozenset({"K_I"}), frozenset({"K_I", "K_F", "V"})}


def test_an_error_in_shared_planes():
    """A head that waits for them fails with the one that reads them; the next one reads anew."""
    rng = Random(1)
    fields = {"error": 0, "valid_q": 2, "valid_kv": 4, "causal": 0, "dense": 0, "exact": 0,
              "tau_head": 0, "same_kv": 1, "d8": 1, "l_q": 2, "l_kv": 4}
    heads = []
    for n, (bad, held, kv) in enumerate((("V", set(), 1), (None, {"K_I", "K_F", "V"}, 1),
                                         (None, set(), 0))):
        job = fields | {name: 0x1000 * n + 0x40 * i for i, name in enumerate(
            ("q_i", "q_f", "k_i", "k_f", "v", "out", "status"), 1)}
        job["same_kv"] = n > 0
        heads.append(Head(job, [9], bad, {"kept": 1, "total": 2}, held, kv))
    heads[1].fails = True
    Stages(heads, rng, 3).run()


@pytest.mark.parametrize("plane", ["K_I", "Q_F"])
def test_an_error_in_the_cycle_of_an_acceptance(plane):
    """A head that shares K and V enters while an error of those, or of a query, is told: the head
    before has failed, so it takes the other bank."""
    dut = Scheduler(config=CONFIG)
    job = {"l_q": 2, "valid_q": 2, "l_kv": 4, "valid_kv": 4, "d8": 1, "dense": 1}

    async def bench(ctx):
        await send(ctx, dut.job, [job])
        await ctx.tick().repeat(3)
        ctx.set(dut.job.payload, {**job, "same_kv": 1})
        ctx.set(dut.job.valid, 1)
        first = ctx.get(dut.kv[0])
        tag = {"plane": Plane[plane], "bank": 0, "kv": first}
        for signal, value in ((dut.beat, 1), (dut.bus_error, 1), (dut.beat_tag, tag)):
            ctx.set(signal, value)
        assert ctx.get(dut.job.ready)
        await ctx.tick()
        assert ctx.get(dut.kv[1]) != first

    simulate(dut, bench)

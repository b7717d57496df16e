# SPDX-License-Identifier: Apache-2.0
"""The scheduler between models of the stages it leads, each at a pace of its own."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.hw.leopard.layouts import front_end
from prunus.hw.survivors.layouts import SLOTS
from prunus.hw.survivors.loader import Plane
from prunus.hw.survivors.scheduler import Scheduler
from tests.hw.helpers import send, simulate

CONFIG = LeopardConfig(name="tiny", width=8, dpus=2, d_max=16, l_max=16, axi_data_width=64)
FRONT = front_end(CONFIG)


@dataclass(eq=False)
class Head:
    """A job, and what happened to it so far."""

    n: int
    job: dict
    bad: str | None                 # the plane with a bus error
    rows: list                      # of valid queries: survivors, digits, words of keys
    same: bool = False              # K and V are those of the head before
    held: bool = False              # and were asked for by it, or by one before that
    kv: int = 0
    accepted: bool = False
    bus: bool = False
    asked: list = field(default_factory=list)       # planes
    loaded: bool = False
    begun: bool = False
    issued: int = 0                 # rows
    ended: int = 0
    valued: int = 0
    done: bool = False
    beats: int = DESCRIPTOR_BYTES * 8 // CONFIG.axi_data_width

    @property
    def idle(self):
        return bool(self.job["error"]) or not self.job["valid_q"] or not self.job["valid_kv"]

    @property
    def planes(self):
        """Those that must be loaded for it."""
        return [] if self.idle else ["Q"] if self.held else ["Q", "K", "V"]

    @property
    def computed(self):
        return not self.idle and not self.bus

    @property
    def error(self):
        return self.job["error"] or (Error.BUS if self.bus else 0)

    def bank(self, plane):
        return self.n % 2 ^ 1 if plane == "Q" else self.kv

    def accept(self, before):
        """Enters a slot behind the head ``before``, of which this much is known by now."""
        self.accepted = True
        self.same = bool(before and self.job["same_kv"] and not before.error and all(
            self.job[name] == before.job[name] for name in ("d8", "valid_kv")))
        self.held = self.same and (before.held or not before.idle)
        last = before.kv if before else 0
        self.kv = last if self.same else last ^ 1


def make_head(rng, n):
    valid_q, l_kv = rng.choice([1, 1, 2, 5, 8]), rng.choice([5, 5, 5, 16])
    job = {
        "causal": rng.randrange(2), "same_kv": n > 0 and rng.random() < 0.6,
        "l_q": valid_q + rng.randrange(3), "l_kv": l_kv,
        "valid_q": valid_q if rng.random() < 0.85 else 0,
        "valid_kv": rng.choice([0, 2]) if rng.random() < 0.1 else 5,
        "d8": 2 if rng.random() < 0.8 else 1, "threshold": rng.randrange(-99, 100),
        "error": rng.choice([0] * 9 + [3]),
        **{name: 0x1000 * n + 0x40 * i
           for i, name in enumerate(("q", "k", "v", "out", "status"), 1)},
    }
    rows = [(rng.randrange(6), rng.randrange(20), rng.randrange(12))
            for _ in range(job["valid_q"])]
    return Head(n, job, rng.choice([None] * 9 + ["K", "V", "Q"]), rows)


class Stages:
    """Loader, front end, value unit and result writer."""

    def __init__(self, heads, rng, pause):
        self.heads, self.rng, self.pause = heads, rng, pause
        self.dut = Scheduler(config=CONFIG, front=FRONT)
        self.asked, self.rows, self.weights = deque(), deque(), deque()
        self.together = 0       # the most heads that were in slots, and in the front end
        self.overlap = 0

    async def wait(self, ctx):
        for _ in range(self.rng.randrange(self.pause + 1)):
            await ctx.tick()

    async def watch(self, ctx):
        """What is accepted, loaded and over, in the cycle in which it is."""
        dut, n, loading = self.dut, 0, None
        while True:
            _, _, valid, ready, beat, error, loaded, done, seen, running = await ctx.tick().sample(
                dut.job.valid, dut.job.ready, dut.beat, dut.bus_error, dut.loaded, dut.done,
                dut.loading, dut.head.valid)
            assert loading is None or seen == loading
            live = [head for head in self.heads if head.accepted and not head.done]
            loading = self.is_loading(live, running)
            if beat:
                head, plane = self.asked[0]
                head.beats += 1
                if error:
                    for other in live:
                        if other is head or (plane != "Q" and other.n > head.n
                                             and self.shares(other, head)):
                            other.bus = True
                if loaded:
                    self.asked.popleft()
                    head.loaded = plane == head.planes[-1]
            if done:
                live[0].done = True
            if valid and ready:
                assert len(live) < SLOTS
                self.together = max(self.together, len(live) + 1)
                self.heads[n].accept(self.heads[n - 1] if n else None)
                n += 1

    def is_loading(self, live, running):
        """What ``loading`` must be in the next cycle, None where that is not known here."""
        if running or any(head.begun for head in live):
            return 0
        waits = [head for head in live if not head.idle and not head.loaded]
        if not waits:
            return 0
        return 1 if waits[0].asked else None

    def shares(self, head, owner):
        return all(other.same for other in self.heads[owner.n + 1 : head.n + 1])

    async def commands(self, ctx):
        dut = self.dut
        for head in self.heads:
            while not head.accepted:
                await ctx.tick()
            for plane in head.planes:
                ready = valid = False
                while not (ready and valid):
                    ready = self.rng.random() < 0.5
                    ctx.set(dut.command.ready, ready)
                    _, _, valid, p = await ctx.tick().sample(dut.command.valid,
                                                             dut.command.payload)
                ctx.set(dut.command.ready, 0)
                job = head.job
                assert (Plane(p.plane).name, p.slot, p.bank) == (
                    plane, head.n % SLOTS, head.bank(plane))
                assert (p.address, p.d8) == (job[plane.lower()], job["d8"])
                assert p.rows == job["valid_q" if plane == "Q" else "valid_kv"]
                self.check_free(head, plane)
                head.asked.append(plane)
                self.asked.append((head, plane))

    def check_free(self, head, plane):
        """The bank that is about to be written is not needed any more."""
        left = {"Q": "issued", "K": "ended", "V": "valued"}[plane]
        for other in self.heads[: head.n]:
            if other.computed and other.bank(plane) == head.bank(plane):
                assert len(other.rows) == getattr(other, left)

    async def beats(self, ctx):
        dut = self.dut
        while True:
            await ctx.tick()
            if not self.asked:
                continue
            head, plane = self.asked[0]
            await self.wait(ctx)
            count = self.rng.randrange(1, 5)
            bad = self.rng.randrange(count)
            ctx.set(dut.beat_tag, {"plane": Plane[plane], "slot": head.n % SLOTS,
                                   "bank": head.bank(plane)})
            ctx.set(dut.loaded_tag, {"plane": Plane[plane], "slot": head.n % SLOTS,
                                     "bank": head.bank(plane)})
            for n in range(count):
                ctx.set(dut.beat, 1)
                ctx.set(dut.bus_error, head.bad == plane and n == bad)
                ctx.set(dut.loaded, n == count - 1)
                await ctx.tick()
                ctx.set(dut.beat, 0)
                ctx.set(dut.bus_error, 0)
                ctx.set(dut.loaded, 0)
                await self.wait(ctx)

    async def issue(self, ctx):
        """Takes a head with its last row."""
        dut = self.dut
        while True:
            _, _, valid, p = await ctx.tick().sample(dut.head.valid, dut.head.payload)
            if not valid:
                continue
            head = next(head for head in self.heads if head.computed and not head.begun)
            assert head.loaded and all(
                other.done or not other.computed or other.issued == len(other.rows)
                for other in self.heads[: head.n])
            assert all(other.ended == len(other.rows) for other in self.heads[: head.n]
                       if other.computed and other.bank("Q") == head.bank("Q"))
            assert {name: p[name] for name in ("slot", "bank", "kv")} == {
                "slot": head.n % SLOTS, "bank": head.bank("Q"), "kv": head.kv}
            for name in ("valid_q", "valid_kv", "causal", "d8", "threshold"):
                assert p[name] == head.job[name]
            head.begun = True
            for row in head.rows:
                await self.wait(ctx)
                last = head.issued == len(head.rows) - 1
                ctx.set(dut.head.ready, last)
                await ctx.tick()
                ctx.set(dut.head.ready, 0)
                head.issued += 1
                self.rows.append([head, *row])
            assert not ctx.get(dut.head.valid)

    async def front_end(self, ctx):
        """Ends rows in order, but reads keys of the next head, too."""
        dut = self.dut
        while True:
            words = [0, 0]
            if self.rows:
                self.overlap |= len({row[0].n for row in self.rows}) > 1
            for row in list(self.rows)[:3]:
                bank = row[0].bank("Q")
                if not words[bank]:
                    words[bank] = self.rng.randrange(min(row[3], CONFIG.dpus) + 1)
                    row[3] -= words[bank]
            ctx.set(dut.words, words)
            ended = bool(self.rows) and not self.rows[0][3] and self.rng.random() < 0.5
            if ended:
                head, survivors, digits, _ = self.rows.popleft()
                ctx.set(dut.ended_slot, head.n % SLOTS)
                ctx.set(dut.survivors, survivors)
                ctx.set(dut.digits, digits)
            ctx.set(dut.ended, ended)
            await ctx.tick()
            if ended:
                head.ended += 1
                self.weights.append(head)

    async def values(self, ctx):
        dut = self.dut
        while True:
            await ctx.tick()
            if not self.weights:
                continue
            await self.wait(ctx)
            head = self.weights.popleft()
            ctx.set(dut.valued_slot, head.n % SLOTS)
            ctx.set(dut.valued, 1)
            await ctx.tick()
            ctx.set(dut.valued, 0)
            head.valued += 1

    async def results(self, ctx):
        dut = self.dut
        for head in self.heads:
            while not ctx.get(dut.result.valid):
                assert not ctx.get(dut.failed)
                await ctx.tick()
            await self.wait(ctx)
            while head.computed and head.valued < len(head.rows):
                await ctx.tick()
            self.check_result(ctx, head)
            ctx.set(dut.result.ready, 1)
            _, _, done, failed = await ctx.tick().sample(dut.done, dut.failed)
            ctx.set(dut.result.ready, 0)
            assert done and failed == bool(head.error)

    def check_result(self, ctx, head):
        dut, job, slot = self.dut, head.job, head.n % SLOTS
        p = ctx.get(dut.result.payload)
        for name in ("out", "status", "l_q", "valid_q", "d8"):
            assert p[name] == job[name]
        assert (bool(p.computed), p.error) == (head.computed, head.error)
        assert head.begun == head.computed and head.asked == head.planes
        assert ctx.get(dut.kv) >> slot & 1 == head.kv
        kept = ctx.get(dut.jobs[slot])
        assert all(kept[name] == value for name, value in job.items())
        status = ctx.get(dut.status)
        assert status.read_beats == head.beats
        if head.computed:
            survivors, digits, words = (sum(column) for column in zip(*head.rows, strict=True))
            assert (status.survivors, status.digits, status.key_words) == (
                survivors, digits, words)
        else:
            assert (status.survivors, status.digits, status.key_words) == (0, 0, 0)

    def run(self, jobs):
        """Feed ``jobs``, a testbench, and work until all heads are over."""
        simulate(self.dut, jobs, self.results, limit=30_000, background=[
            self.watch, self.commands, self.beats, self.issue, self.front_end, self.values])
        assert all(head.done for head in self.heads)


@pytest.mark.parametrize("pause", [0, 3, 12])
def test_heads(pause):
    rng = Random(pause)
    heads = [make_head(rng, n) for n in range(96)]
    stages = Stages(heads, rng, pause)

    async def jobs(ctx):
        for head in heads:
            stall = 0.2 if head.n % 8 else 0.99
            await send(ctx, stages.dut.job, [head.job], rng, stall)

    stages.run(jobs)
    assert stages.together == SLOTS and stages.overlap
    for kind in (lambda head: head.same and head.held and head.computed,
                 lambda head: head.same and not head.held and head.computed,
                 lambda head: head.job["same_kv"] and not head.same and head.computed,
                 lambda head: head.bus and head.bad != "Q",
                 lambda head: head.bus and not head.bad,       # one whose K and V it shares
                 lambda head: head.job["error"], lambda head: not head.job["valid_q"]):
        assert any(map(kind, heads))


@pytest.mark.parametrize("bad", ["K", "V"])
def test_an_error_around_an_acceptance(bad):
    """A head that shares K and V, accepted in any cycle around that of their bus error."""
    rng, heads = Random(bad), []
    for n in range(100):
        head = make_head(rng, n)
        head.job |= {"same_kv": n % 2, "error": 0, "valid_q": 1, "l_q": 1, "valid_kv": 5, "d8": 2}
        head.rows, head.bad = [(1, 2, 3)], None if n % 2 else bad
        heads.append(head)
    stages = Stages(heads, rng, 0)

    async def jobs(ctx):
        for head in heads:
            while not head.n % 2 and not all(other.done for other in heads[: head.n]):
                await ctx.tick()
            for _ in range(head.n // 2 if head.n % 2 else 0):
                await ctx.tick()
            await send(ctx, stages.dut.job, [head.job])

    stages.run(jobs)
    assert {head.same for head in heads[1::2]} == {False, True}
    assert all(head.bus == (head.same or not head.n % 2) for head in heads)

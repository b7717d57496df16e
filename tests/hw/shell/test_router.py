# SPDX-License-Identifier: Apache-2.0
"""The job router: which core gets which job, and that none gets a third."""

from random import Random

import pytest

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.shell.router import JobRouter
from tests.hw.helpers import simulate


def _config(cores):
    return HdpConfig(name="some", cores=cores)


class _Cores:
    """What the cores hold, with jobs that end and cores that get hungry at random."""

    def __init__(self, dut, cores, rng):
        self.dut, self.cores, self.rng = dut, cores, rng
        self.jobs = [[] for _ in range(cores)]
        self.given = []

    async def cycle(self, ctx, job, hunger=0.3, ends=0.2, same=False):
        """One cycle with ``job`` offered, None for none, ``same`` if it shares K and V with the
        one before. Returns whether it was taken."""
        dut, rng = self.dut, self.rng
        hungry = [rng.random() < hunger for _ in self.jobs]
        done = [bool(held) and rng.random() < ends for held in self.jobs]
        ctx.set(dut.hungry, sum(h << n for n, h in enumerate(hungry)))
        ctx.set(dut.done, sum(d << n for n, d in enumerate(done)))
        ctx.set(dut.job.valid, job is not None)
        if job is not None:
            ctx.set(dut.job.payload.q_i, job)
            ctx.set(dut.job.payload.same_kv, same)
        for n, held in enumerate(self.jobs):
            ctx.set(dut.cores[n].ready, len(held) < 2)
        free = [n for n, held in enumerate(self.jobs) if not held]
        one = [n for n, held in enumerate(self.jobs) if len(held) == 1 and hungry[n]]
        target = (free + one + [None])[0]
        if job is not None and same:
            target = self.given[-1] if len(self.jobs[self.given[-1]]) < 2 else None
        assert job is None or ctx.get(dut.job.ready) == (target is not None)
        for n in range(self.cores):
            valid = ctx.get(dut.cores[n].valid)
            assert valid == (job is not None and n == target)
            if valid:
                assert ctx.get(dut.cores[n].payload.q_i) == job
        await ctx.tick()
        for n, over in enumerate(done):
            if over:
                self.jobs[n].pop(0)
        if job is None or target is None:
            return False
        self.jobs[target].append(job)
        self.given.append(target)
        return True


@pytest.mark.parametrize("cores", [2, 4, 8])
@pytest.mark.parametrize("ends", [0.02, 0.08])
def test_random_jobs(cores, ends):
    rng = Random(f"{cores}{ends}")
    dut = JobRouter(config=_config(cores))
    model = _Cores(dut, cores, rng)

    async def body(ctx):
        job, same = 0, False
        while job < 150:
            offer = job if rng.random() < 0.7 else None
            if await model.cycle(ctx, offer, ends=ends, same=same):
                job, same = job + 1, rng.random() < 0.3
        while any(model.jobs):
            await model.cycle(ctx, None)

    simulate(dut, body)
    assert set(model.given) == set(range(cores))


def test_a_core_without_a_job_goes_first():
    """Though a hungry one with a lower number could take it."""
    dut = JobRouter(config=_config(4))
    model = _Cores(dut, 4, Random(1))

    async def body(ctx):
        for job in range(8):
            assert await model.cycle(ctx, job, hunger=1, ends=0)
        assert not await model.cycle(ctx, 8, hunger=1, ends=0)

    simulate(dut, body)
    assert model.given == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_job_waits_for_a_hungry_core():
    dut = JobRouter(config=_config(2))
    model = _Cores(dut, 2, Random(1))

    async def body(ctx):
        assert await model.cycle(ctx, 1, hunger=0, ends=0)
        assert await model.cycle(ctx, 2, hunger=0, ends=0)
        for _ in range(5):
            assert not await model.cycle(ctx, 3, hunger=0, ends=0)
        assert await model.cycle(ctx, 3, hunger=1, ends=0)

    simulate(dut, body)


def test_jobs_with_the_same_keys_stay_on_their_core():
    """Though others have nothing to do."""
    dut = JobRouter(config=_config(4))
    model = _Cores(dut, 4, Random(1))

    async def body(ctx):
        for job, same in enumerate([False, False, True, False, True]):
            assert await model.cycle(ctx, job, hunger=0, ends=0, same=same)
        assert not await model.cycle(ctx, 5, hunger=1, ends=0, same=True)
        assert await model.cycle(ctx, 5, hunger=0, ends=0)

    simulate(dut, body)
    assert model.given == [0, 1, 1, 2, 2, 3]

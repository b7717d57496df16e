# SPDX-License-Identifier: Apache-2.0
"""The result writer: requests, output rows and status records of jobs of every kind."""

from dataclasses import dataclass
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind, HdpStatus
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.records import STATUS_BYTES, Error
from prunus.hw.hdp.result_writer import ResultWriter
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [load_config("hdp_tiny"),
           HdpConfig(name="wide", width=12, frac=8, d_max=24, l_max=8, axi_data_width=128),
           HdpConfig(name="beat", width=8, frac=4, d_max=8, l_max=6, axi_data_width=128),
           HdpConfig(name="widest", width=8, frac=4, d_max=72, l_max=6, axi_data_width=512)]


def _record(raw):
    values = HdpKind.status.unpack(raw)
    return HdpStatus(**{**values, "done": values["done"] == 1, "error": Error(values["error"])})


@dataclass(eq=False)
class _Job:
    """A finished head. ``late``: its error comes only after fetch upon mask has begun it, so that
    its rows come too."""

    config: HdpConfig
    payload: dict
    error: int
    late: bool
    status: dict
    rows: list          # of beats

    @property
    def beats(self):
        """Beats of an output row."""
        return HdpLayout(self.config).row_beats("out", 8 * self.payload["d8"])

    def expected(self):
        """Requests, and all beats but those of the record."""
        config, job = self.config, self.payload
        record = (job["status"], STATUS_BYTES * 8 // config.axi_data_width)
        if self.error:
            return [record], []
        rows = self.rows + [[0] * self.beats] * (job["l_q"] - len(self.rows))
        return ([(job["out"], job["l_q"] * self.beats), record],
                [beat for row in rows[: job["l_q"]] for beat in row])

    def expected_status(self):
        if self.error:
            return HdpStatus(done=True, error=Error(self.error), head_kept=False,
                          theta_head=0, blocks_kept=0, blocks_total=0, read_bytes=0,
                          write_bytes=0)
        beat_bytes = self.config.axi_data_width // 8
        status = {name: value for name, value in self.status.items() if name != "read_beats"}
        return HdpStatus(done=True, error=Error.NONE,
                      **{**status, "head_kept": bool(self.status["head_kept"])},
                      read_bytes=self.status["read_beats"] * beat_bytes,
                      write_bytes=self.payload["l_q"] * self.beats * beat_bytes + STATUS_BYTES)


def _status(config, rng):
    blocks = 2 * config.block_width + 1
    return {"head_kept": rng.getrandbits(1), "theta_head": rng.getrandbits(config.theta_head_width),
            "blocks_kept": rng.getrandbits(blocks), "blocks_total": rng.getrandbits(blocks),
            "read_beats": rng.getrandbits(24)}


def _job(config, rng, kind):
    l_q = rng.randint(1, config.l_max)
    valid_q = rng.choice([l_q, rng.randint(1, l_q)])
    computed = kind in ("good", "late")
    error = {"error": rng.randint(1, 7), "late": Error.BUS.value}.get(kind, 0)
    payload = {"out": rng.getrandbits(32), "status": rng.getrandbits(32), "l_q": l_q,
               "valid_q": valid_q, "d8": rng.randint(1, config.d_max // 8),
               "computed": int(computed)}
    job = _Job(config, payload, error, kind == "late", _status(config, rng), [])
    if computed:
        job.rows = [[rng.getrandbits(config.axi_data_width) for _ in range(job.beats)]
                    for _ in range(valid_q + valid_q % 2)]
    return job


class _Core:
    """Offers jobs as the scheduler does and rows as the row output does, those of later jobs too.

    A late error shows some time before the first row, often while the job before is written.
    """

    def __init__(self, dut, jobs, rng, stall):
        self.dut, self.jobs, self.rng, self.stall = dut, jobs, rng, stall
        self.begun = 0      # jobs whose error, if any, is known

    async def offer(self, ctx):
        dut, rng = self.dut, self.rng
        for n, job in enumerate(self.jobs):
            known = self.begun > n
            complete, taken = False, False
            ctx.set(dut.job.payload, job.payload)
            ctx.set(dut.job.valid, 1)
            while not taken:
                if not known and rng.random() < (0.1 if self.stall else 1):
                    self.begun = n + 1
                known = self.begun > n
                ctx.set(dut.error, job.error if known or not job.late else 0)
                complete = complete or (known and rng.random() < (0.05 if self.stall else 1))
                ctx.set(dut.complete, complete)
                ctx.set(dut.status, job.status if complete else _status(job.config, rng))
                _, _, taken, failed = await ctx.tick().sample(dut.job.ready, dut.failed)
                assert not taken or failed == bool(job.error)
            ctx.set(dut.job.valid, 0)
            ctx.set(dut.complete, 0)
            while rng.random() < self.stall:
                if rng.random() < 0.5:          # the next head's error, before its turn
                    self.begun = max(self.begun, n + 2)
                await ctx.tick()

    async def rows(self, ctx, query):
        for n, job in enumerate(self.jobs):
            while self.begun <= n and job.late:
                await ctx.tick()
            for row in job.rows[query::2]:
                await send(ctx, self.dut.rows[query], row, self.rng, self.stall)

    async def even(self, ctx):
        await self.rows(ctx, 0)

    async def odd(self, ctx):
        await self.rows(ctx, 1)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_jobs(config, stall_in, stall_out):
    rng = Random(f"{config.name}{stall_in}{stall_out}")
    kinds = ["good", "pruned", "good", "error", "late", "late", "good", "error", "pruned", "late",
             "good"]
    jobs = [_job(config, rng, kind) for kind in kinds]
    dut = ResultWriter(config=config)
    core = _Core(dut, jobs, rng, stall_in)
    requests = [request for job in jobs for request in job.expected()[0]]
    record_beats = STATUS_BYTES * 8 // config.axi_data_width

    async def req(ctx):
        for request in requests:
            [got] = await receive(ctx, dut.req, 1, rng, stall_out)
            assert (got.address, got.beats) == request

    async def data(ctx):
        for job in jobs:
            beats = job.expected()[1]
            got = await receive(ctx, dut.o, len(beats), rng, stall_out)
            assert [beat.data for beat in got] == beats
            record = await receive(ctx, dut.o, record_beats, rng, stall_out)
            raw = b"".join(beat.data.to_bytes(config.axi_data_width // 8, "little")
                           for beat in record)
            assert _record(raw) == job.expected_status()
            assert raw[32:] == bytes(32)
        for _ in range(10):
            await ctx.tick()
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.req.valid)

    simulate(dut, core.offer, core.even, core.odd, req, data)


@pytest.mark.parametrize("kind, ahead", [("good", 4), ("pruned", 3)])
def test_a_beat_per_cycle(kind, ahead):
    """Cycles from the job to its first beat, and then no cycle without one but around requests."""
    config = load_config("hdp_tiny")
    rng = Random(1)
    job = _job(config, rng, kind)
    while job.payload["l_q"] < 5 or job.payload["d8"] < 2:
        job = _job(config, rng, kind)
    dut = ResultWriter(config=config)
    core = _Core(dut, [job], rng, 0.0)
    valid = []

    async def watch(ctx):
        ctx.set(dut.req.ready, 1)
        ctx.set(dut.o.ready, 1)
        for _ in range(600):
            _, _, beat = await ctx.tick().sample(dut.o.valid)
            valid.append(beat)

    simulate(dut, core.offer, core.even, core.odd, watch)
    rows = job.payload["l_q"] * job.beats
    # After the rows: is a row left, and the record's request.
    drained = len(job.rows) > job.payload["l_q"]
    gap = 2 + drained * job.beats
    assert valid[: ahead + rows + gap + 9] == \
        [0] * ahead + [1] * rows + [0] * gap + [1] * 8 + [0]

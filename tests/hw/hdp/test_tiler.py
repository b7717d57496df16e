# SPDX-License-Identifier: Apache-2.0
"""The tiler against the tiles of golden."""

from random import Random

import pytest
from amaranth.sim import Simulator

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.hdp.tiles import Phase, is_tiled, tiles
from prunus.hw.hdp import tiler
from prunus.hw.hdp.tiler import JOBS, Tiler
from prunus.sim.engines.hdp import Recipe, build
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIG = HdpConfig(name="tiles", d_max=40, l_max=40, tile=8, multipliers=8)
WIDE = HdpConfig(name="wide", width=12, frac=8, d_max=72, l_max=40, tile=16, multipliers=8,
              axi_data_width=256)
FINE = load_config("hdp_fine_tiny").model_copy(update={"name": "fine", "tile": 8})
ADDRESSES = ("q_i", "q_f", "k_i", "k_f", "v", "out", "status")


def _job(config, rng, n):
    l_q, l_kv = (rng.choice([1, config.tile, rng.randint(1, config.l_max)]) for _ in range(2))
    valid_q, valid_kv = (rng.choice([rows, rng.randint(0, rows)]) for rows in (l_q, l_kv))
    recipe = Recipe(l_q=l_q, l_kv=l_kv, valid_q=valid_q, valid_kv=valid_kv,
                    d=8 * rng.randint(1, config.d_max // 8), patterns=("uniform",) * 3,
                    rho=rng.randint(-127, 127), scale=(rng.randrange(65536), 20),
                    tau=rng.choice(["zero", "below", "equal", "above"]),
                    causal=rng.random() < 0.5, drop=rng.random() < 0.5,
                    exact=rng.random() < 0.5, dense=rng.random() < 0.2, seed=n)
    return build(recipe, config)


def _fields(job, n, error=0):
    fields = {name: int(getattr(job, name)) for name in (
        "causal", "exact", "dense", "drop", "l_q", "l_kv", "valid_q", "valid_kv", "rho",
        "tau_head", "same_kv")}
    return {**fields, "d8": job.d // 8, "mant": job.scale[0], "shift": job.scale[1],
            "error": error, **{name: 0x1000000 * n + 0x100000 * i
                               for i, name in enumerate(ADDRESSES, 1)}}


def _expected(job, fields, kept, config):
    """The fields of each tile that are not those of the head, and the last part of the head."""
    layout, plan = HdpLayout(config), list(tiles(job, config, kept))
    shared = job.valid_kv <= config.tile and not job.causal
    for n, tile in enumerate(plan):
        final = tile.query + tile.queries == job.valid_q
        seen = {"valid_q": tile.queries, "valid_kv": tile.keys} if tile.keys else {
            "valid_q": 0, "valid_kv": 0}
        yield {**fields, **seen, "phase": tile.phase, "strip": tile.query // config.tile,
               "first": tile.first, "last": tile.last, "tau_head": 0,
               "offset": job.valid_kv - job.valid_q + tile.query - tile.key,
               "l_q": job.l_q - tile.query if final else tile.queries,
               "same_kv": shared and n > 0, **{
                   name: fields[name] + layout.row_bytes(name.split("_")[-1], job.d)
                   * (tile.query if name[0] in "qo" else tile.key)
                   for name in ADDRESSES[:-1]}}
    yield {**fields, "valid_q": 0, "valid_kv": 0, "phase": tiler.Phase.CLOSE.value,
           "tau_head": int(not kept), "l_q": 0 if kept else job.l_q, "same_kv": None}


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
@pytest.mark.parametrize("config", [CONFIG, WIDE, FINE], ids=lambda c: c.name)
def test_jobs(config, stall_in, stall_out):
    rng = Random(f"{config.name}{stall_in}{stall_out}")
    dut = Tiler(config=config)
    jobs = [_job(config, rng, n) for n in range(40)]
    jobs = [build_same(job, before, rng) for job, before in zip(jobs, [None, *jobs], strict=False)]
    sent = [_fields(job, n, error=3 if n % 8 == 7 else 0) for n, job in enumerate(jobs)]

    async def source(ctx):
        await send(ctx, dut.i, sent, rng, stall_in)

    async def sink(ctx):
        after = False
        for job, fields in zip(jobs, sent, strict=True):
            if fields["error"] or not is_tiled(job, config):
                [got] = await receive(ctx, dut.o, 1, rng, stall_out)
                _check(got, {**fields, "phase": Phase.WHOLE, "first": 1, "last": 1,
                             "offset": job.valid_kv - job.valid_q,
                             "same_kv": fields["same_kv"] and not after,
                             # Of a head without queries or keys the other length means nothing.
                             **({} if job.valid_kv else {"valid_q": None}),
                             **({} if job.valid_q else {"valid_kv": None}),
                             **(dict.fromkeys(("valid_q", "valid_kv")) if fields["error"] else {})})
                after = False
                continue
            result = head(job, config)
            statistics = sum(t.phase == Phase.STATS for t in tiles(job, config, False))
            for n, want in enumerate(_expected(job, fields, result.head_kept, config)):
                if n == statistics and not job.dense and job.tau_head:
                    await _drain(ctx, dut, result.theta_head, rng)
                [got] = await receive(ctx, dut.o, 1, rng, stall_out)
                assert ctx.get(dut.busy) == (want["phase"] != tiler.Phase.CLOSE.value)
                _check(got, want)
                ctx.set(dut.drained, 0)
            after = True

    simulate(dut, source, sink)
    assert {is_tiled(job, config) for job in jobs} == {True, False}


def build_same(job, before, rng):
    """Now and then with the keys of the job before."""
    if before is None or rng.random() < 0.6:
        return job
    object.__setattr__(job, "same_kv", True)
    return job


def _check(got, want):
    for name, value in want.items():
        if value is not None:
            field = getattr(got, name)
            assert int(getattr(field, "value", field)) == int(value), name


async def _drain(ctx, dut, theta, rng):
    """Nothing comes until the tiles before are through."""
    for _ in range(rng.randint(4, 12)):
        assert not ctx.get(dut.o.valid)
        await ctx.tick()
    ctx.set(dut.theta, theta)
    ctx.set(dut.drained, 1)


def test_jobs_are_taken_while_a_head_is_in_tiles():
    """A core that has said it can do with another one must take it."""
    dut = Tiler(config=CONFIG)
    fields = _fields(_job(CONFIG, Random(1), 0), 0) | {"valid_q": 9, "valid_kv": 9, "l_q": 9}

    async def testbench(ctx):
        await send(ctx, dut.i, [fields] * JOBS)
        for _ in range(10):
            await ctx.tick()
        assert ctx.get(dut.busy) and ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)

    simulate(dut, testbench)


def test_without_tiles_it_is_wires():
    config = load_config("hdp_tiny")
    dut = Tiler(config=config)
    job = _job(CONFIG, Random(2), 0)

    async def testbench(ctx):
        for ready in (0, 1):
            ctx.set(dut.i.payload, _fields(job, 1))
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.o.ready, ready)
            assert (ctx.get(dut.i.ready), ctx.get(dut.o.valid)) == (ready, 1)
            await ctx.delay(0)
            _check(ctx.get(dut.o.payload),
                   {**_fields(job, 1), "offset": job.valid_kv - job.valid_q})
            assert not ctx.get(dut.busy)

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()

# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.hw.hdp.rows import RowWalker
from tests.hw.hdp.heads import block_rows, random_shape, small_config
from tests.hw.helpers import receive, simulate


def run(config, jobs, rng=None, stall=0.0):
    """The rows of one job after the other from one walker."""
    dut = RowWalker(config=config)

    async def testbench(ctx):
        for job in jobs:
            for name, value in zip(("valid_q", "valid_kv", "causal"), job, strict=True):
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.offset, job[1] - job[0])
            expected = [(row.row, row.limit, row.columns, row.last) for row in block_rows(*job)]
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            rows = await receive(ctx, dut.o, len(expected), rng, stall)
            assert [(o.row, (o.limit[0], o.limit[1]), o.columns, bool(o.last))
                    for o in rows] == expected
            # Nothing follows the last row.
            for _ in range(rng.choice([0, 0, 1, 5]) if rng else 8):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("l_max", [2, 6, 8])
def test_every_job_of_a_small_configuration(l_max):
    lengths = range(1, l_max + 1)
    run(small_config(l_max=l_max), [(q, kv, causal) for q in lengths for kv in lengths
                           for causal in (0, 1)], Random(1))


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_random_jobs(stall):
    config = load_config("hdp_tiny")
    rng = Random(2)
    run(config, [random_shape(rng, config.l_max) for _ in range(30)], rng, stall)


@pytest.mark.parametrize("l_max, q, kv", [(1024, 1024, 1024), (1024, 1024, 1), (1000, 1, 1000),
                                          (128, 127, 65)])
def test_long_heads(l_max, q, kv):
    run(small_config(l_max=l_max), [(q, kv, causal) for causal in (0, 1)])


@pytest.mark.parametrize("wait", [0, 10])
def test_a_row_every_three_cycles(wait):
    """The first row comes three cycles after the start; behind it the next is half done."""
    dut = RowWalker(config=load_config("hdp_tiny"))

    async def testbench(ctx):
        ctx.set(dut.valid_q, 12)
        ctx.set(dut.valid_kv, 12)
        ctx.set(dut.start, 1)
        valid = []
        for cycle in range(24 + wait):
            ctx.set(dut.o.ready, cycle >= 4 + wait)
            await ctx.tick()
            ctx.set(dut.start, 0)
            valid.append(ctx.get(dut.o.valid))
        rest = [0] + [1, 0, 0] * 5 if wait else [0, 0] + [1, 0, 0] * 5
        assert valid == [0, 0, 0, 1] + [1] * wait + rest + [0] * (20 - len(rest))

    simulate(dut, testbench)

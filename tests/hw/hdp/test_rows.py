# SPDX-License-Identifier: Apache-2.0
from random import Random

import numpy as np
import pytest

from golden.config import Config, load_config
from golden.hdp import Job, visible_limits
from hw.hdp.rows import RowWalker
from tests.hw.helpers import receive, simulate


def config_of(l_max):
    return Config(name="test", l_max=l_max, multipliers=8)


def expected_rows(valid_q, valid_kv, causal):
    """The rows of blocks as golden's limits say; padding beyond valid_q sees nothing."""
    job = Job(q=np.zeros((valid_q + 2, 8)), k=np.zeros((valid_kv + 3, 8)), v=None, scale=(0, 12),
              valid_q=valid_q, valid_kv=valid_kv, causal=causal)
    limits = visible_limits(job).tolist()
    last = (valid_q - 1) // 2
    return [(row, limits[2 * row : 2 * row + 2], (max(limits[2 * row : 2 * row + 2]) + 1) // 2,
             row == last) for row in range(last + 1)]


def run(config, jobs, rng=None, stall=0.0):
    """The rows of one job after the other from one walker."""
    dut = RowWalker(config=config)

    async def testbench(ctx):
        for job in jobs:
            for name, value in zip(("valid_q", "valid_kv", "causal"), job, strict=True):
                ctx.set(getattr(dut, name), value)
            expected = expected_rows(*job)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            rows = await receive(ctx, dut.o, len(expected), rng, stall)
            assert [(o.row, [o.limit[0], o.limit[1]], o.columns, bool(o.last))
                    for o in rows] == expected
            # Nothing follows the last row.
            for _ in range(rng.choice([0, 0, 1, 5]) if rng else 8):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("l_max", [2, 6, 8])
def test_every_job_of_a_small_configuration(l_max):
    lengths = range(1, l_max + 1)
    run(config_of(l_max), [(q, kv, causal) for q in lengths for kv in lengths
                           for causal in (0, 1)], Random(1))


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_random_jobs(stall):
    config = load_config("hdp_tiny")
    rng = Random(2)
    ends = [1, 2, 31, 32]
    jobs = [(rng.choice([*ends, rng.randint(1, 32)]), rng.choice([*ends, rng.randint(1, 32)]),
             rng.randrange(2)) for _ in range(30)]
    run(config, jobs, rng, stall)


@pytest.mark.parametrize("l_max, q, kv", [(1024, 1024, 1024), (1024, 1024, 1), (1000, 1, 1000),
                                          (128, 127, 65)])
def test_long_heads(l_max, q, kv):
    run(config_of(l_max), [(q, kv, causal) for causal in (0, 1)])


def test_a_row_every_three_cycles():
    """The first row comes three cycles after the start and later ones wait ready."""
    dut = RowWalker(config=load_config("hdp_tiny"))

    async def testbench(ctx):
        ctx.set(dut.valid_q, 12)
        ctx.set(dut.valid_kv, 12)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.start, 1)
        valid = []
        for _ in range(24):
            await ctx.tick()
            ctx.set(dut.start, 0)
            valid.append(ctx.get(dut.o.valid))
        assert valid == [0, 0, 0] + [1, 0, 0] * 6 + [0] * 3

    simulate(dut, testbench)

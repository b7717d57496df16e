# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.sim import Simulator

from prunus.golden.softmax import DEN_BITS, EXP_FRAC, normalise, reciprocal
from prunus.hw.softmax.normalise import NormaliseLane
from tests.hw.softmax.bench import PRESETS, config_like

CONFIGS = [*map(config_like, PRESETS), config_like("hdp_edge", l_max=1024),
           config_like("hdp_w12", l_max=1024), config_like("hdp_tiny", l_max=2)]


def cases(config, n, rng):
    """acc, e0, column_sum, den: real rows, rows of any size, and extremes."""
    half, sums = 1 << config.accumulator_width - 1, 1 << config.column_sum_width - 1
    one, top = 1 << EXP_FRAC, config.l_max << EXP_FRAC
    least = 1 << DEN_BITS
    den = rng.integers(least, 2 * one, n) << rng.integers(0, config.length_width, n)
    den = np.clip(den, least, top)
    e0 = rng.integers(0, one, n) >> rng.integers(0, 17, n)
    column_sum = rng.integers(-sums, sums, n) >> rng.integers(0, config.column_sum_width, n)
    num = np.where(rng.integers(0, 2, n),
                   (den * rng.uniform(-1, 1, n) * (1 << config.width)).astype(np.int64),
                   rng.integers(-half, half, n) >> rng.integers(0, config.accumulator_width, n))
    num[:40:2], num[1:40:2] = half - 1, -half
    e0[:20], column_sum[:10], column_sum[10:20] = one - 1, sums - 1, -sums
    den[:20:3], den[20:40:3] = least, top
    den[rng.random(n) < 0.05] = 0
    acc = np.clip(num - e0 * column_sum, -half, half - 1)
    num = acc + e0 * column_sum
    fits = (-half <= num) & (num < half)
    return acc[fits], e0[fits], column_sum[fits], den[fits]


@pytest.mark.parametrize("chance", [1.0, 0.5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.name}_{c.l_max}")
def test_random_and_corners(config, chance):
    rng = np.random.default_rng(12)
    acc, e0, column_sum, den = cases(config, 1500, rng)
    expected = normalise((acc + e0 * column_sum)[:, None], den, width=config.width,
                         out_frac=config.out_frac)[:, 0]
    r, p = reciprocal(np.where(den == 0, 1 << DEN_BITS, den))
    columns = {"acc": acc, "e0": e0, "column_sum": column_sum, "r": r, "p": p, "empty": den == 0}
    rows = [dict(zip(columns, map(int, row), strict=True))
            for row in zip(*columns.values(), strict=True)]
    dut = NormaliseLane(config=config)
    out, passed = [], []

    async def testbench(ctx):
        fed, cycles = 0, 0
        while len(out) < len(rows):
            valid = fed < len(rows) and rng.random() < chance
            ctx.set(dut.valid, int(valid))
            for name, value in (rows[fed] if valid else rows[0]).items():
                ctx.set(getattr(dut, name), value)
            if ctx.get(dut.out_valid):
                out.append(ctx.get(dut.out))
                passed[len(out) - 1] = cycles - passed[len(out) - 1]
            if valid:
                passed.append(cycles)
                fed += 1
            cycles += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    np.testing.assert_array_equal(out, expected)
    assert set(passed) == {dut.latency}

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from prunus.golden.softmax import DEN_BITS, EXP_FRAC, reciprocal
from prunus.hw.softmax.reciprocal import Reciprocal
from tests.hw.softmax.bench import config_like, run_pipeline


@pytest.mark.parametrize("l_max", [2, 32, 512, 1024])
def test_random_and_corners(l_max):
    config = config_like(l_max=l_max)
    rng = np.random.default_rng(6)
    one, top = 1 << DEN_BITS, l_max << EXP_FRAC
    powers = [one << n for n in range(l_max.bit_length() + 1)]
    corners = [x for power in powers for x in (power - 1, power, power + 1, power + power // 16)]
    spread = rng.integers(one, 2 * one, 4000) << rng.integers(0, l_max.bit_length() + 1, 4000)
    den = np.array([x for x in [*corners, *range(one, 2 * one, 37), *spread, top]
                    if one <= x <= top])
    den[:: 11] = 0

    dut = Reciprocal(config=config)
    r, p, empty = run_pipeline(
        dut, lambda ctx: (ctx.get(dut.r), ctx.get(dut.p), ctx.get(dut.empty)), den=den).T
    np.testing.assert_array_equal(empty, den == 0)
    expected_r, expected_p = reciprocal(den[den > 0])
    np.testing.assert_array_equal(r[den > 0], expected_r)
    np.testing.assert_array_equal(p[den > 0], expected_p)

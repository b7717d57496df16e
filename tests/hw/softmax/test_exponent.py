# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from prunus.golden.softmax import SCALE_SHIFT_MAX, SCALE_SHIFT_MIN, exponent
from prunus.hw.softmax.exponent import Exponent
from tests.hw.softmax.bench import PRESETS, config_like, run_pipeline

NARROWEST = {"width": 8, "d_max": 8}
CONFIGS = [config_like(preset) for preset in PRESETS] + [config_like(**NARROWEST)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.score_width}")
def test_random_and_corners(config):
    rng = np.random.default_rng(2)
    n, width = 3000, config.score_width
    diff = rng.integers(0, 1 << width, n) >> rng.integers(0, width, n)
    mant = rng.integers(0, 1 << 16, n)
    # Around the shift that just saturates, where the bits of t matter.
    fitting = np.array([(int(d) * int(f)).bit_length() - 5
                        for d, f in zip(diff, mant, strict=True)])
    shift = np.clip(fitting + rng.integers(-3, 12, n), SCALE_SHIFT_MIN, SCALE_SHIFT_MAX)
    corners = np.array([(d, f, s) for d in (0, 1, (1 << width) - 1) for f in (0, 1, 0xFFFF)
                        for s in range(SCALE_SHIFT_MIN, SCALE_SHIFT_MAX + 1)]).T
    diff, mant, shift = np.concatenate([corners, [diff, mant, shift]], axis=1)

    dut = Exponent(config=config)
    t = run_pipeline(dut, lambda ctx: ctx.get(dut.t), diff=diff, mant=mant, shift=shift)
    expected = [exponent(*x) for x in zip(diff, mant.tolist(), shift.tolist(), strict=True)]
    np.testing.assert_array_equal(t, expected)

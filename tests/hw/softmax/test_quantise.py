# SPDX-License-Identifier: Apache-2.0
import numpy as np

from prunus.golden.softmax import EXP_FRAC, SHIFT_STEP, quantise_pair
from prunus.hw.hdp.weight import PairQuantiser
from tests.hw.softmax.bench import run_pipeline


def run(pairs):
    dut = PairQuantiser()

    def get_outputs(ctx):
        return [ctx.get(dut.o.shift)] + [ctx.get(field) for n in range(2)
                                         for field in (dut.o.mant[n].sign, dut.o.mant[n].mag)]

    simulated = run_pipeline(dut, get_outputs, w=pairs)
    mant, shift = quantise_pair(pairs)
    expected = np.stack([shift // SHIFT_STEP, mant[:, 0] < 0, abs(mant[:, 0]), mant[:, 1] < 0,
                         abs(mant[:, 1])], axis=1)
    np.testing.assert_array_equal(simulated, expected)


def test_weights_beside_zero():
    w = np.arange(-(1 << EXP_FRAC), (1 << EXP_FRAC) + 1, 32)
    run(np.stack([w, 0 * w], axis=1))


def test_around_every_shift():
    edges = [w for shift in range(11) for near in (255, 256)
             for w in range((near << shift) - (1 << shift), (near << shift) + (1 << shift) + 1)
             if w <= 1 << EXP_FRAC]
    w = np.unique(edges)
    small = np.random.default_rng(4).integers(-300, 300, len(w))
    run(np.concatenate([np.stack([w, small], axis=1), np.stack([small, -w], axis=1)]))


def test_random_magnitudes():
    rng = np.random.default_rng(5)
    limit = 1 << EXP_FRAC
    pairs = rng.integers(-limit, limit + 1, (5000, 2)) >> rng.integers(0, 17, (5000, 2))
    corners = [(a, b) for a in (-limit, -1, 0, 1, limit) for b in (-limit, -1, 0, 1, limit)]
    run(np.concatenate([corners, pairs]))

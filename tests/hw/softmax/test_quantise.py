# SPDX-License-Identifier: Apache-2.0
import numpy as np

from prunus.golden.softmax import SHIFT_STEP, T_OFFSET, exp2_neg, quantise_pair
from prunus.hw.hdp.weight import PairQuantiser
from tests.hw.softmax.bench import run_pipeline

LARGEST = int(exp2_neg(T_OFFSET))


def run(exponentials, e0):
    """Weights of pairs (n, 2) of exponentials with backgrounds (n,)."""
    dut = PairQuantiser()
    pairs = exponentials - e0[:, None]

    def get_outputs(ctx):
        return [ctx.get(dut.o.shift)] + [ctx.get(field) for n in range(2)
                                         for field in (dut.o.mant[n].sign, dut.o.mant[n].mag)]

    late = np.concatenate([np.zeros(PairQuantiser.background_latency, np.int64), e0])
    padded = np.concatenate([pairs, np.zeros((PairQuantiser.background_latency, 2), np.int64)])
    simulated = run_pipeline(dut, get_outputs, gaps=0, w=padded, e0=late)[: len(pairs)]
    mant, shift = quantise_pair(pairs, e0)
    expected = np.stack([shift // SHIFT_STEP, mant[:, 0] < 0, abs(mant[:, 0]), mant[:, 1] < 0,
                         abs(mant[:, 1])], axis=1)
    np.testing.assert_array_equal(simulated, expected)


def test_weights_beside_zero():
    e = np.arange(0, LARGEST + 1, 32)
    zeros = np.zeros_like(e)
    run(np.stack([e, zeros], axis=1), zeros)
    run(np.stack([zeros, e], axis=1), e)


def test_around_every_shift():
    edges = [w for shift in range(9) for near in (255, 256)
             for w in range((near << shift) - (1 << shift), (near << shift) + (1 << shift) + 1)
             if w <= LARGEST]
    w = np.unique(edges)
    small = np.random.default_rng(4).integers(0, 300, len(w))
    run(np.concatenate([np.stack([w, small], axis=1), np.stack([small, 0 * w], axis=1)]),
        np.concatenate([0 * w, w]))


def test_random_magnitudes():
    """Keys far below a background among them, where a weight is not rounded beyond it."""
    rng = np.random.default_rng(5)
    e = rng.integers(0, LARGEST + 1, (6000, 2)) >> rng.integers(0, 17, (6000, 2))
    e0 = rng.integers(0, LARGEST + 1, 6000) >> rng.integers(0, 9, 6000)
    ends = (0, 1, LARGEST - 1, LARGEST)
    corners = np.array([(a, b, c) for a in ends for b in ends for c in ends])
    e, e0 = np.concatenate([corners[:, :2], e]), np.concatenate([corners[:, 2], e0])
    mant, shift = quantise_pair(e - e0[:, None], e0)
    e0_at = e0[:, None]
    plain = np.abs(e - e0_at) + (1 << shift[:, None] >> 1) >> shift[:, None]
    assert ((mant < 0) & (-mant < plain)).sum() > 100
    run(e, e0)


def test_small_weights_beside_a_large_background():
    """The background may have bits beyond those of a mantissa; they are not cut off."""
    rng = np.random.default_rng(6)
    e0 = rng.integers(1 << 12, LARGEST + 1, 6000)
    below = rng.integers(0, 1 << 14, (6000, 2)) >> rng.integers(0, 9, (6000, 2))
    e = np.clip(e0[:, None] - below, 0, LARGEST)
    run(e, e0)

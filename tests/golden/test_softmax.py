# SPDX-License-Identifier: Apache-2.0
"""The softmax pieces: error bounds over their whole domain, and rounding law by law."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from prunus.golden import softmax
from prunus.golden.errors import InputError
from prunus.golden.softmax import (
    DEN_BITS,
    EXP_FRAC,
    MANT_BITS,
    RECIP_BITS,
    SHIFT_STEP,
    T_FRAC,
    T_INT,
    T_OFFSET,
)

EVERY_T = np.arange(1 << (T_INT + T_FRAC))


def test_exp2_error_and_exact_points():
    got = softmax.exp2_neg(EVERY_T) / 2**EXP_FRAC
    assert np.abs(got - 2.0 ** -(EVERY_T / 2**T_FRAC)).max() <= 1.97e-3
    whole = np.arange(EXP_FRAC + 1)
    assert_array_equal(softmax.exp2_neg(whole << T_FRAC), 1 << (EXP_FRAC - whole))


def test_exp2_is_monotone_and_ends_at_zero():
    got = softmax.exp2_neg(EVERY_T)
    assert (np.diff(got) <= 0).all()
    assert (got[0], got[-1]) == (1 << EXP_FRAC, 0)


def test_reciprocal_error():
    den = np.unique(np.concatenate([
        np.arange(1 << DEN_BITS, 1 << 18),
        np.random.default_rng(3).integers(1 << 18, 1 << 27, 200_000),
        (1 << np.arange(DEN_BITS, 28)), (1 << np.arange(DEN_BITS + 1, 28)) - 1]))
    r, p = softmax.reciprocal(den)
    assert_array_equal(p, [int(x).bit_length() - 1 for x in den])
    assert (r.min(), r.max()) == (65529, 131014)
    assert np.abs(r / 2.0**RECIP_BITS * den / 2.0**p - 1).max() <= 4.9e-4


@pytest.mark.parametrize("p", [DEN_BITS, EXP_FRAC, 20])
def test_reciprocal_reads_16_bits_below_the_leading_one(p):
    """Of a denominator below 2**16 that is all, and a zero behind it."""
    den = np.arange(1 << p, 2 << p, 1 << max(p - 17, 0))
    table = softmax.reciprocal_table()
    want = []
    for x in den.tolist():
        f = math.floor(Fraction(x - (1 << p), 1 << p) * 2**16)
        value, drop = table[f // 2**12]
        want.append(value - drop * (f % 2**12) // 2**12)
    assert_array_equal(softmax.reciprocal(den)[0], want)


@given(st.floats(1e-9, 1.0))
def test_scale_is_the_nearest_in_16_bits(scale):
    mant, shift = softmax.encode_scale(scale)
    want = scale * math.log2(math.e)
    assert 1 << 15 <= mant < 1 << 16
    assert abs(mant / 2.0**shift - want) <= want * 2**-16
    assert softmax.SCALE_SHIFT_MIN <= shift <= softmax.SCALE_SHIFT_MAX


def test_scale_at_both_ends():
    """The text of the range rounds inwards, so both of its numbers are good."""
    least, most = map(float, softmax.SCALES.split(".."))
    assert softmax.encode_scale(softmax.SCALE_MAX) == ((1 << 16) - 1, softmax.SCALE_SHIFT_MIN)
    assert softmax.encode_scale(softmax.SCALE_MIN) == (1, softmax.SCALE_SHIFT_MAX)
    assert 0.999 * softmax.SCALE_MAX < most <= softmax.SCALE_MAX
    assert softmax.SCALE_MIN <= least < 1.001 * softmax.SCALE_MIN
    for scale in (least, 1e-16, 11.0, most):
        mant, shift = softmax.encode_scale(scale)
        want = scale * math.log2(math.e) * 2.0**shift
        assert abs(mant - want) <= 0.5, scale


@pytest.mark.parametrize("scale", [
    0.0, -1.0, math.inf, math.nan, 5e-324, 7.4e-20, 11.1, 100.0, 1e308])
def test_scale_out_of_range_is_refused(scale):
    """Nothing is computed with another scale in silence."""
    with pytest.raises(InputError, match=re.escape(f"7.52e-20..11.09, not {scale!r}")):
        softmax.encode_scale(scale)


def test_exponent_floors_offsets_and_saturates():
    mant, shift = 40_000, 20
    diff = np.array([0, 1, 17, 12_345, 1 << 22])
    want = [min(int(Fraction(int(x) * mant * 2**T_FRAC, 2**shift)) + T_OFFSET,
                2**(T_INT + T_FRAC) - 1) for x in diff]
    assert_array_equal(softmax.exponent(diff, mant, shift), want)
    assert want[-1] == 2**(T_INT + T_FRAC) - 1


def test_the_largest_exponential_is_the_largest_that_fits_a_mantissa():
    """With an offset of one step less it would take another shift."""
    largest = softmax.exp2_neg(T_OFFSET)
    mant, shift = softmax.quantise_pair(np.array([largest, 502]))
    assert (int(largest), shift) == (65_279, MANT_BITS) and abs(mant[1]) << shift == 512
    assert softmax.quantise_pair(np.array([softmax.exp2_neg(0), 502]))[1] > MANT_BITS


LARGEST = int(softmax.exp2_neg(T_OFFSET))
exponentials = st.integers(0, LARGEST)


@given(exponentials, exponentials, exponentials)
def test_quantised_pair_shares_the_smallest_shift(a, b, e0):
    pair = (a - e0, b - e0)
    mant, shift = softmax.quantise_pair(np.array(pair), np.array(e0))
    assert shift % SHIFT_STEP == 0
    assert (np.abs(mant) < 1 << MANT_BITS).all()
    for m, w in zip(mant.tolist(), pair, strict=True):
        step = 2**int(shift)
        assert e0 + m * step >= 0       # what a row of V is multiplied by, in the end
        off = m * step - w
        assert abs(off) <= Fraction(step, 2) or (w < 0 and 0 < off < step
                                                 and e0 + (m - 1) * step < 0)
        assert m == 0 or (m > 0) == (w > 0)
    if shift:
        before = 2**(int(shift) - SHIFT_STEP)
        largest = max(abs(w) for w in pair)
        assert math.floor(Fraction(largest, before) + Fraction(1, 2)) >= 1 << MANT_BITS


def test_small_weights_are_exact():
    w = np.array([[255, -255], [0, 1]])
    mant, shift = softmax.quantise_pair(w, np.array([255, 0]))
    assert_array_equal(mant, w)
    assert_array_equal(shift, [0, 0])


@pytest.mark.parametrize(("width", "out_frac"), [(8, 7), (12, 12)])
def test_normalise_divides(width, out_frac):
    rng = np.random.default_rng(5)
    den = rng.integers(1 << DEN_BITS, 1 << 25, 400)
    mean = rng.uniform(-(2.0**(width - 1)), 2.0**(width - 1), (400, 8))
    num = np.rint(mean * den[:, None]).astype(np.int64)
    got = softmax.normalise(num, den, width=width, out_frac=out_frac) / 2.0**out_frac
    assert (np.abs(got - num / den[:, None]) <= 5e-4 * np.abs(mean) + 2.0**-out_frac).all()


def test_normalise_clamps_and_zeroes():
    num = np.array([[1 << 40, -(1 << 40)], [123, -456]])
    got = softmax.normalise(num, np.array([1 << EXP_FRAC, 0]), width=8, out_frac=7)
    assert_array_equal(got, [[(1 << 15) - 1, -(1 << 15)], [0, 0]])

# SPDX-License-Identifier: Apache-2.0
"""Codes, their quantiser and their split into two digits."""

from dataclasses import replace
from fractions import Fraction
from math import floor, trunc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.golden.formats import Format

FORMATS = [Format(width=8, frac=4), Format(width=12, frac=8), Format(width=8, frac=1),
           Format(width=8, frac=7), Format(width=12, frac=4)]
ROUNDED = [replace(fmt, digits="rounded") for fmt in (*FORMATS, Format(width=8, frac=3))]


def every_code(fmt):
    return np.arange(fmt.min_code, fmt.max_code + 1)


@pytest.mark.parametrize("fmt", FORMATS)
def test_split_is_exact_and_truncates_toward_zero(fmt):
    codes = every_code(fmt)
    i, f = fmt.split(codes)
    assert_array_equal((i << fmt.frac) + f, codes)
    assert_array_equal(i, [trunc(int(x) / 2**fmt.frac) for x in codes])


@pytest.mark.parametrize("fmt", FORMATS)
def test_parts_share_the_sign_and_keep_their_bounds(fmt):
    codes = every_code(fmt)
    i, f = fmt.split(codes)
    assert (np.abs(f) < 1 << fmt.frac).all()
    assert (np.abs(i) <= 1 << (fmt.int_width - 1)).all()
    assert ((f == 0) | (np.sign(f) == np.sign(codes))).all()
    assert ((i == 0) | (np.sign(i) == np.sign(codes))).all()
    assert_array_equal(i == 0, np.abs(codes) < 1 << fmt.frac)


@pytest.mark.parametrize("fmt", FORMATS)
def test_magnitude_is_a_bit_slice(fmt):
    codes = every_code(fmt)
    i, f = fmt.split(codes)
    assert_array_equal(np.abs(i), np.abs(codes) >> fmt.frac)
    assert_array_equal(np.abs(f), np.abs(codes) & ((1 << fmt.frac) - 1))


@pytest.mark.parametrize("fmt", ROUNDED)
def test_rounded_digits(fmt):
    codes = every_code(fmt)
    i, f = fmt.split(codes)
    assert_array_equal((i << fmt.frac) + f, codes)
    assert_array_equal(i, [floor(Fraction(int(x), 2**fmt.frac) + Fraction(1, 2)) for x in codes])
    half = 1 << fmt.frac - 1
    assert f.min() == -half or fmt.int_width == 1
    assert f.max() == half - 1 and f.min() >= -half
    assert np.abs(i).max() == (1 << fmt.int_width - 1) - 1


@pytest.mark.parametrize("fmt", ROUNDED)
def test_codes_of_rounded_digits_are_all_whose_integer_part_fits_both_ways(fmt):
    assert fmt.min_code == -fmt.max_code
    i, _ = fmt.split([fmt.max_code + 1])
    assert i[0] == 1 << fmt.int_width - 1


@pytest.mark.parametrize("fmt", [*FORMATS, *ROUNDED])
def test_quantiser_is_symmetric(fmt):
    x = np.array([-1e9, -1.0, 0.0, 1.0, 1e9])
    codes = fmt.quantise(x, 1.0)
    assert_array_equal(codes, [-fmt.max_code, -1, 0, 1, fmt.max_code])
    assert fmt.max_code >= 1
    assert_array_equal(fmt.quantise(-x, 1.0), -codes)


def test_quantiser_rounds_to_nearest():
    fmt = Format(width=8, frac=4)
    x = np.random.default_rng(1).uniform(-7.9, 7.9, 1000)
    codes = fmt.quantise(x, 1 / 16)
    assert np.abs(codes / 16 - x).max() <= 1 / 32
    assert codes.dtype == np.int64


@pytest.mark.parametrize("fmt", [*FORMATS, *ROUNDED])
def test_codes_that_fill_their_range(fmt):
    x = np.random.default_rng(2).normal(size=(5, 7))
    codes, unit = fmt.fill(x)
    assert np.abs(codes).max() == fmt.max_code and codes.dtype == np.int64
    assert np.abs(codes * unit - x).max() <= unit / 2 * (1 + 1e-12)
    zeros, unit = fmt.fill(np.zeros(3))
    assert unit == 1.0 and not zeros.any()


def test_quantiser_gives_back_every_code():
    fmt = Format(width=12, frac=8)
    codes = every_code(fmt)[1:]
    assert_array_equal(fmt.quantise(codes * 0.037, 0.037), codes)

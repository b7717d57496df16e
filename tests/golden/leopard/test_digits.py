# SPDX-License-Identifier: Apache-2.0
"""Digits, bounds and early termination, for every width and digit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from prunus.golden.leopard import digits
from tests.golden.leopard.slow import bits, slow_bounds

SIZES = [(width, digit) for width in range(1, 17) for digit in (1, 2, 3, 4)] + [(12, 12), (8, 8)]
by_size = pytest.mark.parametrize(("width", "digit"), SIZES)


def codes(width, seed, *shape):
    """Random ones, the extremes and zero among them."""
    rng = np.random.default_rng(seed)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    x = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([low, high, 0], shape), x)


@st.composite
def products(draw):
    width, digit = draw(st.sampled_from(SIZES))
    seed, d = draw(st.integers(0, 2**32)), draw(st.integers(1, 9))
    return codes(width, seed, 4, d), codes(width, seed + 1, 5, d), width, digit


@by_size
def test_planes_are_the_bits_of_a_code(width, digit):
    k = codes(width, 3, 3, 7)
    planes = digits.planes(k, width=width, digit=digit)
    padded = -(-width // digit) * digit
    assert planes.shape == (padded // digit, 3, 7)
    for n, plane in enumerate(planes):
        for code, part in zip(k.flat, plane.flat, strict=True):
            assert bits(int(part), digit) == bits(int(code), padded)[n * digit : (n + 1) * digit]
    assert (planes[1:] >= 0).all()
    weights = [1 << digits.unread(t, width, digit) for t in range(1, len(planes) + 1)]
    assert_array_equal(np.tensordot(weights, planes, 1), k)


@given(products())
def test_bounds_are_the_largest_products_possible(product):
    q, k, width, digit = product
    got = np.stack(list(digits.upper_bounds(q, k, width=width, digit=digit)), axis=-1)
    want = [[slow_bounds(a, b, width, digit) for b in k.tolist()] for a in q.tolist()]
    assert_array_equal(got, want)


@given(products())
def test_an_accumulator_without_margins_gives_the_same_bounds(product):
    q, k, width, digit = product
    want = list(digits.upper_bounds(q, k, width=width, digit=digit))
    assert_array_equal(list(digits.accumulated_bounds(q, k, width=width, digit=digit)), want)


@given(products(), st.integers(-3, 3), st.integers(0, 19))
def test_termination_is_exact_and_at_the_first_bound_below(product, off, pick):
    q, k, width, digit = product
    threshold = int((q @ k.T).flat[pick]) + off
    steps, scores = digits.terminate(q, k, threshold, width=width, digit=digit)
    assert_array_equal(scores, q @ k.T)
    for i, row in enumerate(q.tolist()):
        for j, key in enumerate(k.tolist()):
            bounds = slow_bounds(row, key, width, digit)
            below = [t for t, u in enumerate(bounds, 1) if u < threshold]
            assert bool(below) == (scores[i, j] < threshold)
            assert steps[i, j] == (below[0] if below else len(bounds))


@by_size
def test_the_extremes_need_no_more_than_the_width_says(width, digit):
    low = np.full((1, 64), -(1 << (width - 1)))
    high = -low - 1
    limit = 64 << (2 * width - 2)
    for q in (low, high):
        for k in (low, high):
            bounds = np.stack(list(digits.upper_bounds(q, k, width=width, digit=digit)))
            assert np.abs(bounds).max() <= limit
            assert bounds[-1] == (q * k).sum()


def test_a_full_width_digit_is_the_product_itself():
    q, k = codes(12, 1, 3, 8), codes(12, 2, 4, 8)
    (bound,) = digits.upper_bounds(q, k, width=12, digit=12)
    assert_array_equal(bound, q @ k.T)

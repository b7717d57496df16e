# SPDX-License-Identifier: Apache-2.0
"""Measures of what a model says, and their intervals."""

import numpy as np
import pytest

from prunus.evaluate.metrics import (
    accuracy,
    difference_interval,
    interval,
    mcc,
    perplexity,
)

RANDOM = np.random.default_rng(1)
SAID = np.array([[1, 1], [1, 0], [0, 0], [0, 0], [1, 1], [0, 1]], float)


def test_measures_by_their_definitions():
    once = np.ones(6)
    assert accuracy(once, SAID) == pytest.approx(4 / 6)
    assert mcc(once, SAID) == pytest.approx(np.corrcoef(SAID.T)[0, 1])
    assert mcc(once, np.c_[np.ones(6), SAID[:, 1]]) == 0
    losses = np.array([[10.0, 5], [3, 3]])
    assert perplexity(np.ones(2), losses) == pytest.approx(np.exp(13 / 8))
    for measure, items in ((accuracy, SAID), (mcc, SAID), (perplexity, RANDOM.random((6, 2)))):
        weights = RANDOM.integers(1, 4, (3, 6))
        want = [measure(np.ones(w.sum()), items.repeat(w, axis=0)) for w in weights]
        np.testing.assert_allclose(measure(weights.astype(float), items), want)


def test_an_interval_is_that_of_a_share():
    items = np.c_[np.arange(400) < 320, np.ones(400)].astype(float)
    low, high = interval(accuracy, items)
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.003)
    assert interval(accuracy, items) == (low, high)
    assert interval(accuracy, items[:1]) == (1, 1)


def test_intervals_of_differences_are_of_pairs():
    before = RANDOM.integers(0, 2, (400, 2)).astype(float)
    assert difference_interval(accuracy, before, before, False) == [0, 0]
    after = before.copy()
    after[:40, 0] = 1 - after[:40, 0]
    low, high = difference_interval(accuracy, before, after, False)
    change = (accuracy(np.ones(400), after) - accuracy(np.ones(400), before))
    # As wide as the sentences that changed say, which is far less than two samples would.
    assert low < change < high and high - low == pytest.approx(2 * 1.96 * 40**0.5 / 400, rel=0.1)
    losses = np.c_[RANDOM.uniform(300, 500, 20), np.full(20, 250.0)]
    worse = losses * (1.02, 1)
    low, high = difference_interval(perplexity, losses, worse, True)
    assert low < np.exp(losses[:, 0].mean() / 250 * 0.02) - 1 < high < low + 0.01
    assert difference_interval(perplexity, losses, worse, True) == [low, high]

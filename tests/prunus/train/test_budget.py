# SPDX-License-Identifier: Apache-2.0
"""Intervals and the choice of a checkpoint."""

import math

import numpy as np
import pytest

from prunus.train.budget import (
    Candidate,
    Comparison,
    Perplexity,
    choose,
    lost,
    nearest,
    wilson,
)


def candidate(step, pruned, correct):
    return Candidate(step, (0.0,), pruned, correct, agree=0, divergence=0.0)


def test_wilson_against_its_definition():
    """The ends are where the normal test of a share just fails."""
    for correct, total in ((884, 1000), (1, 7), (5, 7)):
        share = correct / total
        for end in wilson(correct, total):
            z = (share - end) / math.sqrt(end * (1 - end) / total)
            assert abs(z) == pytest.approx(1.96, abs=1e-3)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == pytest.approx(1)
    low, high = wilson(771, 872)
    assert (low, high) == (pytest.approx(0.8612, abs=5e-5), pytest.approx(0.9037, abs=5e-5))


def test_points_lost_come_from_the_sentences_that_changed():
    before = [True] * 80 + [False] * 20
    after = [True] * 76 + [False] * 4 + [True] * 1 + [False] * 19
    both = Comparison(before, after)
    assert both.lost == 3
    low, high = both.interval()
    assert (low + high) / 2 == pytest.approx(3)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(5 - 9 / 100), rel=1e-3)
    assert Comparison(before, before).interval() == (0, 0)
    assert Comparison(after, before).lost == -3


def test_the_most_pruning_within_the_budget():
    tried = [candidate(0, 0.0, 950), candidate(1, 0.6, 953), candidate(2, 0.7, 948),
             candidate(3, 0.9, 947)]
    assert choose(tried, 1000, 0.2).step == 2
    assert choose(tried, 1000, 0.3).step == 3
    assert choose(tried, 1000, 0.19).step == 1
    assert choose(tried, 1000, 100).step == 3


def test_a_whole_number_of_sentences_is_not_lost_to_rounding():
    for total, budget, allowed in ((1000, 0.3, 3), (1000, 0.7, 7), (500, 0.6, 3), (3000, 0.1, 3)):
        tried = [candidate(0, 0.0, 400), candidate(1, 0.5, 400 - allowed),
                 candidate(2, 0.6, 399 - allowed)]
        assert choose(tried, total, budget).step == 1


def test_where_nothing_is_within_the_budget_nothing_is_pruned():
    tried = [candidate(0, 0.0, 90), candidate(1, 0.6, 89), candidate(2, 0.5, 88)]
    assert choose(tried, 100, 0).step == 0


def test_the_nearest_are_named():
    tried = [candidate(0, 0.0, 90), candidate(1, 0.6, 87), candidate(2, 0.5, 88),
             candidate(3, 0.9, 88), candidate(4, 0.95, 80)]
    assert nearest(tried, 100) == (
        "step 3 (90.0% pruned, 2.00 points lost), step 2 (50.0% pruned, 2.00 points lost), "
        "step 1 (60.0% pruned, 3.00 points lost)")


def test_decoders_lose_perplexity():
    """1% of it, over 1000 tokens."""
    def spoken(step, pruned, loss):
        return Candidate(step, (0.0,), pruned, 500, 500, 0.0, loss)

    just = 2000 + 1000 * math.log(1.01)
    tried = [spoken(0, 0.0, 2000.0), spoken(1, 0.8, just - 0.01), spoken(2, 0.9, just + 0.01),
             spoken(3, 0.7, 1990.0), spoken(4, 0.8, 2000.0)]
    assert choose(tried, 1000, 1.0).step == 4           # of those that prune alike, the better
    assert choose(tried, 1000, 1.1).step == 2
    assert choose(tried[:3], 1000, 0.9).step == 0
    assert nearest(tried[:3], 1000, 1) == "step 1 (80.0% pruned, 1.00 percent of perplexity lost)"
    assert lost(tried[0], tried[3], 1000) == pytest.approx(100 * (math.exp(-0.01) - 1))


def test_perplexity_and_its_interval():
    random = np.random.default_rng(0)
    tokens = random.integers(50, 400, 200).tolist()
    means = 1.5 + 0.2 * random.normal(size=200)
    before = Perplexity((means * tokens).tolist(), tokens)
    mean = (means * tokens).sum() / sum(tokens)
    assert before.value == pytest.approx(math.exp(mean))
    # Against the bootstrap over texts.
    drawn = random.integers(0, 200, (4000, 200))
    boots = (means * tokens)[drawn].sum(1) / np.array(tokens)[drawn].sum(1)
    low, high = before.interval()
    assert (math.log(high) - math.log(low)) / 2 == pytest.approx(1.96 * boots.std(), rel=0.05)
    after = Perplexity([x + 0.01 * t for x, t in zip(before.losses, tokens, strict=True)], tokens)
    value, (least, most) = before.lost(after)
    assert [least, value, most] == pytest.approx([100 * math.expm1(0.01)] * 3)
    one = Perplexity([20.0], [10])
    assert one.interval() == (one.value, one.value)


def test_of_equal_pruning_the_better():
    tried = [candidate(0, 0.0, 90), candidate(1, 0.6, 90), candidate(2, 0.6, 92),
             candidate(3, 0.6, 91)]
    assert choose(tried, 100, 1).step == 2

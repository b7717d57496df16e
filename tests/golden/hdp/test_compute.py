# SPDX-License-Identifier: Apache-2.0
"""One head against the slow model, and the laws of the specification one by one."""

import re
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import DELTA_MAX, HdpJob, Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import encode_scale
from tests.golden.hdp.slow import keeps, slow_head

TINY = load_config("hdp_tiny")
WIDE = load_config("hdp_w12")
NARROW = HdpConfig(name="narrow", frac=6, d_max=32, l_max=32, multipliers=8, softmax_lanes=1)
ROUNDED = HdpConfig(name="rounded", digits="rounded", d_max=32, l_max=32, multipliers=8,
                    softmax_lanes=1)
FINE = HdpConfig(name="fine", frac=3, digits="rounded", d_max=32, l_max=32, multipliers=8,
                 softmax_lanes=1)


def random_job(config, seed, *, l_q=8, l_kv=10, d=16, **fields):
    rng = np.random.default_rng(seed)
    low, high = config.format.min_code, config.format.max_code
    spread = fields.pop("spread", None)
    codes = [rng.integers(low, high + 1, (rows, d)) if spread is None
             else np.clip(np.rint(rng.normal(0, spread, (rows, d))), low, high).astype(np.int64)
             for rows in (l_q, l_kv, l_kv)]
    fields.setdefault("scale", encode_scale(2.0**-(2 * config.frac) / d**0.5))
    return HdpJob(q=codes[0], k=codes[1], v=codes[2], **fields)


@st.composite
def jobs(draw, config):
    l_q, l_kv = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return random_job(
        config, draw(st.integers(0, 2**32)), l_q=l_q, l_kv=l_kv, d=draw(st.sampled_from([8, 16])),
        valid_q=draw(st.integers(0, l_q)), valid_kv=draw(st.integers(0, l_kv)),
        causal=draw(st.booleans()), rho=draw(st.integers(-127, 127)),
        importance=draw(st.sampled_from(Importance)),
        delta=draw(st.one_of(st.integers(0, 40), st.integers(0, 1000), st.just(DELTA_MAX))),
        tau_head=draw(st.sampled_from([0, 0, 0, 500, 2**32 - 1])), drop=draw(st.booleans()),
        exact=draw(st.booleans()), dense=draw(st.sampled_from([False, False, False, True])),
        spread=draw(st.sampled_from([None, 2.0**config.frac, 2.0**(config.frac - 1)])),
        scale=encode_scale(2.0**-draw(st.integers(0, 14))))


@pytest.mark.parametrize("config", [TINY, WIDE, NARROW, ROUNDED, FINE], ids=lambda c: c.name)
def test_equals_the_slow_model(config):
    @settings(max_examples=120)
    @given(jobs(config))
    def check(job):
        got = hdp.head(job, config)
        for name, want in slow_head(job, config).items():
            assert_array_equal(getattr(got, name), want, err_msg=name)

    check()


@pytest.mark.parametrize("fields", [
    {}, {"drop": True}, {"exact": True}, {"dense": True}, {"causal": True}, {"rho": -100},
    {"valid_q": 13, "valid_kv": 9}, {"valid_q": 5, "valid_kv": 15, "causal": True},
    {"valid_q": 16, "valid_kv": 3, "causal": True}, {"valid_q": 0}, {"valid_kv": 0},
    {"l_q": 15, "l_kv": 17}, {"l_q": 1, "l_kv": 1}, {"tau_head": 2**32 - 1},
    *({"importance": Importance.DISTANCE, "delta": 20, **more} for more in (
        {}, {"drop": True}, {"causal": True, "valid_q": 13}, {"valid_kv": 9}, {"delta": 0},
        {"l_q": 15, "l_kv": 17, "exact": True}, {"dense": True}, {"tau_head": 2**32 - 1})),
], ids=str)
def test_named_cases_equal_the_slow_model(fields):
    job = random_job(TINY, 7, **{"l_q": 16, "l_kv": 16, "rho": 25, "spread": 16.0, **fields})
    got = hdp.head(job, TINY)
    for name, want in slow_head(job, TINY).items():
        assert_array_equal(getattr(got, name), want, err_msg=name)


thetas = hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 12)),
                    elements=st.one_of(st.integers(0, 4), st.integers(0, 2**20)))


@given(thetas, st.integers(-127, 127), st.integers(0, 2**32))
def test_mask_is_the_rational_rule(theta, rho, seed):
    visible = np.random.default_rng(seed).random(theta.shape) < 0.8
    theta = np.where(visible, theta, 0)
    mask = hdp.magnitude_mask(theta, visible, rho)
    for row, seen, kept in zip(theta, visible, mask, strict=True):
        assert not kept[~seen].any()
        if seen.any():
            assert kept[seen].tolist() == keeps([int(t) for t in row[seen]], Fraction(rho, 128))


@given(thetas, st.integers(-127, 127), st.integers(0, 2**32))
def test_every_visible_row_keeps_a_block(theta, rho, seed):
    visible = np.random.default_rng(seed).random(theta.shape) < 0.5
    mask = hdp.magnitude_mask(np.where(visible, theta, 0), visible, rho)
    assert_array_equal(mask.any(axis=1), visible.any(axis=1))


int_scores = hnp.arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 12)),
                        elements=st.one_of(st.integers(-4, 4), st.integers(-(2**20), 2**20)))


def random_mask(shape, seed):
    """Queries that see some first keys, some of them none."""
    limits = np.random.default_rng(seed).integers(0, shape[1] + 1, shape[0])
    return np.arange(shape[1]) < limits[:, None]


@given(int_scores, st.integers(0, 2**32))
def test_a_distance_of_0_keeps_the_block_of_each_largest_score(int_score, seed):
    """So every query that sees a key keeps a block, those with a tie for the top both."""
    visible = random_mask(int_score.shape, seed)
    mask = hdp.distance_mask(int_score, visible, 0)
    want = np.zeros_like(mask)
    for i in np.flatnonzero(visible.any(axis=1)):
        seen = np.flatnonzero(visible[i])
        top = max(int_score[i, seen])
        want[i // 2, [j // 2 for j in seen if int_score[i, j] == top]] = True
    assert_array_equal(mask, want)


@given(int_scores, st.integers(0, 2**32), st.integers(0, 2**21), st.integers(0, 2**21))
def test_a_larger_distance_keeps_more_and_the_largest_all(int_score, seed, a, b):
    visible = random_mask(int_score.shape, seed)
    less, more = (hdp.distance_mask(int_score, visible, x) for x in sorted((a, b)))
    everything = hdp.distance_mask(int_score, visible, DELTA_MAX)
    assert (less <= more).all() and (more <= everything).all()
    assert_array_equal(everything, np.any(hdp._blocks(visible), axis=(1, 3)))


@given(int_scores, st.integers(0, 2**32), st.integers(-1000, 1000))
def test_a_distance_does_not_care_for_what_is_added_to_a_row(int_score, seed, shift):
    """As centring the keys does."""
    visible = random_mask(int_score.shape, seed)
    shifts = np.arange(len(int_score))[:, None] * shift
    assert_array_equal(hdp.distance_mask(int_score, visible, 9),
                       hdp.distance_mask(int_score + shifts, visible, 9))


def test_a_distance_is_that_of_the_logits():
    """What is pruned has at most exp(-x) of its row's largest weight, by the integer scores."""
    config, scale = FINE, 0.003
    job = random_job(config, 4, l_q=24, l_kv=30, d=32, scale=encode_scale(scale), spread=20.0,
                     importance=Importance.DISTANCE,
                     delta=hdp.encode_delta(2.0, scale, config))
    (iq, _), (ik, _) = config.format.split(job.q), config.format.split(job.k)
    logits = (iq @ ik.T) * scale * 4.0**config.frac
    result = hdp.head(job, config)
    unit = scale * 4.0**config.frac
    kept = result.mask.repeat(2, axis=0).repeat(2, axis=1)
    behind = logits.max(axis=1, keepdims=True) - logits
    assert 0 < result.blocks_kept < result.blocks_total
    assert behind[~kept].min() > 2.0 - unit / 2 and (behind[kept] <= 2.0 + unit / 2).any()


def test_importance_may_be_text():
    job = random_job(TINY, 5, importance="distance", delta=9)
    assert job.importance is Importance.DISTANCE
    with pytest.raises(ValueError, match="importance must be magnitude or distance, not 'far'"):
        random_job(TINY, 5, importance="far")


@pytest.mark.parametrize(("distance", "scale", "delta"), [
    (0, 0.01, 0), (1.0, 1 / 256, 1), (1.4, 1 / 256, 1), (1.6, 1 / 256, 2), (2.5, 1 / 256, 2),
    (5, 1e-12, DELTA_MAX), (float("inf"), 1.0, DELTA_MAX)])
def test_delta_of_a_distance(distance, scale, delta):
    assert hdp.encode_delta(distance, scale, TINY) == delta


def test_importance_by_its_text():
    """As a job has it that comes out of a file."""
    assert random_job(TINY, 1, importance="distance").importance is Importance.DISTANCE
    with pytest.raises(ValueError, match="importance must be magnitude or distance"):
        random_job(TINY, 1, importance="size")


@pytest.mark.parametrize("distance", [-0.1, float("nan"), float("-inf")])
def test_a_distance_must_not_be_negative(distance):
    with pytest.raises(ValueError, match="distance must be 0 or more, not"):
        hdp.encode_delta(distance, 0.01, TINY)


def test_ties_are_kept():
    assert hdp.magnitude_mask(np.full((1, 5), 9), np.ones((1, 5), bool), 127).all()


@pytest.mark.parametrize("config", [TINY, WIDE], ids=lambda c: c.name)
def test_score_leaves_out_the_product_of_fractions(config):
    job = random_job(config, 11, l_q=12, l_kv=14, d=32)
    (_, fq), (_, fk) = config.format.split(job.q), config.format.split(job.k)
    full = job.q @ job.k.T
    assert_array_equal(hdp.head(job, config).scores, full - fq @ fk.T)
    exact = random_job(config, 11, l_q=12, l_kv=14, d=32, exact=True)
    assert_array_equal(hdp.head(exact, config).scores, full)


def test_zero_and_drop_agree_where_nothing_is_pruned():
    """And no score reaches 0; where one does, `zero` splits off a background all the same."""
    fields = {"l_q": 2, "l_kv": 2, "rho": 25, "spread": 16.0}
    jobs = [random_job(TINY, 3, drop=drop, **fields) for drop in (False, True)]
    jobs = [replace(job, q=np.abs(job.q) + 1, k=-np.abs(job.k)) for job in jobs]
    zero, drop = (hdp.head(job, TINY) for job in jobs)
    assert zero.blocks_kept == zero.blocks_total
    assert (zero.scores < 0).all()
    assert_array_equal(zero.out, drop.out)


def test_zero_and_drop_differ_where_blocks_are_pruned():
    fields = {"l_q": 16, "l_kv": 16, "rho": 25, "spread": 16.0}
    zero, drop = (hdp.head(random_job(TINY, 3, drop=drop, **fields), TINY)
                  for drop in (False, True))
    assert zero.blocks_kept < zero.blocks_total
    assert_array_equal(zero.mask, drop.mask)
    assert (zero.out != drop.out).any()


def test_dense_keeps_all_and_has_no_integer_pass():
    job = random_job(TINY, 5, dense=True, tau_head=2**32 - 1, rho=127)
    result = hdp.head(job, TINY)
    assert result.mask.all()
    assert result.head_kept is True
    assert (result.theta_head, result.theta.any()) == (0, False)
    assert result.out.any()


def test_a_pruned_head_is_zero_and_still_tells_its_mask():
    kept = hdp.head(random_job(TINY, 9, rho=25), TINY)
    below = hdp.head(random_job(TINY, 9, rho=25, tau_head=kept.theta_head + 1), TINY)
    assert below.head_kept is False
    assert not below.out.any()
    assert_array_equal(below.mask, kept.mask)
    assert (below.blocks_kept, below.theta_head) == (kept.blocks_kept, kept.theta_head)
    equal = hdp.head(random_job(TINY, 9, rho=25, tau_head=kept.theta_head), TINY)
    assert equal.head_kept is True
    assert_array_equal(equal.out, kept.out)


def test_padding_takes_part_in_nothing():
    small = random_job(TINY, 21, l_q=7, l_kv=9, rho=25, spread=16.0)
    rng = np.random.default_rng(0)
    padded = HdpJob(**{**small.__dict__, "valid_q": 7, "valid_kv": 9,
                    **{name: np.concatenate([getattr(small, name),
                                             rng.integers(-127, 128, (more, 16))])
                       for name, more in (("q", 4), ("k", 5), ("v", 5))}})
    want, got = hdp.head(small, TINY), hdp.head(padded, TINY)
    assert_array_equal(got.out[:7], want.out)
    assert not got.out[7:].any()
    assert_array_equal(got.mask[:4, :5], want.mask)
    assert (got.theta_head, got.blocks_kept, got.blocks_total) == \
        (want.theta_head, want.blocks_kept, want.blocks_total)


@pytest.mark.parametrize(("valid_q", "valid_kv"), [(6, 6), (4, 9), (9, 4), (0, 5), (5, 0)])
def test_visible_limits_under_a_causal_mask(valid_q, valid_kv):
    job = random_job(TINY, 1, l_q=9, l_kv=9, valid_q=valid_q, valid_kv=valid_kv, causal=True)
    want = [sum(j <= i + valid_kv - valid_q for j in range(valid_kv)) if i < valid_q else 0
            for i in range(9)]
    assert_array_equal(hdp.visible_limits(job), want)


def test_causal_rows_do_not_see_later_keys():
    job = random_job(TINY, 4, l_q=12, l_kv=12, causal=True, rho=25, spread=16.0)
    k, v = job.k.copy(), job.v.copy()
    k[8:], v[8:] = 99, -99
    changed = HdpJob(**{**job.__dict__, "k": k, "v": v})
    assert_array_equal(hdp.head(changed, TINY).out[:8], hdp.head(job, TINY).out[:8])


def test_the_most_negative_code_is_allowed():
    full = np.full((4, 8), -128)
    job = HdpJob(q=full, k=full, v=full, scale=encode_scale(1e-4))
    result = hdp.head(job, TINY)
    assert_array_equal(result.scores, 8 * 128 * 128)
    assert_array_equal(result.theta, 4 * 8 * 8 * 8)
    # All weights equal: the mean of V, up to the reciprocal's error.
    assert np.abs(result.out / 2.0**TINY.out_frac + 128).max() <= 128 * 4.9e-4


@pytest.mark.parametrize(("rho", "code"), [(0.0, 0), (25 / 128, 25), (-0.5, -64), (0.9999, 127),
                                           (-0.9999, -127), (0.2, 26)])
def test_rho_in_128ths(rho, code):
    assert hdp.encode_rho(rho) == code


@pytest.mark.parametrize("rho", [1.0, -1.0, 2.0, float("nan")])
def test_rho_must_lie_inside(rho):
    with pytest.raises(ValueError, match=re.escape(f"rho must lie in (-1, 1), not {rho}")):
        hdp.encode_rho(rho)


def test_a_head_takes_well_under_50_ms():
    config = load_config("hdp_edge")
    job = random_job(config, 2, l_q=128, l_kv=128, d=64, rho=25, spread=16.0)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        hdp.head(job, config)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.04

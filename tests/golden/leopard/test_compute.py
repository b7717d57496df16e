# SPDX-License-Identifier: Apache-2.0
"""One head against the slow model, and the laws of the specification one by one."""

import re
import time
from dataclasses import replace
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob, encode_threshold, threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.reference import relative_rms, survivor_attention
from prunus.golden.softmax import encode_scale
from tests.golden.leopard.slow import slow_head
from tests.golden.leopard.test_digits import codes
from tests.golden.test_reference import EXAMPLES, MORE

TINY, AE, HP, BASE = (load_config(f"leopard_{name}") for name in ("tiny", "ae", "hp", "base"))
CONFIGS = [TINY, AE, BASE,
           LeopardConfig(name="w8b3", width=8, digit=3, dpus=3, d_max=32, l_max=32),
           LeopardConfig(name="w13b4", width=13, digit=4, dpus=5, d_max=32, l_max=32),
           LeopardConfig(name="w11b1", width=11, digit=1, dpus=7, d_max=32, l_max=32),
           LeopardConfig(name="w16b3", width=16, digit=3, dpus=1, d_max=128, l_max=32)]
by_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
by_pruning = pytest.mark.parametrize("config", [c for c in CONFIGS if c.pruning],
                                     ids=lambda c: c.name)
EVERYTHING, NOTHING = float("inf"), float("-inf")


def random_job(config, seed, *, threshold=0.0, scale=None, l_q=8, l_kv=10, d=16, **fields):
    """A job, and the scale and threshold its T_int comes from."""
    if scale is None:
        scale = 4.0**(1 - config.width) * 8
    q, k, v = (codes(config.width, seed + n, rows, d) for n, rows in enumerate((l_q, l_kv, l_kv)))
    return LeopardJob(q=q, k=k, v=v, scale=encode_scale(scale),
                      threshold=encode_threshold(threshold, scale, config), **fields)


@st.composite
def jobs(draw, config):
    """Thresholds are those of a pair's score, a little beside it, or anything."""
    l_q, l_kv = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    scale = draw(st.sampled_from([2.0**-2, 2.0**-9, 2.0**-17, 0.3, 1e-4, 3.7e-6]))
    job = random_job(
        config, draw(st.integers(0, 2**32)), l_q=l_q, l_kv=l_kv, d=draw(st.sampled_from([8, 16])),
        valid_q=draw(st.integers(0, l_q)), valid_kv=draw(st.integers(0, l_kv)),
        causal=draw(st.booleans()), scale=scale)
    score = int(job.q[draw(st.integers(0, l_q - 1))] @ job.k[draw(st.integers(0, l_kv - 1))])
    threshold = draw(st.sampled_from([score * scale, (score + 0.5) * scale, (score - 1) * scale,
                                      0.0, -0.7, 1e300, -1e300]))
    return replace(job, threshold=encode_threshold(threshold, scale, config)), threshold, scale


def compare(job, threshold, scale, config):
    """With the slow model, which takes the real threshold."""
    got = leopard.head(job, config)
    want = slow_head(job, config, Fraction(threshold), Fraction(scale))
    for name in ("mask", "digits", "out"):
        assert_array_equal(getattr(got, name), want[name], err_msg=name)
    assert leopard.bound_cycles([got], config) == ceil(want["cycles"])
    assert (got.survivors, got.digits_total) == (want["mask"].sum(), want["digits"].sum())
    return got


@by_config
def test_equals_the_slow_model(config):
    @settings(max_examples=60)
    @given(jobs(config))
    def check(drawn):
        compare(*drawn, config)

    check()


@pytest.mark.parametrize("fields", [
    {}, {"causal": True}, {"valid_q": 13, "valid_kv": 9}, {"valid_q": 0}, {"valid_kv": 0},
    {"valid_q": 5, "valid_kv": 15, "causal": True}, {"valid_q": 16, "valid_kv": 3, "causal": True},
    {"l_q": 15, "l_kv": 17}, {"l_q": 1, "l_kv": 1}, {"l_q": 9, "l_kv": 16, "causal": True},
], ids=str)
@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.5])
def test_named_cases_equal_the_slow_model(fields, threshold):
    scale = 0.002
    job = random_job(TINY, 7, threshold=threshold, scale=scale, **{"l_q": 16, "l_kv": 16, **fields})
    compare(job, threshold, scale, TINY)


@by_pruning
def test_a_score_equal_to_the_threshold_survives(config):
    job = random_job(config, 5, d=8)
    scores = np.unique(job.q @ job.k.T)
    for score in (scores[0], scores[len(scores) // 2], scores[-1]):
        at, above = (leopard.head(replace(job, threshold=int(score) + off), config)
                     for off in (0, 1))
        assert (at.scores[at.mask] >= score).all()
        assert_array_equal(at.mask & ~above.mask, at.scores == score)
        assert_array_equal(at.digits[at.mask], config.digits)


@by_pruning
def test_everything_pruned(config):
    result = leopard.head(random_job(config, 6, threshold=EVERYTHING), config)
    assert (result.survivors, result.out.any(), result.keys) == (0, False, 80)
    assert_array_equal(result.digits, 1)
    assert leopard.bound_cycles([result], config) == ceil(Fraction(80, config.dpus))


def test_a_digit_of_more_dimensions_than_taps_takes_several_cycles():
    config = LeopardConfig(name="narrow", d_max=32, taps=8, dpus=2, l_max=16)
    for d in (8, 24, 32):
        result = leopard.head(random_job(config, 6, d=d, threshold=EVERYTHING), config)
        assert leopard.bound_cycles([result], config) == ceil(Fraction(80 * d // 8, 2))


@by_config
def test_nothing_pruned(config):
    result = leopard.head(random_job(config, 6, threshold=NOTHING), config)
    assert result.survivors == result.keys == 80
    assert_array_equal(result.digits, config.digits)
    row = max(10, Fraction(10 * config.digits, config.dpus))
    assert leopard.bound_cycles([result], config) == ceil(8 * row)


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("fields", [{}, {"valid_q": 5, "valid_kv": 8}, {"l_q": 7}], ids=str)
def test_without_pruning_it_is_the_other_engine_without_pruning(width, fields):
    """Bit for bit where every key comes twice: there two keys share a shift, here none do."""
    job = random_job(LeopardConfig(name="a", width=width), 8, threshold=NOTHING, **fields)
    job = replace(job, **{name: getattr(job, name)[:5].repeat(2, axis=0) for name in ("k", "v")})
    other = HdpJob(dense=True, drop=True, **{name: getattr(job, name) for name in (
        "q", "k", "v", "scale", "valid_q", "valid_kv")})
    want = hdp.head(other, HdpConfig(name="b", width=width, frac=4))
    got = leopard.head(job, LeopardConfig(name="a", width=width))
    assert_array_equal(got.out, want.out)
    assert got.out.any()
    assert_array_equal(got.scores, want.scores)


def test_the_baseline_prunes_nothing_and_takes_a_cycle_per_key():
    job = random_job(BASE, 9, threshold=EVERYTHING, causal=True, valid_kv=9)
    result = leopard.head(job, BASE)
    assert result.survivors == result.keys == result.digits_total
    assert leopard.bound_cycles([result], BASE) == leopard.baseline_cycles([result]) == result.keys
    free = leopard.head(replace(job, threshold=threshold_limits(AE)[0]), AE)
    assert_array_equal(result.out, free.out)


def test_the_bound_of_a_table_is_rounded_up_once():
    results = [leopard.head(random_job(AE, n, l_q=3, l_kv=5, threshold=0.3), AE) for n in range(4)]
    want = sum(max(Fraction(int(digits.sum()), 6), int(mask.sum()))
               for r in results for digits, mask in zip(r.digits, r.mask, strict=True))
    assert want.denominator > 1
    assert leopard.bound_cycles(results, AE) == ceil(want)
    assert leopard.baseline_cycles(results) == 4 * 15


def test_both_sides_of_the_bound():
    """Few survivors leave the front end the longer side, many the back end."""
    config = LeopardConfig(name="a", width=8, digit=4, dpus=4)
    job = random_job(config, 1, l_q=1, l_kv=8, threshold=NOTHING)
    assert leopard.bound_cycles([leopard.head(job, config)], config) == 8     # 16 digits, 8 keys
    none = replace(job, threshold=threshold_limits(config)[1])
    assert leopard.bound_cycles([leopard.head(none, config)], config) == 2    # 8 digits, no key
    # Both take chunks of a row one after the other.
    chunks = LeopardConfig(name="b", width=8, digit=4, dpus=4, taps=8)
    for d in (8, 16, 24):
        job = random_job(chunks, 1, l_q=1, l_kv=8, d=d, threshold=NOTHING)
        assert leopard.bound_cycles([leopard.head(job, chunks)], chunks) == d


def test_rows_without_survivors_are_zero_beside_others():
    job = random_job(AE, 4, l_q=2, d=8)
    q = job.q.copy()
    q[0] = 0
    result = leopard.head(replace(job, q=q, threshold=1), AE)
    assert not result.mask[0].any() and not result.out[0].any()
    assert result.mask[1].any() and result.out[1].any()


def test_padding_takes_part_in_nothing():
    small = random_job(TINY, 21, l_q=7, l_kv=9, threshold=0.1)
    padded = replace(small, valid_q=7, valid_kv=9, **{
        name: np.concatenate([getattr(small, name), codes(8, 1, more, 16)])
        for name, more in (("q", 4), ("k", 5), ("v", 5))})
    want, got = leopard.head(small, TINY), leopard.head(padded, TINY)
    for name in ("out", "mask", "digits"):
        part = getattr(got, name)
        assert_array_equal(part[:7, : 16 if name == "out" else 9], getattr(want, name))
        assert not part[7:].any()
    assert not got.mask[:, 9:].any() and not got.digits[:, 9:].any()
    assert (got.survivors, got.digits_total, got.keys) == \
        (want.survivors, want.digits_total, want.keys)


@pytest.mark.parametrize(("valid_q", "valid_kv"), [(6, 6), (4, 9), (9, 4), (0, 5), (5, 0)])
def test_a_causal_mask(valid_q, valid_kv):
    job = random_job(TINY, 1, l_q=9, l_kv=9, valid_q=valid_q, valid_kv=valid_kv, causal=True,
                     threshold=NOTHING)
    want = [[i < valid_q and j < valid_kv and j <= i + valid_kv - valid_q for j in range(9)]
            for i in range(9)]
    assert_array_equal(leopard.head(job, TINY).mask, want)


# -- thresholds -------------------------------------------------------------------------------
scales = st.floats(1e-12, 1e6, allow_subnormal=False)


@given(st.floats(-1e9, 1e9), scales, st.integers(-3, 3))
def test_t_int_is_the_real_rule(threshold, scale, off):
    t_int = encode_threshold(threshold, scale, AE)
    low, high = threshold_limits(AE)
    score = max(-(2**28), min(2**28, t_int + off))
    assert low <= t_int <= high
    assert (score >= t_int) == (Fraction(score) * Fraction(scale) >= Fraction(threshold))


@given(st.integers(-(2**28), 2**28), st.sampled_from([2.0**-20, 2.0**-3, 1.0, 4.0]))
def test_t_int_of_a_score_is_the_score(score, scale):
    assert encode_threshold(score * scale, scale, AE) == score
    assert encode_threshold(np.nextafter(score * scale, np.inf), scale, AE) == score + 1


def test_t_int_is_not_the_quotient_of_floats():
    """0.9 as a float lies just above three times 0.3, and their quotient rounds to 3."""
    threshold, scale = 0.9, 0.3
    assert threshold / scale == 3.0 and Fraction(threshold) > 3 * Fraction(scale)
    assert encode_threshold(threshold, scale, AE) == 4


@pytest.mark.parametrize("config", [AE, TINY, CONFIGS[-1]], ids=lambda c: c.name)
def test_clamping_changes_nothing(config):
    low, high = threshold_limits(config)
    assert [encode_threshold(t, 1e-9, config) for t in (-1e300, NOTHING, 1e300, EVERYTHING)] == \
        [low, low, high, high]
    code = config.min_code
    job = random_job(config, 1, l_q=2, l_kv=2, d=config.d_max)
    full = replace(job, q=np.full_like(job.q, code), k=np.full_like(job.k, code))
    assert leopard.head(replace(full, threshold=high), config).survivors == 0
    lowest = replace(full, k=np.full_like(job.k, -code - 1), threshold=low)
    assert leopard.head(lowest, config).survivors == 4


@pytest.mark.parametrize(("threshold", "scale", "message"), [
    (float("nan"), 1.0, "threshold must be a real number, not nan"),
    (0.0, 0.0, "scale must be finite and positive, not 0.0"),
    (0.0, float("nan"), "scale must be finite and positive, not nan"),
])
def test_bad_thresholds(threshold, scale, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        encode_threshold(threshold, scale, AE)


# -- real heads -------------------------------------------------------------------------------
def real_heads(path):
    """q, k, v of each head in codes of 12 bits with the same logits, and the scale."""
    with np.load(path) as data:
        heads = [data[name].astype(np.int64) for name in ("q", "k", "v")]
        return list(zip(*(x << 4 for x in heads), strict=True)), float(data["scale"]) / 256


@pytest.mark.parametrize("prune", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("path", EXAMPLES + MORE, ids=lambda p: p.stem if p else "none")
def test_accuracy_on_real_heads(path, prune):
    heads, scale = real_heads(path)
    errors = []
    for q, k, v in heads:
        threshold = float(np.quantile(q @ k.T, prune)) * scale
        job = LeopardJob(q=q, k=k, v=v, scale=encode_scale(scale),
                         threshold=encode_threshold(threshold, scale, AE))
        result = leopard.head(job, AE)
        assert result.survivors == pytest.approx((1 - prune) * result.keys, rel=0.01)
        errors.append(relative_rms(result.out / 2.0**AE.out_frac,
                                   survivor_attention(job, result, scale)))
    assert np.mean(errors) <= 0.0016
    assert max(errors) <= 0.0026


def test_the_reference_is_attention_over_survivors():
    """Pair by pair, in the plainest form there is."""
    scale = 0.0005
    job = random_job(TINY, 3, l_q=10, l_kv=11, scale=scale, threshold=0.5, causal=True, valid_q=9)
    result = leopard.head(job, TINY)
    want = np.zeros((10, 16))
    for i in range(10):
        weight = {j: np.exp(float(job.q[i] @ job.k[j]) * scale)
                  for j in range(11) if result.mask[i, j]}
        for j, w in weight.items():
            want[i] += w / sum(weight.values()) * job.v[j]
    assert result.mask.any() and not result.mask.any(axis=1).all()
    np.testing.assert_allclose(survivor_attention(job, result, scale), want, rtol=1e-9, atol=1e-12)


def test_a_head_takes_well_under_100_ms():
    job = random_job(AE, 2, l_q=128, l_kv=128, d=64, threshold=0.5)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        leopard.head(job, AE)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05

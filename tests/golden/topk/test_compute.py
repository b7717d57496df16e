# SPDX-License-Identifier: Apache-2.0
"""One head against the slow model, and the laws of the specification one by one."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from prunus.golden.jobs import visible_limits
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardJob, threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.reference import relative_rms, survivor_attention
from prunus.golden.softmax import encode_scale
from prunus.golden.topk import compute as topk
from prunus.golden.topk.compute import TopkJob
from prunus.golden.topk.config import TopkConfig
from tests.golden.topk.slow import slow_head

CONFIGS = [TopkConfig(name="tiny", d_max=16, l_max=32, taps=8, k_max=8),
           TopkConfig(name="w12", width=12, d_max=32, l_max=32),
           TopkConfig(name="w16", width=16, d_max=128, l_max=64, k_max=64),
           TopkConfig(name="w4", width=4, d_max=24, l_max=16, taps=16, k_max=3)]
by_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
TINY = CONFIGS[0]


def random_job(config, seed, *, l_q=8, l_kv=10, d=16, top_k=3, span=None, scale=None, **fields):
    """Codes within ``span``; a small one makes many scores equal."""
    rng = np.random.default_rng(seed)
    high = config.max_code if span is None else span
    q, k, v = (rng.integers(max(config.min_code, -high - 1), high + 1, (rows, d))
               for rows in (l_q, l_kv, l_kv))
    scale = 4.0**(1 - config.width) * 8 if scale is None else scale
    return TopkJob(q=q, k=k, v=v, scale=encode_scale(scale), top_k=top_k, **fields)


@st.composite
def jobs(draw, config):
    l_q, l_kv = draw(st.integers(1, 9)), draw(st.integers(1, 12))
    return random_job(
        config, draw(st.integers(0, 2**32)), l_q=l_q, l_kv=l_kv, d=draw(st.sampled_from([8, 16])),
        top_k=draw(st.integers(1, config.k_max)), span=draw(st.sampled_from([None, 0, 1, 3])),
        valid_q=draw(st.integers(0, l_q)), valid_kv=draw(st.integers(0, l_kv)),
        causal=draw(st.booleans()), scale=draw(st.sampled_from([2.0**-2, 2.0**-9, 0.3, 3.7e-6])))


def compare(job, config):
    got, want = topk.head(job, config), slow_head(job, config)
    for name in ("mask", "out"):
        assert_array_equal(getattr(got, name), want[name], err_msg=name)
    assert topk.bound_cycles([got], config) == want["cycles"]
    assert got.survivors == want["mask"].sum()
    return got


@by_config
def test_equals_the_slow_model(config):
    @settings(max_examples=60)
    @given(jobs(config))
    def check(job):
        compare(job, config)

    check()


@pytest.mark.parametrize("fields", [
    {}, {"causal": True}, {"valid_q": 13, "valid_kv": 9}, {"valid_q": 0}, {"valid_kv": 0},
    {"valid_q": 5, "valid_kv": 15, "causal": True}, {"valid_q": 16, "valid_kv": 3, "causal": True},
    {"l_q": 15, "l_kv": 17}, {"l_q": 1, "l_kv": 1}, {"l_q": 9, "l_kv": 16, "causal": True},
], ids=str)
@pytest.mark.parametrize("top_k", [1, 5, 8])
def test_named_cases_equal_the_slow_model(fields, top_k):
    compare(random_job(TINY, 7, top_k=top_k, **{"l_q": 16, "l_kv": 16, **fields}), TINY)


@by_config
def test_rows_keep_k_keys_or_all_they_see(config):
    job = random_job(config, 1, l_q=12, l_kv=9, causal=True, valid_q=12)
    for top_k in (1, 2, config.k_max):
        result = topk.head(replace(job, top_k=top_k), config)
        assert_array_equal(result.mask.sum(axis=1), np.minimum(top_k, visible_limits(job)))
        assert result.keys == visible_limits(job).sum()
        assert not result.out[:3].any()         # they see nothing


def test_of_equal_scores_the_lower_indices_survive():
    k = np.zeros((10, 8), np.int64)
    k[:, 0] = [1, 5, 3, 5, 3, -9, 3, 5, 3, 5]
    job = TopkJob(q=np.eye(1, 8, dtype=np.int64), k=k, v=k, scale=encode_scale(0.1), top_k=1)
    for top_k, kept in ((1, [1]), (3, [1, 3, 7]), (4, [1, 3, 7, 9]), (6, [1, 2, 3, 4, 7, 9])):
        result = topk.head(replace(job, top_k=top_k), TINY)
        assert_array_equal(np.flatnonzero(result.mask[0]), kept)


@by_config
def test_scores_below_zero_survive(config):
    job = random_job(config, 2, l_q=1, l_kv=6)
    job = replace(job, q=np.full((1, 16), config.max_code), k=np.full((6, 16), config.min_code))
    result = topk.head(job, config)
    assert (result.scores < 0).all()
    assert_array_equal(result.mask, [[True] * 3 + [False] * 3])


def test_survivors_that_a_threshold_separates_give_what_leopard_gives():
    """The tail of a head is the same."""
    config = LeopardConfig(name="same", width=8, d_max=16, l_max=32, taps=8)
    job = random_job(TINY, 3, l_q=1, l_kv=20, top_k=5, scale=1e-4)
    got = topk.head(job, TINY)
    fields = {name: getattr(job, name) for name in ("q", "k", "v", "scale")}
    least = int(got.scores[got.mask].min())
    want = leopard.head(LeopardJob(**fields, threshold=least), config)
    assert_array_equal(got.mask, want.mask)
    assert_array_equal(got.out, want.out)
    everything = leopard.head(LeopardJob(**fields, threshold=threshold_limits(config)[0]), config)
    assert (everything.out != got.out).any()


@by_config
def test_close_to_real_attention(config):
    scale = 4.0**(1 - config.width)
    job = random_job(config, 4, l_q=16, l_kv=16, scale=scale)
    result = topk.head(job, config)
    want = survivor_attention(job, result, scale)
    assert relative_rms(result.out / 2**config.out_frac, want) < 0.003


@pytest.mark.parametrize("d, chunks", [(8, 1), (16, 2)])
def test_a_chunk_of_a_key_takes_a_cycle(d, chunks):
    results = [topk.head(random_job(TINY, n, d=d, l_q=4, l_kv=7), TINY) for n in range(3)]
    assert topk.bound_cycles(results, TINY) == chunks * 3 * 4 * 7


@pytest.mark.parametrize("fields, message", [
    ({"taps": 12}, "multiple of 8"), ({"d_max": 16, "taps": 32}, "at most d_max, which is 16"),
    ({"k_max": 0}, "greater than or equal to 1"), ({"k_max": 257}, "less than or equal to 256"),
    ({"l_max": 16, "k_max": 17}, "at most l_max, which is 16"), ({"width": 17}, "less than"),
    ({"digit": 2}, "not permitted")], ids=str)
def test_refused_parameters(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TopkConfig(name="bad", **fields)


def test_defaults():
    config = TopkConfig(name="few", d_max=24, l_max=16)
    assert (config.width, config.taps, config.k_max, config.chunks) == (8, 24, 16, 1)
    config = TopkConfig(name="many", d_max=128)
    assert (config.taps, config.k_max, config.chunks) == (64, 32, 2)


@pytest.mark.parametrize("top_k", [-1, 0, 33])
def test_a_k_that_hardware_refuses_is_an_error(top_k):
    config = TopkConfig(name="smaller", l_max=64)
    job = TopkJob(q=np.ones((2, 8), int), k=np.ones((3, 8), int), v=np.ones((3, 8), int),
                  scale=(1, 20), top_k=top_k)
    with pytest.raises(ValueError, match=rf"top_k must lie in 1..32, not {top_k}"):
        topk.head(job, config)

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.planes import HdpLayout, held_planes
from prunus.golden.image import build_image
from prunus.sim.engines.hdp import PATTERNS, Recipe, build, job_strategy, random_jobs

CONFIG = load_config("hdp_tiny")
PRESETS = ("hdp_tiny", "hdp_edge", "hdp_w12")


def _legal(job, config):
    low, high = config.format.min_code, config.format.max_code
    assert all(x.min() >= low and x.max() <= high for x in (job.q, job.k, job.v))
    assert 1 <= job.l_q <= config.l_max
    assert 1 <= job.l_kv <= config.l_max
    assert 0 <= job.valid_q <= job.l_q
    assert 0 <= job.valid_kv <= job.l_kv
    assert job.d % 8 == 0
    assert 8 <= job.d <= config.d_max
    assert -127 <= job.rho <= 127
    assert 0 <= job.tau_head < 1 << 32
    assert 0 <= job.scale[0] < 1 << 16
    assert 12 <= job.scale[1] <= 63


@pytest.mark.parametrize("name", PRESETS)
def test_random_jobs_are_legal_and_cover(name):
    config = load_config(name)
    jobs = random_jobs(config, 400, 7)
    for job in jobs:
        _legal(job, config)
    results = [head(job, config) for job in jobs]
    visible = [(job, result) for job, result in zip(jobs, results, strict=True)
               if job.valid_q and job.valid_kv]
    seen = [
        any(not r.head_kept for r in results),
        any(r.head_kept and j.tau_head == r.theta_head > 0 for j, r in visible),
        any(j.tau_head == r.theta_head + 1 for j, r in visible),
        any(j.causal and j.valid_kv < j.valid_q for j, _ in visible),
        any(j.causal and j.valid_kv > j.valid_q for j, _ in visible),
        any(j.l_kv <= 2 for j, _ in visible), any(j.l_kv % 2 for j, _ in visible),
        any(j.l_q == config.l_max for j in jobs), any(not j.valid_q for j in jobs),
        any(not j.valid_kv for j in jobs), any(j.q.min() == config.format.min_code for j in jobs),
        any(not config.format.split(j.q)[0].any() for j in jobs),
        {j.d for j in jobs} == set(range(8, config.d_max + 1, 8)),
        any(0 < r.blocks_kept < r.blocks_total and j.drop for j, r in visible),
        any(0 < r.blocks_kept < r.blocks_total and not j.drop for j, r in visible),
        any(j.exact for j in jobs), any(j.dense for j in jobs),
        *(planes in held_planes(jobs, results, config)
          for planes in ({"k_i"}, {"k_i", "k_f", "v"})),
        {0, 127, -127} <= {j.rho for j in jobs},
    ]
    assert all(seen), seen
    assert np.median([job.l_q for job in jobs]) <= 40


def test_random_jobs_repeat():
    first, again, other = (random_jobs(CONFIG, 20, seed) for seed in (3, 3, 4))
    images = [build_image(jobs, CONFIG).data for jobs in (first, again, other)]
    assert images[0] == images[1] != images[2]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern):
    job = build(Recipe(l_q=6, l_kv=4, valid_q=6, valid_kv=4, d=16, patterns=(pattern,) * 3), CONFIG)
    _legal(job, CONFIG)
    if pattern == "equal":
        assert (job.q == job.q[0]).all()
    if pattern == "fraction":
        assert not CONFIG.format.split(job.k)[0].any()


def test_an_unknown_pattern_is_named():
    with pytest.raises(ValueError, match=r"pattern must be one of normal, .*, not 'odd'"):
        build(Recipe(l_q=1, l_kv=1, valid_q=1, valid_kv=1, d=8, patterns=("odd",) * 3), CONFIG)


@settings(max_examples=50)
@given(recipe=job_strategy(CONFIG, l_max=12))
def test_strategy_draws_legal_jobs(recipe):
    job = build(recipe, CONFIG)
    _legal(job, CONFIG)
    assert max(job.l_q, job.l_kv) <= 12
    assert HdpLayout(CONFIG).out_bytes(job.output()) > 0
    if recipe.tau == "equal":
        assert head(job, CONFIG).head_kept

# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the fixed-point head against float64, on real layers."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.reference import relative_rms_error, softmax_attention
from prunus.golden.jobs import visible_limits
from prunus.golden.softmax import encode_scale
from tests.golden.hdp.slow import sees
from tests.golden.hdp.test_compute import random_job

ROOT = Path(__file__).resolve().parents[2]
LAYERS = Path(os.environ.get("PRUNUS_DATA", ROOT.parent / "shared" / "data")) / "qkv"
EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.npz"))
            if "q" in np.load(path).files]
MORE = sorted(LAYERS.glob("*.npz")) or [pytest.param(None, marks=pytest.mark.skip(
    reason=f"no captured layers in {LAYERS} (PRUNUS_DATA says where)"))]
EDGE = load_config("hdp_edge")


def test_examples_are_there():
    assert [path.name for path in EXAMPLES] == ["minilm_sentence.npz", "vit_patches.npz"]


# Largest mean over a file's heads, and largest of a head.
BOUNDS = {"zero": (0.0027, 0.0065), "drop": (0.0041, 0.0093), "dense": (0.0027, 0.0042)}
MODES: dict[str, dict] = {"zero": {}, "drop": {"drop": True}, "dense": {"dense": True}}


@pytest.mark.parametrize("mode", BOUNDS)
@pytest.mark.parametrize("path", EXAMPLES + MORE, ids=lambda p: p.stem if p else "none")
def test_accuracy_on_real_heads(path, mode):
    with np.load(path) as data:
        q, k, v = (data[name].astype(np.int64) for name in ("q", "k", "v"))
        scale = float(data["scale"])
    errors = []
    for h in range(len(q)):
        job = HdpJob(q=q[h], k=k[h], v=v[h], scale=encode_scale(scale), rho=25, **MODES[mode])
        errors.append(relative_rms_error(job, hdp.head(job, EDGE), scale, EDGE))
    mean, worst = BOUNDS[mode]
    assert np.mean(errors) <= mean
    assert max(errors) <= worst


@pytest.mark.parametrize("fields", [{}, {"drop": True}, {"causal": True, "valid_q": 7},
                                    {"valid_kv": 5, "exact": True}, {"valid_kv": 0}], ids=str)
def test_the_reference_is_attention(fields):
    """Element by element, in the plainest form there is."""
    job = random_job(EDGE, 3, l_q=10, l_kv=11, d=16, rho=25, spread=16.0, **fields)
    result, scale = hdp.head(job, EDGE), 0.003
    want = np.zeros((10, 16))
    for i in range(10):
        weight = {}
        for j in range(11):
            kept = result.mask[i // 2, j // 2]
            if sees(job, i, j) and (kept or not job.drop):
                weight[j] = np.exp(result.scores[i, j] * scale if kept else 0.0)
        for j, w in weight.items():
            want[i] += w / sum(weight.values()) * job.v[j]
    np.testing.assert_allclose(softmax_attention(job, result, scale), want, rtol=1e-9, atol=1e-12)


def test_a_pruned_head_has_no_error():
    job = random_job(EDGE, 3, tau_head=2**32 - 1)
    assert relative_rms_error(job, hdp.head(job, EDGE), 0.003, EDGE) == 0.0


# -- the hull of V --------------------------------------------------------------------------------
RECIPROCAL = 4.9e-4         # relative error of golden.softmax.reciprocal


def assert_in_hull(job, out, config):
    """Every word lies between the least and the largest visible code of its dimension, but for the
    reciprocal's error and the rounding of the word."""
    limits = visible_limits(job)
    for i, limit in enumerate(limits):
        if not limit:
            assert not out[i].any()
            continue
        low, high = (f(job.v[:limit], axis=0) << config.out_frac for f in (np.min, np.max))
        slack = RECIPROCAL * np.maximum(abs(low), abs(high)) + 1
        assert (out[i] >= low - slack).all() and (out[i] <= high + slack).all(), i


def far_below(config, scale):
    """Queries that like two keys, keep many that they dislike, and prune two that they do not mind.

    Weights of the disliked keys are -e0, and rounding must not take more than that from what all
    keys have: their V lies at the other end.
    """
    q, k = np.full((2, 8), config.max_code), np.full((40, 8), -config.max_code)
    v = np.full((40, 8), config.max_code)
    k[:2], k[6:8] = 0, config.max_code // 3
    v[:2], v[6:8] = config.min_code, config.min_code
    return HdpJob(q=q, k=k, v=v, scale=encode_scale(scale), rho=-100)


@pytest.mark.parametrize("fields", [
    {}, {"drop": True}, {"dense": True}, {"exact": True}, {"rho": -127}, {"rho": 90},
    {"causal": True}, {"causal": True, "valid_q": 7, "valid_kv": 9}], ids=str)
@pytest.mark.parametrize("name", ["hdp_edge", "hdp_w12"])
def test_outputs_lie_in_the_hull_of_v(name, fields):
    config, rng = load_config(name), np.random.default_rng(17)
    for seed in range(80):
        scale = encode_scale(float(2.0 ** -rng.integers(0, 16)))
        job = random_job(config, seed, l_q=10, l_kv=14, d=8, scale=scale, **fields)
        assert_in_hull(job, hdp.head(job, config).out, config)


@pytest.mark.parametrize("name", ["hdp_edge", "hdp_w12"])
def test_no_weight_is_rounded_below_zero(name):
    config = load_config(name)
    top = 8 * config.max_code * (config.max_code // 3)
    for exponent in np.linspace(0.2, 4, 40):
        job = far_below(config, float(exponent / top))
        result = hdp.head(job, config)
        assert (result.blocks_kept, result.blocks_total) == (19, 20)
        assert_in_hull(job, result.out, config)


@pytest.mark.parametrize("name", ["leopard_ae", "topk_edge"])
def test_outputs_of_survivors_lie_in_the_hull_of_v(name):
    config, engine = load_config(name), engine_of(load_config(name))
    rng = np.random.default_rng(18)
    kind, = engine.kinds
    for _ in range(80):
        q, k, v = (rng.integers(config.min_code, config.max_code + 1, (rows, 8))
                   for rows in (6, 20, 20))
        more = {"top_k": int(rng.integers(1, 9))} if name == "topk_edge" else {
            "threshold": int(rng.normal(0, 2.0 ** (2 * config.width - 3)))}
        job = kind.Job(q=q, k=k, v=v, scale=encode_scale(float(2.0 ** -rng.integers(4, 24))),
                       **more)
        result = engine.compute(job, config)
        rows = result.mask.any(axis=1)
        assert rows.any() and not result.out[~rows].any()
        assert_in_hull(replace(job, q=job.q[rows]), result.out[rows], config)


@pytest.mark.parametrize("name", ["hdp_edge", "leopard_ae", "topk_edge"])
def test_a_constant_v_comes_out_constant(name):
    """Within the reciprocal's error; with sums of exponentials before rounding it was 0.9% off."""
    config = load_config(name)
    kind = engine_of(config).kinds[0]
    rng = np.random.default_rng(19)
    q, k = (rng.integers(-100, 101, (rows, 16)) for rows in (8, 30))
    fields = {"topk_edge": {"top_k": 5}, "leopard_ae": {"threshold": 0}}.get(name, {})
    for value in (config.max_code, config.min_code):
        job = kind.Job(q=q, k=k, v=np.full((30, 16), value), scale=encode_scale(1e-3), **fields)
        out = engine_of(config).compute(job, config).out / 2.0**config.out_frac
        rows = out.any(axis=1)
        assert rows.any() and abs(out[rows] / value - 1).max() <= RECIPROCAL + 2.0**-14

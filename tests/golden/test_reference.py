# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the fixed-point head against float64, on real layers."""

import os
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.reference import relative_rms_error, softmax_attention
from prunus.golden.softmax import encode_scale
from tests.golden.hdp.slow import sees
from tests.golden.hdp.test_compute import random_job

ROOT = Path(__file__).resolve().parents[2]
LAYERS = Path(os.environ.get("PRUNUS_DATA", ROOT.parent / "shared" / "data")) / "qkv"
EXAMPLES = sorted((ROOT / "examples").glob("*.npz"))
MORE = sorted(LAYERS.glob("*.npz")) or [pytest.param(None, marks=pytest.mark.skip(
    reason=f"no captured layers in {LAYERS} (PRUNUS_DATA says where)"))]
EDGE = load_config("hdp_edge")


def test_examples_are_there():
    assert [path.name for path in EXAMPLES] == ["minilm_sentence.npz", "vit_patches.npz"]


@pytest.mark.parametrize("path", EXAMPLES + MORE, ids=lambda p: p.stem if p else "none")
def test_accuracy_on_real_heads(path):
    with np.load(path) as data:
        q, k, v = (data[name].astype(np.int64) for name in ("q", "k", "v"))
        scale = float(data["scale"])
    errors = []
    for h in range(len(q)):
        job = HdpJob(q=q[h], k=k[h], v=v[h], scale=encode_scale(scale), rho=25)
        errors.append(relative_rms_error(job, hdp.head(job, EDGE), scale, EDGE))
    assert np.mean(errors) <= 0.005
    assert max(errors) <= 0.01


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

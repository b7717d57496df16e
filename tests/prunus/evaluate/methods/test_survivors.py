# SPDX-License-Identifier: Apache-2.0
"""LeOPArd's thresholds and Top-K in the place of attention, against the rules told slowly."""

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.evaluate.choices import LeopardChoice, TopkChoice, places
from prunus.evaluate.methods.leopard import Leopard
from prunus.evaluate.methods.registry import dense
from prunus.evaluate.methods.topk import Topk
from prunus.golden.engines import engine_of, load_config
from prunus.golden.leopard.compute import bound_cycles
from tests.prunus.evaluate.layers import (
    make_layer,
    of,
    sees,
    slow_codes,
    slow_counts,
    softmax,
)

AE, EDGE = load_config("leopard_ae"), load_config("topk_edge")


def leopard(threshold) -> Leopard:
    return Leopard(AE, lambda layer, head: LeopardChoice(threshold=threshold), {})


def topk(**how) -> Topk:
    return Topk(EDGE, lambda layer, head: TopkChoice(**how), {})


def near_softmax(layer, keep, attended, most):
    """Outputs are those of softmax over what is kept, as far as codes go."""
    for h in range(layer.heads):
        (q, q_unit), (k, k_unit), (v, v_unit) = (
            slow_codes(x[h], most) for x in (layer.q, layer.k, layer.v))
        want = softmax(q @ k.T * (q_unit * k_unit * layer.scaling), keep[h], v * v_unit)
        np.testing.assert_allclose(attended.out[h], want, atol=0.05)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.7])
def test_thresholds(threshold, causal):
    layer = make_layer(length=9, causal=causal)
    attended = leopard(threshold).attend(layer)
    keep = np.zeros((3, 9, 9), bool)
    for h in range(3):
        (q, q_unit), (k, k_unit) = (slow_codes(x[h], AE.max_code) for x in (layer.q, layer.k))
        for i in range(9):
            for j in range(9):
                keep[h, i, j] = sees(layer, i, j) and (
                    q[i] @ k[j] * (q_unit * k_unit * layer.scaling) >= threshold)
    np.testing.assert_array_equal([result.mask for result in attended.results], keep)
    assert of(attended.counts) == slow_counts(layer, keep)
    assert 0 < attended.counts.scores_kept < attended.counts.scores
    near_softmax(layer, keep, attended, AE.max_code)


def test_dense_on_leopard():
    layer = make_layer(length=6)
    attended = dense(AE).attend(layer)
    assert attended.counts.pruned()["scores_pruned"] == 0 and dense(AE).name == "dense"
    near_softmax(layer, np.ones((3, 6, 6), bool), attended, AE.max_code)


@pytest.mark.parametrize("causal", [False, True])
def test_the_best_of_each_query(causal):
    layer = make_layer(length=9, causal=causal)
    attended = topk(top_k=3).attend(layer)
    keep = np.zeros((3, 9, 9), bool)
    for h in range(3):
        q, _ = slow_codes(layer.q[h], EDGE.max_code)
        k, _ = slow_codes(layer.k[h] - layer.k[h].mean(axis=0), EDGE.max_code)
        for i in range(9):
            seen = [j for j in range(9) if sees(layer, i, j)]
            for j in sorted(seen, key=lambda j: (-(q[i] @ k[j]), j))[:3]:
                keep[h, i, j] = True
    np.testing.assert_array_equal([result.mask for result in attended.results], keep)
    assert of(attended.counts) == slow_counts(layer, keep)
    assert attended.counts.scores_kept == 3 * (1 + 2 + 7 * 3 if causal else 27)
    near_softmax(layer, keep, attended, EDGE.max_code)


@pytest.mark.parametrize("keep", [0.01, 0.2, 0.5, 0.99, 1.0])
def test_a_share_of_the_scores(keep):
    for limits in (np.full(11, 11), np.arange(1, 12)):
        kept = [sum(min(k, limit) for limit in limits) for k in range(1, 12)]
        want = max([1, *(k for k, count in enumerate(kept, 1)
                         if count <= keep * sum(limits) + 1e-9)])
        assert places(limits, keep) == want
    share = topk(keep=0.3).attend(make_layer(length=20)).counts.pruned()["scores_pruned"]
    assert share == pytest.approx(0.7)


def test_more_than_the_places_of_the_filter():
    with pytest.raises(InputError, match=r"top-k must lie in 1..64, .* topk_edge, not 65$"):
        topk(top_k=65).attend(make_layer())
    with pytest.raises(InputError, match="not 72, which keeps 0.9 of 80 keys"):
        topk(keep=0.9).attend(make_layer(length=80))


@pytest.mark.parametrize("one", [leopard(0.1), topk(top_k=2)])
def test_cycles_and_bytes_are_the_engines(one):
    attended = one.attend(make_layer(length=10, heads=4, share=2))
    engine = engine_of(one.config)
    cycles, moved = one.cost(attended.jobs, attended.results)
    assert cycles == engine.bound_cycles(attended.jobs, attended.results, one.config)
    if one.config is AE:
        assert cycles == bound_cycles(attended.results, AE)
    records = [engine.kind(job).record(job, result, one.config, held) for job, result, held in zip(
        attended.jobs, attended.results, [set(), {"k", "v"}] * 2, strict=True)]
    assert moved == sum(record.read_bytes + record.write_bytes for record in records)

# SPDX-License-Identifier: Apache-2.0
"""HDP in the place of attention, against the rule told slowly."""

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.evaluate.choices import HdpChoice
from prunus.evaluate.methods.hdp import Hdp
from prunus.evaluate.methods.registry import dense
from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import HdpJob, Importance, encode_delta, encode_rho, head
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.golden.softmax import encode_scale
from tests.prunus.evaluate.layers import make_layer, of, sees, slow_codes, softmax

EDGE, FINE = load_config("hdp_edge"), load_config("hdp_fine")


def method(config, choice) -> Hdp:
    return Hdp(config, lambda layer, head: choice, {})


def slow(layer, h, config, choice):
    """The mask of blocks and theta_head of a head, by the rule, block by block."""
    most = config.format.max_code
    q, k = layer.q[h].copy(), layer.k[h] - layer.k[h].mean(axis=0) * choice.centred
    if choice.balanced:
        for c in range(q.shape[1]):
            high, wide = max(map(abs, q[:, c])), max(map(abs, k[:, c]))
            q[:, c] *= (wide / high) ** 0.5
            k[:, c] *= (high / wide) ** 0.5
    (q, q_unit), (k, k_unit) = slow_codes(q, most), slow_codes(k, most)
    scale = q_unit * k_unit * layer.scaling / choice.temperature
    if config.digits == "rounded":
        whole = lambda x: np.floor(x / 2**config.frac + 0.5)    # noqa: E731
    else:
        whole = lambda x: np.trunc(x / 2**config.frac)          # noqa: E731
    scores = whole(q) @ whole(k).T
    n = layer.length
    places = range(-(-n // 2))
    pairs = {(r, c): [(i, j) for i in (2 * r, 2 * r + 1) for j in (2 * c, 2 * c + 1)
                      if max(i, j) < n and sees(layer, i, j)] for r in places for c in places}
    theta = {block: sum(abs(scores[pair]) for pair in those) for block, those in pairs.items()}
    mask = np.zeros((len(places), len(places)), bool)
    for (r, c), those in pairs.items():
        row = [theta[r, b] for b in places if pairs[r, b]]
        if not those:
            continue
        if choice.importance is Importance.MAGNITUDE:
            rho = round(choice.rho * 128) / 128
            ext = max(row) if rho >= 0 else min(row)
            mask[r, c] = theta[r, c] >= abs(rho) * ext + (1 - abs(rho)) * np.mean(row) - 1e-9
        else:
            delta = round(choice.distance / (scale * 4**config.frac))
            mask[r, c] = any(
                max(scores[i, b] for b in range(n) if sees(layer, i, b)) - scores[i, j] <= delta
                for i, j in those)
    return mask, sum(theta.values()), pairs, (q, k, scale)


CHOICES = [HdpChoice(rho=0.2), HdpChoice(rho=-0.3, pruned="drop"), HdpChoice(distance=1.5),
           HdpChoice(distance=0.4, pruned="drop", exact=True), HdpChoice(rho=0, centred=False),
           HdpChoice(distance=0.7, balanced=True), HdpChoice(distance=0.7, temperature=1.7),
           HdpChoice(rho=0.2, balanced=True, temperature=0.6, pruned="drop")]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("choice", CHOICES, ids=repr)
@pytest.mark.parametrize("config", [EDGE, FINE], ids=["edge", "fine"])
def test_the_rule(config, choice, causal):
    layer = make_layer(length=9, causal=causal)
    attended = method(config, choice).attend(layer)
    kept = pairs_kept = 0
    for h in range(layer.heads):
        mask, _, pairs, (q, k, scale) = slow(layer, h, config, choice)
        np.testing.assert_array_equal(attended.results[h].mask, mask)
        kept += mask.sum()
        pairs_kept += sum(len(those) for block, those in pairs.items() if mask[block])
        v, v_unit = slow_codes(layer.v[h], config.max_code)
        how = {"rho": encode_rho(choice.rho)} if choice.rho is not None else {
            "delta": encode_delta(choice.distance, scale, config)}
        job = HdpJob(q=q, k=k, v=v, scale=encode_scale(scale), causal=causal, drop=choice.drop,
                     exact=choice.exact, importance=choice.importance, **how)
        np.testing.assert_array_equal(
            attended.out[h], head(job, config).out * (v_unit / 2**config.out_frac))
    counts = attended.counts
    assert of(counts) == {"blocks": 3 * (15 if causal else 25), "blocks_kept": kept,
                          "scores": 3 * (45 if causal else 81), "scores_kept": pairs_kept}
    assert 0 < counts.blocks_kept < counts.blocks and counts.heads == counts.heads_kept == 3


def test_heads_below_tau_are_pruned_whole():
    layer = make_layer(length=8)
    thetas = [slow(layer, h, EDGE, HdpChoice(rho=0.1))[1] for h in range(3)]
    low = int(np.argsort(thetas)[0])
    attended = method(EDGE, HdpChoice(rho=0.1, tau_head=int(min(thetas)) + 1)).attend(layer)
    assert not attended.out[low].any()
    assert all(attended.out[h].any() for h in range(3) if h != low)
    counts = attended.counts
    assert (counts.heads, counts.heads_kept) == (3, 2)
    rest = [attended.results[h] for h in range(3) if h != low]
    assert counts.blocks_kept == sum(result.blocks_kept for result in rest)
    assert counts.scores_kept == sum(result.pairs_kept for result in rest)
    assert counts.pruned()["heads_pruned"] == pytest.approx(1 / 3)


def test_each_head_has_its_own_choice():
    layer = make_layer(length=8, number=4)
    asked = []

    def choice(number, h):
        asked.append((number, h))
        return HdpChoice(dense=True) if h == 1 else HdpChoice(rho=0.5)

    results = Hdp(EDGE, choice, {}).attend(layer).results
    assert asked == [(4, 0), (4, 1), (4, 2)]
    assert [result.blocks_kept == 16 for result in results] == [False, True, False]


def test_dense_is_nearly_softmax():
    layer = make_layer(length=12, causal=True)
    attended = dense(FINE).attend(layer)
    for h in range(3):
        want = softmax(layer.q[h] @ layer.k[h].T * layer.scaling, layer.visible(), layer.v[h])
        assert 0 < np.abs(attended.out[h] - want).max() < 0.1
    assert attended.counts.pruned() == {
        "blocks_pruned": 0, "scores_pruned": 0, "heads_pruned": 0}
    assert dense(FINE).name == "dense" and Hdp.name == "hdp"


def test_cycles_and_bytes_are_those_of_golden():
    layer = make_layer(length=16, heads=4, share=2)
    one = method(EDGE, HdpChoice(rho=0.3))
    attended = one.attend(layer)
    # Queries of a group share a head of keys and values, which is read once.
    assert [job.same_kv for job in attended.jobs] == [False, True, False, True]
    cycles, moved = one.cost(attended.jobs, attended.results)
    assert cycles == predict_cycles(attended.jobs, attended.results, EDGE)
    alone = make_layer(length=16, heads=4, seed=1)
    apart = one.attend(alone)
    assert not any(job.same_kv for job in apart.jobs)
    # Of two heads: rows of K's integer parts, signs and fractions, and V, a beat of 8 bytes each.
    assert one.cost(apart.jobs, apart.results)[1] - moved == 2 * 16 * 4 * 8


@pytest.mark.parametrize(("d", "length", "message"), [
    (12, 6, "model must have heads with a d that is a multiple of 8 up to 64 .hdp_edge., not 12"),
    (72, 6, "multiple of 8 up to 64 .hdp_edge., not 72"),
    (8, 513, "texts must have at most 512 tokens .hdp_edge., not 513")])
def test_heads_that_the_hardware_does_not_take(d, length, message):
    x = np.ones((1, length, d))
    layer = make_layer()
    layer = type(layer)(number=0, layers=1, text=0, q=x, k=x, v=x, scaling=1.0)
    with pytest.raises(InputError, match=message):
        method(EDGE, HdpChoice(rho=0)).attend(layer)

# SPDX-License-Identifier: Apache-2.0
"""Methods without hardware, against their rules told slowly."""

import math
from dataclasses import replace

import numpy as np
import pytest

from prunus.evaluate.methods.energon import Energon
from prunus.evaluate.methods.own import Float, Uniform
from prunus.evaluate.methods.random import Random
from prunus.evaluate.methods.spatten import Spatten, kept_share
from prunus.golden.jobs import AttentionJob
from prunus.golden.softmax import encode_scale
from prunus.golden.survivors import attend
from tests.prunus.evaluate.layers import (
    make_layer,
    of,
    sees,
    slow_codes,
    slow_counts,
    softmax,
)

BOTH = pytest.mark.parametrize("causal", [False, True])


def head_codes(layer, h, method):
    most = method.arithmetic.max_code
    return (slow_codes(layer.q[h], most), slow_codes(layer.k[h] - layer.k[h].mean(axis=0), most),
            slow_codes(layer.v[h], most))


def check(layer, method, attended, keep):
    """Counts and outputs of a mask, the latter bit for bit golden's."""
    assert of(attended.counts) == slow_counts(layer, keep)
    for h in range(layer.heads):
        (q, q_unit), (k, k_unit), (v, v_unit) = head_codes(layer, h, method)
        unit = q_unit * k_unit * layer.scaling
        job = AttentionJob(q=q, k=k, v=v, scale=encode_scale(unit))
        want = attend(job, q @ k.T, keep[h], method.arithmetic) * (v_unit / 2.0**7)
        np.testing.assert_array_equal(attended.out[h], want)
        np.testing.assert_allclose(
            attended.out[h], softmax(q @ k.T * unit, keep[h], v * v_unit), atol=0.05)


# -- controls -------------------------------------------------------------------------------------
@BOTH
def test_all_keys_alike(causal):
    layer = make_layer(length=6, causal=causal)
    attended = Uniform().attend(layer)
    for h in range(3):
        for i in range(6):
            seen = [layer.v[h, j] for j in range(6) if sees(layer, i, j)]
            np.testing.assert_allclose(attended.out[h, i], np.mean(seen, axis=0))
    assert attended.counts.pruned() == {
        "blocks_pruned": 0, "scores_pruned": 0, "heads_pruned": 0}


@BOTH
def test_the_model_itself(causal):
    layer = make_layer(length=6, causal=causal)
    out = Float().attend(layer).out
    for h in range(3):
        np.testing.assert_allclose(out[h], softmax(
            layer.q[h] @ layer.k[h].T * layer.scaling, layer.visible(), layer.v[h]))


@BOTH
@pytest.mark.parametrize("kind", ["blocks", "scores", "heads"])
def test_random_masks(kind, causal):
    heads = 64 if kind == "heads" else 3
    layer = make_layer(length=41, heads=heads, causal=causal, number=2, text=5)
    method = Random(0.4, kind, seed=3)
    attended = method.attend(layer)
    drawn = np.random.default_rng((3, 5, 2))
    side = {"blocks": 2, "scores": 1, "heads": 41}[kind]
    count = math.ceil(41 / side)
    kept = drawn.random((heads, count, count)) >= 0.4
    keep = np.array([[[bool(kept[h, i // side, j // side]) and sees(layer, i, j)
                       for j in range(41)] for i in range(41)] for h in range(heads)])
    check(layer, method, attended, keep)
    pruned = attended.counts.pruned()
    assert pruned[f"{kind}_pruned"] == pytest.approx(0.4, abs=0.15 if kind == "heads" else 0.03)
    assert pruned["heads_pruned"] == (1 - kept.mean() if kind == "heads" else 0)
    again = method.attend(layer)
    np.testing.assert_array_equal(again.out, attended.out)
    for other in (replace(layer, text=6), replace(layer, number=3)):
        assert (method.attend(other).out != attended.out).any()


# -- Energon --------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("alphas", [(0.0, 0.0), (0.25, -0.5), (-0.125, 0.25)])
def test_rounds_of_few_bits(alphas, causal):
    layer = make_layer(length=9, causal=causal)
    method = Energon(alphas)
    attended = method.attend(layer)
    keep = np.zeros((3, 9, 9), bool)
    for h in range(3):
        (q, _), (k, _), _ = head_codes(layer, h, method)
        for i in range(9):
            left = [j for j in range(9) if sees(layer, i, j)]
            for bits, alpha in zip((2, 4), alphas, strict=True):
                scores = [sum(math.floor(a / 16) * math.floor(b / 2**(8 - bits))
                              for a, b in zip(q[i], k[j], strict=True)) for j in left]
                end = max(scores) if alpha >= 0 else min(scores)
                bound = abs(alpha) * end + (1 - abs(alpha)) * np.mean(scores)
                left = [j for j, score in zip(left, scores, strict=True)
                        if score >= bound - 1e-9]
            keep[h, i, left] = True
    check(layer, method, attended, keep)
    assert 0 < attended.counts.scores_kept < attended.counts.scores
    assert keep.any(axis=2).all()                   # the best key always survives
    assert method.parameters == {"alpha": list(alphas)}


# -- SpAtten --------------------------------------------------------------------------------------
def test_shares_by_layer():
    shares = [kept_share(layer, 6, 0.15, 0.4) for layer in range(6)]
    np.testing.assert_allclose(shares, [1, 0.88, 0.76, 0.64, 0.52, 0.4])
    shares = [kept_share(layer, 6, 0.3, 0.4) for layer in range(6)]
    np.testing.assert_allclose(shares, [1, 1, 0.85, 0.7, 0.55, 0.4])
    assert kept_share(0, 1, 0.15, 0.4) == 1         # nothing is known of the first layer


def most(importance, among, count):
    """The most important of some, the first of equal ones."""
    return sorted(among, key=lambda n: (-importance[n], n))[:count]


def slow_cascade(layers, method, query=None):
    """(layers, heads, queries, keys) of bool, token by token; for a decoder as the query with that
    number has it, which knows of itself and those before it."""
    n, heads = layers[0].length, layers[0].heads
    rows = range(n) if query is None else range(query + 1)
    tokens, of_heads = np.zeros(n), np.zeros(heads)
    left, heads_left = list(range(n) if query is None else rows), list(range(heads))
    for number, layer in enumerate(layers):
        stay = 0 if query is None else query
        first = np.where(np.arange(n) == stay, math.inf, tokens)
        share = kept_share(number, len(layers), 0.15, method.token_keep)
        left = most(first, left, math.ceil(share * len(rows)))
        share = kept_share(number, len(layers), 0.3, method.head_keep)
        heads_left = most(of_heads, heads_left, math.ceil(share * heads))
        mask = np.zeros((heads, n, n), bool)
        for h in heads_left:
            for i in (left if query is None else [query]):
                mask[h, i, left] = True
        yield mask, heads_left
        # What other queries of a decoder see in this layer is theirs to say.
        whole, out = method.seen[number]
        for h in range(heads):
            for i in rows:
                e = np.where(whole[h, i], np.exp(layer.q[h, i] @ layer.k[h].T * layer.scaling), 0)
                tokens = tokens + (e / e.sum() if e.sum() else 0)
                of_heads[h] += np.abs(out[h, i]).sum()


class Told(Spatten):
    """Keeps what it made of each layer, and takes exact logits for those of codes."""

    def __init__(self, **shares):
        super().__init__(**shares)
        self.seen = []

    def after(self, layer, logits, keep, out):
        self.seen.append((keep, out))
        super().after(layer, layer.q @ layer.k.transpose(0, 2, 1) * layer.scaling, keep, out)


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_a_cascade(causal, seed):
    # Attention that is far from uniform, so that importance is not a matter of the place.
    n = 16
    layers = [make_layer(length=n, heads=4, causal=causal, seed=10 * seed + number, number=number,
                         layers=6, spread=2.5) for number in range(6)]
    method = Told(token_keep=0.25, head_keep=0.5)
    attended = [method.attend(layer) for layer in layers]
    kept = [np.zeros((4, n, n), bool) for _ in layers]
    heads_kept = [0.0] * 6
    for query in range(n) if causal else [None]:
        for number, (mask, heads) in enumerate(slow_cascade(layers, method, query)):
            kept[number] |= mask
            heads_kept[number] += len(heads) / (n if causal else 1)
    for number, layer in enumerate(layers):
        np.testing.assert_array_equal(method.seen[number][0], kept[number])
        check(layer, method, attended[number], kept[number])
        assert attended[number].counts.heads_kept == pytest.approx(heads_kept[number])
        if number:                                  # what is pruned stays pruned
            assert not (kept[number] & ~kept[number - 1]).any()
    assert kept[0].sum() == attended[0].counts.scores
    assert heads_kept == [4, 4, 4, 3, 3, 2]
    last = kept[-1].any(axis=0)
    if causal:
        assert [row.sum() for row in last] == [math.ceil((i + 1) / 4) for i in range(n)]
        assert last.diagonal().all()
    else:
        assert last.sum() == 16 and last[0, 0]      # four tokens, the first among them
    assert not method._states


def test_texts_have_cascades_of_their_own():
    layers = [make_layer(length=6, seed=n, number=n, layers=3) for n in range(3)]
    one = Spatten(token_keep=0.3)
    alone = [one.attend(layer) for layer in layers]
    both = Spatten(token_keep=0.3)
    for layer, want in zip(layers, alone, strict=True):
        np.testing.assert_array_equal(both.attend(layer).out, want.out)
        both.attend(replace(layer, text=1, q=-layer.q))


@BOTH
def test_nothing_later_is_known_to_a_query(causal):
    """Of a decoder: outputs of the first queries are those of the text without what follows."""
    def run(length):
        method, out = Spatten(token_keep=0.3, head_keep=0.5), None
        for n in range(4):
            layer = make_layer(length=8, heads=4, causal=causal, seed=n, number=n, layers=4)
            cut = replace(layer, q=layer.q[:, :length], k=layer.k[:, :length],
                          v=layer.v[:, :length])
            out = method.mask(cut, [], np.zeros((4, length, length)), np.ones(4))
            said = np.abs(cut.v).cumsum(axis=1)
            method.after(cut, cut.q @ cut.k.transpose(0, 2, 1) * cut.scaling, out, said)
        return out

    short, long = run(5), run(8)
    assert (short == long[:, :5, :5]).all() == causal

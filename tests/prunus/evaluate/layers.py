# SPDX-License-Identifier: Apache-2.0
"""Layers of random numbers, and what is slow and plain about them."""

from dataclasses import replace

import numpy as np

from prunus.evaluate.layer import Layer

D = 8


def make_layer(length=7, heads=3, causal=False, seed=0, number=0, layers=1, text=0, share=1,
               spread=1.0) -> Layer:
    """``share`` heads have the same keys and values."""
    random = np.random.default_rng(seed)
    q, k, v = spread * random.standard_normal((3, heads, length, D))
    first = np.arange(heads) // share * share
    return Layer(number=number, layers=layers, text=text, q=q, k=k[first], v=v[first],
                 scaling=D**-0.5, causal=causal)


def make_step(queries, **how) -> Layer:
    """The last queries of a causal layer, with all its keys."""
    whole = make_layer(causal=True, **how)
    return replace(whole, q=whole.q[:, -queries:])


def sees(layer: Layer, i: int, j: int) -> bool:
    return j <= i + layer.keys - layer.length or not layer.causal


def slow_codes(x, most):
    """Row by row."""
    unit = np.abs(x).max() / most
    return np.array([[round(value / unit) for value in row] for row in x]), unit


def slow_counts(layer: Layer, keep) -> dict[str, int]:
    """Blocks and scores that are visible and kept, one by one."""
    found = dict.fromkeys(("blocks", "blocks_kept", "scores", "scores_kept"), 0)
    for mask in keep:
        for top in range(0, layer.length, 2):
            for left in range(0, layer.keys, 2):
                pairs = [(i, j) for i in (top, top + 1) for j in (left, left + 1)
                         if i < layer.length and j < layer.keys and sees(layer, i, j)]
                found["blocks"] += bool(pairs)
                found["blocks_kept"] += any(mask[i, j] for i, j in pairs)
                found["scores"] += len(pairs)
                found["scores_kept"] += sum(bool(mask[i, j]) for i, j in pairs)
    return found


def of(counts, *names) -> dict[str, int]:
    return {name: getattr(counts, name) for name in names or (
        "blocks", "blocks_kept", "scores", "scores_kept")}


def softmax(logits, keep, v):
    """(l, d), in float64; zeros for a row without keys."""
    out = np.zeros(v.shape)
    for i, row in enumerate(keep):
        if row.any():
            e = np.exp(logits[i][row] - logits[i][row].max())
            out[i] = e / e.sum() @ v[row]
    return out

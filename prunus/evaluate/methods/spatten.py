# SPDX-License-Identifier: Apache-2.0
"""SpAtten's cascade pruning of tokens and heads (*SpAtten*, arXiv 2012.09852).

With P the probabilities and E the outputs of the heads, importance accumulates over layers:

    token j:  s_j += sum over heads h and queries i of P[h, i, j]
    head h:   s_h += sum over queries i and dimensions of |E[h, i]|

A layer keeps the tokens and heads of the largest importance, of those that the layer before kept:
what is pruned stays pruned. The first 15% of layers prune no tokens and the first 30% no heads;
after them the share that is kept falls linearly to the given one at the last layer.

What is simplified: shares fall from 1 rather than from a tuned start; there is no local pruning of
values, and codes have 8 bits throughout rather than growing ones; nothing was fine-tuned
afterwards. A pruned token leaves attention only, as nobody reads it any more; the first token,
which classifiers read, is never pruned. The paper prunes what a decoder generates token by token.
Here a text goes through at once, so a query has an importance of its own, from it and the queries
before it, and always keeps its own key; heads are pruned by the query.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prunus.golden.jobs import AttentionJob

from ...errors import InputError
from ..layer import Layer
from .base import Masked

__all__ = ["FRONT_HEADS", "FRONT_TOKENS", "Spatten", "best", "kept_share"]

FRONT_TOKENS, FRONT_HEADS = 0.15, 0.3       # of the layers, which prune none


def kept_share(layer: int, layers: int, front: float, last: float) -> float:
    """Of a layer: 1 in the front, then falling linearly to ``last``."""
    whole = max(1, round(front * layers))
    if layer < whole:
        return 1.0
    return 1 - (1 - last) * (layer - whole + 1) / (layers - whole)


def best(importance: np.ndarray, among: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(rows, things) of bool: the ``counts`` (rows,) most important of those ``among``; of equal
    ones the first."""
    order = np.argsort(-np.where(among, importance, -np.inf), axis=-1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), -1)
    return among & (rank < counts[:, None])


@dataclass(eq=False)
class _State:
    """Of a text: importance and what is left; a row for each query of a decoder, else one."""

    tokens: np.ndarray
    heads: np.ndarray
    tokens_left: np.ndarray
    heads_left: np.ndarray


class Spatten(Masked):
    """Cascade pruning.

    Parameters
    ----------
    token_keep, head_keep : float
        Shares that the last layer keeps, in (0, 1].
    """

    name = "spatten"

    def __init__(self, token_keep: float = 1.0, head_keep: float = 1.0):
        super().__init__()
        self.token_keep, self.head_keep = token_keep, head_keep
        self.parameters = {"token_keep": token_keep, "head_keep": head_keep}
        self._states: dict[int, _State] = {}
        self._heads_kept = 0.0

    def mask(self, layer: Layer, jobs: Sequence[AttentionJob], scores: np.ndarray,
             units: np.ndarray) -> np.ndarray:
        state = self._state(layer)
        seen = np.arange(1, layer.length + 1) if layer.causal else np.array([layer.length])
        share = kept_share(layer.number, layer.layers, FRONT_TOKENS, self.token_keep)
        counts = np.ceil(share * seen).astype(int)
        # Whoever must stay has the largest importance: a decoder's query itself, or the first.
        stay = np.eye(layer.length, dtype=bool) if layer.causal else (
            np.arange(layer.length) == 0)[None]
        state.tokens_left = best(np.where(stay, np.inf, state.tokens), state.tokens_left, counts)
        share = kept_share(layer.number, layer.layers, FRONT_HEADS, self.head_keep)
        count = np.full(len(state.heads), math.ceil(share * layer.heads))
        state.heads_left = best(state.heads, state.heads_left, count)
        self._heads_kept = float(state.heads_left.sum(axis=1).mean())
        tokens = state.tokens_left if layer.causal else (
            state.tokens_left & state.tokens_left.T)
        return state.heads_left.T[:, :, None] & tokens

    def check_cache(self) -> None:
        raise InputError("method spatten needs all queries of a text, which a decoder with a cache "
                         "does not have; it works on classifiers")

    def _state(self, layer: Layer) -> _State:
        if layer.number == 0:
            rows = layer.length if layer.causal else 1
            self._states[layer.text] = _State(
                np.zeros((rows, layer.length)), np.zeros((rows, layer.heads)),
                layer.visible()[:rows].copy(), np.ones((rows, layer.heads), bool))
        return self._states[layer.text]

    def after(self, layer: Layer, logits: np.ndarray, keep: np.ndarray, out: np.ndarray) -> None:
        state = self._states[layer.text]
        top = np.where(keep, logits, -np.inf).max(axis=-1, keepdims=True)
        e = np.where(keep, np.exp(np.where(keep, logits - np.where(np.isfinite(top), top, 0), 0)),
                     0)
        total = e.sum(axis=-1, keepdims=True)
        given = (e / np.where(total > 0, total, 1)).sum(axis=0)         # (queries, keys)
        said = np.abs(out).sum(axis=-1).T                               # (queries, heads)
        state.tokens = state.tokens + (given.cumsum(axis=0) if layer.causal else given.sum(axis=0))
        state.heads = state.heads + (said.cumsum(axis=0) if layer.causal else said.sum(axis=0))
        if layer.number == layer.layers - 1:
            del self._states[layer.text]

    def heads_kept(self, keep: np.ndarray) -> float:
        return self._heads_kept

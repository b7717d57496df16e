# SPDX-License-Identifier: Apache-2.0
"""The heads of a layer of one text, their codes, and counts of what is pruned of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.jobs import AttentionJob
from prunus.golden.softmax import encode_scale

__all__ = ["Counts", "Layer", "counted", "quantised", "total"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """The heads of a layer of one text, without padding.

    Members
    -------
    number, layers : int
        Which layer it is, counted from 0, and how many the model has.
    text : int
        Which text it is.
    q : ndarray of float64, (heads, l_q, d)
    k, v : ndarray of float64, (heads, l_kv, d)
        With those of a cache, which come first, there are more of them than queries.
    scaling : float
        Logits are ``q·k * scaling``.
    causal : bool
        A query sees no key that comes after it; the last query belongs to the last key.
    group : int
        Heads of queries that have one head of keys and values in common; they are neighbours.
    peaks : ndarray of float64, (heads, d), optional
        Of each dimension, the largest magnitude of the queries of a group; that of ``q`` unless
        said.
    """

    number: int
    layers: int
    text: int
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scaling: float
    causal: bool = False
    group: int = 1
    peaks: np.ndarray | None = None

    @property
    def heads(self) -> int:
        return self.q.shape[0]

    @property
    def length(self) -> int:
        """Queries."""
        return self.q.shape[1]

    @property
    def keys(self) -> int:
        return self.k.shape[1]

    def queries_peak(self) -> np.ndarray:
        """(heads, d), as of ``peaks``."""
        if self.peaks is not None:
            return self.peaks
        heads, _, d = self.q.shape
        peaks = np.abs(self.q).max(axis=1).reshape(heads // self.group, self.group, d)
        return peaks.max(axis=1).repeat(self.group, axis=0)

    def only(self, head: int) -> "Layer":
        """This head alone; what it shares with others stays as it is."""
        some = slice(head, head + 1)
        return replace(self, q=self.q[some], k=self.k[some], v=self.v[some], group=1,
                       peaks=self.queries_peak()[some])

    def visible(self) -> np.ndarray:
        """(l_q, l_kv) of bool: who sees whom."""
        everything = np.ones((self.length, self.keys), bool)
        return np.tril(everything, self.keys - self.length) if self.causal else everything


def quantised(layer: Layer, head: int, config: EngineConfig,
              make: Callable[..., Any] = AttentionJob, *, centred: bool, balanced: bool = False,
              temperature: float = 1.0, **more: Any) -> tuple[Any, float, float]:
    """A job of a head, the real value of a unit of its scores, and that of a code of V.

    Each of Q, K and V has a unit of its own, so that its largest is the largest code.
    ``centred`` keys have their mean taken off, which no softmax can tell. ``balanced`` ones have
    each dimension multiplied by what the queries are divided by, so that both have the same peak
    there. No product changes by that, and no dimension wastes the range of another. Logits are
    divided by the ``temperature``. Values of ``more`` that are callable are of the unit of scores.
    """
    q, k = layer.q[head], layer.k[head]
    if centred:
        k = k - k.mean(axis=0)
    if balanced:
        factors = _balance(layer.queries_peak()[head], np.abs(k).max(axis=0))
        q, k = q / factors, k * factors
    (q, q_unit), (k, k_unit), (v, v_unit) = (
        config.codes_of(name).fill(x) for name, x in (("q", q), ("k", k), ("v", layer.v[head])))
    unit = q_unit * k_unit * layer.scaling / temperature
    fields_of_it = {name: value(unit) if callable(value) else value for name, value in more.items()}
    return (make(q=q, k=k, v=v, scale=encode_scale(unit), causal=layer.causal, **fields_of_it),
            unit, v_unit)


def _balance(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """sqrt(peak of queries / peak of keys) of each dimension; 1 where one of them is zero."""
    used = (queries > 0) & (keys > 0)
    return np.sqrt(np.divide(queries, keys, out=np.ones_like(keys), where=used))


@dataclass(kw_only=True)
class Counts:
    """What is visible, and what is kept of it. A block is 2 queries x 2 keys.

    A pruned head keeps none of its blocks and scores. Heads count by the row where rows of a head
    have different fates.
    """

    blocks: int = 0
    blocks_kept: int = 0
    scores: int = 0
    scores_kept: int = 0
    heads: float = 0
    heads_kept: float = 0

    def add(self, other: "Counts") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def pruned(self) -> dict[str, float]:
        """Shares that are pruned, 0 where nothing was counted."""
        return {f"{name}_pruned": 1 - getattr(self, f"{name}_kept") / total if total else 0.0
                for name in ("blocks", "scores", "heads")
                for total in [getattr(self, name)]}


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    whole = Counts()
    for some in counts:
        whole.add(some)
    return whole


def _blocks(mask: np.ndarray) -> int:
    """Blocks in which something is set, of masks (heads, l_q, l_kv)."""
    mask = np.pad(mask, ((0, 0), (0, mask.shape[1] % 2), (0, mask.shape[2] % 2)))
    heads, queries, keys = mask.shape
    return int(mask.reshape(heads, queries // 2, 2, keys // 2, 2).any(axis=(2, 4)).sum())


def counted(layer: Layer, keep: np.ndarray, heads_kept: float | None = None) -> Counts:
    """Of the scores (heads, l_q, l_kv) that are kept; a block without any is pruned."""
    visible = layer.visible()
    return Counts(
        blocks=layer.heads * _blocks(visible[None]), blocks_kept=_blocks(keep),
        scores=layer.heads * int(visible.sum()), scores_kept=int(keep.sum()),
        heads=layer.heads, heads_kept=layer.heads if heads_kept is None else heads_kept)

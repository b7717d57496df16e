# SPDX-License-Identifier: Apache-2.0
"""The heads of a layer of one text, their codes, and counts of what is pruned of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
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
    """

    number: int
    layers: int
    text: int
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scaling: float
    causal: bool = False

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

    def visible(self) -> np.ndarray:
        """(l_q, l_kv) of bool: who sees whom."""
        everything = np.ones((self.length, self.keys), bool)
        return np.tril(everything, self.keys - self.length) if self.causal else everything


def quantised(layer: Layer, head: int, config: EngineConfig,
              make: Callable[..., Any] = AttentionJob, *, centred: bool,
              **more: Any) -> tuple[Any, float, float]:
    """A job of a head, the real value of a unit of its scores, and that of a code of V.

    Each of Q, K and V has a unit of its own, so that its largest is the largest code.
    ``centred`` keys have their mean taken off, which no softmax can tell. Values of ``more`` that
    are callable are of the unit of scores.
    """
    k = layer.k[head] - (layer.k[head].mean(axis=0) if centred else 0)
    (q, q_unit), (k, k_unit), (v, v_unit) = (
        config.codes_of(name).fill(x)
        for name, x in (("q", layer.q[head]), ("k", k), ("v", layer.v[head])))
    unit = q_unit * k_unit * layer.scaling
    fields_of_it = {name: value(unit) if callable(value) else value for name, value in more.items()}
    return (make(q=q, k=k, v=v, scale=encode_scale(unit), causal=layer.causal, **fields_of_it),
            unit, v_unit)


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

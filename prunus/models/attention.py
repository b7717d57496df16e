# SPDX-License-Identifier: Apache-2.0
"""Attention of a Hugging Face model under a rule that can be exchanged.

A rule says what becomes of the heads of a layer. The logit is ``x = q·k * scaling``, with
``1 / sqrt(d)`` for models that do not say otherwise, and each layer has one threshold.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

__all__ = ["Counts", "Dense", "Double", "Hard", "Heads", "Random", "Rule", "Soft", "Switch",
           "Uniform"]


@dataclass(frozen=True, eq=False)
class Heads:
    """The heads of a layer for a batch of sentences.

    Members
    -------
    layer : int
        Counted in the order in which the model comes to them.
    q, k, v : Tensor, (sentences, heads, l, d)
    visible : Tensor of bool, (sentences, 1 or heads, l, l)
        False where the query or the key is padding.
    scaling : float
    dropout : float
    causal : bool
        The model hides what comes after a query; ``visible`` has it already.
    """

    layer: int
    q: Tensor
    k: Tensor
    v: Tensor
    visible: Tensor
    scaling: float
    dropout: float
    causal: bool = False

    def logits(self) -> Tensor:
        return self.q @ self.k.transpose(-1, -2) * self.scaling

    def output(self, scores: Tensor, keep: Tensor) -> Tensor:
        """Softmax over what is kept, exactly 0 elsewhere, times V; zeros where nothing is."""
        p = torch.softmax(scores.masked_fill(~keep, -math.inf), -1).masked_fill(~keep, 0)
        return torch.nn.functional.dropout(p, self.dropout) @ self.v


Rule = Callable[[Heads], Tensor]


class Dense:
    """Nothing is pruned."""

    def __call__(self, heads: Heads) -> Tensor:
        return heads.output(heads.logits(), heads.visible)


class Double:
    """Nothing is pruned, in float64: the control of whatever stands in a model's attention."""

    def __call__(self, heads: Heads) -> Tensor:
        q, k, v = (x.double() for x in (heads.q, heads.k, heads.v))
        return Dense()(replace(heads, q=q, k=k, v=v)).to(heads.v.dtype)


class Soft:
    """The threshold in training: differentiable, and steep.

    ``x * tanh(s * (x - T))`` from the threshold on, ``c * tanh(s * (x - T))`` below it. A row all
    of whose keys lie below is zero, as everywhere.

    Parameters
    ----------
    thresholds : Tensor, (layers,)
    sharpness, depth : float
        s and c.
    slope : float
        k_0 of the regulariser.
    """

    def __init__(self, thresholds: Tensor, *, sharpness: float, depth: float, slope: float):
        self.thresholds, self.slope = thresholds, slope
        self.sharpness, self.depth = sharpness, depth
        self.kept: list[Tensor] = []

    def __call__(self, heads: Heads) -> Tensor:
        x, threshold = heads.logits(), self.thresholds[heads.layer]
        above = x >= threshold
        visible = heads.visible.expand_as(x)
        steep = torch.tanh(self.sharpness * (x - threshold))
        self.kept.append(torch.sigmoid(self.slope * (x - threshold))[visible].mean())
        alive = (above & visible).any(-1, keepdim=True)
        return heads.output(torch.where(above, x, self.depth) * steep, visible & alive)

    def penalty(self) -> Tensor:
        """``mean sigmoid(k_0 * (x - T))`` over all visible pairs since it was last asked for, each
        layer counting alike."""
        kept, self.kept = self.kept, []
        return torch.stack(kept).mean()


class Counts:
    """Visible pairs and survivors of each layer; padding is neither."""

    def __init__(self, layers: int):
        self.visible, self.kept = [0] * layers, [0] * layers

    def add(self, layer: int, visible: Tensor, keep: Tensor) -> None:
        self.visible[layer] += int(visible.expand_as(keep).sum())
        self.kept[layer] += int(keep.sum())

    def rates(self) -> list[float]:
        """Shares that are pruned, by layer."""
        return [1 - kept / visible if visible else 0.0
                for kept, visible in zip(self.kept, self.visible, strict=True)]

    def rate(self) -> float:
        """The share of all pairs that is pruned."""
        return 1 - sum(self.kept) / sum(self.visible) if sum(self.visible) else 0.0


class Hard:
    """The threshold in evaluation: a key survives iff ``x >= T``."""

    def __init__(self, thresholds, layers: int):
        self.thresholds, self.counts = thresholds, Counts(layers)

    def __call__(self, heads: Heads) -> Tensor:
        x = heads.logits()
        keep = heads.visible & (x >= self.thresholds[heads.layer])
        self.counts.add(heads.layer, heads.visible, keep)
        return heads.output(x, keep)


class Uniform:
    """Control: every visible key counts alike, whatever it says."""

    def __call__(self, heads: Heads) -> Tensor:
        return heads.output(torch.zeros_like(heads.logits()), heads.visible)


class Random:
    """Control: keys survive by chance, as many of a layer as under its threshold."""

    def __init__(self, rates, layers: int, seed: int):
        self.rates, self.counts = rates, Counts(layers)
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, heads: Heads) -> Tensor:
        x = heads.logits()
        drawn = torch.rand(x.shape, generator=self.generator) >= self.rates[heads.layer]
        keep = heads.visible & drawn
        self.counts.add(heads.layer, heads.visible, keep)
        return heads.output(x, keep)


class Switch:
    """Puts rules in the place of a model's attention.

    Members
    -------
    rule : Rule
        The one in force.
    layers : int
        Attention layers that the model has, known after its first pass.
    """

    def __init__(self, model: torch.nn.Module):
        self.rule: Rule = Dense()
        self._layer_of: dict[torch.nn.Module, int] = {}
        name = f"prunus_{id(self):x}"
        AttentionInterface.register(name, self._attend)
        AttentionMaskInterface.register(name, sdpa_mask)
        model.set_attn_implementation(name)

    @property
    def layers(self) -> int:
        return len(self._layer_of)

    def _attend(self, module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
        layer = self._layer_of.setdefault(module, len(self._layer_of))
        sentences, count, length, d = query.shape
        causal = bool(getattr(module, "is_causal", False))
        if attention_mask is None:      # nothing is padding
            attention_mask = torch.ones(sentences, 1, length, length, dtype=torch.bool)
            attention_mask = attention_mask.tril() if causal else attention_mask
        # Several query heads may share a head of keys and values.
        key, value = (x.repeat_interleave(count // x.shape[1], 1) for x in (key, value))
        # What a query is can be seen from whether it is visible to itself.
        own = attention_mask.diagonal(dim1=-2, dim2=-1)[..., None]
        heads = Heads(layer, query, key, value, attention_mask & own,
                      d ** -0.5 if scaling is None else scaling, dropout, causal)
        return self.rule(heads).transpose(1, 2).contiguous(), None

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

from ..errors import InputError

__all__ = ["Counts", "Dense", "Double", "Hard", "Heads", "Random", "Rule", "Shape", "Soft",
           "Switch", "Uniform", "job_mask"]


@dataclass(frozen=True, eq=False)
class Heads:
    """The heads of a layer for a batch of sentences.

    Members
    -------
    layer : int
        Counted in the order in which the model comes to them.
    q : Tensor, (sentences, heads, l_q, d)
    k, v : Tensor, (sentences, heads, l_kv, d)
        With the keys of a cache, which come first, there are more of them than queries.
    visible : Tensor of bool, (sentences, 1 or heads, l_q, l_kv)
        False where the query or the key is padding.
    scaling : float
    dropout : float
    causal : bool
        The model hides what comes after a query; ``visible`` has it already.
    group : int
        Heads of queries that have one head of keys and values in common; ``k`` and ``v`` repeat it.
    """

    layer: int
    q: Tensor
    k: Tensor
    v: Tensor
    visible: Tensor
    scaling: float
    dropout: float
    causal: bool = False
    group: int = 1

    def rows(self) -> list[int]:
        """Of each sentence, its tokens that are not padding, which is on the right."""
        return self.visible[:, 0].any(-1).sum(-1).tolist()

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


# Arguments of a model's call of its attention that change nothing of what it computes. A model that
# says more than these is refused, unless it says None: what is swallowed would be wrong in silence.
HARMLESS = frozenset({
    "cache_position", "deterministic", "logits_to_keep", "num_items_in_batch", "output_attentions",
    "output_hidden_states", "output_router_logits", "position_ids", "return_dict", "use_cache"})
HIDDEN = -1e4       # added to a logit, the largest number that older models hide a key by
MASK = ("model must hide padding on the right, and what comes after a query, and no other keys, "
        "which is all that a job can say")


@dataclass(frozen=True)
class Shape:
    """An attention layer: heads of queries, heads of keys and values, dimensions, causality."""

    heads: int
    kv_heads: int
    d: int
    causal: bool


def job_mask(mask: Tensor | None, sentences: int, length: int, causal: bool,
             cached: int = 0) -> tuple[Tensor, bool]:
    """What of a mask is visible, (sentences, 1, l_q, l_kv), and whether it is causal, as a job says
    it.

    Parameters
    ----------
    mask : Tensor or None
        (sentences, 1 or heads, 1 or l_q, l_kv) of bools, or of numbers to add: 0 and what is as
        good as -inf. None hides no padding.
    length : int
        Queries, l_q.
    causal : bool
        What the module says of itself, where the mask leaves that open.
    cached : int
        Keys of a cache before those of the queries. None of them may be padding.

    Raises
    ------
    InputError
        If a job cannot say the mask.
    """
    keys = cached + length
    if mask is None:
        seen = torch.ones(sentences, 1, length, keys, dtype=torch.bool)
        return (seen.tril(cached) if causal else seen), causal
    # One row may be that of all queries.
    if mask.dim() != 4 or mask.shape[-2] not in (1, length) or mask.shape[-1] != keys:
        raise InputError(f"{MASK}, not a mask of shape {tuple(mask.shape)} for {length} tokens")
    if mask.dtype != torch.bool:
        shown = mask > HIDDEN
        if (mask[shown] != 0).any():
            raise InputError("model must not add a bias to its logits, and its attention mask "
                             "has one")
        mask = shown
    if not (mask == mask[:, :1]).all():
        raise InputError(f"{MASK}, the same ones in all heads")
    mask = mask[:, :1].expand(sentences, 1, length, keys)
    # What a query is can be seen from whether it is visible to itself.
    own = mask.diagonal(cached, dim1=-2, dim2=-1)
    rows = torch.arange(length) < own.sum(-1, keepdim=True)
    if not (own == mask[..., cached:].any(-2)).all():
        raise InputError(MASK)
    visible = mask & own[..., None]
    known = torch.nn.functional.pad(rows, (cached, 0), value=True)
    whole = rows[..., None] & known[..., None, :]
    for order in (causal, not causal):
        if torch.equal(visible, whole.tril(cached) if order else whole):
            return visible, order
    raise InputError(MASK)


def _plain_mask(*args, **how) -> Tensor | None:
    """Always a whole mask: None would leave the causality to be guessed from the module."""
    return sdpa_mask(*args, **{**how, "allow_is_causal_skip": False,
                               "allow_is_bidirectional_skip": False})


class Switch:
    """Puts rules in the place of a model's attention.

    Members
    -------
    rule : Rule
        The one in force.
    shapes : list of Shape
        Of each attention layer, known after the first pass. A layer is a call of the attention,
        for modules may be shared.
    rows : int
        Queries of the last pass.
    cached : int
        Tokens that the model has in its cache, as whoever calls it knows: a model that attends to
        other keys than these and its queries is refused.

    Raises
    ------
    InputError
        In a pass of the model: it does with its attention what no rule and no job can say.
    """

    def __init__(self, model: torch.nn.Module):
        self.rule: Rule = Dense()
        self.shapes: list[Shape] = []
        self.rows = self.cached = 0
        self._called: list[Shape] = []
        self.name = f"prunus_{id(self):x}"
        AttentionInterface.register(self.name, self._attend)
        AttentionMaskInterface.register(self.name, _plain_mask)
        model.register_forward_pre_hook(self._begin)
        model.register_forward_hook(self._end)
        model.set_attn_implementation(self.name)

    @property
    def layers(self) -> int:
        return len(self.shapes)

    def _begin(self, model, args) -> None:
        self._called = []

    def _end(self, model, args, result) -> None:
        if model.config._attn_implementation != self.name:
            return                              # asked for its own attention
        if self.shapes and len(self._called) != self.layers:
            raise InputError(f"model must come to its {self.layers} layers of attention in every "
                             f"pass, and came to {len(self._called)} of them")
        self.shapes = self.shapes or self._called

    def _attend(self, module, query, key, value, attention_mask, scaling=None, dropout=0.0,
                is_causal=None, sliding_window=None, **others):
        sentences, count, length, d = query.shape
        said = sorted(name for name, value in others.items()
                      if name not in HARMLESS and value is not None)
        if said:
            raise InputError(f"model must not change its attention by {', '.join(said)}, which no "
                             f"job can say")
        keys = self.cached + length
        if sliding_window is not None and sliding_window < keys:
            raise InputError(f"model must not hide keys beyond a window of {sliding_window}, which "
                             f"no job of {keys} tokens can say")
        if key.shape[2] != keys or getattr(module, "is_cross_attention", False):
            behind = f" behind {self.cached} tokens" if self.cached else ""
            raise InputError(f"model must attend to its own tokens, and there are {key.shape[2]} "
                             f"keys for {length} queries{behind} of a {type(module).__name__}")
        if value.shape[-1] != d:
            raise InputError(f"model must have queries and values of the same d, not {d} and "
                             f"{value.shape[-1]}")
        if isinstance(scaling, Tensor) and scaling.numel() != 1:
            raise InputError("model must scale all logits of a layer alike, and has a scale for "
                             "each of its heads")
        causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
        visible, causal = job_mask(attention_mask, sentences, length, bool(causal), self.cached)
        self.rows = length
        layer, group = len(self._called), count // key.shape[1]
        self._called.append(Shape(count, key.shape[1], d, causal))
        # Several query heads may share a head of keys and values.
        key, value = (x.repeat_interleave(group, 1) for x in (key, value))
        heads = Heads(layer, query, key, value, visible,
                      d ** -0.5 if scaling is None else float(scaling),
                      dropout if module.training else 0.0, causal, group)
        return self.rule(heads).transpose(1, 2).contiguous(), None

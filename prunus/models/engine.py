# SPDX-License-Identifier: Apache-2.0
"""The specification in the place of a model's attention, and heads caught on their way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import LeopardResult
from prunus.golden.leopard.config import LeopardConfig

from .attention import Heads, Rule
from .quantise import Quantised, quantise

__all__ = ["Golden", "Recorder", "captured", "codes", "survivors"]


def codes(heads: Heads, config: LeopardConfig, first: int = 0,
          count: int | None = None) -> Quantised:
    """The heads of these sentences with units in common, cut to the longest of them."""
    some = slice(first, None if count is None else first + count)
    valid = np.array(heads.rows())[some]
    longest = int(valid.max())
    q, k, v = (x[some, :, :longest].flatten(0, 1).detach().numpy()
               for x in (heads.q, heads.k, heads.v))
    return quantise(q, k, v, np.repeat(valid, heads.q.shape[1]), heads.scaling, config,
                    heads.causal, heads.group)


def survivors(heads: Heads, threshold: float) -> np.ndarray:
    """(sentences * heads, l, l): the rule on real numbers, cut to the longest sentence."""
    keep = (heads.visible & (heads.logits() >= threshold)).flatten(0, 1).numpy()
    longest = max(heads.rows())
    return keep[:, :longest, :longest]


def captured(heads: Heads, threshold: float,
             config: LeopardConfig) -> tuple[dict[str, Any], dict[str, int]]:
    """Heads as arrays for an .npz that ``prunus run`` takes, and what the engine makes of them."""
    layer = codes(heads, config)
    results = layer.run(threshold, config)
    differ = sum(int((result.mask != mask).sum()) for result, mask in zip(
        results, survivors(heads, threshold), strict=True))
    return layer.arrays(threshold), {
        "keys": sum(r.keys for r in results), "survivors": sum(r.survivors for r in results),
        "differ": differ}


class Golden:
    """Attention as the coprocessor computes it: codes of each sentence's layer with units of
    their own, the threshold on integers, softmax in fixed point.

    Members
    -------
    keys, kept : list of int
        Visible pairs and survivors of each layer.
    differ : int
        Pairs that survive here and not among the same heads before they were quantised, or the
        other way round.
    digits, bound, baseline : int
        Digits read, and cycles, of all heads.
    """

    def __init__(self, thresholds: Sequence[float], config: LeopardConfig):
        self.thresholds, self.config = thresholds, config
        self.keys, self.kept = [0] * len(thresholds), [0] * len(thresholds)
        self.differ = self.digits = self.bound = self.baseline = 0

    def __call__(self, heads: Heads) -> Tensor:
        threshold = self.thresholds[heads.layer]
        real, count = survivors(heads, threshold), heads.q.shape[1]
        out = torch.zeros_like(heads.q)
        for n in range(len(out)):
            layer = codes(heads, self.config, n, 1)
            results = layer.run(threshold, self.config)
            length = int(layer.valid[0])
            out[n, :, :length] = torch.from_numpy(layer.real(results, self.config))
            masks = real[n * count:(n + 1) * count, :length, :length]
            self._count(heads.layer, results, masks)
        return out

    def _count(self, layer: int, results: list[LeopardResult], real: np.ndarray) -> None:
        self.keys[layer] += sum(result.keys for result in results)
        self.kept[layer] += sum(result.survivors for result in results)
        self.differ += sum(int((result.mask != mask).sum())
                           for result, mask in zip(results, real, strict=True))
        self.digits += sum(result.digits_total for result in results)
        self.bound += leopard.bound_cycles(results, self.config)
        self.baseline += leopard.baseline_cycles(results)


class Recorder:
    """Keeps the heads of each layer that another rule works on."""

    def __init__(self, rule: Rule):
        self.rule = rule
        self.heads: list[Heads] = []

    def __call__(self, heads: Heads) -> Tensor:
        self.heads.append(heads)
        return self.rule(heads)

# SPDX-License-Identifier: Apache-2.0
"""The K best keys of each query, exactly, bit for bit as the coprocessor computes it.

A visible key survives iff it is among the first K by falling score, of equal scores the one with
the lower index first (docs/topk.md); what does not has probability 0. It is the rule that
*Energon* (arXiv 2110.09310) and *HDP* (arXiv 2407.12893) compare with. Keys are centred, which
changes no order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prunus.golden.topk.compute import TopkJob, TopkResult
from prunus.golden.topk.config import TopkConfig

from ...errors import InputError
from ..choices import TopkChoice
from ..layer import Counts, Layer, counted, quantised
from .base import Hardware

__all__ = ["Topk"]


class Topk(Hardware):
    """Top-K, the same choice for all heads or one for each.

    Parameters
    ----------
    config : TopkConfig
    choice : callable
        (layer, head) -> TopkChoice.
    parameters : dict
        What was told of it.
    """

    name = "topk"
    config: TopkConfig

    def __init__(self, config: TopkConfig, choice: Callable[[int, int], TopkChoice],
                 parameters: dict[str, Any]):
        self.config, self.choice, self.parameters = config, choice, parameters

    def coded(self, layer: Layer, head: int) -> tuple[TopkJob, float, float]:
        choice = self.choice(layer.number, head)
        top_k = choice.places(layer.visible().sum(axis=1))
        if not 1 <= top_k <= self.config.k_max:
            raise InputError(f"top-k must lie in 1..{self.config.k_max}, the places of "
                             f"{self.config.name}, not {top_k}" + (
                                 "" if choice.top_k else
                                 f", which keeps {choice.keep:g} of {layer.keys} keys"))
        return quantised(layer, head, self.config, TopkJob, centred=True,
                         temperature=choice.temperature, top_k=top_k)

    def counts(self, layer: Layer, jobs: Sequence[TopkJob],
               results: Sequence[TopkResult]) -> Counts:
        return counted(layer, np.stack([result.mask for result in results]))

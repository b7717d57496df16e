# SPDX-License-Identifier: Apache-2.0
"""LeOPArd's thresholds, bit for bit as the coprocessor computes them.

A key survives iff ``q·k * scaling >= T`` (*Gradient-Based Learned Runtime Pruning*, arXiv
2204.03227); what does not has probability 0, and a query without survivors an output of 0. Codes
fill the width head by head. Keys are not centred: T is a level of the logits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prunus.golden.leopard.compute import LeopardJob, LeopardResult, encode_threshold
from prunus.golden.leopard.config import LeopardConfig

from ..choices import LeopardChoice
from ..layer import Counts, Layer, counted, quantised
from .base import Hardware

__all__ = ["Leopard"]


class Leopard(Hardware):
    """Thresholds, the same for all heads or one for each.

    Parameters
    ----------
    config : LeopardConfig
    choice : callable
        (layer, head) -> LeopardChoice.
    parameters : dict
        What was told of it.
    """

    name = "leopard"
    config: LeopardConfig

    def __init__(self, config: LeopardConfig, choice: Callable[[int, int], LeopardChoice],
                 parameters: dict[str, Any]):
        self.config, self.choice, self.parameters = config, choice, parameters

    def coded(self, layer: Layer, head: int) -> tuple[LeopardJob, float, float]:
        choice = self.choice(layer.number, head)
        return quantised(
            layer, head, self.config, LeopardJob, centred=False, temperature=choice.temperature,
            threshold=lambda unit: encode_threshold(choice.threshold, unit, self.config))

    def counts(self, layer: Layer, jobs: Sequence[LeopardJob],
               results: Sequence[LeopardResult]) -> Counts:
        return counted(layer, np.stack([result.mask for result in results]))

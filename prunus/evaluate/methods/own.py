# SPDX-License-Identifier: Apache-2.0
"""The model's own attention in float32, and uniform attention: what pruning is judged beside."""

import numpy as np

from ..layer import Layer, counted
from .base import Attended, Method

__all__ = ["Float", "Uniform"]


class Float(Method):
    """The model by itself: none of our code stands in its attention."""

    name = "float"

    def __init__(self) -> None:
        self.parameters = {}

    def attend(self, layer: Layer) -> Attended:
        """The same in float64."""
        logits = np.where(layer.visible(), layer.q @ layer.k.transpose(0, 2, 1) * layer.scaling,
                          -np.inf)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return _everything(layer, weights)


class Uniform(Method):
    """Control: every visible key has the same weight, ``out_i = mean of v_j``.

    Where this scores well, a task needs no attention, and pruning it proves nothing.
    """

    name = "uniform"

    def __init__(self) -> None:
        self.parameters = {}

    def attend(self, layer: Layer) -> Attended:
        return _everything(layer, np.broadcast_to(
            layer.visible(), (layer.heads, layer.length, layer.keys)).astype(float))


def _everything(layer: Layer, weights: np.ndarray) -> Attended:
    keep = np.broadcast_to(layer.visible(), weights.shape)
    return Attended(out=weights / weights.sum(axis=-1, keepdims=True) @ layer.v,
                    counts=counted(layer, keep))

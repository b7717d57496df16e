# SPDX-License-Identifier: Apache-2.0
"""Control: masks that know nothing of the scores."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from prunus.golden.jobs import AttentionJob

from ..layer import Layer
from .base import Masked

__all__ = ["Random"]


class Random(Masked):
    """Each block of 2 x 2 (or each score) is pruned with probability ``share``.

    A method that does no better than this at the same share has learned nothing from the scores.
    What is pruned has probability 0. A text, layer and head has its own numbers, so the order and
    the company of texts change nothing.

    Parameters
    ----------
    share : float
        In [0, 1).
    of : "blocks" or "scores"
    seed : int
    """

    name = "random"

    def __init__(self, share: float, of: Literal["blocks", "scores"] = "blocks", seed: int = 0):
        super().__init__()
        self.share, self.of, self.seed = share, of, seed
        self.parameters = {"share": share, "of": of, "seed": seed}

    def mask(self, layer: Layer, jobs: Sequence[AttentionJob], scores: np.ndarray,
             units: np.ndarray) -> np.ndarray:
        side = 2 if self.of == "blocks" else 1
        rows, columns = (-(-count // side) for count in (layer.length, layer.keys))
        random = np.random.default_rng((self.seed, layer.text, layer.number))
        kept = random.random((layer.heads, rows, columns)) >= self.share
        return kept.repeat(side, axis=1).repeat(side, axis=2)[:, :layer.length, :layer.keys]

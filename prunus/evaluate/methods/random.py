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
    """Each block of 2 x 2 (or each score, or each head) is pruned with probability ``share``.

    A method that does no better than this at the same share has learned nothing from the scores.
    What is pruned has probability 0. A text, layer and head has its own numbers, so the order and
    the company of texts change nothing.

    Parameters
    ----------
    share : float
        In [0, 1).
    of : "blocks", "scores" or "heads"
    seed : int
    """

    name = "random"

    def __init__(self, share: float, of: Literal["blocks", "scores", "heads"] = "blocks",
                 seed: int = 0):
        super().__init__()
        self.share, self.of, self.seed = share, of, seed
        self.parameters = {"share": share, "of": of, "seed": seed}

    def mask(self, layer: Layer, jobs: Sequence[AttentionJob], scores: np.ndarray,
             units: np.ndarray) -> np.ndarray:
        high, wide = {"blocks": (2, 2), "scores": (1, 1),
                      "heads": (layer.length, layer.keys)}[self.of]
        rows, columns = -(-layer.length // high), -(-layer.keys // wide)
        random = np.random.default_rng((self.seed, layer.text, layer.number))
        kept = random.random((layer.heads, rows, columns)) >= self.share
        return kept.repeat(high, axis=1).repeat(wide, axis=2)[:, :layer.length, :layer.keys]

    def heads_kept(self, keep: np.ndarray) -> float:
        return int(keep.any(axis=(1, 2)).sum()) if self.of == "heads" else len(keep)

# SPDX-License-Identifier: Apache-2.0
"""Energon's filtering in two rounds of growing precision (*Energon*, arXiv 2110.09310).

A round scores the keys that are left by the top bits of their codes and keeps those that reach

    theta = a * max + (1 - a) * mean            a >= 0
    theta = -a * min + (1 + a) * mean           a < 0

of the scores of the query's keys that are left. Queries have their top 4 bits in both rounds, keys
2 in the first and 4 in the second. What survives has its whole score in the softmax, the rest
probability 0.

What is simplified: codes have 8 bits rather than 16, top bits are cut off (rounded towards minus
infinity), and a is a multiple of 1/128, so that the rule is exact in integers. It is the rule of
HDP's blocks (:func:`prunus.golden.hdp.compute.magnitude_mask`), which took it from here.
"""

from collections.abc import Sequence

import numpy as np

from prunus.golden.hdp.compute import RHO_FRAC, encode_rho, magnitude_mask
from prunus.golden.jobs import AttentionJob, matmul

from ..layer import Layer
from .base import Masked

__all__ = ["KEY_BITS", "QUERY_BITS", "Energon", "round_of"]

QUERY_BITS, KEY_BITS = 4, (2, 4)            # of the codes, by round


def round_of(scores: np.ndarray, left: np.ndarray, alpha: int) -> np.ndarray:
    """Of the keys ``left`` (l_q, l_kv) those that survive a round with a = alpha / 128."""
    least = np.where(left, scores, np.iinfo(np.int64).max).min(axis=1, keepdims=True)
    # The rule moves with the scores, and that of blocks knows none below 0.
    return magnitude_mask(np.where(left, scores - least, 0), left, alpha)


class Energon(Masked):
    """Filtering in two rounds.

    Parameters
    ----------
    alphas : (float, float)
        a of each round, in (-1, 1).
    """

    name = "energon"

    def __init__(self, alphas: tuple[float, float] = (0.0, 0.0)):
        super().__init__()
        self.alphas = tuple(encode_rho(alpha) for alpha in alphas)
        self.parameters = {"alpha": [alpha / (1 << RHO_FRAC) for alpha in self.alphas]}

    def mask(self, layer: Layer, jobs: Sequence[AttentionJob], scores: np.ndarray,
             units: np.ndarray) -> np.ndarray:
        keep = np.broadcast_to(layer.visible(), scores.shape).copy()
        width = self.arithmetic.width
        for job, kept in zip(jobs, keep, strict=True):
            for bits, alpha in zip(KEY_BITS, self.alphas, strict=True):
                low = matmul(job.q >> width - QUERY_BITS, (job.k >> width - bits).T)
                kept &= round_of(low, kept, alpha)
        return keep

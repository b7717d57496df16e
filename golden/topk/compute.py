# SPDX-License-Identifier: Apache-2.0
"""The K best keys of each row of one attention head, exact in integers.

A visible key survives iff it is among the first K by falling score; of equal scores the one with
the lower index comes first. A row with at most K visible keys keeps them all, a row without is
zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..jobs import LOWEST, AttentionJob, matmul, visible_limits
from ..survivors import attend
from .config import TopkConfig

__all__ = ["TopkJob", "TopkOutcome", "TopkResult", "TopkSummary", "bound_cycles", "head"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TopkJob(AttentionJob):
    """One head of attention with the number of keys that each query keeps.

    Parameters
    ----------
    top_k : int
        K, 1 to ``TopkConfig.k_max``.
    """

    top_k: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TopkSummary:
    """What a head gives, but for arrays of the size of its scores.

    Members
    -------
    out : ndarray of int64, (l_q, d)
    row_survivors : ndarray of int64, (l_q,)
    keys : int
        Visible pairs.
    """

    out: np.ndarray
    row_survivors: np.ndarray
    keys: int

    @property
    def survivors(self) -> int:
        return int(self.row_survivors.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class TopkResult:
    """What a head gives.

    Members
    -------
    out : ndarray of int64, (l_q, d)
        V codes with ``TopkConfig.out_frac`` fraction bits; zeros for padding and rows without
        visible keys.
    mask : ndarray of bool, (l_q, l_kv)
        The survivors.
    scores : ndarray of int64, (l_q, l_kv)
        q·k over codes, of all pairs.
    keys : int
        Visible pairs, which are those that are scored.
    """

    out: np.ndarray
    mask: np.ndarray
    scores: np.ndarray
    keys: int

    @property
    def survivors(self) -> int:
        return int(self.mask.sum())

    @property
    def row_survivors(self) -> np.ndarray:
        return self.mask.sum(axis=1)

    def summary(self) -> TopkSummary:
        """The same without what grows with the square of the length."""
        return TopkSummary(out=self.out, row_survivors=self.row_survivors, keys=self.keys)


TopkOutcome = TopkResult | TopkSummary      # either will do where no scores are needed


def head(job: TopkJob, config: TopkConfig) -> TopkResult:
    """Attention of one head as the hardware computes it, bit for bit.

    Raises ValueError for a K that the hardware answers with an error.
    """
    if not 1 <= job.top_k <= config.k_max:
        raise ValueError(f"top_k must lie in 1..{config.k_max}, not {job.top_k}")
    visible = np.arange(job.l_kv) < visible_limits(job)[:, None]
    scores = matmul(job.q, job.k.T)
    order = np.argsort(-np.where(visible, scores, LOWEST + 1), axis=1, kind="stable")
    mask = np.zeros(scores.shape, bool)
    np.put_along_axis(mask, order[:, : job.top_k], True, axis=1)
    mask &= visible
    return TopkResult(out=attend(job, scores, mask, config), mask=mask, scores=scores,
                      keys=int(visible.sum()))


def bound_cycles(results: Sequence[TopkOutcome], config: TopkConfig) -> int:
    """``chunks * visible keys`` of all rows.

    The one dot-product unit takes a chunk of ``taps`` dimensions of a key per cycle. The value path
    takes a chunk of a survivor per cycle, which are not more.
    """
    return sum(-(-result.out.shape[1] // config.taps) * result.keys for result in results)

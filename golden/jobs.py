# SPDX-License-Identifier: Apache-2.0
"""What the heads of all engines have in common: a job, who sees whom, exponentials."""

from dataclasses import dataclass

import numpy as np

from . import softmax

__all__ = ["AttentionJob", "exponentials", "matmul", "row_tops", "visible_limits"]

LOWEST = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionJob:
    """One head of attention, without what an engine wants to know about pruning.

    Parameters
    ----------
    q, k, v : ndarray of int
        Codes, (l_q, d), (l_kv, d) and (l_kv, d).
    scale : (int, int)
        Mantissa and shift of ``scale * log2(e)``, from :func:`golden.softmax.encode_scale`.
    valid_q, valid_kv : int or None
        Rows that are not padding; all of them by default.
    causal : bool
        Key j is visible to query i only if ``j <= i + valid_kv - valid_q``.
    same_kv : bool
        K and V are those of the job before it (grouped-query heads): what is read of them for one
        head need not be read again. Says nothing about what comes out.
    """

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scale: tuple[int, int]
    valid_q: int | None = None
    valid_kv: int | None = None
    causal: bool = False
    same_kv: bool = False

    def __post_init__(self):
        if self.valid_q is None:
            object.__setattr__(self, "valid_q", self.l_q)
        if self.valid_kv is None:
            object.__setattr__(self, "valid_kv", self.l_kv)

    @property
    def l_q(self) -> int:
        return self.q.shape[0]

    @property
    def l_kv(self) -> int:
        return self.k.shape[0]

    @property
    def d(self) -> int:
        return self.q.shape[1]


def visible_limits(job: AttentionJob) -> np.ndarray:
    """(l_q,): query i sees exactly the keys ``j < limits[i]``."""
    i = np.arange(job.l_q)
    limit = np.full(job.l_q, job.valid_kv)
    if job.causal:
        limit = np.clip(i + 1 + job.valid_kv - job.valid_q, 0, job.valid_kv)
    return np.where(i < job.valid_q, limit, 0)


def matmul(a, b) -> np.ndarray:
    """Exact integer product through float64 BLAS; every sum stays far below 2**53."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def row_tops(scores, keep) -> np.ndarray:
    """(l_q,): the largest kept score of each row, LOWEST where none is kept."""
    return np.where(keep, scores, LOWEST).max(axis=1, initial=LOWEST)


def exponentials(scores, keep, top, scale: tuple[int, int]) -> np.ndarray:
    """``exp((score - top) * scale)`` of kept keys, 0 of the others."""
    diff = np.where(keep, top[:, None] - np.where(keep, scores, 0), 0)
    return np.where(keep, softmax.exp2_neg(softmax.exponent(diff, *scale)), 0)

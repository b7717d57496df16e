# SPDX-License-Identifier: Apache-2.0
"""Learned thresholds with exact early termination of one attention head, exact in integers.

A key survives iff its score reaches the threshold; the digits of the key end as soon as their
upper bound says it cannot (:mod:`prunus.golden.leopard.digits`). A row without survivors is zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..jobs import AttentionJob, visible_limits
from ..survivors import attend
from .config import LeopardConfig
from .digits import terminate

__all__ = ["LeopardJob", "LeopardOutcome", "LeopardResult", "LeopardSummary", "baseline_cycles",
           "bound_cycles", "dropped_at", "encode_threshold", "head", "threshold_limits"]


def threshold_limits(config: LeopardConfig) -> tuple[int, int]:
    """The least and the largest T_int its register holds: all scores reach the one, none the
    other."""
    limit = 1 << (config.threshold_width - 1)
    return -limit, limit - 1


def encode_threshold(threshold: float, scale: float, config: LeopardConfig) -> int:
    """T_int with ``score >= T_int`` iff ``score * scale >= threshold``, in exact rationals.

    ``ceil(threshold / scale)``, clamped to :func:`threshold_limits`, which changes nothing: no
    score lies beyond. -inf keeps every key, inf drops every key.
    """
    if math.isnan(threshold):
        raise ValueError(f"threshold must be a real number, not {threshold!r}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be finite and positive, not {scale!r}")
    low, high = threshold_limits(config)
    if math.isinf(threshold):
        return high if threshold > 0 else low
    return max(low, min(high, math.ceil(Fraction(threshold) / Fraction(scale))))


@dataclass(frozen=True, kw_only=True, eq=False)
class LeopardJob(AttentionJob):
    """One head of attention with a threshold.

    Parameters
    ----------
    threshold : int
        T_int in units of q·k over codes, from :func:`encode_threshold`; a key with a score below
        it is pruned.
    """

    threshold: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LeopardSummary:
    """What a head gives, but for arrays of the size of its scores.

    Members
    -------
    out : ndarray of int64, (l_q, d)
    row_digits, row_survivors : ndarray of int64, (l_q,)
        Sums of digits and of survivors.
    dropped : ndarray of int64
        Keys that are dropped at the first digit, the second, ..., as far as there are any.
    keys : int
        Visible pairs.
    """

    out: np.ndarray
    row_digits: np.ndarray
    row_survivors: np.ndarray
    dropped: np.ndarray
    keys: int

    @property
    def survivors(self) -> int:
        return int(self.row_survivors.sum())

    @property
    def digits_total(self) -> int:
        return int(self.row_digits.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class LeopardResult:
    """What a head gives.

    Members
    -------
    out : ndarray of int64, (l_q, d)
        V codes with ``LeopardConfig.out_frac`` fraction bits; zeros for padding and rows without
        survivors.
    mask : ndarray of bool, (l_q, l_kv)
        The survivors.
    digits : ndarray of int64, (l_q, l_kv)
        Digits of the key up to the deciding one; T for survivors, 0 for keys that are not visible.
    scores : ndarray of int64, (l_q, l_kv)
        q·k over codes, of all pairs; the hardware knows those of survivors only.
    keys : int
        Visible pairs.
    """

    out: np.ndarray
    mask: np.ndarray
    digits: np.ndarray
    scores: np.ndarray
    keys: int

    @property
    def survivors(self) -> int:
        return int(self.mask.sum())

    @property
    def digits_total(self) -> int:
        return int(self.digits.sum())

    @property
    def row_digits(self) -> np.ndarray:
        return self.digits.sum(axis=1)

    @property
    def row_survivors(self) -> np.ndarray:
        return self.mask.sum(axis=1)

    @property
    def dropped(self) -> np.ndarray:
        """Keys that are dropped at the first digit, the second, ..., as far as there are any."""
        return np.bincount(self.digits[(self.digits > 0) & ~self.mask], minlength=1)[1:]

    def summary(self) -> LeopardSummary:
        """The same without what grows with the square of the length."""
        return LeopardSummary(out=self.out, row_digits=self.row_digits,
                              row_survivors=self.row_survivors, dropped=self.dropped,
                              keys=self.keys)


LeopardOutcome = LeopardResult | LeopardSummary     # either will do where no scores are needed


def head(job: LeopardJob, config: LeopardConfig) -> LeopardResult:
    """Attention of one head as the hardware computes it, bit for bit."""
    visible = np.arange(job.l_kv) < visible_limits(job)[:, None]
    threshold = job.threshold if config.pruning else threshold_limits(config)[0]
    digits, scores = terminate(job.q, job.k, threshold, width=config.width, digit=config.digit)
    mask = visible & (scores >= threshold)
    return LeopardResult(out=attend(job, scores, mask, config), mask=mask,
                         digits=np.where(visible, digits, 0), scores=scores,
                         keys=int(visible.sum()))


def bound_cycles(results: Sequence[LeopardOutcome], config: LeopardConfig) -> int:
    """``sum of chunks * max(digits / N_QK, survivors)`` over all rows, rounded up once for all.

    A row keeps its dot-product units busy for its digits and the value path for its survivors, each
    for as many cycles as it has chunks of ``taps`` dimensions; the two overlap within a row.
    """
    slots = 0
    for result in results:
        chunks = -(-result.out.shape[1] // config.taps)
        slots += chunks * int(np.maximum(result.row_digits,
                                         config.dpus * result.row_survivors).sum())
    return -(-slots // config.dpus)


def baseline_cycles(results: Sequence[LeopardOutcome]) -> int:
    """Cycles of one full-width dot-product unit with the same value path and no pruning: one per
    visible key."""
    return sum(result.keys for result in results)


def dropped_at(results: Sequence[LeopardOutcome],
               config: LeopardConfig) -> list[int]:
    """Keys of all heads that are dropped at the first digit, the second, ..., the last."""
    counts = np.zeros(config.digits, np.int64)
    for result in results:
        counts[: len(result.dropped)] += result.dropped
    return counts.tolist()

# SPDX-License-Identifier: Apache-2.0
"""Hybrid dynamic pruning of one attention head, exact in integers (spec: HDP sections 2 to 5)."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from .. import softmax
from ..jobs import AttentionJob, exponentials, matmul, row_tops, visible_limits
from .config import HdpConfig

__all__ = ["DELTA_MAX", "RHO_FRAC", "HdpJob", "HdpOutcome", "HdpResult", "HdpSummary",
           "Importance", "distance_mask", "encode_delta", "encode_rho", "head", "least_deltas",
           "magnitude_bound", "magnitude_mask", "visible_limits", "weights"]

RHO_FRAC = 7                    # rho is P / 2**RHO_FRAC
DELTA_MAX = (1 << 24) - 1       # above the difference of any two integer scores: it prunes nothing
FAR = DELTA_MAX + 1             # further than anything that is kept


class Importance(StrEnum):
    """What makes a block important enough to be kept."""

    MAGNITUDE = "magnitude"     # of its integer scores, beside those of its row of blocks
    DISTANCE = "distance"       # of an integer score from the largest one of its query


def encode_rho(rho: float) -> int:
    """P with rho ~ P/128, for rho in (-1, 1)."""
    if not -1 < rho < 1:
        raise ValueError(f"rho must lie in (-1, 1), not {rho!r}")
    return int(np.clip(np.rint(rho * (1 << RHO_FRAC)), -127, 127))


def encode_delta(distance: float, scale: float, config: HdpConfig) -> int:
    """The delta of a distance in units of the logits, which are ``scale`` times the scores.

    A pruned key has about ``exp(-distance)`` of the largest weight of its row at most. From
    ``DELTA_MAX`` on delta saturates; there nothing is pruned.
    """
    if not distance >= 0:
        raise ValueError(f"distance must be 0 or more, not {distance!r}")
    delta = distance / (scale * (1 << 2 * config.frac))
    return round(delta) if delta < DELTA_MAX else DELTA_MAX


@dataclass(frozen=True, kw_only=True, eq=False)
class HdpJob(AttentionJob):
    """One head of attention with hybrid dynamic pruning.

    Parameters
    ----------
    importance : Importance, or its text
        How blocks are chosen: :func:`magnitude_mask` with ``rho``, or :func:`distance_mask` with
        ``delta``. What belongs to the other one is not looked at.
    rho : int
        Numerator P of the pruning ratio P/128, -127..127.
    delta : int
        Largest distance of what is kept, in units of integer scores, 0..DELTA_MAX.
    tau_head : int
        A head whose theta_head is below it is pruned.
    drop : bool
        A pruned block has probability 0 (``drop``) rather than score 0 (``zero``).
    exact : bool
        Kept blocks get the full product instead of leaving out FQ.FK^T.
    dense : bool
        No integer pass and no pruning; every visible block gets the full product.

    Raises
    ------
    ValueError
        Importance is none, as text or as a member.
    """

    importance: Importance = Importance.MAGNITUDE
    rho: int = 0
    delta: int = 0
    tau_head: int = 0
    drop: bool = False
    exact: bool = False
    dense: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.importance not in list(Importance):
            raise ValueError(f"importance must be {' or '.join(Importance)}, "
                             f"not {self.importance!r}")
        object.__setattr__(self, "importance", Importance(self.importance))


@dataclass(frozen=True, kw_only=True, eq=False)
class HdpSummary:
    """What a head gives, but for arrays of the size of its scores.

    Members
    -------
    pairs_kept : int
        Visible pairs in blocks that the mask keeps.
    row_thetas : ndarray, (block rows,)
        Sum of theta of each row of blocks.
    others : as those of HdpResult
    """

    out: np.ndarray
    head_kept: bool
    theta_head: int
    blocks_kept: int
    blocks_total: int
    pairs_kept: int
    row_thetas: np.ndarray
    mask_bits: np.ndarray
    mask_shape: tuple[int, ...]

    @property
    def mask(self) -> np.ndarray:
        """Made of a bit per block, so a caller should ask once."""
        bits = np.unpackbits(self.mask_bits, count=math.prod(self.mask_shape))
        return bits.reshape(self.mask_shape).astype(bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class HdpResult:
    """What a head gives.

    Members
    -------
    out : ndarray of int64, (l_q, d)
        V codes with ``HdpConfig.out_frac`` fraction bits; zeros for padding and pruned heads.
    head_kept : bool
    theta_head : int
        Sum of theta; 0 in dense mode, which has no integer pass.
    blocks_kept, blocks_total : int
        Blocks the mask keeps (whether or not the head is then pruned) and visible blocks.
    pairs_kept : int
        Visible pairs in blocks that the mask keeps.
    theta, mask : ndarray, (block rows, block columns)
    scores : ndarray of int64, (l_q, l_kv)
        With 2*FW fraction bits, valid on kept blocks.
    """

    out: np.ndarray
    head_kept: bool
    theta_head: int
    blocks_kept: int
    blocks_total: int
    pairs_kept: int
    theta: np.ndarray
    mask: np.ndarray
    scores: np.ndarray

    @property
    def row_thetas(self) -> np.ndarray:
        """Sum of theta of each row of blocks."""
        return self.theta.sum(axis=1)

    def summary(self) -> HdpSummary:
        """The same without what grows with the square of the length, but a bit per block."""
        return HdpSummary(
            out=self.out, head_kept=self.head_kept, theta_head=self.theta_head,
            blocks_kept=self.blocks_kept, blocks_total=self.blocks_total,
            pairs_kept=self.pairs_kept, row_thetas=self.row_thetas,
            mask_bits=np.packbits(self.mask), mask_shape=self.mask.shape)


HdpOutcome = HdpResult | HdpSummary      # either will do for whatever needs no scores


def _blocks(x, fill: int = 0) -> np.ndarray:
    """(l_q, l_kv) padded to even sizes, as (block rows, 2, block columns, 2)."""
    rows, cols = (size + size % 2 for size in x.shape)
    if (rows, cols) != x.shape:
        padded = np.full((rows, cols), fill, x.dtype)
        padded[: x.shape[0], : x.shape[1]] = x
        x = padded
    return x.reshape(rows // 2, 2, cols // 2, 2)


def _of_blocks(combine: np.ufunc, x, fill: int = 0) -> np.ndarray:
    """(block rows, block columns): what the four values of each block come to. A reduction over
    axes of 2 would take several times as long."""
    x = _blocks(x, fill)
    rows = combine(x[:, 0], x[:, 1])
    return combine(rows[..., 0], rows[..., 1])


def _rows_of_two(x) -> np.ndarray:
    """(l_q,) padded to an even number, as (block rows, 2)."""
    return np.pad(x, (0, len(x) % 2)).reshape(-1, 2)


def _expand(mask, shape) -> np.ndarray:
    """A mask of blocks as one of elements."""
    return mask.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]


def _behind(int_score, visible) -> np.ndarray:
    """(block rows, block columns): how far the score of a block that is nearest to the largest one
    of its query lies below that; FAR of a block that nobody sees."""
    top = row_tops(int_score, visible)
    behind = np.where(visible, top[:, None] - np.where(visible, int_score, 0), FAR)
    return _of_blocks(np.minimum, behind, FAR)


def distance_mask(int_score, visible, delta: int) -> np.ndarray:
    """Blocks with an integer score at most ``delta`` below the largest one that its query sees.

    ``int_score`` and ``visible`` (bool) are (l_q, l_kv); the mask is (block rows, block columns).
    """
    return _behind(int_score, visible) <= delta


def least_deltas(job: "HdpJob", config: HdpConfig) -> np.ndarray:
    """(block rows, block columns): the least delta that keeps each block; more than ``DELTA_MAX``
    of one that nobody sees."""
    (iq, _), (ik, _) = config.format.split(job.q), config.format.split(job.k)
    return _behind(matmul(iq, ik.T), np.arange(job.l_kv) < visible_limits(job)[:, None])


def magnitude_bound(theta, visible, rho: int) -> np.ndarray:
    """(block rows,): what ``(n*theta) << 7`` of a block of the row must reach, see
    :func:`magnitude_mask`."""
    n = visible.sum(axis=1)
    total = theta.sum(axis=1)
    if rho >= 0:
        ext = theta.max(axis=1, initial=0)
    else:
        ext = np.where(visible, theta, np.iinfo(np.int64).max).min(axis=1)
        ext = np.where(n == 0, 0, ext)
    a = abs(rho)
    return a * n * ext + ((1 << RHO_FRAC) - a) * total


def magnitude_mask(theta, visible, rho: int) -> np.ndarray:
    """Row-balanced block pruning without a divider.

    ``theta`` and ``visible`` (bool) are (block rows, block columns). A block is kept iff
    ``(n*theta) << 7 >= A*n*ext + (128-A)*sum`` with A = |P|, ext the row's max for P >= 0 and
    its min otherwise, and n, ext, sum over the row's visible blocks.
    """
    n, bound = visible.sum(axis=1), magnitude_bound(theta, visible, rho)
    return visible & (((n[:, None] * theta) << RHO_FRAC) >= bound[:, None])


def weights(job: HdpJob, scores, keep, visible):
    """Weights (l_q, l_kv), the background e0 (l_q,) and the denominators (l_q,).

    Unless ``drop``, a row with pruned keys is split into a background e0 = exp(0 - m) that every
    visible key has and weights e - e0 of the kept keys. The denominator is the sum of all that is
    multiplied by a row of V, after rounding; so no output lies outside the range of V, but for the
    error of the reciprocal.
    """
    top = row_tops(scores, keep)
    zero = (visible & ~keep).any(axis=1) & (not job.drop)
    top = np.where(zero, np.maximum(top, 0), top)
    e = exponentials(scores, keep, top, job.scale)
    e0 = np.where(zero, softmax.exp2_neg(softmax.exponent(np.where(zero, top, 0), *job.scale)), 0)
    pairs = _blocks(np.where(keep, e - e0[:, None], 0))
    mant, shift = softmax.quantise_pair(pairs, _rows_of_two(e0)[..., None])
    w = (mant << shift[..., None]).reshape(2 * mant.shape[0], -1)[: job.l_q, : job.l_kv]
    return w, e0, w.sum(axis=1) + e0 * visible.sum(axis=1)


def head(job: HdpJob, config: HdpConfig) -> HdpResult:
    """Attention of one head as the hardware computes it, bit for bit."""
    iq, fq = config.format.split(job.q)
    ik, fk = config.format.split(job.k)
    limits = visible_limits(job)
    visible = np.arange(job.l_kv) < limits[:, None]
    visible_blocks = _of_blocks(np.logical_or, visible)

    if job.dense:
        theta = np.zeros(visible_blocks.shape, np.int64)
        mask = visible_blocks
    else:
        int_score = matmul(iq, ik.T)
        theta = _of_blocks(np.add, np.where(visible, np.abs(int_score), 0))
        mask = (distance_mask(int_score, visible, job.delta)
                if job.importance is Importance.DISTANCE
                else magnitude_mask(theta, visible_blocks, job.rho))
    theta_head = int(theta.sum())
    head_kept = job.dense or theta_head >= job.tau_head

    scores = matmul(job.q, job.k.T)
    if not (job.exact or job.dense):
        scores = scores - matmul(fq, fk.T)

    out = np.zeros((job.l_q, job.d), np.int64)
    keep = visible & _expand(mask, visible.shape)
    if head_kept:
        w, e0, den = weights(job, scores, keep, visible)
        prefix = np.concatenate([np.zeros((1, job.d), np.int64), np.cumsum(job.v, axis=0)])
        num = matmul(w, job.v) + e0[:, None] * prefix[limits]
        out = softmax.normalise(num, den, width=config.width, out_frac=config.out_frac)
    return HdpResult(out=out, head_kept=bool(head_kept), theta_head=theta_head,
                     blocks_kept=int(mask.sum()), blocks_total=int(visible_blocks.sum()),
                     pairs_kept=int(keep.sum()), theta=theta, mask=mask, scores=scores)

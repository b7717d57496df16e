# SPDX-License-Identifier: Apache-2.0
"""Float64 attention over given scores and mask: what the fixed-point head is measured against."""

import numpy as np

from .hdp.compute import HdpJob, HdpResult
from .hdp.config import HdpConfig
from .jobs import visible_limits
from .leopard.compute import LeopardJob, LeopardResult

__all__ = ["relative_rms", "relative_rms_error", "softmax_attention", "survivor_attention"]


def _attention(logits, v) -> np.ndarray:
    """Softmax over the finite logits of each row, times V; a row without any is zero."""
    sees = np.isfinite(logits).any(axis=1, keepdims=True)
    logits = logits - np.where(sees, logits.max(axis=1, keepdims=True, initial=-np.inf), 0)
    e = np.exp(logits)
    return np.divide(e, e.sum(axis=1, keepdims=True), out=np.zeros_like(e), where=sees) @ v


def softmax_attention(job: HdpJob, result: HdpResult, scale: float) -> np.ndarray:
    """Output (l_q, d) in V codes: float64 softmax over ``result``'s scores and mask."""
    visible = np.arange(job.l_kv) < visible_limits(job)[:, None]
    keep = visible & result.mask.repeat(2, 0).repeat(2, 1)[: job.l_q, : job.l_kv]
    logits = np.where(keep, result.scores * scale, 0.0)
    logits = np.where(keep if job.drop else visible, logits, -np.inf)
    return _attention(logits, job.v) if result.head_kept else np.zeros((job.l_q, job.d))


def survivor_attention(job: LeopardJob, result: LeopardResult, scale: float) -> np.ndarray:
    """Output (l_q, d) in V codes: float64 softmax over the scores of ``result``'s survivors."""
    return _attention(np.where(result.mask, result.scores * scale, -np.inf), job.v)


def relative_rms(got, want) -> float:
    """RMS of the difference over RMS of what is wanted; 0 if that is all zero."""
    power = np.square(want).mean()
    return float(np.sqrt(np.square(got - want).mean() / power)) if power else 0.0


def relative_rms_error(job: HdpJob, result: HdpResult, scale: float, config: HdpConfig) -> float:
    """RMS of (output - float64 output) over RMS of the float64 output; 0 for an all-zero head."""
    return relative_rms(result.out / 2.0**config.out_frac, softmax_attention(job, result, scale))

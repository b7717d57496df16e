# SPDX-License-Identifier: Apache-2.0
"""Float64 attention over the scores and the mask of an HDP head."""

import numpy as np

from ..jobs import visible_limits
from ..reference import attention, relative_rms
from .compute import HdpJob, HdpResult
from .config import HdpConfig

__all__ = ["relative_rms_error", "softmax_attention"]


def softmax_attention(job: HdpJob, result: HdpResult, scale: float) -> np.ndarray:
    """Output (l_q, d) in V codes: float64 softmax over ``result``'s scores and mask."""
    visible = np.arange(job.l_kv) < visible_limits(job)[:, None]
    keep = visible & result.mask.repeat(2, 0).repeat(2, 1)[: job.l_q, : job.l_kv]
    logits = np.where(keep, result.scores * scale, 0.0)
    logits = np.where(keep if job.drop else visible, logits, -np.inf)
    return attention(logits, job.v) if result.head_kept else np.zeros((job.l_q, job.d))


def relative_rms_error(job: HdpJob, result: HdpResult, scale: float, config: HdpConfig) -> float:
    """RMS of (output - float64 output) over RMS of the float64 output; 0 for an all-zero head."""
    return relative_rms(result.out / 2.0**config.out_frac, softmax_attention(job, result, scale))

# SPDX-License-Identifier: Apache-2.0
"""Float64 attention over given scores and mask: what the fixed-point head is measured against."""

from typing import Protocol

import numpy as np

from .jobs import AttentionJob

__all__ = ["Survivors", "attention", "relative_rms", "survivor_attention"]


class Survivors(Protocol):
    """The result of a head whose keys survive one by one."""

    @property
    def mask(self) -> np.ndarray: ...

    @property
    def scores(self) -> np.ndarray: ...


def attention(logits, v) -> np.ndarray:
    """Softmax over the finite logits of each row, times V; a row without any is zero."""
    sees = np.isfinite(logits).any(axis=1, keepdims=True)
    logits = logits - np.where(sees, logits.max(axis=1, keepdims=True, initial=-np.inf), 0)
    e = np.exp(logits)
    return np.divide(e, e.sum(axis=1, keepdims=True), out=np.zeros_like(e), where=sees) @ v


def survivor_attention(job: AttentionJob, result: Survivors, scale: float) -> np.ndarray:
    """Output (l_q, d) in V codes: float64 softmax over the scores of ``result``'s survivors."""
    return attention(np.where(result.mask, result.scores * scale, -np.inf), job.v)


def relative_rms(got, want) -> float:
    """RMS of the difference over RMS of what is wanted; 0 if that is all zero."""
    power = np.square(want).mean()
    return float(np.sqrt(np.square(got - want).mean() / power)) if power else 0.0

# SPDX-License-Identifier: Apache-2.0
"""What the heads of all engines have in common: a job, who sees whom, exponentials."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from . import softmax
from .records import Field

__all__ = ["HEAD_FIELDS", "AttentionJob", "Job", "exponentials", "head_values",
           "matmul", "row_tops", "visible_limits"]

# Of the descriptor of a head, whatever the engine.
HEAD_FIELDS = (
    Field(0, 0, 8, "opcode", "the kind of job"),
    Field(0, 8, 1, "causal", "hides key j from query i unless j <= i + valid_kv - valid_q"),
    Field(0, 12, 1, "same_kv", "K and V are those of the descriptor before"),
    Field(1, 0, 16, "l_q", "queries"),
    Field(1, 16, 16, "l_kv", "keys"),
    Field(2, 0, 16, "valid_q", "queries that are not padding"),
    Field(2, 16, 16, "valid_kv", "keys that are not padding"),
    Field(3, 0, 8, "d", "dimensions, a multiple of 8"),
    Field(3, 16, 16, "shift", "of the scale, 12..63"),
    Field(5, 0, 16, "mant", "of the scale: mant * 2^-shift = scale * log2(e)"),
    Field(11, 0, 32, "out", "address of the output plane"),
    Field(12, 0, 32, "status", "address of the status record"),
)

LOWEST = np.iinfo(np.int64).min
ALL_ROWS: Any = None        # the default of a number of rows, until there is a job that has them


@dataclass(frozen=True, kw_only=True, eq=False)
class Job(ABC):
    """Work for one descriptor, whatever it computes."""

    @abstractmethod
    def operands(self) -> dict[str, np.ndarray]:
        """Codes of each operand, (rows, dims)."""

    @abstractmethod
    def output(self) -> tuple[int, int]:
        """(rows, dims) of what comes out."""

    @property
    def shared(self) -> frozenset[str]:
        """Operands that are those of the job before it, and lie in the same place."""
        return frozenset()

    def alone(self) -> Self:
        """The same job, sharing nothing with the one before it."""
        return self

    @abstractmethod
    def describe(self) -> str:
        """Its sizes in a few words, for messages."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionJob(Job):
    """One head of attention, without what an engine wants to know about pruning.

    Parameters
    ----------
    q, k, v : ndarray of int
        Codes, (l_q, d), (l_kv, d) and (l_kv, d).
    scale : (int, int)
        Mantissa and shift of ``scale * log2(e)``, from :func:`prunus.golden.softmax.encode_scale`.
    valid_q, valid_kv : int
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
    valid_q: int = ALL_ROWS
    valid_kv: int = ALL_ROWS
    causal: bool = False
    same_kv: bool = False

    def __post_init__(self):
        if self.valid_q is ALL_ROWS:
            object.__setattr__(self, "valid_q", self.l_q)
        if self.valid_kv is ALL_ROWS:
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

    def operands(self) -> dict[str, np.ndarray]:
        return {"q": self.q, "k": self.k, "v": self.v}

    def output(self) -> tuple[int, int]:
        return self.l_q, self.d

    @property
    def shared(self) -> frozenset[str]:
        return frozenset("kv" if self.same_kv else "")

    def alone(self) -> Self:
        return replace(self, same_kv=False)

    def describe(self) -> str:
        return f"l_q {self.l_q}, l_kv {self.l_kv}, d {self.d}"


def head_values(job: AttentionJob) -> dict[str, int]:
    """Values of ``HEAD_FIELDS`` but for the opcode and the addresses."""
    mant, shift = job.scale
    return {"causal": job.causal, "same_kv": job.same_kv, "l_q": job.l_q, "l_kv": job.l_kv,
            "valid_q": job.valid_q, "valid_kv": job.valid_kv, "d": job.d, "shift": shift,
            "mant": mant}


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

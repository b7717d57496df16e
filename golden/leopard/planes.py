# SPDX-License-Identifier: Apache-2.0
"""Operand planes of LeOPArd: Q and V as codes, keys digit by digit.

Beside the kinds of :mod:`golden.layout` there is:

===== ===================================================================== ================
kind  a row holds                                                           container bits
===== ===================================================================== ================
k     digits of a key, the top one (sign-extended) first; of each digit     B, in words
      chunks of ``taps`` dimensions, a word each, the first dimension lowest
===== ===================================================================== ================

A word of a key takes as many whole beats as it needs; a beat with room for two words and more
holds as many words of one key as fit.
"""

from collections.abc import Collection, Sequence

import numpy as np

from ..layout import Layout, Plane
from ..records import DESCRIPTOR_BYTES
from . import digits
from .compute import LeopardJob, LeopardResult
from .config import LeopardConfig

__all__ = ["PLANES", "LeopardLayout", "held_planes", "planes_read"]

PLANES = (Plane("q", "q", "v"), Plane("k", "k", "k"), Plane("v", "v", "v"))


class LeopardLayout(Layout):
    """Row sizes and packing of the planes of a LeOPArd coprocessor."""

    config: LeopardConfig

    @property
    def word_bits(self) -> int:
        """A digit of ``taps`` dimensions."""
        return self.config.taps * self.config.digit

    @property
    def word_beats(self) -> int:
        """Beats of a word."""
        return self.beats(self.word_bits)

    @property
    def beat_words(self) -> int:
        """Words of a beat; 1 if a word takes several."""
        return max(1, self.beat_bits // self.word_bits)

    def key_words(self, d: int) -> int:
        """Words of a key."""
        return self.config.digits * -(-d // self.config.taps)

    def row_beats(self, kind: str, d: int) -> int:
        if kind == "k":
            return -(-self.key_words(d) // self.beat_words) * self.word_beats
        return super().row_beats(kind, d)

    def pack(self, kind: str, codes) -> np.ndarray:
        """Rows of codes as bytes; of keys key by key, digit by digit, chunk by chunk."""
        if kind != "k":
            return super().pack(kind, codes)
        config, codes = self.config, np.asarray(codes, np.int64)
        rows, d = codes.shape
        planes = digits.planes(codes, width=config.width, digit=config.digit)
        planes = np.pad(planes, ((0, 0), (0, 0), (0, -d % config.taps)))
        chunks = planes.reshape(config.digits, rows, -1, config.taps).transpose(1, 0, 2, 3)
        words = chunks.reshape(rows, -1, config.taps)
        if self.beat_words == 1:
            packed = self.pack_bits(words.reshape(-1, config.taps), config.digit)
            return packed.reshape(rows, -1)
        words = np.pad(words, ((0, 0), (0, -words.shape[1] % self.beat_words), (0, 0)))
        packed = self.pack_bits(words.reshape(-1, self.beat_words * config.taps), config.digit)
        return packed.reshape(rows, -1)

    def read_bytes(self, job: LeopardJob, held: Collection[str] = ()) -> int:
        """Bytes a job reads: its descriptor and the planes that are not ``held``."""
        rows = {"q": job.valid_q, "k": job.valid_kv, "v": job.valid_kv}
        return DESCRIPTOR_BYTES + sum(
            rows[plane.of] * self.row_bytes(plane.kind, job.d) for plane in PLANES
            if plane.name in planes_read(job) and plane.name not in held)


def planes_read(job: LeopardJob) -> tuple[str, ...]:
    """Planes that the work on a job needs."""
    return ("q", "k", "v") if job.valid_q and job.valid_kv else ()


def held_planes(jobs: Sequence[LeopardJob],
                results: Sequence[LeopardResult | None]) -> list[set[str]]:
    """Planes of K and V that each job finds on the chip, read for the jobs before it.

    A job with ``same_kv`` does if the one before it has the same d and valid keys and no error,
    that is, a result.
    """
    held: list[set[str]] = []
    left: set[str] = set()
    for n, (job, result) in enumerate(zip(jobs, results, strict=True)):
        same = n and job.same_kv and (job.d, job.valid_kv) == (jobs[n - 1].d, jobs[n - 1].valid_kv)
        left = left if same else set()
        held.append(set(left))
        left = left | set(planes_read(job)) - {"q"} if result is not None else set()
    return held

# SPDX-License-Identifier: Apache-2.0
"""The memory image of LeOPArd: the planes, descriptors and status records of its jobs.

As :mod:`golden.hdp.planes` has it for HDP, with three operand planes:

===== ===================================================================== ================
plane a row holds                                                           container bits
===== ===================================================================== ================
q, v  codes of Q and of V, two's complement                                 8 or 16
k     digits of a key, the top one (sign-extended) first; of each digit     B, in words
      chunks of ``taps`` dimensions, a word each, the first dimension lowest
out   output words, two's complement                                        16 or 32
===== ===================================================================== ================

A word of a key takes as many whole beats as it needs; a beat with room for two words and more
holds as many words of one key as fit.

A descriptor is one of HDP with opcode ``LEOPARD`` and flags ``CAUSAL`` and ``SAME_KV`` only. Its
words 4 and, in bits 31:16, 5 are T_int in 48 bits; words 6, 8, 10, 11 and 12 the addresses of q, k,
v, out and the status record; what is left means nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..hdp.planes import DESCRIPTOR_BYTES, WORDS, CodeLayout, Error, Flag, Image, Opcode, outputs
from . import digits
from .compute import LeopardJob, LeopardResult
from .config import LeopardConfig

__all__ = ["LeopardLayout", "LeopardStatus", "build_image", "descriptor", "held_planes",
           "planes_read", "read_results"]


class LeopardLayout(CodeLayout):
    """Row sizes of the planes of a LeOPArd coprocessor; members as of
    :class:`golden.hdp.planes.Layout`."""

    config: LeopardConfig
    queries = ("q",)
    keys = ("k", "v")

    @property
    def word_bits(self) -> int:
        """A digit of ``taps`` dimensions."""
        return self.config.taps * self.config.digit

    @property
    def word_beats(self) -> int:
        """Beats of a word."""
        return self._beats(self.word_bits)

    @property
    def beat_words(self) -> int:
        """Words of a beat; 1 if a word takes several."""
        return max(1, self.beat_bits // self.word_bits)

    def key_words(self, d: int) -> int:
        """Words of a key."""
        return self.config.digits * -(-d // self.config.taps)

    def row_beats(self, plane: str, d: int) -> int:
        """Beats of a row of plane ``q``, ``k``, ``v`` or ``out`` with d dimensions."""
        if plane == "k":
            return -(-self.key_words(d) // self.beat_words) * self.word_beats
        return super().row_beats("v" if plane == "q" else plane, d)

    def pack_q(self, codes) -> np.ndarray:
        return self.pack_v(codes)

    def pack_k(self, codes) -> np.ndarray:
        """Key by key, digit by digit, chunk by chunk."""
        config, codes = self.config, np.asarray(codes, np.int64)
        rows, d = codes.shape
        planes = digits.planes(codes, width=config.width, digit=config.digit)
        planes = np.pad(planes, ((0, 0), (0, 0), (0, -d % config.taps)))
        words = planes.reshape(config.digits, rows, -1, config.taps).transpose(1, 0, 2, 3)
        words = words.reshape(rows, -1, config.taps)
        if self.beat_words == 1:
            packed = self._pack(words.reshape(-1, config.taps), config.digit)
            return packed.reshape(rows, -1)
        words = np.pad(words, ((0, 0), (0, -words.shape[1] % self.beat_words), (0, 0)))
        packed = self._pack(words.reshape(-1, self.beat_words * config.taps), config.digit)
        return packed.reshape(rows, -1)

    def read_bytes(self, job: LeopardJob, held: Collection[str] = ()) -> int:
        """Bytes a job reads: its descriptor and the planes that are not ``held``."""
        total = DESCRIPTOR_BYTES
        for plane in planes_read(job):
            if plane not in held:
                rows = job.valid_q if plane == "q" else job.valid_kv
                total += rows * self.row_bytes(plane, job.d)
        return total

    def read_first(self, job: LeopardJob) -> tuple[str, ...]:
        """As of :class:`golden.hdp.planes.Layout`: all, as a head begins when it is there."""
        return ("q", "k", "v")


def planes_read(job: LeopardJob) -> tuple[str, ...]:
    """Planes that the work on a job needs."""
    return ("q", "k", "v") if job.valid_q and job.valid_kv else ()


def held_planes(jobs: Sequence[LeopardJob], good: Sequence[bool]) -> list[set[str]]:
    """Planes of K and V that each job finds on the chip, read for the jobs before it.

    A job with ``same_kv`` does if the one before it has the same d and valid keys and is ``good``,
    that is, without an error.
    """
    held: list[set[str]] = []
    left: set[str] = set()
    for n, job in enumerate(jobs):
        same = n and job.same_kv and (job.d, job.valid_kv) == (jobs[n - 1].d, jobs[n - 1].valid_kv)
        left = left if same else set()
        held.append(set(left))
        left = left | set(planes_read(job)) - {"q"} if good[n] else set()
    return held


def descriptor(job: LeopardJob, addresses: Sequence[int]) -> np.ndarray:
    """The 16 words of a job; ``addresses`` of q, k, v, out and status."""
    flags = (Flag.CAUSAL if job.causal else 0) | (Flag.SAME_KV if job.same_kv else 0)
    mant, shift = job.scale
    q, k, v, out, status = addresses
    words = [Opcode.LEOPARD | flags, job.l_q | job.l_kv << 16, job.valid_q | job.valid_kv << 16,
             job.d | shift << 16, job.threshold & 0xFFFFFFFF,
             mant | (job.threshold >> 32 & 0xFFFF) << 16, q, 0, k, 0, v, out, status]
    return np.array(words + [0] * (WORDS - len(words)), np.uint32)


def build_image(jobs: Sequence[LeopardJob], config: LeopardConfig) -> Image:
    """As :func:`golden.hdp.planes.build_image`."""
    layout = LeopardLayout(config)
    image = Image()
    image.table = image.reserve(DESCRIPTOR_BYTES * len(jobs))
    keys: list[int] = []
    for n, job in enumerate(jobs):
        q = image.place(layout.pack_q(job.q))
        if not (job.same_kv and n):
            keys = [image.place(layout.pack_k(job.k)), image.place(layout.pack_v(job.v))]
        elif not (np.array_equal(job.k, jobs[n - 1].k) and np.array_equal(job.v, jobs[n - 1].v)):
            raise ValueError(f"job {n} with same_kv must have the K and V of the job before it")
        image.reserve_results(job, layout)
        image.describe(n, descriptor(job, [q, *keys, image.out[-1], image.status[-1]]))
    return image


@dataclass(frozen=True)
class LeopardStatus:
    """A status record.

    Words: 0 = done (bit 0), error code (bits 15:8); 1 = survivors; 2 = digits_total, up to each
    deciding one; 3 = key_words, words of keys that were read; 6 = bytes read for the job, its
    descriptor included; 7 = bytes written for it, this record included; the rest zero. As in
    :class:`golden.hdp.planes.Status` a job with an error has zeros from word 1 on.
    """

    done: bool
    error: Error
    survivors: int
    digits_total: int
    key_words: int
    read_bytes: int
    write_bytes: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> "LeopardStatus":
        w = np.frombuffer(raw, "<u4").astype(object)
        code = w[0] >> 8 & 0xFF
        done = w[0] & 0xFFFF00FF == 1 and code in set(Error)
        return cls(done=done, error=Error(code) if done else Error.NONE, survivors=w[1],
                   digits_total=w[2], key_words=w[3], read_bytes=w[6], write_bytes=w[7])

    @classmethod
    def failed(cls, error: Error) -> "LeopardStatus":
        """The record of a job with an error."""
        return cls(done=True, error=error, survivors=0, digits_total=0, key_words=0, read_bytes=0,
                   write_bytes=0)

    @classmethod
    def expected(cls, job: LeopardJob, result: LeopardResult, config: LeopardConfig,
                 held: Collection[str] = ()) -> "LeopardStatus":
        """The record the coprocessor writes for a good job that finds ``held`` planes."""
        layout = LeopardLayout(config)
        chunks = -(-job.d // config.taps)
        return cls(done=True, error=Error.NONE, survivors=result.survivors,
                   digits_total=result.digits_total, key_words=result.digits_total * chunks,
                   read_bytes=layout.read_bytes(job, held), write_bytes=layout.write_bytes(job))

    def digits_wasted(self, d: int, config: LeopardConfig) -> int:
        """Digits that were read beyond the deciding ones."""
        return self.key_words // -(-d // config.taps) - self.digits_total


def read_results(memory: bytes, image: Image, jobs: Sequence[LeopardJob],
                 config: LeopardConfig) -> list[tuple[np.ndarray, LeopardStatus]]:
    """As :func:`golden.hdp.planes.read_results`."""
    return [(out, LeopardStatus.from_bytes(record))
            for out, record in outputs(memory, image, jobs, LeopardLayout(config))]


Layout, Status = LeopardLayout, LeopardStatus

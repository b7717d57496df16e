# SPDX-License-Identifier: Apache-2.0
"""A LeOPArd head as a kind of job: its descriptor and its status record."""

from collections.abc import Collection
from dataclasses import dataclass

from ..engine import JobKind
from ..jobs import HEAD_FIELDS, head_values
from ..records import STATUS_BYTES, Error, Field, Record
from .compute import LeopardJob, LeopardOutcome, LeopardResult, head, threshold_limits
from .config import LeopardConfig
from .planes import PLANES, LeopardLayout

__all__ = ["LeopardKind", "LeopardStatus"]


@dataclass(frozen=True)
class LeopardStatus:
    """The status record of a head; of one with an error all is zero but that."""

    done: bool
    error: Error
    survivors: int = 0
    digits_total: int = 0
    key_words: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    def digits_wasted(self, d: int, config: LeopardConfig) -> int:
        """Digits that were read beyond the deciding ones."""
        return self.key_words // -(-d // config.taps) - self.digits_total


class LeopardKind(JobKind):
    """One head with a threshold."""

    opcode = 2
    Job = LeopardJob
    Status = LeopardStatus
    planes = PLANES
    descriptor = Record([
        *HEAD_FIELDS,
        Field(4, 0, 32, "threshold", "T_int, two's complement, low word: keys below are pruned"),
        Field(5, 16, 16, "threshold", "T_int, high half-word", signed=True),
        Field(6, 0, 32, "q", "address of plane q"),
        Field(8, 0, 32, "k", "address of plane k"),
        Field(10, 0, 32, "v", "address of plane v"),
    ])
    status = Record([
        Field(0, 0, 8, "done", "1"),
        Field(0, 8, 24, "error", "error code"),
        Field(1, 0, 32, "survivors", "keys that survived"),
        Field(2, 0, 32, "digits_total", "digits up to each deciding one"),
        Field(3, 0, 32, "key_words", "words of keys that were read"),
        Field(6, 0, 32, "read_bytes", "bytes read for the job, its descriptor included"),
        Field(7, 0, 32, "write_bytes", "bytes written for it, this record included"),
    ])

    def layout(self, config: LeopardConfig) -> LeopardLayout:
        return LeopardLayout(config)

    def fields(self, job: LeopardJob, config: LeopardConfig) -> dict[str, int]:
        return head_values(job) | {"threshold": job.threshold}

    def limits(self, config: LeopardConfig) -> dict[str, tuple[int, int]]:
        return {"threshold": threshold_limits(config)}

    def compute(self, job: LeopardJob, config: LeopardConfig) -> LeopardResult:
        return head(job, config)

    def record(self, job: LeopardJob, result: LeopardOutcome, config: LeopardConfig,
               held: Collection[str] = ()) -> LeopardStatus:
        layout = LeopardLayout(config)
        chunks = -(-job.d // config.taps)
        return LeopardStatus(
            done=True, error=Error.NONE, survivors=result.survivors,
            digits_total=result.digits_total, key_words=result.digits_total * chunks,
            read_bytes=layout.read_bytes(job, held),
            write_bytes=layout.out_bytes(job.output()) + STATUS_BYTES)

    def read_first(self, job: LeopardJob, config: LeopardConfig) -> tuple[str, ...]:
        """All, as a head begins when everything is there."""
        return ("q", "k", "v")

    def describe(self, job: LeopardJob) -> str:
        return f"threshold {job.threshold}"

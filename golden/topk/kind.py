# SPDX-License-Identifier: Apache-2.0
"""A Top-K head as a kind of job: its descriptor and its status record."""

from collections.abc import Collection
from dataclasses import dataclass

from ..engine import JobKind
from ..jobs import HEAD_FIELDS, head_values
from ..layout import Plane
from ..records import STATUS_BYTES, Error, Field, Record
from ..survivors import SurvivorLayout
from .compute import TopkJob, TopkOutcome, TopkResult, head
from .config import TopkConfig

__all__ = ["TopkKind", "TopkLayout", "TopkStatus"]

PLANES = (Plane("q", "q", "v"), Plane("k", "k", "v"), Plane("v", "v", "v"))


class TopkLayout(SurvivorLayout):
    """Row sizes and packing of the planes of a Top-K coprocessor, all of them codes."""

    config: TopkConfig
    planes = PLANES


@dataclass(frozen=True)
class TopkStatus:
    """The status record of a head; of one with an error all is zero but that."""

    done: bool
    error: Error
    survivors: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


class TopkKind(JobKind):
    """One head with a number of keys that each query keeps."""

    opcode = 3
    Job = TopkJob
    Status = TopkStatus
    planes = PLANES
    descriptor = Record([
        *HEAD_FIELDS,
        Field(4, 0, 32, "top_k", "keys that a query keeps, 1..k_max"),
        Field(6, 0, 32, "q", "address of plane q"),
        Field(8, 0, 32, "k", "address of plane k"),
        Field(10, 0, 32, "v", "address of plane v"),
    ])
    status = Record([
        Field(0, 0, 8, "done", "1"),
        Field(0, 8, 24, "error", "error code"),
        Field(1, 0, 32, "survivors", "keys that survived"),
        Field(6, 0, 32, "read_bytes", "bytes read for the job, its descriptor included"),
        Field(7, 0, 32, "write_bytes", "bytes written for it, this record included"),
    ])

    def layout(self, config: TopkConfig) -> TopkLayout:
        return TopkLayout(config)

    def fields(self, job: TopkJob, config: TopkConfig) -> dict[str, int]:
        return head_values(job) | {"top_k": job.top_k}

    def limits(self, config: TopkConfig) -> dict[str, tuple[int, int]]:
        return {"top_k": (1, config.k_max)}

    def compute(self, job: TopkJob, config: TopkConfig) -> TopkResult:
        return head(job, config)

    def record(self, job: TopkJob, result: TopkOutcome, config: TopkConfig,
               held: Collection[str] = ()) -> TopkStatus:
        layout = TopkLayout(config)
        return TopkStatus(
            done=True, error=Error.NONE, survivors=result.survivors,
            read_bytes=layout.read_bytes(job, held),
            write_bytes=layout.out_bytes(job.output()) + STATUS_BYTES)

    def read_first(self, job: TopkJob, config: TopkConfig) -> tuple[str, ...]:
        """All, as a head begins when everything is there."""
        return ("q", "k", "v")

    def describe(self, job: TopkJob) -> str:
        return f"K {job.top_k}"

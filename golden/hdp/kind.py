# SPDX-License-Identifier: Apache-2.0
"""An HDP head as a kind of job: its descriptor and its status record."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from ..engine import JobKind
from ..jobs import HEAD_FIELDS, head_values
from ..records import STATUS_BYTES, Error, Field, Record
from .compute import DELTA_MAX, HdpJob, HdpOutcome, HdpResult, Importance, head
from .config import HdpConfig
from .planes import PLANES, HdpLayout
from .tiles import is_tiled

__all__ = ["HdpKind", "HdpStatus"]


@dataclass(frozen=True)
class HdpStatus:
    """The status record of a head.

    Blocks kept are what the integer pass found, also when the head is then pruned; of a pruned head
    in tiles no mask is made and ``blocks_kept`` is 0. A job with an error has zeros but for the
    error, and its output is not written, but for strips of a head in tiles before the error was
    met.
    """

    done: bool
    error: Error
    head_kept: bool = False
    theta_head: int = 0
    blocks_kept: int = 0
    blocks_total: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


class HdpKind(JobKind):
    """One head with hybrid dynamic pruning."""

    opcode = 1
    Job = HdpJob
    Status = HdpStatus
    planes = PLANES
    descriptor = Record([
        *HEAD_FIELDS,
        Field(0, 9, 1, "exact", "kept blocks get the product of fractions, too"),
        Field(0, 10, 1, "dense", "prunes nothing and has no integer pass"),
        Field(0, 11, 1, "drop", "pruned blocks have probability 0 instead of score 0"),
        Field(0, 13, 1, "distance", "importance: distance and delta decide about blocks, not rho"),
        Field(3, 8, 8, "rho", "P of the pruning ratio P / 128, two's complement", signed=True),
        Field(4, 0, 32, "tau_head", "a head with a smaller theta_head is pruned"),
        *(Field(6 + n, 0, 32, plane.name, f"address of plane {plane.name}")
          for n, plane in enumerate(PLANES)),
        Field(13, 0, 32, "delta", "largest distance of what is kept, in units of integer scores"),
    ])
    status = Record([
        Field(0, 0, 8, "done", "1"),
        Field(0, 8, 24, "error", "error code"),
        Field(1, 0, 32, "head_kept", "1 if the head was kept"),
        Field(2, 0, 64, "theta_head", "sum of theta over all blocks; 0 of a dense head"),
        Field(4, 0, 32, "blocks_kept", "blocks that the mask keeps"),
        Field(5, 0, 32, "blocks_total", "blocks that are visible"),
        Field(6, 0, 32, "read_bytes", "bytes read for the job, its descriptor included"),
        Field(7, 0, 32, "write_bytes", "bytes written for it, this record included"),
    ])
    _choices: ClassVar[tuple[str, ...]] = ("exact", "dense", "drop", "rho", "tau_head", "delta")

    def layout(self, config: HdpConfig) -> HdpLayout:
        return HdpLayout(config)

    def fields(self, job: HdpJob, config: HdpConfig) -> dict[str, int]:
        return head_values(job) | {name: getattr(job, name) for name in self._choices} | {
            "distance": job.importance is Importance.DISTANCE}

    def limits(self, config: HdpConfig) -> dict[str, tuple[int, int]]:
        return {"exact": (0, 1), "dense": (0, 1), "drop": (0, 1), "distance": (0, 1),
                "rho": (-127, 127), "tau_head": (0, (1 << 32) - 1), "delta": (0, DELTA_MAX)}

    def compute(self, job: HdpJob, config: HdpConfig) -> HdpResult:
        return head(job, config)

    def record(self, job: HdpJob, result: HdpOutcome, config: HdpConfig,
               held: Collection[str] = ()) -> HdpStatus:
        layout = HdpLayout(config)
        unmasked = is_tiled(job, config) and not result.head_kept
        return HdpStatus(
            done=True, error=Error.NONE, head_kept=result.head_kept, theta_head=result.theta_head,
            blocks_kept=0 if unmasked else result.blocks_kept, blocks_total=result.blocks_total,
            read_bytes=layout.read_bytes(job, result.head_kept, held),
            write_bytes=layout.out_bytes(job.output()) + STATUS_BYTES)

    def read_first(self, job: HdpJob, config: HdpConfig) -> tuple[str, ...]:
        """The scheduler's ``fetched``, which lets rows out, follows ``fraction_loaded``; V may come
        later. The planes of a head in tiles are read again for each of them."""
        return () if is_tiled(job, config) else ("q_i", "q_f", "k_i", "k_f")

    def describe(self, job: HdpJob) -> str:
        modes = "".join(f", {name}" for name in ("drop", "exact", "dense") if getattr(job, name))
        pruning = (f"distance, delta {job.delta}" if job.importance is Importance.DISTANCE
                   else f"rho {job.rho}")
        return f"{pruning}, tau_head {job.tau_head}{modes}"

# SPDX-License-Identifier: Apache-2.0
"""Lower bounds on cycles: of the multipliers (spec: HDP section 6) and of the bus."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from ..records import STATUS_BYTES
from .compute import HdpJob, HdpOutcome, visible_limits
from .config import HdpConfig
from .planes import HdpLayout, held_planes
from .tiles import passes

__all__ = ["Work", "bound_cycles", "bus_cycles"]


@dataclass(frozen=True)
class Work:
    """Products of a head by phase, in elements x dimensions.

    A multiplier makes four of the integer pass, two of the fraction pass and one full or P.V
    product in a cycle.
    """

    integer: int
    fraction: int
    full: int
    value: int

    @classmethod
    def of(cls, job: HdpJob, result: HdpOutcome, config: HdpConfig) -> "Work":
        """Products over visible elements; a block counts what is visible of it.

        Those of a head in tiles are made as often as :mod:`prunus.golden.hdp.tiles` says.
        """
        integer, scores = passes(job, config, result.head_kept)
        seen = int(visible_limits(job).sum()) * job.d
        kept = result.pairs_kept * job.d if result.head_kept else 0
        full = job.exact or job.dense
        return cls(integer=integer * seen, fraction=0 if full else scores * kept,
                   full=scores * kept if full else 0, value=kept)

    def cycles(self, multipliers: int) -> Fraction:
        return (Fraction(self.integer, 4) + Fraction(self.fraction, 2) + self.full
                + self.value) / multipliers


def bound_cycles(jobs, results, config: HdpConfig) -> int:
    """Cycles that a table of jobs needs at least on all cores with every multiplier busy in every
    cycle, rounded up once for all."""
    return ceil(sum(Work.of(j, r, config).cycles(config.all_multipliers)
                    for j, r in zip(jobs, results, strict=True)))


def bus_cycles(jobs, results, config: HdpConfig) -> int:
    """Cycles that a table of jobs needs at least on the bus, a beat per cycle in each direction.

    The greater of this and :func:`bound_cycles` is the roofline.
    """
    layout = HdpLayout(config)
    held = held_planes(jobs, results, config)
    read = sum(layout.read_bytes(job, result.head_kept, planes)
               for job, result, planes in zip(jobs, results, held, strict=True))
    written = sum(layout.out_bytes(job.output()) + STATUS_BYTES for job in jobs)
    return max(read, written) // layout.beat_bytes

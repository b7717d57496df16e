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
    product in a cycle; with ``HdpConfig.value_array`` "own" those of P.V have an array for
    themselves.
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
        """Of all products, one array after the other."""
        return self.score_cycles(multipliers) + self.value_cycles(multipliers)

    def score_cycles(self, multipliers: int) -> Fraction:
        """Of integer, fraction and full products."""
        return (Fraction(self.integer, 4) + Fraction(self.fraction, 2) + self.full) / multipliers

    def value_cycles(self, multipliers: int) -> Fraction:
        """Of P.V."""
        return Fraction(self.value, multipliers)


def bound_cycles(jobs, results, config: HdpConfig) -> int:
    """Cycles that a table of jobs needs at least on all cores with every multiplier busy in every
    cycle, rounded up once for all; of two arrays, of the one with more to do."""
    work = [Work.of(j, r, config) for j, r in zip(jobs, results, strict=True)]
    size = config.all_multipliers
    if config.own_values:
        return ceil(max(sum(w.score_cycles(size) for w in work),
                        sum(w.value_cycles(size) for w in work)))
    return ceil(sum(w.cycles(size) for w in work))


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

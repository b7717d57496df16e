# SPDX-License-Identifier: Apache-2.0
"""HDP, hybrid dynamic pruning: an integer-only first pass finds which blocks and heads matter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..energy import Event
from ..engine import Engine, JobKind
from ..jobs import Job
from .bounds import bound_cycles
from .config import HdpConfig
from .energy import events
from .kind import HdpKind
from .linear import LinearJob, LinearKind
from .linear.cost import linear_bound, linear_cycles
from .linear.energy import linear_events
from .memories import memory_bits
from .order import table_order
from .planes import held_planes
from .timing.cycles import predict_cycles

__all__ = ["COUNTERS", "ENGINE", "OCCUPANCY", "HdpEngine", "occupancy"]

# What the array of a core does in a cycle, or why it does nothing: these add up to all cycles. With
# an array of its own for P.V all but ``value_slots``, which are cycles of that one, do.
COUNTERS = (
    ("integer_slots", "cycles in which the array ran the integer pass, summed over the cores"),
    ("score_slots", "cycles in which it ran fraction or full products, likewise"),
    ("value_slots", "cycles in which it ran P.V, likewise"),
    ("idle_softmax", "other cycles, with rows on their way from scores to outputs"),
    ("idle_operand", "other cycles, with masks being read"),
    ("idle_dma", "other cycles, with planes being loaded"),
    ("idle_threshold", "other cycles, with thresholds being made"),
    ("idle_drain", "other cycles: results are written, or there is no job"),
)
OCCUPANCY = [name for name, _ in COUNTERS]


def occupancy(config: HdpConfig) -> list[str]:
    """The counters of which every cycle of a core belongs to exactly one."""
    return [name for name in OCCUPANCY if not (config.own_values and name == "value_slots")]


class HdpEngine(Engine):
    """Hybrid dynamic pruning on a composable array."""

    name = "hdp"
    title = "HDP"
    about = "an integer-only first pass finds which blocks and heads matter"
    Config = HdpConfig
    kinds = (HdpKind(), LinearKind())
    counters = COUNTERS
    format = "FW (14:8), digits are rounded (15)"
    format_part = (("frac", 7, "FW, fraction bits of a code"),
                   ("rounded", 1, "1 if digits are rounded"))
    size = ("multipliers", "full-width multipliers in all cores")
    derived = ("int_width", "taps", "int_score_width", "score_width", "theta_width",
               "theta_head_width", "denominator_width", "column_sum_width", "accumulator_width",
               "out_frac", "out_width")

    def kinds_of(self, config: HdpConfig) -> tuple[JobKind, ...]:
        return self.kinds if config.linear else self.kinds[:1]

    def identity(self, config: HdpConfig) -> tuple[int, int]:
        return config.frac | config.rounded << 7, config.all_multipliers

    def held(self, jobs: Sequence[Job], results: Sequence[Any],
             config: HdpConfig) -> list[set[str]]:
        """Heads share with the head before them; a linear job takes its place, but nothing else."""
        held: list[set[str]] = []
        for run in _runs(jobs, results):
            held += [set() for _ in run.jobs] if run.linear else held_planes(
                run.jobs, run.results, config)
        return held

    def arrange(self, jobs: Sequence[Any], config: HdpConfig) -> tuple[list[int], list[Any]]:
        """Several cores get the longest heads first; these have no linear jobs."""
        order = table_order(list(jobs), config)
        return order, [jobs[n] for n in order]

    def bound_cycles(self, jobs: Sequence[Job], results: Sequence[Any],
                     config: HdpConfig) -> int:
        return sum(linear_bound(run.jobs, config) if run.linear
                   else bound_cycles(run.jobs, run.results, config)
                   for run in _runs(jobs, results))

    def predict_cycles(self, jobs: Sequence[Job], results: Sequence[Any],
                       config: HdpConfig) -> int:
        return sum(linear_cycles(run.jobs, config) if run.linear
                   else predict_cycles(run.jobs, run.results, config)
                   for run in _runs(jobs, results))

    def memory_bits(self, config: HdpConfig) -> dict[str, int]:
        return memory_bits(config)

    def events(self, jobs: Sequence[Job], results: Sequence[Any],
               config: HdpConfig) -> list[Event]:
        return [event for run in _runs(jobs, results)
                for event in (linear_events(run.jobs, config) if run.linear
                              else events(run.jobs, run.results, config))]


@dataclass(frozen=True)
class _Run:
    """Jobs of one kind that follow each other, with their results."""

    linear: bool
    jobs: list[Any]
    results: list[Any]


def _runs(jobs: Sequence[Job], results: Sequence[Any]) -> Iterator[_Run]:
    pairs = zip(jobs, results, strict=True)
    for linear, run in groupby(pairs, lambda pair: isinstance(pair[0], LinearJob)):
        own, its = zip(*run, strict=True)
        yield _Run(linear, list(own), list(its))


ENGINE = HdpEngine()

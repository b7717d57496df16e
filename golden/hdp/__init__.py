# SPDX-License-Identifier: Apache-2.0
"""HDP, hybrid dynamic pruning: an integer-only first pass finds which blocks and heads matter."""

from collections.abc import Sequence

from ..energy import Event
from ..engine import Engine
from .bounds import bound_cycles
from .compute import HdpJob, HdpOutcome
from .config import HdpConfig
from .energy import events
from .kind import HdpKind
from .memories import memory_bits
from .order import table_order
from .planes import held_planes
from .timing.cycles import predict_cycles

__all__ = ["COUNTERS", "ENGINE", "OCCUPANCY", "HdpEngine"]

# What the array of a core does in a cycle, or why it does nothing: these add up to all cycles.
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


class HdpEngine(Engine):
    """Hybrid dynamic pruning on a composable array."""

    name = "hdp"
    title = "HDP"
    about = "an integer-only first pass finds which blocks and heads matter"
    Config = HdpConfig
    kinds = (HdpKind(),)
    counters = COUNTERS
    format = "FW (14:8), digits are rounded (15)"
    format_part = (("frac", 7, "FW, fraction bits of a code"),
                   ("rounded", 1, "1 if digits are rounded"))
    size = ("multipliers", "full-width multipliers in all cores")
    derived = ("int_width", "taps", "int_score_width", "score_width", "theta_width",
               "theta_head_width", "denominator_width", "column_sum_width", "accumulator_width",
               "out_frac", "out_width")

    def identity(self, config: HdpConfig) -> tuple[int, int]:
        return config.frac | config.rounded << 7, config.all_multipliers

    def held(self, jobs: Sequence[HdpJob], results: Sequence[HdpOutcome | None],
             config: HdpConfig) -> list[set[str]]:
        return held_planes(jobs, results, config)

    def arrange(self, jobs: Sequence[HdpJob], config: HdpConfig) -> tuple[list[int], list[HdpJob]]:
        """Several cores get the longest heads first."""
        order = table_order(jobs, config)
        return order, [jobs[n] for n in order]

    def bound_cycles(self, jobs: Sequence[HdpJob], results: Sequence[HdpOutcome],
                     config: HdpConfig) -> int:
        return bound_cycles(jobs, results, config)

    def predict_cycles(self, jobs: Sequence[HdpJob], results: Sequence[HdpOutcome],
                       config: HdpConfig) -> int:
        return predict_cycles(jobs, results, config)

    def memory_bits(self, config: HdpConfig) -> dict[str, int]:
        return memory_bits(config)

    def events(self, jobs: Sequence[HdpJob], results: Sequence[HdpOutcome],
               config: HdpConfig) -> list[Event]:
        return events(jobs, results, config)


ENGINE = HdpEngine()

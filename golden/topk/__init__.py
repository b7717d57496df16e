# SPDX-License-Identifier: Apache-2.0
"""Top-K: the K best keys of each row, exactly."""

from collections.abc import Sequence

from ..energy import Event
from ..engine import Engine
from ..survivors import held_planes
from .compute import TopkJob, TopkOutcome, bound_cycles
from .config import TopkConfig
from .energy import events
from .kind import TopkKind
from .memories import memory_bits

__all__ = ["COUNTERS", "ENGINE", "EVENTS", "TopkEngine"]

COUNTERS = (
    ("survivors", "keys that survived"),
    ("keys", "visible keys that were scored"),
    ("value_words", "words of V that were read"),
    ("idle_dma", "cycles without a head being computed, with planes being loaded"),
)
EVENTS = [name for name, _ in COUNTERS]


class TopkEngine(Engine):
    """The K best keys of each row."""

    name = "topk"
    title = "Top-K"
    about = "the K best keys of each row, exactly"
    Config = TopkConfig
    kinds = (TopkKind(),)
    counters = COUNTERS
    format = "zero (15:8)"
    size = ("places", "places of the filter, the largest K (15:0), dimensions per cycle (31:16)")
    size_parts = (("k_max", "places of the filter, the largest K"),
                  ("taps", "dimensions per cycle"))
    derived = ("chunks", "score_width", "denominator_width", "accumulator_width", "output_lanes",
               "out_frac", "out_width")

    def identity(self, config: TopkConfig) -> tuple[int, int]:
        return 0, config.k_max | config.taps << 16

    def held(self, jobs: Sequence[TopkJob], results: Sequence[TopkOutcome | None],
             config: TopkConfig) -> list[set[str]]:
        return held_planes(jobs, results)

    def arrange(self, jobs: Sequence[TopkJob],
                config: TopkConfig) -> tuple[list[int], list[TopkJob]]:
        """As they come: of equal scores the lower index counts."""
        return list(range(len(jobs))), list(jobs)

    def bound_cycles(self, jobs: Sequence[TopkJob], results: Sequence[TopkOutcome],
                     config: TopkConfig) -> int:
        return bound_cycles(results, config)

    def memory_bits(self, config: TopkConfig) -> dict[str, int]:
        return memory_bits(config)

    def events(self, jobs: Sequence[TopkJob], results: Sequence[TopkOutcome],
               config: TopkConfig) -> list[Event]:
        return events(jobs, results, config)


ENGINE = TopkEngine()

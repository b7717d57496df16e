# SPDX-License-Identifier: Apache-2.0
"""LeOPArd: learned thresholds, and bit-serial dot products that end as soon as a key cannot reach
them."""

from collections.abc import Sequence

from ..energy import Event
from ..engine import Engine
from ..survivors import held_planes
from .compute import LeopardJob, LeopardOutcome, bound_cycles
from .config import LeopardConfig
from .energy import events
from .kind import LeopardKind
from .memories import memory_bits
from .order import balanced

__all__ = ["COUNTERS", "ENGINE", "EVENTS", "LeopardEngine"]

COUNTERS = (
    ("digits", "digits of keys up to each deciding one"),
    ("survivors", "keys that survived"),
    ("key_words", "words of keys that were read"),
    ("value_words", "words of V that were read"),
    ("idle_dma", "cycles without a head being computed, with planes being loaded"),
)
EVENTS = [name for name, _ in COUNTERS]


class LeopardEngine(Engine):
    """Learned thresholds with exact early termination."""

    name = "leopard"
    title = "LeOPArd"
    about = "learned thresholds, keys end as soon as they cannot reach them"
    Config = LeopardConfig
    kinds = (LeopardKind(),)
    counters = COUNTERS
    format = "B (15:8)"
    format_part = (("digit", 8, "B, bits of a digit"),)
    size = ("units", "dot-product units N_QK (15:0), dimensions of each (31:16)")
    size_parts = (("dpus", "dot-product units N_QK"), ("taps", "dimensions of each"))
    derived = ("digits", "padded_width", "chunks", "score_width", "threshold_width",
               "denominator_width", "accumulator_width", "output_lanes", "out_frac", "out_width")

    def identity(self, config: LeopardConfig) -> tuple[int, int]:
        return config.digit, config.dpus | config.taps << 16

    def held(self, jobs: Sequence[LeopardJob], results: Sequence[LeopardOutcome | None],
             config: LeopardConfig) -> list[set[str]]:
        return held_planes(jobs, results)

    def arrange(self, jobs: Sequence[LeopardJob],
                config: LeopardConfig) -> tuple[list[int], list[LeopardJob]]:
        """Keys in the order that shares them out evenly."""
        return list(range(len(jobs))), balanced(jobs, config)

    def bound_cycles(self, jobs: Sequence[LeopardJob], results: Sequence[LeopardOutcome],
                     config: LeopardConfig) -> int:
        return bound_cycles(results, config)

    def memory_bits(self, config: LeopardConfig) -> dict[str, int]:
        return memory_bits(config)

    def events(self, jobs: Sequence[LeopardJob], results: Sequence[LeopardOutcome],
               config: LeopardConfig) -> list[Event]:
        return events(jobs, results, config)


ENGINE = LeopardEngine()

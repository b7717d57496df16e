# SPDX-License-Identifier: Apache-2.0
"""What a page needs to know of an engine."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from prunus.golden.jobs import AttentionJob, visible_limits

from .. import cells

__all__ = ["PROBABILITY", "EngineView", "Kept", "Quantity", "Span", "logit_unit", "seen_pairs"]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that a map shows.

    Members
    -------
    key, name, unit : str
    cell : int
        Pairs on a side of what has one value: 1, or 2 of blocks.
    high : bool
        A large value is one that is kept.
    merged : str
        What a cell shows that has several values, ``largest``, ``smallest`` or ``mean``.
    bound : str
        Name of the value of each row that it is compared with, if it is.
    logits : bool
        Times the unit of the head it is in units of the logits.
    """

    key: str
    name: str
    unit: str
    cell: int = 1
    high: bool = True
    merged: str = "largest"
    bound: str = ""
    logits: bool = False


PROBABILITY = Quantity(
    key="probability", name="attention probability", unit="share of the query's attention",
    merged="mean over queries of the sum over keys")
DIGITS = 5          # behind the point of a probability


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is kept of a head, and what is visible."""

    blocks: int
    blocks_kept: int
    scores: int
    scores_kept: int
    head: bool = True


@dataclass(frozen=True, kw_only=True)
class Span:
    """Cycles of the whole budget that go to one thing."""

    key: str
    name: str
    cycles: float
    idle: bool = False


def logit_unit(job: AttentionJob) -> float:
    """What a unit of q·k over codes is worth in the logits, as the hardware has it."""
    mant, shift = job.scale
    return math.ldexp(mant, -shift) / math.log2(math.e)


def seen_pairs(job: AttentionJob) -> np.ndarray:
    """(l_q, l_kv) of bool."""
    return np.arange(job.l_kv) < visible_limits(job)[:, None]


class EngineView(ABC):
    """How an engine's heads look.

    Members
    -------
    mask_cell : int
        Pairs on a side of what is kept or pruned as one.
    """

    mask_cell: ClassVar[int] = 1

    @abstractmethod
    def quantities(self, job: Any) -> list[Quantity]:
        """What there are maps of beside probabilities, the one that decides first."""

    @abstractmethod
    def maps(self, job: Any, result: Any, config: Any) -> dict[str, np.ndarray]:
        """By key, each at the size of its cells; NaN where nothing is visible."""

    @abstractmethod
    def mask(self, job: Any, result: Any) -> tuple[np.ndarray, np.ndarray]:
        """What is kept, and what is visible, of bool at the size of the mask's cells."""

    @abstractmethod
    def probability(self, job: Any, result: Any) -> np.ndarray:
        """(l_q, l_kv), of golden's own weights."""

    @abstractmethod
    def rows(self, job: Any, result: Any, config: Any) -> dict[str, list[float]]:
        """Bounds by name, one of each row of the mask's cells."""

    @abstractmethod
    def facts(self, job: Any, result: Any) -> list[tuple[str, str]]:
        """What else there is to say of a head."""

    @abstractmethod
    def kept(self, job: Any, result: Any) -> Kept:
        """What is kept of a head."""

    @abstractmethod
    def spans(self, counters: Mapping[str, int], jobs: Sequence[Any],
              config: Any) -> list[Span]:
        """Where the cycles went, from counters of the RTL; they add up to all cycles."""

    def busy(self, counters: Mapping[str, int], jobs: Sequence[Any],
             config: Any) -> list[tuple[str, float]]:
        """Parts that work at the same time: name, and cycles in which they did."""
        return []

    def head(self, job: Any, result: Any, config: Any, side: int) -> dict[str, Any]:
        """A head, ready for JSON; cells of the maps have ``side`` pairs on a side at least."""
        kept, seen = self.mask(job, result)
        mask_side = max(side, self.mask_cell)
        values = self.maps(job, result, config)
        maps = {}
        for quantity in self.quantities(job):
            cell = max(side, quantity.cell)
            shown = cells.merged(values[quantity.key], cell // quantity.cell, quantity.merged)
            maps[quantity.key] = {"cell": cell, "z": cells.listed(
                shown, 2 if quantity.merged == "mean" and cell > quantity.cell else None)}
        chance = np.where(seen_pairs(job), self.probability(job, result), np.nan)
        maps[PROBABILITY.key] = {
            "cell": side, "z": cells.listed(cells.spread(chance, side), DIGITS)}
        of = self.kept(job, result)
        return {
            "quantities": [quantity.key for quantity in self.quantities(job)],
            "l_q": job.l_q, "l_kv": job.l_kv, "d": job.d, "unit": logit_unit(job),
            "head_kept": of.head, "blocks": [of.blocks_kept, of.blocks],
            "scores": [of.scores_kept, of.scores],
            "facts": [list(fact) for fact in self.facts(job, result)],
            "rows": self.rows(job, result, config), "mask_cell": mask_side,
            "kept": cells.counted(kept, mask_side // self.mask_cell).tolist(),
            "visible": cells.counted(seen, mask_side // self.mask_cell).tolist(),
            "maps": maps}

# SPDX-License-Identifier: Apache-2.0
"""What ``prunus bench`` needs to know of an engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .columns import Column

__all__ = ["BenchSuite", "Part", "Progress", "Rate"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A case whose heads a second are told, and how it does.

    Members
    -------
    jobs : sequence of Job
    row, dense : dict
        Figures of the case pruned and without pruning; ``cycles`` of ``heads``.
    kept : float
        Share of blocks or keys that are kept.
    """

    jobs: Sequence[Any]
    row: dict
    cycles: float
    dense_cycles: float
    kept: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of a table.

    Members
    -------
    rows : list of dict
    columns, brief : list of Column
        All, and what of them fits on a terminal.
    """

    rows: Sequence[dict]
    columns: list[Column]
    brief: list[Column]


class BenchSuite(ABC):
    """The cases of an engine, and the tables of their figures."""

    @abstractmethod
    def choose(self, config: Any, *, data: Sequence[Path], quick: bool, wanted: str | None) -> Any:
        """The cases to run. Raises InputError."""

    @abstractmethod
    def measure(self, work: Any, config: Any, quick: bool,
                progress: Progress | None) -> tuple[list[dict], dict]:
        """Figures of each case, ready for JSON, and of the simulation. Raises RunError."""

    @abstractmethod
    def document(self, work: Any, rows: Sequence[dict], simulation: dict, config: Any,
                 command: str) -> dict:
        """All figures, ready for JSON."""

    @abstractmethod
    def columns(self, config: Any) -> list[Column]:
        """All columns of the table."""

    @abstractmethod
    def brief(self) -> list[Column]:
        """What of them fits on a terminal."""

    def parts(self, rows: Sequence[dict], config: Any) -> list[Part]:
        """The tables of rows of all kinds, those that have any."""
        return [Part(rows=rows, columns=self.columns(config), brief=self.brief())]

    @abstractmethod
    def summary(self, result: dict) -> list[str]:
        """What was simulated and what was not, in lines."""

    @abstractmethod
    def markdown(self, result: dict, config: Any, plots: Sequence[str]) -> str:
        """The table and what it means, with links to ``plots``."""

    def plots(self, result: dict) -> dict[str, Callable]:
        """By file name, what writes a plot into a binary file."""
        return {}

    def plot_names(self) -> list[str]:
        """The names of the plots, known before the work."""
        return []

    @abstractmethod
    def rate(self, config: Any, rows_of: Callable[[Any], dict | None],
             told: Callable[[str], None]) -> Rate:
        """The heads whose rate stands in tables of boards.

        ``rows_of`` gives the figures of a case if a bench of the configuration is at hand;
        otherwise it is simulated, and ``told`` is called before.
        """

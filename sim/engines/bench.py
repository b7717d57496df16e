# SPDX-License-Identifier: Apache-2.0
"""What the benches need to know of an engine beside its specification."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

__all__ = ["EngineBench", "MismatchError"]


class MismatchError(AssertionError):
    """The RTL and golden differ; the text says where."""


class EngineBench(ABC):
    """Random jobs of an engine, and the checks that are its own.

    Members
    -------
    preset : str
        Its smallest preset, on which mutations are tried.
    """

    preset: ClassVar[str]

    @abstractmethod
    def random_jobs(self, config: Any, count: int, seed: int) -> Sequence[Any]:
        """``count`` jobs that look for trouble, always the same for a seed."""

    def size(self, job: Any, config: Any) -> int:
        """Of a job, by which those of little work are found."""
        return job.output()[0] + len(job.operands()["k"])

    def wrong_jobs(self, config: Any, seed: int) -> Iterator[tuple[Any, list[dict[str, int]]]]:
        """A job of each kind but heads, and fields that its descriptor may not have, one thing at a
        time."""
        yield from ()

    def hard_jobs(self, config: Any, seed: int) -> Sequence[Any]:
        """A table that meets what random jobs seldom do; random jobs where nothing is known."""
        return self.random_jobs(config, 6, seed)

    @abstractmethod
    def sizes(self) -> list[Any]:
        """Configurations that meet each choice of a parameter, for ``make sim-matrix``."""

    @abstractmethod
    def work(self, job: Any, config: Any) -> tuple[int, int]:
        """Cycles of computing, several times over, and bytes read that a job takes at most."""

    @abstractmethod
    def check_counters(self, registers: Mapping[str, int], jobs: Sequence[Any],
                       results: Sequence[Any], records: Sequence[Any], config: Any) -> None:
        """Raise MismatchError unless the engine's own counters are right for these good jobs."""

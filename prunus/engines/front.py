# SPDX-License-Identifier: Apache-2.0
"""What the command line needs to know of an engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..run import Run

__all__ = ["EngineFront", "share"]


class EngineFront(ABC):
    """How heads get into an engine, and what is said of them afterwards.

    Members
    -------
    preset : str
        What commands take unless somebody says otherwise.
    trace : tuple of str
        Members of golden's results that ``--trace`` writes.
    sizes : tuple of str
        Parameters of a configuration that matter most to whoever chooses one.
    """

    preset: ClassVar[str]
    trace: ClassVar[tuple[str, ...]]
    sizes: ClassVar[tuple[str, ...]]

    @staticmethod
    @abstractmethod
    def options() -> Any:
        """Options of ``prunus run`` that are this engine's, as parameters of this function.

        Overrides have parameters annotated as Typer wants them, whose defaults say that nothing was
        given, and return what :meth:`load_jobs` takes. They raise InputError.
        """

    @abstractmethod
    def load_jobs(self, path: Path, config: Any, options: Any,
                  given: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The heads of a file, one job each; arrays that are ``given`` replace those of the file.

        Raises
        ------
        InputError
            With the field, its value and what is allowed.
        """

    @abstractmethod
    def size(self, config: Any) -> dict[str, int]:
        """What there is of a coprocessor, by name."""

    @abstractmethod
    def figures(self, run: Run) -> dict[str, Any]:
        """What the engine has to say of a run beside what every engine does, ready for JSON."""

    @abstractmethod
    def lines(self, summary: dict[str, Any]) -> list[tuple[str, str]]:
        """The same for people: name and text of each line."""

    @abstractmethod
    def arrays(self, run: Run) -> dict[str, np.ndarray]:
        """What OUT.npz has beside outputs, cycles and traces."""


def share(part: int, whole: int) -> str:
    """``part`` of ``whole``, with its percentage."""
    return f"{part} of {whole} ({part / whole:.1%})" if whole else f"{part} of {whole}"

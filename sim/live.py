# SPDX-License-Identifier: Apache-2.0
"""A simulation that runs in the background while a program of any kind talks with it."""

import json
import threading
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from .simulators.folders import scratch
from .simulators.runner import SimulationError
from .simulators.verilator import VerilatorRunner

__all__ = ["LiveSimulation"]

START_S, STOP_S = 120.0, 30.0
POLL_S = 0.02


class LiveSimulation(ABC):
    """A simulation from ``with`` to its end. Its bench gets a plan, and tells when it is ready.

    The plan is a JSON file, whose path is in the environment variable ``variable``. It has the
    path ``name``, where the bench writes a text once it is ready, and ``stop``, a file that asks it
    to end.

    Members
    -------
    what : str
        What is simulated, for messages.
    module, variable : str
        The bench.

    Raises
    ------
    SimulationError
        When it does not build, does not start, or fails.
    """

    what: ClassVar[str]
    module: ClassVar[str]
    variable: ClassVar[str]

    def __init__(self) -> None:
        self._error: BaseException | None = None

    @abstractmethod
    def design(self) -> tuple[str, str]:
        """Verilog and the name of its top."""

    @abstractmethod
    def plan(self, folder: Path) -> dict[str, Any]:
        """What the bench needs to know; ``folder`` is for files of the simulation."""

    @abstractmethod
    def ready(self, name: str) -> None:
        """Take the text that the bench wrote."""

    def __enter__(self) -> Self:
        verilog, top = self.design()
        self._runner = VerilatorRunner()
        directory = self._runner.compile(verilog, top)
        with ExitStack() as stack:
            self._scratch = stack.enter_context(scratch("prunus-live-"))
            plan = {"name": str(self._scratch / "name"), "stop": str(self._scratch / "stop"),
                    **self.plan(self._scratch)}
            (self._scratch / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

            def work() -> None:
                try:
                    self._runner.launch(
                        directory, top, self.module, scratch=self._scratch,
                        env={self.variable: str(self._scratch / "plan.json")})
                except BaseException as err:
                    self._error = err

            self._thread = threading.Thread(target=work, daemon=True)
            self._thread.start()
            stack.push(self._leave)
            self.ready(self._await_name())
            self._stack = stack.pop_all()
        return self

    def _await_name(self) -> str:
        name, deadline = self._scratch / "name", time.monotonic() + START_S
        while self._thread.is_alive() and time.monotonic() < deadline:
            if name.exists():
                return name.read_text(encoding="utf-8")
            time.sleep(POLL_S)
        raise self._error or SimulationError(f"the simulated {self.what} did not start in "
                                             f"{START_S:g} s")

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def wait(self) -> None:
        """Until the simulation ends."""
        while self._thread.is_alive():
            self._thread.join(POLL_S)

    def _leave(self, kind, *_) -> None:
        """Ask the bench to stop, and see that it does."""
        with suppress(OSError):
            (self._scratch / "stop").touch()
            self._thread.join(STOP_S)
        self._runner.stop()
        self._thread.join()
        if self._error and kind is None:
            raise self._error

# SPDX-License-Identifier: Apache-2.0
"""Jobs through a board, or through the coprocessor on the same chip."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.jobs import Job

from .driver import Driver, DriverError, Transport
from .link import RETRIES, TIMEOUT_S, Link
from .tables import Table, plan
from .transport import LinkTransport, SerialLine, line_seconds

__all__ = ["BAUD", "Coprocessor", "open_serial"]

BAUD = 1_000_000
PATIENCE_S = 60.0           # a job may take


def _finish(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("the transport of a coprocessor must not wait for an event loop")


class Coprocessor:
    """A coprocessor behind a transport whose coroutines wait for no event loop.

    Parameters
    ----------
    transport : Transport
    config : EngineConfig
        What it was generated from.
    memory_bytes : int
        Of the transport's memory.
    base : int
        Address of that memory, as the coprocessor sees it.

    Raises
    ------
    DriverError
        When the board has another coprocessor.
    """

    def __init__(self, transport: Transport, config: EngineConfig, *, memory_bytes: int,
                 base: int = 0):
        self.transport, self.config, self.memory_bytes = transport, config, memory_bytes
        self._close: Callable[[], None] = lambda: None
        self._driver = Driver(transport, config, base)
        _finish(self._driver.check())

    def at_end(self, close: Callable[[], None]) -> None:
        """What to call at the end of a ``with`` block."""
        self._close = close

    def __enter__(self) -> "Coprocessor":
        return self

    def __exit__(self, *error) -> None:
        self._close()

    def run(self, jobs: Sequence[Job], progress: Callable[[int, int], None] | None = None,
            ) -> tuple[list[tuple[np.ndarray, Any]], dict[str, int]]:
        """Results of jobs, ``(out, status)`` each, and the counters, summed over all doorbells.

        ``progress`` is called with the jobs done and all jobs.

        Raises
        ------
        ValueError
            A job does not fit the memory.
        DriverError
            The coprocessor does not answer, or its registers are not as they must be.
        """
        return self.run_tables(self.plan(jobs), progress)

    def plan(self, jobs: Sequence[Job]) -> list[Table]:
        """Tables of as many jobs as fit the memory. Raises ValueError."""
        return plan(jobs, self.config, self.memory_bytes)

    def run_tables(self, tables: Sequence[Table],
                   progress: Callable[[int, int], None] | None = None,
                   ) -> tuple[list[tuple[np.ndarray, Any]], dict[str, int]]:
        """As :meth:`run`, of tables that :meth:`plan` made."""
        results: list[tuple[np.ndarray, Any]] = []
        count, total = sum(len(table.jobs) for table in tables), Counter[str]()
        for table in tables:
            seen, since = 0, time.monotonic()

            def told(done: int, first: int = table.first) -> None:
                nonlocal seen, since
                if done > seen:
                    seen, since = done, time.monotonic()
                elif time.monotonic() - since > PATIENCE_S:
                    raise DriverError(f"job {first + done} takes more than {PATIENCE_S:g} s")
                if progress:
                    progress(first + done, count)

            some, counters = _finish(
                self._driver.run(table.jobs, image=table.image, progress=told))
            results += some
            total.update(counters)
            if progress:
                progress(len(results), count)
        return results, dict(total)


def open_serial(port: str, config: EngineConfig, *, baud: int = BAUD, timeout_s: float = TIMEOUT_S,
                retries: int = RETRIES) -> Coprocessor:
    """The coprocessor behind a serial port; close it, or use it in a ``with`` block.

    Parameters
    ----------
    port : str
        A device, such as /dev/ttyUSB0 or COM3.
    config : EngineConfig
    baud : int
    timeout_s : float
        For a reply, beside the time that its bytes take.
    retries : int

    Raises
    ------
    InputError
        The port cannot be opened.
    DriverError
        Nobody answers, or another coprocessor.
    """
    line = SerialLine(port, baud)
    try:
        link = Link(line, timeout_s=timeout_s + line_seconds(baud), retries=retries)
        opened = Coprocessor(LinkTransport(link), config, memory_bytes=link.info.memory_bytes)
        opened.at_end(line.close)
        return opened
    except BaseException:
        line.close()
        raise

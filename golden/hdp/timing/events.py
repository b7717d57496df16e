# SPDX-License-Identifier: Apache-2.0
"""A small simulator of processes that share a clock, for models of what takes how long."""

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from math import ceil

__all__ = ["Asking", "Clock", "Condition", "Process", "Room", "Shared"]

# A process yields a number of cycles to wait for, or a condition that is to hold: what is true.
Condition = Callable[[], object]
Process = Generator[int | Condition, None, None]
Asking = Generator[int | Condition, None, int]      # a part of a process, with an answer

NEARLY_DONE = 1e-6         # of an operation: what rounding may leave


class Clock:
    """Runs processes from event to event; nothing is done for the cycles in between.

    A process goes on in the cycle in which its condition comes to hold. Conditions change only
    when another process runs or an action is due.

    Members
    -------
    now : int
    """

    def __init__(self):
        self.now = 0
        self._order = count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._waiting: list[tuple[Condition, Process]] = []

    def at(self, time: int, action: Callable[[], None]) -> None:
        """Have something done, at the earliest in this cycle."""
        heappush(self._due, (max(time, self.now), next(self._order), action))

    def start(self, process: Process) -> None:
        self.at(self.now, lambda: self._resume(process))

    def run(self) -> None:
        """Until nothing is due any more; processes that still wait then are forgotten, with all
        that they hold."""
        while self._due:
            self.now = self._due[0][0]
            while self._due and self._due[0][0] == self.now:
                heappop(self._due)[2]()
            self._wake()
        self._waiting.clear()

    def _resume(self, process: Process) -> None:
        for wanted in process:
            if callable(wanted):
                if not wanted():
                    self._waiting.append((wanted, process))
                    return
            elif wanted > 0:
                self.at(self.now + wanted, lambda: self._resume(process))
                return

    def _wake(self) -> None:
        """Resume whoever need not wait any more, until nobody is left who could go on."""
        woken = True
        while woken:
            woken = False
            for n, (condition, process) in enumerate(self._waiting):
                if condition():
                    del self._waiting[n]
                    self._resume(process)
                    woken = True
                    break


class Shared:
    """One operation per cycle, shared by tasks of different priority.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._tasks: dict[int, list[float]] = {}    # by priority: operations left, most a cycle
        self._since = 0
        self._plans = 0

    def run(self, priority: int, operations: int, cycles: int = 0) -> Process:
        """Do so many operations, spread over at least so many cycles.

        At most one task of each priority at a time; 0 goes first.
        """
        self._advance()
        task = self._tasks[priority] = [operations, operations / max(operations, cycles)]
        self._plan()
        yield lambda: task[0] <= NEARLY_DONE

    def _shares(self) -> list[tuple[list[float], float]]:
        """Operations per cycle of each task."""
        free, shares = 1.0, []
        for priority in sorted(self._tasks):
            task = self._tasks[priority]
            share = min(task[1], free)
            free -= share
            shares.append((task, share))
        return shares

    def _advance(self) -> None:
        passed = self._clock.now - self._since
        if passed:
            for task, share in self._shares():
                task[0] -= share * passed
            self._tasks = {priority: task for priority, task in self._tasks.items()
                           if task[0] > NEARLY_DONE}
        self._since = self._clock.now

    def _plan(self) -> None:
        """Come back when the first task is through, unless there is another plan by then."""
        self._plans += 1
        plan = self._plans
        ends = [task[0] / share for task, share in self._shares() if share > NEARLY_DONE]
        if ends:
            wait = ceil(min(ends) - NEARLY_DONE)
            self._clock.at(self._clock.now + wait, lambda: self._replan(plan))

    def _replan(self, plan: int) -> None:
        if plan == self._plans:
            self._advance()
            self._plan()


class Room:
    """Places that are taken and given back."""

    def __init__(self, places: int):
        self._free = places

    def fits(self, places: int = 1) -> bool:
        return places <= self._free

    def take(self, places: int = 1) -> None:
        self._free -= places

    def give(self, places: int = 1) -> None:
        self._free += places

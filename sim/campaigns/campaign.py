# SPDX-License-Identifier: Apache-2.0
"""Campaigns: lists of seeded tasks, done by local processes or by a Dask cluster.

Results come in the order of the tasks and do not depend on how many workers there are. What is
finished is kept under build/campaigns and skipped on the next start, as long as no source changes
that it needs.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from prunus.console import Command, guarded
from prunus.golden.errors import InputError

from ..simulators.cache import build_root, digest, in_build
from .workers import (
    CampaignError,
    Task,
    TaskError,
    answers,
    cluster,
    here,
    lasting,
    local,
    sources,
)

__all__ = ["HELP", "CampaignError", "Options", "Result", "Task", "TaskError", "add_options",
           "command", "lasting", "options_of", "run"]

HELP = {"workers": "Processes of this machine that do the tasks; 0: this one, for a debugger.",
        "scheduler": "Of a Dask cluster that does the tasks, such as tcp://host:8786.",
        "fresh": "Do all tasks again, those that are kept too."}
STOPPED = "interrupted: what is finished is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Result:
    """What became of a task.

    Members
    -------
    value : what JSON gives back of what the function returned
    failure : str
        Empty if there is none.
    seconds : float
        That the task took where it was done.
    """

    task: Task
    value: Any
    failure: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where a campaign is run: what every campaign's command has options for (HELP).

    Raises CampaignError when they contradict each other.
    """

    workers: int | None = None          # one, unless there is a scheduler
    scheduler: str | None = None
    fresh: bool = False

    def __post_init__(self):
        if self.scheduler == "":
            raise CampaignError("--scheduler must be an address, such as tcp://host:8786, not ''")
        if self.workers is not None and self.scheduler:
            raise CampaignError("--workers and --scheduler contradict each other: a cluster has "
                                "the workers that it has")
        if self.workers is not None and self.workers < 0:
            raise CampaignError(f"--workers must be at least 0, not {self.workers}")


def add_options(parser: argparse.ArgumentParser, cluster: bool = True) -> None:
    """--workers, --scheduler if a ``cluster`` can do the tasks, and --fresh, which
    :func:`options_of` reads."""
    parser.add_argument("--workers", type=int, metavar="N", help=f"{HELP['workers']} Default: 1.")
    if cluster:
        parser.add_argument("--scheduler", metavar="ADDRESS", help=HELP["scheduler"])
    parser.add_argument("--fresh", action="store_true", help=HELP["fresh"])


def options_of(parsed: argparse.Namespace) -> Options:
    return Options(workers=parsed.workers, scheduler=getattr(parsed, "scheduler", None),
                   fresh=parsed.fresh)


def command(main: Callable[[list[str] | None], int]) -> Command:
    """A command's function that says in a line why its campaign is not run, or was stopped."""
    def campaign(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except (CampaignError, InputError) as err:
            print(f"error: {err}", file=sys.stderr)
            return 2

    return guarded(STOPPED)(update_wrapper(campaign, main))


# -- what is kept ---------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    """Arguments that JSON does not know, for their digest."""
    if hasattr(value, "model_dump"):
        return [type(value).__qualname__, value.model_dump()]
    if is_dataclass(value):
        return [type(value).__qualname__,
                {field.name: getattr(value, field.name) for field in fields(value)}]
    if hasattr(value, "dtype"):
        raw = hashlib.sha256(value.tobytes()).hexdigest()
        return [str(value.dtype), value.shape, raw]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"arguments of tasks must not be of {type(value).__qualname__}")


def _file(directory: Path, task: Task) -> Path:
    """Where the result of a task is kept."""
    said = json.dumps(task.arguments, default=_plain, sort_keys=True)
    key = digest(task.function.__module__, task.function.__qualname__, task.name, said,
                 sources(task))
    return directory / f"{key}.json"


def _load(path: Path, task: Task) -> Result | None:
    """What is kept of a task; None if nothing is, or it is damaged."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return Result(task, said["value"], "", float(said["seconds"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(path: Path, result: Result) -> None:
    """Write a file whole, or not at all."""
    with in_build(lambda _: True):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"task": result.task.name, "value": result.value,
                           "seconds": result.seconds}, file)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def run(name: str, tasks: Sequence[Task], options: Options = Options(),
        bar: bool = True, idle: list | None = None) -> Generator[Result, None, None]:
    """The results of ``tasks``, in their order; closing it early stops what is being done.

    Parameters
    ----------
    name : str
        Of the campaign, and of the directory in build/campaigns that keeps its results.
    tasks : sequence of Task
    options : Options
    bar : bool
        Whether a terminal shows how many tasks are done.
    idle : list, optional
        Of :func:`lasting`: processes of this machine are taken from it and given back, so that they
        keep what they have loaded for the next campaign.

    Raises
    ------
    CampaignError
        When the scheduler does not answer, or a worker has other sources. What else a function
        raises comes out as it is.
    """
    if options.scheduler:               # also if nothing is left to do
        answers(options.scheduler)
    workers = 1 if options.workers is None else options.workers
    directory = build_root() / "campaigns" / name
    files = [_file(directory, task) for task in tasks]
    there = {} if options.fresh else {
        n: kept for n, (task, path) in enumerate(zip(tasks, files, strict=True))
        if (kept := _load(path, task))}
    rest = {n: task for n, task in enumerate(tasks) if n not in there}
    expected = {n: sources(task) for n, task in rest.items()}
    source = (cluster(rest, expected, options.scheduler) if options.scheduler
              else local(rest, expected, workers, idle) if workers else here(rest, expected))
    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.description}"))
    with closing(source), Progress(*columns, console=console, transient=True,
                                   disable=not (bar and console.is_terminal)) as line:
        shown = line.add_task("", total=len(tasks), completed=len(there))
        for following in range(len(tasks)):
            while following not in there:
                n, (value, failure, seconds) = next(source)
                there[n] = Result(tasks[n], value, failure, seconds)
                if not failure:
                    _save(files[n], there[n])
                line.update(shown, advance=1, description=tasks[n].name)
            yield there.pop(following)

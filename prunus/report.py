# SPDX-License-Identifier: Apache-2.0
"""What the commands print: tables on a terminal, plain lines in a pipe, JSON on request."""

import contextlib
import json
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from .console import print_lines, print_table

__all__ = ["heads_progress", "print_json", "print_lines", "print_table", "status_line"]


def print_json(value) -> None:
    print(json.dumps(value))


class _Heads:
    """What moves the bar of :func:`heads_progress`."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, description="heads", completed=done, total=total)

    def stage(self, what: str) -> None:
        """Say what is done before the first head."""
        self._progress.update(self._task, description=what, completed=0, total=None)


class _CountColumn(MofNCompleteColumn):
    """Empty as long as nothing is counted."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


@contextlib.contextmanager
def heads_progress() -> Iterator[_Heads | None]:
    """A callback (done, total) that moves a bar on stderr; None if that is no terminal.

    Its ``stage(text)`` says what is done before.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _CountColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Heads(progress)


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[str], None] | None]:
    """A callback that says on stderr what is being done; None if that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    spinner = SpinnerColumn("dots" if console.encoding.startswith("utf") else "line")
    columns = (spinner, TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what: progress.update(task, description=what)

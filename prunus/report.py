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
    TextColumn,
    TimeElapsedColumn,
)

from .console import print_lines, print_table

__all__ = ["heads_progress", "print_json", "print_lines", "print_table", "status_line"]


def print_json(value) -> None:
    print(json.dumps(value))


@contextlib.contextmanager
def heads_progress() -> Iterator[Callable[[int, int], None] | None]:
    """A callback (done, total) that moves a bar on stderr; None if that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("heads"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("heads", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


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

# SPDX-License-Identifier: Apache-2.0
"""What the commands print: tables on a terminal, plain lines in a pipe, JSON on request."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence

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
from rich.table import Table
from rich.text import Text

__all__ = ["heads_progress", "print_json", "print_lines", "print_table", "status_line"]


def print_json(value) -> None:
    print(json.dumps(value))


def print_table(columns: list[str], rows: list[list], title: str | None = None,
                brief: Sequence[str] | None = None) -> None:
    """Rows as a table, or as tab-separated lines with a header in a pipe.

    A terminal shows the columns in ``brief`` only, if given.
    """
    console = Console()
    if not console.is_terminal:
        for row in [columns, *rows]:
            print("\t".join(str(x) for x in row))
        return
    shown = [n for n, column in enumerate(columns) if brief is None or column in brief]
    table = Table(title=title)
    for n in shown:
        numbers = all(_is_number(row[n]) for row in rows)
        table.add_column(columns[n], justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(str(row[n]) for n in shown))
    console.print(table)


def _is_number(value) -> bool:
    return str(value)[:1].isdigit() or value in ("-", "")


def print_lines(lines: list[tuple[str, str]]) -> None:
    """Names and texts, a line each."""
    console = Console()
    if not console.is_terminal:
        for name, text in lines:
            print(f"{name}: {text}")
        return
    grid = Table(show_header=False, box=None)
    for name, text in lines:
        grid.add_row(f"[bold]{name}", text)
    console.print(grid)


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
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what: progress.update(task, description=what)

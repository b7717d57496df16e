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
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

__all__ = ["heads_progress", "print_json", "print_leopard_summary", "print_summary", "print_table",
           "status_line"]


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


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else f"{part} of {whole}"


def print_summary(summary: dict) -> None:
    """The figures of a run that exist, by line."""
    s = summary
    lines = [
        ("backend", f"{s['backend']}, {s['config']}, {s['multipliers']} multipliers"),
        ("heads", f"{s['heads']}, {s['heads_pruned']} pruned"),
        ("blocks kept", _share(s["blocks_kept"], s["blocks_total"])),
        ("bound", f"{s['bound_cycles']} cycles"),
        ("predicted", f"{s['model_cycles']} cycles"),
    ]
    if s["cycles"] is not None:
        lines += [("cycles", f"{s['cycles']} ({s['utilisation']:.1%} utilisation)")]
    lines += [("read", f"{s['read_bytes']} bytes"), ("written", f"{s['write_bytes']} bytes")]
    if s["sim_s"] is not None:
        lines += [("time", f"{s['build_s']:.1f} s build, {s['sim_s']:.1f} s simulation")]
    _print_lines(lines)


def print_leopard_summary(summary: dict) -> None:
    """The same of a run of LeOPArd."""
    s = summary
    lines = [
        ("backend", f"{s['backend']}, {s['config']}"),
        ("heads", f"{s['heads']}"),
        ("survivors", _share(s["survivors"], s["keys"])),
        ("digits", _share(s["digits_total"], s["digits_full"])),
        ("bound", f"{s['bound_cycles']} cycles"),
        ("baseline", f"{s['baseline_cycles']} cycles"),
    ]
    if s["cycles"] is not None:
        lines += [("cycles", f"{s['cycles']} ({s['utilisation']:.1%} of the bound, "
                             f"{s['baseline_cycles'] / s['cycles']:.2f}x the baseline's speed)")]
    lines += [("read", f"{s['read_bytes']} bytes"), ("written", f"{s['write_bytes']} bytes")]
    _print_lines(lines)


def _print_lines(lines: list[tuple[str, str]]) -> None:
    console = Console()
    if not console.is_terminal:
        for name, text in lines:
            print(f"{name}: {text}")
        return
    grid = Table(show_header=False, box=None)
    for name, text in lines:
        grid.add_row(f"[bold]{name}", text)
    console.print(grid)


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
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what: progress.update(task, description=what)

# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common on a terminal: how they end, and tables that are never cut."""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, Protocol

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["Command", "Parser", "guarded", "install_hint", "print_lines", "print_table"]

ROOT = Path(__file__).resolve().parent.parent
CLOSED_PIPE = 1                 # the exit code of a command whose output nobody reads to its end
OUT_OF_MEMORY = "there is not enough memory for this; heads can be run in several files"


# -- how a command ends ---------------------------------------------------------------------------
class Command(Protocol):
    """The function of a command, of the arguments of the command line; returns an exit code."""

    def __call__(self, arguments: list[str] | None = None) -> int: ...


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())}; see {self.prog} -h\n")


def _leave(number: int, _) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Have a command unwind on SIGTERM and SIGHUP, so that it leaves nothing behind."""
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):       # a thread that is not the main one has none
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _any_encoding() -> None:
    """Have streams write what their encoding has no sign for as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _mute() -> None:
    """Drop what is still to be written, as nobody reads it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _fail(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"error: {text}", file=sys.stderr)


def guarded(stopped: str = "interrupted") -> Callable[[Callable[..., int]], Command]:
    """A decorator of commands: whatever stops one is a line on stderr and an exit code.

    Parameters
    ----------
    stopped : str
        What Ctrl-C says.
    """
    def decorator(main: Callable[..., int]) -> Command:
        @wraps(main)
        def command(arguments: list[str] | None = None) -> int:
            _any_encoding()
            try:
                with _signals():
                    code = main(arguments)
                    sys.stdout.flush()
                    return code
            except KeyboardInterrupt:
                with contextlib.suppress(OSError):
                    print(stopped, file=sys.stderr)
                return 128 + signal.SIGINT
            except MemoryError:
                _fail(OUT_OF_MEMORY)
                return 1
            except BrokenPipeError:
                _mute()
                return CLOSED_PIPE
            except OSError as err:
                _mute()
                what = "the output cannot be written" if err.filename is None \
                    else repr(str(err.filename))
                _fail(f"{what}: {err.strerror or err}")
                return 1

        return command

    return decorator


def install_hint(extra: str) -> str:
    """The command that installs what an extra of the package has."""
    if not (ROOT / "pyproject.toml").is_file():
        return f"pip install 'prunus[{extra}]'"
    if Path(sys.prefix).resolve() == ROOT / ".venv":
        return "make models" if extra == "models" else "make dev"
    return f"pip install -e '.[{extra}]'"


# -- tables ---------------------------------------------------------------------------------------
def _is_number(value: str) -> bool:
    return value[:1].isdigit() or value in ("-", "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[int],
           tight: bool = False) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False) if tight else Table()
    for n in shown:
        numbers = all(_is_number(row[n]) for row in rows)
        table.add_column(Text(columns[n]), justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[n]) for n in shown))
    return table


def _fits(table: Table, console: Console) -> bool:
    return Measurement.get(console, console.options.update(max_width=10_000),
                           table).maximum <= console.width


def _split(columns: Sequence[str], rows: Sequence[Sequence[str]], keys: int,
           console: Console) -> list[Table] | None:
    """Tables that fit beneath each other, the first columns in all; None if one does not."""
    tables: list[Table] = []
    first, rest = list(range(keys)), list(range(keys, len(columns)))
    while rest or not tables:
        fit = None
        for count in range(1, len(rest) + 1):
            table = _table(columns, rows, [*first, *rest[:count]], tight=True)
            if not _fits(table, console):
                break
            fit = count, table
        if fit is None:
            return None
        rest = rest[fit[0]:]
        tables.append(fit[1])
    return tables


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None,
                brief: Sequence[str] | None = None, keys: int = 1) -> None:
    """Rows as a table, or as tab-separated lines with a header in a pipe.

    A terminal that is too narrow for the table gets it in parts, or row by row as lines of name and
    value.

    Parameters
    ----------
    brief : sequence of str or None
        The columns that a terminal shows, if not all.
    keys : int
        Columns at the beginning that tell rows apart; all parts of a table have them.
    """
    console = Console()
    if not console.is_terminal:
        for row in [columns, *rows]:
            print("\t".join(str(x) for x in row))
        return
    shown = [n for n, column in enumerate(columns) if brief is None or column in brief]
    names = [columns[n] for n in shown]
    texts = [[str(row[n]) for n in shown] for row in rows]
    if title:
        console.print(Text(title, style="italic"), soft_wrap=True)
    whole = _table(names, texts, range(len(names)))
    tables = [whole] if _fits(whole, console) else _split(names, texts, keys, console)
    for n, table in enumerate(tables or ()):
        if n:
            console.print()
        console.print(table)
    for n, row in enumerate(texts if tables is None else ()):
        if n:
            console.print()
        for name, text in zip(names, row, strict=True):
            console.print(Text.assemble((name, "bold"), f": {text}"), soft_wrap=True)


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    """Names and texts, a line each."""
    console = Console()
    if not console.is_terminal:
        for name, text in lines:
            print(f"{name}: {text}")
        return
    width = max((len(name) for name, _ in lines), default=0)
    for name, text in lines:
        console.print(Text.assemble((name.ljust(width), "bold"), f"  {text}"), soft_wrap=True)

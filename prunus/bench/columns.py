# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables of benches."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Column", "length_column", "plain", "ratio", "shown"]


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and a row's text in it."""

    title: str
    text: Callable[[dict], str]


def ratio(part: float, whole: float | None) -> float | None:
    """``part / whole``; None where there is nothing to compare with."""
    return part / whole if whole else None


def shown(value: float | str | None, pattern: str) -> str:
    """A value as a table has it."""
    return "-" if value is None else format(value, pattern)


def plain(title: str, key: str, pattern: str = ",") -> Column:
    """A column of one figure."""
    return Column(title, lambda row: shown(row[key], pattern))


def length_column() -> Column:
    """Queries, and keys where there are not as many."""
    return Column("l", lambda row: f"{row['l_q']}" if row["l_q"] == row["l_kv"]
                  else f"{row['l_q']} x {row['l_kv']}")

# SPDX-License-Identifier: Apache-2.0
"""Columns of the tables of benches."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Column"]


@dataclass(frozen=True)
class Column:
    """A column of the table: its title, and a row's text in it."""

    title: str
    text: Callable[[dict], str]

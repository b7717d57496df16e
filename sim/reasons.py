# SPDX-License-Identifier: Apache-2.0
"""Lists that are kept of what the tests do not show, with a reason behind each row.

Beside the lists of a folder lies ``reasons.toml``: a pattern of rows and a sentence each. The first
pattern that matches the beginning of a row gives its reason.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from .simulators.cache import ROOT

__all__ = ["COVERAGE", "MUTANTS", "UNEXPLAINED", "explained", "read_list", "write_list"]

COVERAGE, MUTANTS = (ROOT / "docs" / name for name in ("coverage", "mutants"))
UNEXPLAINED = "not explained"
_BEHIND = "  # "


def explained(rows: Iterable[str], folder: Path) -> dict[str, str]:
    """The reason of each row, by what a folder knows."""
    said = tomllib.loads((folder / "reasons.toml").read_text(encoding="utf-8"))["reason"]
    return {row: next((r["why"] for r in said if re.match(r["rows"], row)), UNEXPLAINED)
            for row in rows}


def write_list(rows: Sequence[str], path: Path) -> None:
    """Rows with the reasons of the folder in which they are kept."""
    why = explained(rows, path.parent)
    path.write_text("".join(f"{row}{_BEHIND}{why[row]}\n" for row in rows), encoding="utf-8")


def read_list(path: Path) -> list[tuple[str, str]]:
    """Rows of a list and their reasons, as they are kept."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(row, why) for row, _, why in (
        line.rpartition(_BEHIND) for line in lines if not line.startswith("#"))]

# SPDX-License-Identifier: Apache-2.0
"""The places of figures in Markdown pages.

    <!-- figures: NAME -->
    a table
    <!-- end figures -->
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

__all__ = ["Place", "pages", "places", "rendered", "unmarked"]

BEGIN = re.compile(r"<!-- figures: (\w+) -->")
END = "<!-- end figures -->"
NO_FIGURES = "<!-- not measured -->"        # above a table whose numbers are no figures
LIKE_A_MARK = re.compile(r"<!--\s*(end\s+)?figures?\b", re.IGNORECASE)
# What a measured number looks like: 12,345, 12.3%, 2.58x, 0.24, with or without bold.
FIGURE = re.compile(r"(\*\*)?[-+]?(\d{1,3}(,\d{3})+|\d+(\.\d+)?%|\d+\.\d+x?|\d+x)(\*\*)?"
                    r"( (\(|of |/ ).*)?")
NOTES = re.compile(r"docs/notes/\d{4}-\d\d-\d\d-")     # with figures of their day
ENOUGH = 2                                  # such cells make a table one of figures


@dataclass(frozen=True)
class Place:
    """A place in a page: the lines from ``first`` to ``last`` are the table's."""

    name: str
    first: int
    last: int


def pages(root: Path) -> list[Path]:
    """All that may have places."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def places(text: str, where: str) -> list[Place]:
    """The places of a page. Raises InputError, with the line, if marks do not come in pairs."""
    found: list[Place] = []
    begun: tuple[str, int] | None = None
    fenced = False
    for n, line in enumerate(text.splitlines()):
        fenced ^= line.lstrip().startswith("```")
        begin = BEGIN.fullmatch(line)
        if fenced or not LIKE_A_MARK.search(line):
            continue
        if line == END and begun is not None:
            found.append(Place(begun[0], begun[1], n))
            begun = None
        elif begin is not None and begun is None:
            begun = begin[1], n + 1
        elif begin is not None:
            raise InputError(f"{where}:{n + 1}: figures {begin[1]} begin before the end mark of "
                             f"figures {begun[0] if begun else ''}")
        elif line == END:
            raise InputError(f"{where}:{n + 1}: an end mark without a beginning")
        else:
            raise InputError(f"{where}:{n + 1}: a mark of figures must be "
                             f"'<!-- figures: NAME -->' or '{END}', alone on its line, not "
                             f"{line!r}")
    if begun is not None:
        raise InputError(f"{where}:{begun[1]}: figures {begun[0]} have no end mark '{END}'")
    return found


def rendered(text: str, where: str, tables: Mapping[str, str]) -> str:
    """The page with the tables in their places. Raises InputError, as for an unknown name."""
    lines = text.splitlines()
    for place in reversed(places(text, where)):
        if place.name not in tables:
            raise InputError(f"{where}:{place.first}: figures must be one of "
                             f"{', '.join(sorted(tables))}, not {place.name!r}")
        # Python-Markdown wants a blank line between a comment and a table.
        lines[place.first : place.last] = ["", *tables[place.name].splitlines(), ""]
    return "\n".join(lines) + "\n"


def unmarked(text: str, where: str) -> Iterator[str]:
    """Tables of figures that are in no place, one line each; dated notes have such."""
    inside = {n for place in places(text, where) for n in range(place.first, place.last)}
    if NOTES.match(where):
        return
    lines = text.splitlines()
    n = 0
    while n < len(lines):
        first = n
        while n < len(lines) and lines[n].startswith("|"):
            n += 1
        cells = [cell.strip() for line in lines[first + 2 : n] for cell in line.split("|")[1:-1]]
        figures = [cell for cell in cells if FIGURE.fullmatch(cell)]
        above = next((line for line in reversed(lines[:first]) if line), "")
        if first not in inside and len(figures) >= ENOUGH and above != NO_FIGURES:
            yield (f"{where}:{first + 1}: a table of figures ({', '.join(figures[:3])}...) must "
                   f"stand between '<!-- figures: NAME -->' and '{END}', or behind "
                   f"'{NO_FIGURES}'")
        n = max(n, first + 1)

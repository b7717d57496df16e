# SPDX-License-Identifier: Apache-2.0
"""Draws the block diagrams from the texts beside this file: ``python docs/images/draw.py``.

``NAME.txt`` becomes ``NAME.svg``. A text has a line for each thing, in units of ten pixels:

    size WIDTH HEIGHT
    title WORDS
    box NAME X Y WIDTH HEIGHT KIND | first line | second line ...
    arrow FROM SIDE TO SIDE [WHERE] | label
    note X Y | words
    cells X Y SIZE | row row ...

``KIND`` is ``block``, ``memory``, ``bus``, or ``frame`` (around others, its label on top). ``SIDE``
is ``l``, ``r``, ``t`` or ``b``, with a number of units along it from its middle, such as ``r-2``.
A row of cells has a digit for each square; the largest digit is the darkest. An arrow from side to
side bends in its middle, or at WHERE. The drawing has a background of its own, light or dark as the
reader's system is.
"""

import sys
from html import escape
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).parent
UNIT = 10
STYLE = """
.back{fill:#fff}.block{fill:#e8eaf6;stroke:#3949ab}.memory{fill:#fff3e0;stroke:#b26500}
.bus{fill:#e0f2f1;stroke:#00695c}.frame{fill:none;stroke:#757575;stroke-dasharray:5 4}
text{fill:#212121;font:13px system-ui,sans-serif;text-anchor:middle}.small{font-size:11px}
.left{text-anchor:start}.cell{fill:#3949ab}.line{fill:none;stroke:#424242;stroke-width:1.4}.tip{fill:#424242}
@media(prefers-color-scheme:dark){.back{fill:#1e1f29}.block{fill:#2b3060;stroke:#9fa8da}
.memory{fill:#4a3310;stroke:#ffb74d}.bus{fill:#113f3b;stroke:#80cbc4}.frame{stroke:#9e9e9e}
text{fill:#eee}.cell{fill:#9fa8da}.line{stroke:#ccc}.tip{fill:#ccc}}
"""


def _text(x, y, kind, words):
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def _point(box, side):
    """Where an arrow meets a box."""
    x, y, w, h = box
    along = float(side[1:] or 0)
    return {"l": (x, y + h / 2 + along), "r": (x + w, y + h / 2 + along),
            "t": (x + w / 2 + along, y), "b": (x + w / 2 + along, y + h)}[side[0]]


def _path(start, end, across, where):
    """The corners of an arrow; ``across`` if it leaves to the left or right."""
    (x, y), (u, v) = start, end
    if (x == u or y == v) and not where:
        return [start, end]
    middle = float(where[0]) if where else (x + u) / 2 if across else (y + v) / 2
    return [start, (middle, y), (middle, v), end] if across else \
        [start, (x, middle), (u, middle), end]


def _arrow(boxes, words, label):
    source, out, target, into, *where = words
    start, end = _point(boxes[source], out), _point(boxes[target], into)
    level = {"l", "r"}
    if (out[0] in level) == (into[0] in level):
        corners = _path(start, end, out[0] in level, where)
    else:
        corners = [start, (end[0], start[1]) if out[0] in level else (start[0], end[1]), end]
    points = " ".join(f"{x * UNIT:g},{y * UNIT:g}" for x, y in corners)
    yield f'<polyline class="line" points="{points}" marker-end="url(#tip)"/>'
    if label:
        pairs = list(zip(corners, corners[1:], strict=False))
        (x, y), (u, v) = max(pairs, key=lambda p: abs(p[0][0] - p[1][0]) + abs(p[0][1] - p[1][1]))
        at, below = ((x + u) / 2 * UNIT, (y + v) / 2 * UNIT)
        if y == v:
            yield _text(at, below - 5, "small", label)
        else:
            yield _text(at + 6, below + 4, "small left", label)


def _box(x, y, w, h, kind, lines):
    yield (f'<rect class="{kind}" x="{x * UNIT:g}" y="{y * UNIT:g}" width="{w * UNIT:g}" '
           f'height="{h * UNIT:g}" rx="4"/>')
    if kind == "frame":
        yield _text(x * UNIT + 8, y * UNIT + 16, "small left", lines[0])
        return
    first = (y + h / 2) * UNIT - 8 * (len(lines) - 1) + 4
    for n, line in enumerate(lines):
        yield _text((x + w / 2) * UNIT, first + 16 * n, "small" if n else "name", line)


def _cells(x, y, size, rows):
    """Squares of shades, those of a shade in one path and neighbours in one piece."""
    side, paths = size * UNIT, {}
    for n, row in enumerate(rows):
        column = 0
        for digit, run in groupby(row):
            count = len([*run])
            if digit != "0":
                paths.setdefault(digit, []).append(
                    f"M{x * UNIT + column * side:g},{y * UNIT + n * side:g}"
                    f"h{count * side:g}v{side:g}h{-count * side:g}z")
            column += count
    for digit, pieces in sorted(paths.items()):
        yield (f'<path class="cell" fill-opacity="{int(digit) / int(max(paths)):.2g}" '
               f'd="{"".join(pieces)}"/>')
    yield (f'<rect class="frame" x="{x * UNIT:g}" y="{y * UNIT:g}" '
           f'width="{len(rows[0]) * side:g}" height="{len(rows) * side:g}"/>')


def draw(text: str) -> str:
    """The SVG of a text."""
    boxes, parts, arrows, size, title = {}, [], [], (0, 0), ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        head, *labels = (part.strip() for part in line.split("|"))
        what, *words = head.split()
        if what == "size":
            size = tuple(int(word) * UNIT for word in words)
        elif what == "title":
            title = " ".join(words)
        elif what == "box":
            name, *numbers, kind = words
            boxes[name] = tuple(map(float, numbers))
            parts += _box(*boxes[name], kind, labels)
        elif what == "arrow":
            arrows += _arrow(boxes, words, labels[0] if labels else "")
        elif what == "note":
            x, y = (float(word) * UNIT for word in words)
            parts.append(_text(x, y, "small left", labels[0]))
        elif what == "cells":
            parts += _cells(*map(float, words), labels[0].split())
        else:
            raise ValueError(
                f"a line must be a size, title, box, arrow, note or cells, not {what!r}")
    width, height = size
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto-start-reverse"><path class="tip" d="M0,0L8,4L0,8z"/>'
        "</marker></defs>",
        f'<rect class="back" width="{width}" height="{height}" rx="6"/>', *parts, *arrows,
        "</svg>", ""])


def main() -> int:
    for source in sorted(HERE.glob("*.txt")):
        source.with_suffix(".svg").write_text(draw(source.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

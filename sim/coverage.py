# SPDX-License-Identifier: Apache-2.0
"""Verilator's coverage: which branches of the emitted Verilog ran, and which bits toggled."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Point", "read", "uncovered"]

_FIELD = re.compile("\x01([^\x02\x01]+)\x02([^\x01]*)")
_ENCODED = re.compile("__0([0-9A-F]{2})")     # characters in names that Verilator gives
_BIT = re.compile(r"(.+?)(?:\[(\d+)\])?(?::(?:0->1|1->0))?")


@dataclass(frozen=True, order=True)
class Point:
    """Something that a run may meet.

    Members
    -------
    kind : str
        ``toggle`` of a bit, or what else Verilator counts: ``line``, ``branch``.
    module : str
    line : int
        Of the Verilog.
    what : str
        Of a toggle the bit, else what Verilator calls it.
    """

    kind: str
    module: str
    line: int
    what: str


def read(path: Path) -> Counter[Point]:
    """How often each point of a file was met, summed over the instances of its module."""
    counts: Counter[Point] = Counter()
    for row in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        if not row.startswith("C '"):
            continue
        said, _, count = row[3:].rpartition("' ")
        fields = dict(_FIELD.findall(said))
        kind, _, module = fields["page"].partition("/")
        what = _ENCODED.sub(lambda code: chr(int(code[1], 16)), fields.get("o", ""))
        point = Point(kind.removeprefix("v_"), module, int(fields["l"]), what)
        counts[point] += int(count)
    return counts


def _bits(numbers: Iterable[int]) -> str:
    """``[3:1][7]`` of 1, 2, 3 and 7."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return "".join(f"[{high}:{low}]" if high > low else f"[{low}]" for low, high in runs)


def uncovered(counts: Mapping[Point, int], verilog: str, top: str) -> list[str]:
    """What was never met, a row for each signal or line, without numbers of lines: the rows stay
    the same as long as the code does."""
    lines = verilog.splitlines()
    rows: set[str] = set()
    bits: dict[tuple[str, str], set[int]] = defaultdict(set)
    for point, count in counts.items():
        if count:
            continue
        module = point.module.removeprefix(f"{top}__")
        if point.kind == "toggle":
            found = _BIT.fullmatch(point.what)
            name, bit = found.groups() if found else (point.what, None)
            bits[module, name].add(int(bit or 0))
        else:
            text = " ".join(lines[point.line - 1].split())
            rows.add(f"{point.kind} {module}: {text} ({point.what})")
    rows |= {f"toggle {module}: {name} {_bits(numbers)}"
             for (module, name), numbers in bits.items()}
    return sorted(rows)

# SPDX-License-Identifier: Apache-2.0
"""Memories as SRAM macros of SG13G2, or as register files of its standard cells.

A size that IHP offers is used as it is. Others are interpolated: linear in bits between sizes of
the same number of words, then linear in words. Beyond the outermost sizes the last straight goes
on, down to MIN_BITS. Larger memories consist of several macros of equal size.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Protocol

from .pdk import sram
from .pdk.cells import library

__all__ = ["MIN_BITS", "MIN_WORDS", "QUANTITIES", "Macro", "MemoryShape", "errors", "is_macro",
           "macro", "register_file_um2"]

PICO = 1e-12
NANO = 1e-9
MIN_BITS, MIN_WORDS = 8, 64         # narrower and shorter macros are made by nobody
# By ports. A compiler's reach beyond what is offered is unknown.
_MAX_WORDS = {1: 4096, 2: 1024}
_MAX_BITS = {1: 64, 2: 32}
# Cells of a register file.
FLIP_FLOP, CLOCK_GATE, SELECT, MUX4 = (f"sg13g2_{name}_1" for name in (
    "dfrbpq", "lgcp", "and2", "mux4"))


class MemoryShape(Protocol):
    """What has to be known of a memory."""

    @property
    def words(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def read_ports(self) -> int: ...
    @property
    def write_ports(self) -> int: ...
    @property
    def clocked(self) -> bool:
        """Whether all reads are registered."""
    @property
    def dual(self) -> bool:
        """Whether it is read and written at different addresses."""


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A memory of one or several SRAM macros.

    Members
    -------
    words, bits : int
        Of the memory.
    ports : int
        1: reads or writes. 2: reads at one port and writes at the other in the same cycle.
    pieces : int
        Macros that it consists of.
    area_um2, leakage_w : float
    read_j, write_j : float
        Of an access, clock included.
    idle_j : float
        Of a clock cycle of a port without its enable; the tables say 0.
    address_j, data_j, enable_j : float
        Of a toggle of an address bit, of a bit written, and of an enable, at the pins of one port;
        the mean of rising and falling.
    clock_pf : float
        Of the clock pins of all ports.
    address_pf, data_pf, enable_pf : float
        Of the pins that one bit of one port drives. An enable drives two pins of a macro.
    delay_ns : float
        From the clock to a bit that is read.
    interpolated : bool
        Whether its macros are of a size that is not offered.
    note : str
        What macros it consists of.
    """

    words: int
    bits: int
    ports: int
    pieces: int
    area_um2: float
    leakage_w: float
    read_j: float
    write_j: float
    idle_j: float
    address_j: float
    data_j: float
    enable_j: float
    clock_pf: float
    address_pf: float
    data_pf: float
    enable_pf: float
    delay_ns: float
    interpolated: bool
    note: str


def _mean(of: Mapping) -> float:
    return sum(of["pj"]) / 2


def _strobe(of: Mapping, part: Callable[[Mapping], float]) -> float:
    """Of MEN together with REN or WEN."""
    return part(of["men"]) + (part(of["ren"]) + part(of["wen"])) / 2


# What is interpolated of a macro, in units of the data file.
QUANTITIES: dict[str, Callable[[Mapping], float]] = {
    "area_um2": lambda of: of["area_um2"],
    "leakage_nw": lambda of: of["leakage_nw"],
    "read_pj": lambda of: of["clock"]["pj"]["read"],
    "write_pj": lambda of: of["clock"]["pj"]["write"],
    "idle_pj": lambda of: of["clock"]["pj"]["idle"],
    "address_pj": lambda of: _mean(of["address"]),
    "data_pj": lambda of: _mean(of["data"]),
    "enable_pj": lambda of: _strobe(of["enables"], _mean),
    "clock_pf": lambda of: of["clock"]["pf"] * of["ports"],
    "address_pf": lambda of: of["address"]["pf"],
    "data_pf": lambda of: of["data"]["pf"],
    "enable_pf": lambda of: _strobe(of["enables"], lambda pin: pin["pf"]),
    "delay_ns": lambda of: of["delay_ns"],
}
# Pins hardly depend on the size: no straight takes them below what there is.
_PINS = tuple(name for name in QUANTITIES if name.endswith("_pf")) + (
    "address_pj", "data_pj", "enable_pj", "delay_ns")


def _line(x: float, points: Sequence[tuple[float, float]]) -> float:
    """Through points in ascending order, and on beyond the outermost."""
    if len(points) == 1:
        return points[0][1]
    xs = [at for at, _ in points]
    k = min(max(bisect_right(xs, x) - 1, 0), len(points) - 2)
    (x0, y0), (x1, y1) = points[k], points[k + 1]
    return y0 + (x - x0) * (y1 - y0) / (x1 - x0)


def _interpolated(words: int, bits: int, macros: Sequence[Mapping]) -> dict[str, float]:
    """All quantities of a macro that is not offered."""
    rows: dict[int, list[Mapping]] = {}
    for one in sorted(macros, key=lambda one: (one["words"], one["bits"])):
        rows.setdefault(one["words"], []).append(one)
    # A number of words of which there is one width says nothing of others.
    rows = {count: row for count, row in rows.items() if len(row) > 1}
    found = {}
    for name, of in QUANTITIES.items():
        points = [(count, _line(bits, [(one["bits"], of(one)) for one in row]))
                  for count, row in rows.items()]
        found[name] = _line(words, points)
        if name in _PINS:
            found[name] = max(found[name], min(of(one) for one in macros))
    return found


def _offered(ports: int) -> list[dict]:
    return [one for one in sram.kept()["macros"] if one["ports"] == ports]


@cache
def _piece(words: int, bits: int, ports: int) -> tuple[dict[str, float], str]:
    """Quantities of one macro, and its name if it is offered."""
    macros = _offered(ports)
    for one in macros:
        if (one["words"], one["bits"]) == (words, bits):
            return {name: of(one) for name, of in QUANTITIES.items()}, one["name"]
    return _interpolated(words, bits, macros), ""


def _parts(whole: int, most: int) -> tuple[int, int]:
    """How many equal parts there are, and how large one is."""
    count = -(-whole // most)
    return count, -(-whole // count)


def _arranged(words: int, bits: int, fold: int, ports: int) -> Macro:
    """With ``fold`` words of the memory in each word of its macros."""
    rows, height = _parts(-(-words // fold), _MAX_WORDS[ports])
    columns, width = _parts(bits * fold, _MAX_BITS[ports])
    height, width = max(height, MIN_WORDS), max(width, MIN_BITS)
    if any((one["words"], one["bits"]) == (words, bits) for one in _offered(ports)):
        rows, columns, height, width = 1, 1, words, bits
    of, name = _piece(height, width, ports)
    pieces = rows * columns
    size = name or f"{height} x {width}, interpolated"
    # Of the rows of macros one is enabled; addresses go to all of them, data to each row.
    return Macro(
        words=words, bits=bits, ports=ports, pieces=pieces, area_um2=pieces * of["area_um2"],
        leakage_w=pieces * of["leakage_nw"] * NANO,
        read_j=PICO * columns * (of["read_pj"] + (rows - 1) * of["idle_pj"]),
        write_j=PICO * columns * (of["write_pj"] + (rows - 1) * of["idle_pj"]),
        idle_j=PICO * pieces * of["idle_pj"], address_j=PICO * pieces * of["address_pj"],
        data_j=PICO * rows * fold * of["data_pj"], enable_j=PICO * columns * of["enable_pj"],
        clock_pf=pieces * of["clock_pf"], address_pf=pieces * of["address_pf"],
        data_pf=rows * fold * of["data_pf"], enable_pf=columns * of["enable_pf"],
        delay_ns=of["delay_ns"], interpolated=not name,
        note=f"{pieces} x {size}" if pieces > 1 else size)


@cache
def macro(words: int, bits: int, dual: bool) -> Macro:
    """A memory of SRAM macros.

    A memory narrower than all macros has several of its words in one of a macro's, written by
    mask: as many as take the least area and are read at once.

    Parameters
    ----------
    words, bits : int
        Of the memory, positive.
    dual : bool
        Whether it reads and writes in the same cycle.
    """
    ports = 2 if dual else 1
    folds = [1]
    if bits < MIN_BITS:
        doubled = (2**n for n in range(words.bit_length()))
        folds = list(takewhile(lambda fold: bits * fold <= _MAX_BITS[ports], doubled))
    return min((_arranged(words, bits, fold, ports) for fold in folds),
               key=lambda one: one.area_um2)


def register_file_um2(words: int, bits: int, read_ports: int, clocked: bool) -> float:
    """Area of a memory of flip-flops.

    A flip-flop a bit, a clock gate and a select gate a word, multiplexers of four a read port and,
    of a clocked read, a flip-flop a bit behind them.
    """
    um2 = {name: cell.area for name, cell in library().cells.items()}
    stored = words * (bits * um2[FLIP_FLOP] + um2[CLOCK_GATE] + um2[SELECT])
    read = bits * (words - 1) * um2[MUX4] / 3 + clocked * bits * um2[FLIP_FLOP]
    return stored + read_ports * read


def is_macro(memory: MemoryShape) -> bool:
    """Whether a memory is an SRAM macro: one clocked read, one write, and less area so.

    SRAM has neither reads without a clock nor more than two ports. Below some 30 words its decoders
    and sense amplifiers are larger than flip-flops.
    """
    if not memory.clocked or (memory.read_ports, memory.write_ports) != (1, 1):
        return False
    return macro(memory.words, memory.width, memory.dual).area_um2 < register_file_um2(
        memory.words, memory.width, 1, True)


def errors(ports: int) -> dict[str, dict[str, float]]:
    """Relative error of each macro interpolated from all others, by quantity and its name."""
    offered = _offered(ports)
    found: dict[str, dict[str, float]] = {name: {} for name in QUANTITIES}
    for one in offered:
        rest = [other for other in offered if other is not one]
        guessed = _interpolated(one["words"], one["bits"], rest)
        for name, of in QUANTITIES.items():
            if of(one):
                found[name][one["name"]] = guessed[name] / of(one) - 1
    return found

# SPDX-License-Identifier: Apache-2.0
"""The memory and the clock that are compiled into a Verilator simulation (memory.cpp)."""

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from mmap import mmap
from typing import Any

import numpy as np
from cocotb.utils import get_sim_steps, get_sim_time

from ..exchange import Drawn, Faults, Side
from .clocks import PERIOD_NS

__all__ = ["NativeMemory", "start_clock"]

SLVERR = 2
_TOLD = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class _State(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "read", "written", "cycles", "outside", "outside_at", "silent", "broken")]


@cache
def _library() -> ctypes.CDLL:
    """The simulator itself."""
    library = ctypes.CDLL(None)
    word, words, text = ctypes.c_uint64, ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
            ("memory", text, (text, _TOLD)), ("expect", ctypes.c_bool, (text, text, word)),
            ("clock", None, (text, word, word)),
            ("state", ctypes.POINTER(_State), ()), ("contents", None, (words, words, word)),
            ("faults", None, (words, word)), ("fences", None, (words, word)),
            ("draw", None, (ctypes.c_double, ctypes.c_double, word)),
            ("drawn", word, (words, word)), ("stall", None, (ctypes.c_double, word)),
            ("restart", None, ()), ("hold", None, (word,)),
            ("record", ctypes.c_bool, (text, text))):
        function = getattr(library, f"prunus_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def start_clock(dut) -> None:
    """The clock runs from now on, and rises first in half a period."""
    _library().prunus_clock(dut._name.encode(), get_sim_time("step"),
                            get_sim_steps(PERIOD_NS, "ns") // 2)


def _table(rows: Iterable[Sequence[int]], columns: int) -> tuple[Any, int]:
    """Rows of 64-bit words, and how many there are."""
    table = np.array(list(rows), np.uint64).reshape(-1, columns)
    return table.ctypes.data_as(ctypes.c_void_p), len(table)


class NativeMemory:
    """A memory on m_axi, the clock, and the rules of both buses, with the members of
    :class:`prunus.sim.inside.memory.PythonMemory` and more.

    Parameters
    ----------
    dut : handle
    broken : callable
        Called with the first broken rule, in the middle of a cycle: nothing of cocotb may be used.
    """

    def __init__(self, dut, broken: Callable[[str], None]):
        self._dut, self._library = dut, _library()
        self._told = _TOLD(lambda rule: broken(rule.decode()))
        problem = self._library.prunus_memory(dut._name.encode(), self._told)
        if problem:
            raise ValueError(f"{dut._name}: {problem.decode()}")
        self._state = self._library.prunus_state().contents
        self.contents: bytearray | mmap = bytearray(1)
        self.fill(self.contents, ())
        self._own, self._disturbed = (0.0, 0), False
        self._bad_reads: Sequence[tuple[int, int]] = ()

    def start_clock(self) -> None:
        start_clock(self._dut)

    def watch(self, constants: Mapping[str, int]) -> None:
        """The rules are watched always; from now on ports have these values with each address,
        too."""
        for name, value in constants.items():
            if not self._library.prunus_expect(self._dut._name.encode(), name.encode(), value):
                raise ValueError(f"{self._dut._name}: there is no port {name}")

    def record(self, path: str) -> None:
        """Write the ports of the top before each rising edge to a file. Raises OSError."""
        if not self._library.prunus_record(self._dut._name.encode(), path.encode()):
            raise OSError(f"{path!r} cannot be written")

    @property
    def bytes_read(self) -> int:
        return self._state.read

    @property
    def bytes_written(self) -> int:
        return self._state.written

    @property
    def outside(self) -> int | None:
        return self._state.outside_at if self._state.outside else None

    def fill(self, contents: bytearray | mmap, places: Sequence[tuple[int, int, int]]) -> None:
        """Memory has these contents, ``(first, size, address)`` of each piece, and no others."""
        self.contents = contents
        self._view = (ctypes.c_char * len(contents)).from_buffer(contents)
        self._library.prunus_contents(
            ctypes.addressof(self._view),
            *_table(((address, size, first) for first, size, address in places), 3))

    def fail(self, reads: Sequence[tuple[int, int]]) -> None:
        """Reads from ``first`` to ``end`` are answered with SLVERR, and no others."""
        self._fail(reads, ())

    def _fail(self, reads: Sequence[tuple[int, int]], writes: Sequence[tuple[int, int]]) -> None:
        self._bad_reads = reads
        self._library.prunus_faults(*_table(
            ((*ends, SLVERR, write) for write, bad in enumerate((reads, writes)) for ends in bad),
            4))

    def disturb(self, faults: Faults) -> None:
        """What happens to the next table, but for silence."""
        self._library.prunus_draw(faults.read_errors, faults.write_errors, faults.seed)
        self._library.prunus_fences(*_table(faults.fences, 3))
        self._fail(self._bad_reads, faults.bad_writes)
        if faults.stall is not None:
            self._library.prunus_stall(faults.stall, faults.seed)
        elif self._disturbed:
            self.stall(*self._own)
        self._disturbed = faults.stall is not None

    def drawn(self) -> list[Drawn]:
        """Answers with errors since then."""
        count = self._library.prunus_drawn(None, 0)
        rows = np.zeros((count, 4), np.uint64)
        self._library.prunus_drawn(rows.ctypes.data_as(ctypes.c_void_p), count)
        return [Drawn(address, size, response, bool(write))
                for address, size, response, write in rows.tolist()]

    def silence(self, *sides: Side) -> None:
        """These channels do not move any more, and the others do."""
        self._state.silent = sum(1 << side for side in sides)

    def stall(self, probability: float, seed: int) -> None:
        """Channels pause at random from now on."""
        self._own = probability, seed
        self._library.prunus_stall(probability, seed)

    def restart(self) -> None:
        """Nothing is left of what was before; called in a reset."""
        self.silence()
        self._library.prunus_restart()

    def hold(self, count: int) -> None:
        """From now on write responses wait until there are so many, or until no more come."""
        self._library.prunus_hold(count)

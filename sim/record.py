# SPDX-License-Identifier: Apache-2.0
"""Records of the ports of a simulated coprocessor: what each held before each rising edge."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Record"]


@dataclass(frozen=True, eq=False)
class Record:
    """What the memory of a simulation in C++ has written (sim/inside/memory.cpp).

    Members
    -------
    ports : dict of str to (int, int)
        Where a port lies in a row: ``(first byte, bytes)``, the lowest byte first.
    rows : ndarray of uint8, shape (cycles, bytes)
        The first is the first edge of the clock, in the reset.
    """

    ports: dict[str, tuple[int, int]]
    rows: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Record":
        """From a file. Its rows stay there until they are looked at."""
        ports, first = {}, 0
        with open(path, "rb") as file:
            while words := file.readline().decode().split():
                ports[words[0]] = first, int(words[1])
                first += int(words[1])
            begin = file.tell()
        size = path.stat().st_size - begin
        rows = np.memmap(path, np.uint8, "r", begin, (size // first, first))
        return cls(ports, rows)

    def __getitem__(self, name: str) -> np.ndarray:
        """Values of a port of at most 64 bits, by cycle."""
        first, size = self.ports[name]
        padded = np.zeros((len(self.rows), 8), np.uint8)
        padded[:, :size] = self.rows[:, first : first + size]
        return padded.view("<u8")[:, 0]

# SPDX-License-Identifier: Apache-2.0
"""Operand planes: how rows of integers lie in memory.

A plane is a run of rows without gaps. A row starts on an AXI beat; elements are packed
little-endian from its first bit, dimension 0 first, and the rest of its last beat is zero.

===== =================================== ==============
kind  a row holds                         container bits
===== =================================== ==============
v     codes, two's complement             8 or 16
out   output words, two's complement      16 or 32
===== =================================== ==============
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .formats import CodeRange

__all__ = ["Layout", "Plane", "container"]


@dataclass(frozen=True)
class Plane:
    """An operand, or a part of one, as it lies in memory.

    Members
    -------
    name : str
        Its address in the descriptor.
    of : str
        The operand of the job.
    kind : str
        What a row holds, as the layout has it.
    """

    name: str
    of: str
    kind: str


def container(bits: int) -> int:
    """Bits of an element in memory."""
    return 4 if bits <= 4 else 8 if bits <= 8 else 16


@dataclass(frozen=True)
class Layout:
    """Row sizes and packing of what all engines have: codes and output words.

    An engine adds its own kinds of plane to ``row_beats`` and ``pack``.
    """

    config: Any

    @property
    def beat_bits(self) -> int:
        return self.config.axi_data_width

    @property
    def beat_bytes(self) -> int:
        return self.config.axi_data_width // 8

    @property
    def v_bits(self) -> int:
        """Container of a code."""
        return container(self.config.width)

    @property
    def row_dims(self) -> int:
        """Dimensions that the longest row has room for: a power of two."""
        return 1 << (self.config.d_max - 1).bit_length()

    def beats(self, bits: int) -> int:
        """Beats that hold so many bits."""
        return -(-bits // self.beat_bits)

    def row_beats(self, kind: str, d: int) -> int:
        """Beats of a row of d dimensions."""
        return self.beats(d * {"v": self.v_bits, "out": self.config.out_width}[kind])

    def row_bytes(self, kind: str, d: int) -> int:
        return self.row_beats(kind, d) * self.beat_bytes

    def pack_bits(self, values, bits: int, unit: int | None = None) -> np.ndarray:
        """(rows, d) integers as (rows, bytes), each in ``bits`` bits; rows are padded to ``unit``
        bytes, a beat by default."""
        u = np.asarray(values, np.int64) & ((1 << bits) - 1)
        planes = ((u[..., None] >> np.arange(bits)) & 1).astype(np.uint8)
        rows = np.packbits(planes.reshape(len(u), -1), axis=1, bitorder="little")
        return np.pad(rows, ((0, 0), (0, -rows.shape[1] % (unit or self.beat_bytes))))

    def pack(self, kind: str, codes) -> np.ndarray:
        """Rows of codes (rows, d) as (rows, bytes).

        Raises
        ------
        ValueError
            A code is none, or there is no such kind of plane.
        """
        if kind != "v":
            raise ValueError(f"kind of a plane must be one of this layout, not {kind!r}")
        return self.pack_bits(self.checked(codes, self.config), self.v_bits)

    @staticmethod
    def checked(codes, allowed: CodeRange) -> np.ndarray:
        """The codes, if all are allowed; others would become bits of something else."""
        codes = np.asarray(codes, np.int64)
        for code in (int(codes.min(initial=0)), int(codes.max(initial=0))):
            if not allowed.min_code <= code <= allowed.max_code:
                raise ValueError(f"codes must lie in {allowed.min_code}..{allowed.max_code}, "
                                 f"not {code}")
        return codes

    def unpack_out(self, raw, rows: int, d: int) -> np.ndarray:
        """(rows, d) int64 from the bytes of an out plane."""
        dtype = {16: "<i2", 32: "<i4"}[self.config.out_width]
        table = np.frombuffer(bytes(raw), dtype).reshape(rows, -1)
        return table[:, :d].astype(np.int64)

    def out_bytes(self, output: tuple[int, int]) -> int:
        """Bytes of an out plane of (rows, dims)."""
        rows, dims = output
        return rows * self.row_bytes("out", dims)

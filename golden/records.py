# SPDX-License-Identifier: Apache-2.0
"""Descriptors and status records: 16 little-endian 32-bit words on 64-byte boundaries, as tables of
fields.

Of a coprocessor with more than 32 bits of addresses a descriptor has twice as many.

The tables serve the NumPy driver, the decoder in hardware and the documentation alike.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from operator import index

import numpy as np

__all__ = ["DESCRIPTOR_BYTES", "STATUS_BYTES", "VERSION", "WORDS", "WORD_BITS", "Error", "Field",
           "Record", "widened"]

VERSION = 4         # of the memory image
DESCRIPTOR_BYTES = 64
STATUS_BYTES = 64
WORDS = 16
WORD_BITS = 32


class Error(IntEnum):
    """Status word 0, bits 15:8. The first that applies, in this order."""

    NONE = 0
    OPCODE = 1      # unknown opcode or a bit set that no field names; no record if it is 0
    DIMENSION = 2   # d not a multiple of 8 in 8..d_max
    LENGTH = 3      # l_q or l_kv not in 1..l_max
    VALID = 4       # valid_q > l_q or valid_kv > l_kv
    PRUNING = 5     # what says how to prune out of range, or the scale's shift not in 12..63
    ALIGNMENT = 6   # an address not on a beat, or the record's not on 64 bytes: then it has none
    BUS = 7         # a read met an AXI error or left its window; no record if of the descriptor
    WRITE = 8       # a write of the output did


@dataclass(frozen=True)
class Field:
    """Bits of a record.

    Members
    -------
    word, low, width : int
        Where it begins and how many bits it has, which may go on in the words behind.
    name : str
        Fields of the same name are pieces of one number, the low one first.
    text : str
        What it means, for the documentation.
    signed : bool
        Two's complement; of a number in pieces, said of its last one.
    """

    word: int
    low: int
    width: int
    name: str
    text: str = ""
    signed: bool = False

    @property
    def first(self) -> int:
        """Its lowest bit, counted from the record's first."""
        return WORD_BITS * self.word + self.low

    @property
    def place(self) -> tuple[str, str]:
        """Words and bits as the documentation has them."""
        last = (self.first + self.width - 1) // WORD_BITS
        if last > self.word:
            return f"{self.word}, {last}", ""
        high = self.low + self.width - 1
        return str(self.word), f"{high}:{self.low}" if self.width > 1 else str(self.low)


class Record(tuple[Field, ...]):
    """All fields of a descriptor or status record, by rising bits; what lies between is zero.

    Members
    -------
    words : int
        That it takes.

    Raises
    ------
    ValueError
        Fields overlap or do not fit.
    """

    words: int

    def __new__(cls, fields: Iterable[Field], words: int = WORDS) -> "Record":
        record = super().__new__(cls, sorted(fields, key=lambda field: field.first))
        at = 0
        for field in record:
            if field.first < at or field.first + field.width > words * WORD_BITS:
                raise ValueError(f"field {field.name} must lie behind the one before it and within "
                                 f"{words} words, not at word {field.word}, bit {field.low}")
            at = field.first + field.width
        record.words = words
        return record

    @property
    def names(self) -> list[str]:
        """Of the numbers in it, each once."""
        return list(dict.fromkeys(field.name for field in self))

    def pieces(self, name: str) -> list[Field]:
        """The fields of a number, the low one first."""
        return [field for field in self if field.name == name]

    def pack(self, values: Mapping[str, int]) -> np.ndarray:
        """The words (uint32) of a value for each name.

        Raises
        ------
        ValueError
            A name is missing or unknown, or its value does not fit.
        TypeError
            A value is no integer.
        """
        if values.keys() != set(self.names):
            raise ValueError(f"values must be given for {', '.join(self.names)}, not for "
                             f"{', '.join(values)}")
        bits = 0
        for name in self.names:
            value, pieces = index(values[name]), self.pieces(name)
            width = sum(piece.width for piece in pieces)
            low = -(1 << width - 1) if pieces[-1].signed else 0
            if not low <= value < low + (1 << width):
                raise ValueError(f"{name} must lie in {low}..{low + (1 << width) - 1}, not {value}")
            for piece in pieces:
                bits |= (value & ((1 << piece.width) - 1)) << piece.first
                value >>= piece.width
        return np.frombuffer(bits.to_bytes(self.words * WORD_BITS // 8, "little"), "<u4").copy()

    def unpack(self, raw: bytes) -> dict[str, int]:
        """The value of each name in the bytes of a record."""
        bits, values = int.from_bytes(raw[: self.words * WORD_BITS // 8], "little"), {}
        for name in self.names:
            value, at = 0, 0
            for piece in self.pieces(name):
                value |= (bits >> piece.first & ((1 << piece.width) - 1)) << at
                at += piece.width
            if self.pieces(name)[-1].signed and value >> at - 1:
                value -= 1 << at
            values[name] = value
        return values

    def page(self) -> str:
        """The fields as a table in Markdown."""
        rows = [f"| {field.place[0]} | {field.place[1]} | {field.name} | {field.text} |"
                for field in self]
        return "\n".join(["| word | bits | field | content |", "|---|---|---|---|", *rows])


def widened(record: Record, addresses: Iterable[str], width: int) -> Record:
    """A descriptor whose ``addresses``, which have a word each, have ``width`` bits.

    Bits above the 32nd of the address in word n lie in word 16 + n.
    """
    if width <= WORD_BITS:
        return record
    low = [field for name in addresses for field in record.pieces(name)]
    high = [Field(field.word + WORDS, 0, width - WORD_BITS, field.name, "its bits from 32 on")
            for field in low]
    return Record([*record, *high], words=2 * WORDS)

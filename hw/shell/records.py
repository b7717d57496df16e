# SPDX-License-Identifier: Apache-2.0
"""Descriptors and status records in hardware, from golden's tables of fields."""

from amaranth.hdl import Cat, Shape, signed
from amaranth.lib import data

from prunus.golden.records import WORD_BITS, Field, Record

__all__ = ["number", "record_layout"]


def record_layout(record: Record, *, whole: bool = False) -> data.StructLayout:
    """A descriptor or status record as it lies in memory, up to its last field, or the ``whole``.

    Pieces of a number are ``NAME_low`` and ``NAME_high``, gaps in word 0 ``reserved``, other gaps
    ``unused``.
    """
    members: dict[str, int | Shape] = {}
    at = 0

    def add(name: str, shape: int | Shape) -> None:
        while name in members:
            name += "_too"
        members[name] = shape

    for field in record:
        if at < min(field.first, WORD_BITS):
            add("reserved", min(field.first, WORD_BITS) - at)
            at = min(field.first, WORD_BITS)
        if at < field.first:
            add("unused", field.first - at)
        add(_piece_name(record, field), signed(field.width) if field.signed else field.width)
        at = field.first + field.width
    if whole:
        add("rest", record.words * WORD_BITS - at)
    return data.StructLayout(members)


def _piece_name(record: Record, field: Field) -> str:
    pieces = record.pieces(field.name)
    if len(pieces) == 1:
        return field.name
    return f"{field.name}_{'low' if field is pieces[0] else 'high'}"


def number(raw, record: Record, name: str):
    """A number of a descriptor, put together if it lies in pieces."""
    pieces = record.pieces(name)
    values = [raw[_piece_name(record, piece)] for piece in pieces]
    if len(pieces) == 1:
        return values[0]
    return Cat(*values).as_signed() if pieces[-1].signed else Cat(*values)

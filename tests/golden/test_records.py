# SPDX-License-Identifier: Apache-2.0
"""Records of fields: packing against words by hand, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunus.golden.records import STATUS_BYTES, WORDS, Field, Record

MIXED = Record([
    Field(5, 16, 16, "threshold", "its high half-word", signed=True),
    Field(0, 0, 8, "opcode", "what it is"),
    Field(0, 9, 1, "flag", "a bit"),
    Field(1, 8, 8, "rho", "a byte, two's complement", signed=True),
    Field(2, 0, 64, "sum", "two words"),
    Field(4, 0, 32, "threshold", "its low word"),
    Field(15, 31, 1, "end"),
])
VALUES = {"opcode": 0xFE, "flag": 1, "rho": -3, "sum": 0x0123456789ABCDEF,
          "threshold": -2, "end": 0}
RANGES = {"opcode": (0, 255), "flag": (0, 1), "rho": (-128, 127), "sum": (0, (1 << 64) - 1),
          "threshold": (-(1 << 47), (1 << 47) - 1), "end": (0, 1)}


def test_words_by_hand():
    words = MIXED.pack(VALUES)
    assert words.dtype == np.uint32
    assert words.tolist() == [0x2FE, 0xFD00, 0x89ABCDEF, 0x01234567, 0xFFFFFFFE, 0xFFFF0000,
                              *[0] * 10]
    assert MIXED.pack({**VALUES, "threshold": 0x7FFF_0000_0001})[4:6].tolist() == [1, 0x7FFF0000]
    words[0] = 7        # a copy that can be written
    assert MIXED.unpack(words.tobytes()) == {**VALUES, "opcode": 7, "flag": 0}


@st.composite
def records(draw):
    """A record of random fields with values for it; some numbers lie in two pieces."""
    fields, at = [], draw(st.integers(0, 40))
    while at < 32 * WORDS and len(fields) < 12:
        width = draw(st.integers(1, min(70, 32 * WORDS - at)))
        fields.append([at, width, f"f{len(fields)}", draw(st.booleans())])
        at += width + draw(st.integers(0, 40))
    if len(fields) > 1 and draw(st.booleans()):
        fields[-1][2] = fields[0][2]
    record = Record(draw(st.permutations(
        [Field(at // 32, at % 32, width, name, signed=signed)
         for at, width, name, signed in fields])))
    values = {}
    for name in record.names:
        mine = [field for field in fields if field[2] == name]
        width = sum(field[1] for field in mine)
        low = -(1 << width - 1) if mine[-1][3] else 0
        values[name] = draw(st.integers(low, low + (1 << width) - 1))
    return record, fields, values


@given(records())
def test_round_trip(made):
    record, fields, values = made
    raw = record.pack(values).tobytes()
    assert len(raw) == STATUS_BYTES
    assert record.unpack(raw) == values
    whole, left = 0, dict(values)
    for at, width, name, _ in fields:       # by rising bits, so low pieces come first
        whole |= left[name] % (1 << width) << at
        left[name] >>= width
    assert raw == whole.to_bytes(STATUS_BYTES, "little")


def test_what_lies_between_is_not_read():
    raw = MIXED.pack(VALUES).tobytes()
    fields = int.from_bytes(MIXED.pack(
        {name: -1 if low < 0 else high for name, (low, high) in RANGES.items()}).tobytes(),
        "little")
    around = (int.from_bytes(raw, "little") | ~fields & (1 << 512) - 1).to_bytes(64, "little")
    assert around != raw
    assert MIXED.unpack(around) == MIXED.unpack(around + b"more") == VALUES


@pytest.mark.parametrize("name", RANGES)
def test_a_value_that_does_not_fit_is_refused_by_name(name):
    low, high = RANGES[name]
    for value in (low, high):
        packed = MIXED.pack({**VALUES, name: value})
        assert MIXED.unpack(packed.tobytes())[name] == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"^{name} must lie in {low}\.\.{high}, not {value}$"):
            MIXED.pack({**VALUES, name: value})


def test_names_must_be_those_of_the_record():
    assert MIXED.names == ["opcode", "flag", "rho", "sum", "threshold", "end"]
    less = {name: value for name, value in VALUES.items() if name != "rho"}
    for values in (less, {**VALUES, "tau": 1}):
        with pytest.raises(ValueError, match="values must be given for opcode, flag, rho, sum, "
                                             f"threshold, end, not for {', '.join(values)}$"):
            MIXED.pack(values)


@pytest.mark.parametrize(("fields", "where"), [
    ([Field(0, 0, 9, "a"), Field(0, 8, 1, "b")], "field b .*word 0, bit 8"),
    ([Field(1, 0, 8, "b"), Field(0, 16, 17, "a")], "field b .*word 1, bit 0"),
    ([Field(2, 3, 1, "a"), Field(2, 3, 1, "a")], "field a .*word 2, bit 3"),
    ([Field(15, 1, 32, "a")], "field a .*word 15, bit 1"),
    ([Field(16, 0, 1, "a")], "field a .*within 16 words, not at word 16"),
])
def test_fields_that_overlap_or_do_not_fit_are_refused(fields, where):
    with pytest.raises(ValueError, match=where):
        Record(fields)


def test_fields_may_touch_and_fill_it():
    record = Record([Field(0, 0, 500, "a"), Field(15, 20, 12, "b", signed=True)])
    values = {"a": (1 << 500) - 1, "b": -1}
    assert record.pack(values).tolist() == [0xFFFFFFFF] * WORDS


def test_pieces_come_low_one_first():
    assert [(piece.word, piece.signed) for piece in MIXED.pieces("threshold")] == [
        (4, False), (5, True)]
    assert MIXED.pieces("none") == []


def test_page():
    assert MIXED.page().splitlines() == [
        "| word | bits | field | content |",
        "|---|---|---|---|",
        "| 0 | 7:0 | opcode | what it is |",
        "| 0 | 9 | flag | a bit |",
        "| 1 | 15:8 | rho | a byte, two's complement |",
        "| 2, 3 |  | sum | two words |",
        "| 4 | 31:0 | threshold | its low word |",
        "| 5 | 31:16 | threshold | its high half-word |",
        "| 15 | 31 | end |  |",
    ]

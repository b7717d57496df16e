# SPDX-License-Identifier: Apache-2.0
"""Functions of Liberty: what binds more, complements, and texts that are none."""

import itertools

import pytest

from prunus.synth.pdk.cells import library
from prunus.synth.pdk.functions import expression, pins_of, truth
from tests.prunus.power.small import GATES


def table(function, pins):
    return [truth(function, dict(zip(pins, bits, strict=True)))
            for bits in itertools.product((0, 1), repeat=len(pins))]


@pytest.mark.parametrize(("function", "wanted"), [
    ("A+B*C", lambda a, b, c: a | (b & c)),
    ("A*B+C", lambda a, b, c: (a & b) | c),
    ("A|B&C", lambda a, b, c: a | (b & c)),
    ("A*B^C", lambda a, b, c: a & (b ^ c)),
    ("A^B*C", lambda a, b, c: (a ^ b) & c),
    ("A+B^C", lambda a, b, c: a | (b ^ c)),
    ("(A+B)*C", lambda a, b, c: (a | b) & c),
    ("!A*B+C", lambda a, b, c: ((1 - a) & b) | c),
    ("!(A*B)+C", lambda a, b, c: (1 - (a & b)) | c),
    ("A'*B+C", lambda a, b, c: ((1 - a) & b) | c),
    ("(A+B)'*C", lambda a, b, c: (1 - (a | b)) & c),
    ("A''^B'^C", lambda a, b, c: a ^ (1 - b) ^ c),
    ("!!A^B&C", lambda a, b, c: (a ^ b) & c),
    ("!A'+B*C", lambda a, b, c: a | (b & c)),
    ("!A^B*C", lambda a, b, c: ((1 - a) ^ b) & c),
    (" A & ! B | C ", lambda a, b, c: (a & (1 - b)) | c),
    ("A*1+B*0+C*0", lambda a, b, c: a),
])
def test_what_binds_more(function, wanted):
    rows = list(itertools.product((0, 1), repeat=3))
    assert table(function, "ABC") == [wanted(*row) for row in rows]


def test_constants():
    assert (truth("0", {}), truth("1", {}), truth("!1", {}), truth("0'", {})) == (0, 1, 0, 1)


def test_python_and_c_read_the_same_text():
    """All brackets are there, and complements are of one bit."""
    assert expression("!A*B+C^D'") == "(((1 ^ A) & B) | (C ^ (1 ^ D)))"
    assert truth("!A", {"A": 0}) == 1       # and not -1


def test_pins_are_named_once():
    assert pins_of("(B_N*A1)+!(A1^S0')+1*0") == ["A1", "B_N", "S0"]
    assert pins_of("1") == []


@pytest.mark.parametrize(("function", "message"), [
    ("", "a pin is missing in ''"),
    ("A+", r"a pin is missing in 'A\+'"),
    ("*A", "a pin is missing in"),
    ("(A+B", r"a bracket is open in '\(A\+B'"),
    ("A+B)", r"'\)' is too much in 'A\+B\)'"),
    ("A B", "'B' is too much in 'A B'"),
    ("A-B", "'A-B' is no function of pins"),
    ("2", "'2' is no function of pins"),
    ("A.B", "'A.B' is no function of pins"),
    ("!", "a pin is missing in '!'"),
    ("()", r"a pin is missing in '\(\)'"),
])
def test_texts_that_are_none(function, message):
    with pytest.raises(ValueError, match=message):
        expression(function)


@pytest.mark.parametrize("name", GATES)
def test_every_gate_of_the_library(name):
    """By all values of its pins, against functions written by hand."""
    cell = library().cells[f"sg13g2_{name}"]
    pins = sorted(cell.inputs)
    rows = list(itertools.product((0, 1), repeat=len(pins)))
    assert table(cell.function, pins) == [GATES[name](*row) for row in rows]


def test_no_gate_is_left_out():
    assert {name for name, cell in library().cells.items() if cell.kind == "gate"} == {
        f"sg13g2_{name}" for name in GATES}

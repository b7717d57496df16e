# SPDX-License-Identifier: Apache-2.0
"""Verilator's file of coverage, and the rows that are kept of it."""

import pytest

from prunus.sim.campaigns.coverage import compare
from prunus.sim.coverage import Point, read, uncovered

VERILOG = "\nmodule top__unit(a);\n  if (a)\n    x = 1;\n"


def _row(page, line, what, count, where="TOP.top.unit"):
    fields = {"f": "top.v", "l": line, "n": 5, "page": page, "o": what, "h": where}
    said = "".join(f"\x01{key}\x02{value}" for key, value in fields.items())
    return f"C '{said}' {count}\n"


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text("# SystemC::Coverage-3\n" + "".join([
        _row("v_toggle/top__unit", 2, "word[3]", 0), _row("v_toggle/top__unit", 2, "word[2]", 0),
        _row("v_toggle/top__unit", 2, "word[1]", 7), _row("v_toggle/top__unit", 2, "word[0]", 0),
        _row("v_toggle/top__unit", 2, "job__05F__05Fready", 0),
        _row("v_branch/top__unit", 3, "if", 0), _row("v_branch/top__unit", 3, "else", 2),
        _row("v_line/top__unit", 4, "block", 0), _row("v_line/top__unit", 4, "block", 3, "TOP.b"),
    ]))
    return read(path)


def test_counts_of_instances_add_up(counts):
    assert counts[Point("line", "top__unit", 4, "block")] == 3
    assert counts[Point("toggle", "top__unit", 2, "job__ready")] == 0
    assert len(counts) == 8


def test_rows_have_no_line_numbers(counts):
    assert uncovered(counts, VERILOG, "top") == [
        "branch unit: if (a) (if)", "toggle unit: job__ready [0]", "toggle unit: word [0][3:2]"]


def test_what_is_new_and_what_is_gone(tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("")
    assert compare(["a", "b"], kept) == (["a", "b"], [])
    kept.write_text("a  # why\nc  # not explained\n")
    assert compare(["a", "b"], kept) == (["b"], ["c"])

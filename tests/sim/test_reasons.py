# SPDX-License-Identifier: Apache-2.0
"""Reasons behind the rows of kept lists, and that the lists have those of their folder."""

import pytest

from prunus.sim.reasons import COVERAGE, MUTANTS, UNEXPLAINED, explained, read_list, write_list

REASONS = """
[[reason]]
rows = 'toggle a'
why = "first"

[[reason]]
rows = 'toggle'
why = "second"
"""


def test_the_first_pattern_that_matches_the_beginning(tmp_path):
    (tmp_path / "reasons.toml").write_text(REASONS)
    rows = ["toggle a", "toggle b", "a toggle"]
    assert list(explained(rows, tmp_path).values()) == ["first", "second", UNEXPLAINED]


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "reasons.toml").write_text(REASONS)
    path = tmp_path / "list.txt"
    write_list(["toggle a: b # c", "toggle b"], path)
    assert read_list(path) == [("toggle a: b # c", "first"), ("toggle b", "second")]


@pytest.mark.parametrize("path", [
    path for folder in (COVERAGE, MUTANTS) for path in sorted(folder.glob("*.txt"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_lists_have_the_reasons_of_their_folder(path):
    kept = read_list(path)
    assert kept
    assert dict(kept) == explained([row for row, _ in kept], path.parent)

# SPDX-License-Identifier: Apache-2.0
"""The file of a search."""

import pytest

from prunus.errors import InputError

pytest.importorskip("optuna", reason="needs optuna: pip install -e '.[models]'")

from prunus.evaluate.search.space import Range
from prunus.evaluate.search.study import KEPT, Study


@pytest.mark.parametrize("name", ["plain", "what?", "{x}", "100% of 'ü\"", "a%41", "file:#x"])
def test_a_study_lies_where_its_name_says(tmp_path, monkeypatch, name):
    """Whatever signs the name has."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"{name}.study"
    setting, result = {"threshold.0": 0.5}, dict.fromkeys(KEPT, 0.25)
    kept = Study(path, {"seed": 1}).add(setting, {"threshold.0": Range(0.0, 1.0)}, result, "scores",
                                        "ladder")
    assert list(tmp_path.iterdir()) == [path]
    again = Study(path, {"seed": 1})
    assert again.known == 1 and again.result(setting) == kept == result | {"phase": "ladder"}
    with pytest.raises(InputError, match="is of another seed, 1, and this is 2: --study names"):
        Study(path, {"seed": 2})


def test_a_file_that_is_no_study(tmp_path):
    path = tmp_path / "a.study"
    path.write_text("something else, and longer than the header of a database of SQLite" * 9)
    before = path.read_bytes()
    with pytest.raises(InputError, match="study .*a.study' cannot be used: .*not a database"):
        Study(path, {"seed": 1})
    assert path.read_bytes() == before

# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.hygiene import LARGEST, LICENCE, faults, main


@pytest.mark.parametrize(("name", "raw", "found"), [
    ("a.md", b"good\n", []),
    ("a.md", b"", []),
    ("a.md", b"good \nbad", ["line 1 ends with a space", "must end with one line end"]),
    ("a.md", b"good\n\n", ["must end with one line end"]),
    ("a.md", b"good\r\n", ["line 1 ends with a carriage return"]),
    ("a.md", b"<<<<<<< HEAD\n=======\n", ["line 1 is the mark of a merge"]),
    ("a.npz", b"\0 \n\n", []),
    ("a.npz", bytes(LARGEST + 1), [f"has {LARGEST + 1} bytes, at most {LARGEST} are allowed"]),
    ("a.svg", b"as made \n", []),
    ("a.py", LICENCE + b"\n", []),
    ("a.py", b"import os\n", [f"must begin with {LICENCE.decode()}"]),
])
def test_faults(tmp_path, name, raw, found):
    (tmp_path / name).write_bytes(raw)
    assert list(faults(tmp_path / name)) == found


def test_faults_are_told_with_their_file(tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_bytes(b"good\n")
    assert main([str(path), str(tmp_path / "removed.md")]) == 0
    path.write_bytes(b"bad \n")
    assert main([str(path)]) == 1
    assert capsys.readouterr().err == f"{path}: line 1 ends with a space\n"

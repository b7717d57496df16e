# SPDX-License-Identifier: Apache-2.0
import errno
import os
import tempfile

import pytest

from prunus.golden.errors import InputError
from prunus.sim.simulators import folders
from prunus.sim.simulators.folders import check_room, room_is_missing, scratch


def test_a_scratch_folder_goes_away(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch("some-") as folder:
        (folder / "file").write_text("x")
        check_room(folder)
        assert folder.parent == tmp_path and folder.name.startswith("some-")
    assert not list(tmp_path.iterdir())


def test_a_full_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match=f"^temporary folder '{tmp_path}' cannot be written: No sp"
                                         "ace left on device; TMPDIR in the environment names"):
        with scratch("some-"):
            with open("/dev/full", "w") as file:
                file.write("x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError), scratch("some-") as folder:
        (folder / "missing").read_text()


def test_one_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", "/gone")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="temporary folder '/gone' cannot be written: No such"):
        with scratch("some-"):
            raise AssertionError


def test_what_a_program_says_of_a_full_disk(monkeypatch, tmp_path):
    with pytest.raises(OSError) as said:
        room_is_missing("make: write error: No space left on device\n", tmp_path)
    assert said.value.errno == errno.ENOSPC
    room_is_missing("syntax error", tmp_path)

    def refuse(folder):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(folders, "check_room", refuse)
    with pytest.raises(OSError, match="quota"):
        room_is_missing("", tmp_path)       # as when the log is on the disk, too

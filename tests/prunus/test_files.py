# SPDX-License-Identifier: Apache-2.0
"""Outputs appear whole or not at all."""

import os
import re

import pytest

from prunus.errors import InputError
from prunus.files import check_output, publish, write_files


def test_files_appear_together(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    write_files({a: lambda f: f.write(b"1"), b: lambda f: f.write(b"2")})
    assert (a.read_bytes(), b.read_bytes()) == (b"1", b"2")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "written"
    plain.touch()
    write_files({path: lambda f: f.write(b"1")})
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_folder_that_is_published_is_like_any_new_one(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "made").mkdir(mode=0o700)
    for name, mode in (("plain", 0o666), ("made", 0o600)):
        (tmp_path / name / "file").touch(mode=mode)
    publish(tmp_path / "made")
    for path in ("", "file"):
        assert (tmp_path / "made" / path).stat().st_mode == (
            tmp_path / "plain" / path).stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_files({a: lambda f: f.write(b"new"), b: fail})
    assert a.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_an_input_error(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_files({tmp_path / "a": fail})
    assert os.listdir(tmp_path) == []


def test_check_output(tmp_path):
    source = tmp_path / "in"
    source.touch()
    assert check_output(tmp_path / "new", source) == (tmp_path / "new").resolve()
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
            ("none/out", "must lie in an existing directory"),
            (".", "output must be a file, and"),
            ("pipe", "output must be a regular file"),
            ("in", "output must not be the input file"),
            ("link", "output must not be the input file"),
            ("hard", "output must not be the input file")):
        with pytest.raises(InputError, match=re.escape(message)):
            check_output(tmp_path / path, source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_output(tmp_path / "out")


def test_a_link_keeps_being_one(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.touch()
    link.symlink_to(real)
    write_files({check_output(link): lambda f: f.write(b"1")})
    assert link.is_symlink()
    assert real.read_bytes() == b"1"

# SPDX-License-Identifier: Apache-2.0
import errno
import fcntl
import os
from multiprocessing import get_context

import platformdirs
import pytest

from prunus.golden.errors import InputError
from prunus.sim.simulators import cache
from prunus.sim.simulators.cache import MANIFEST, ROOT, build_root, cached, digest, whole


def test_digest_tells_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest(b"ab", b"c")
    assert len(digest("")) == 16


def test_build_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    assert build_root() == tmp_path
    monkeypatch.delenv("PRUNUS_BUILD")
    assert build_root() == ROOT / "build"


@pytest.mark.parametrize("root", ["a checkout that cannot be written", "no checkout"])
def test_build_root_of_those_who_cannot_write(monkeypatch, tmp_path, root):
    monkeypatch.delenv("PRUNUS_BUILD", raising=False)
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    if root != "no checkout":
        (tmp_path / "pyproject.toml").touch()
        assert build_root() == tmp_path / "build"
        monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert build_root() == platformdirs.user_cache_path("prunus")


def test_there_may_be_no_home(monkeypatch, tmp_path):
    monkeypatch.delenv("PRUNUS_BUILD", raising=False)
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InputError, match="no home folder for it; PRUNUS_BUILD in the environment"):
        build_root()


def test_makes_once(tmp_path):
    made = []

    def make(work):
        made.append(work)
        (work / "product").write_text("x")

    assert cached(tmp_path / "a" / "b", make)
    assert not cached(tmp_path / "a" / "b", make)
    assert len(made) == 1
    assert (tmp_path / "a" / "b" / "product").read_text() == "x"


def test_a_failure_leaves_nothing_and_can_be_repeated(tmp_path):
    def fail(work):
        (work / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached(tmp_path / "b", fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert cached(tmp_path / "b", lambda work: None)


def _make(work):
    (work / "some").mkdir()
    (work / "some" / "product").write_text("12345")
    (work / "empty").touch()


@pytest.mark.parametrize("damage", [
    lambda path: (path / "some" / "product").unlink(),
    lambda path: (path / "some" / "product").write_text(""),
    lambda path: (path / "some" / "product").write_text("1234"),
    lambda path: (path / "some" / "product").write_text("12346"),
    lambda path: (path / MANIFEST).unlink(),
    lambda path: (path / MANIFEST).write_text("{"),
    lambda path: (path / MANIFEST).write_text("[]"),
    lambda path: (path / "empty").unlink(),
    lambda path: (path / "some" / "product").chmod(0o755),
], ids=["deleted", "empty", "truncated", "changed", "manifest", "half", "list", "empty deleted",
        "mode"])
def test_what_is_damaged_is_made_again(tmp_path, damage):
    directory = tmp_path / "d"
    assert cached(directory, _make)
    (directory / "log").write_text("whatever is added does not matter")
    assert whole(directory)
    damage(directory)
    assert not whole(directory)
    assert cached(directory, _make)
    assert (directory / "some" / "product").read_text() == "12345"
    assert not cached(directory, _make)
    assert directory.stat().st_mode & 0o777 == 0o755       # temporary ones are private


def test_what_killed_builds_left_is_removed(tmp_path):
    """Those of the same key, and of others whose lock is free."""
    for name in (".mine.abcdefgh", ".mine.0123_567", ".dead.abcdefgh", ".busy.abcdefgh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "big").write_text("x")
    (tmp_path / ".mine.ab").mkdir()         # not one of ours
    with open(tmp_path / ".busy.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert cached(tmp_path / "mine", _make)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "mine", ".mine.ab", ".busy.abcdefgh"}


def _full(work):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_build_folder_that_refuses_is_named(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("PRUNUS_BUILD", str(file))
    with pytest.raises(InputError, match=r"^build folder '.*/file' cannot be written: Not a dir.*; "
                                         r"PRUNUS_BUILD in the environment names another folder$"):
        cached(build_root() / "sim" / "d", _make)
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    with pytest.raises(InputError, match="cannot be written: No space left on device; PRUNUS"):
        cached(tmp_path / "d", _full)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_missing_file_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        cached(tmp_path / "d", lambda work: (work / "missing").read_text())


def _race(directory, seen):
    def make(work):
        (work / "product").write_text(str(os.getpid()))
        for n in range(100):
            (work / f"file{n}").write_text("x")

    made = cached(directory, make)
    seen.put((made, (directory / "product").read_text(), len(list(directory.iterdir()))))


def test_processes_that_race_make_it_once(tmp_path):
    context = get_context("spawn")
    seen = context.Queue()
    workers = [context.Process(target=_race, args=(tmp_path / "c", seen)) for _ in range(4)]
    for worker in workers:
        worker.start()
    answers = [seen.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sorted(made for made, _, _ in answers) == [False, False, False, True]
    assert len({product for _, product, _ in answers}) == 1
    assert {count for _, _, count in answers} == {102}

# SPDX-License-Identifier: Apache-2.0
import os
from multiprocessing import get_context

import pytest

from prunus.sim.simulators.cache import ROOT, build_root, cached, digest


def test_digest_tells_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest(b"ab", b"c")
    assert len(digest("")) == 16


def test_build_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))
    assert build_root() == tmp_path
    monkeypatch.delenv("PRUNUS_BUILD")
    assert build_root() == ROOT / "build"


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
    assert {count for _, _, count in answers} == {101}

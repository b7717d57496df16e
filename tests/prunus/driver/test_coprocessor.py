# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from golden.config import load_config
from golden.hdp import head
from golden.memory import build_image
from golden.tiles import is_tiled
from prunus.driver import Coprocessor, Link, coprocessor
from prunus.driver.tables import folded_image, image_bytes, plan
from sim.driver import DriverError
from sim.jobs import Recipe, build
from tests.prunus.driver.board import FakeBoard, spoiler

CONFIG = load_config("hdp_tiny")


def _jobs(count, length=16, d=32):
    return [build(Recipe(l_q=length, l_kv=length, valid_q=length, valid_kv=length, d=d, seed=n),
                  CONFIG) for n in range(count)]


def _open(board, monkeypatch, config=CONFIG, **options):
    monkeypatch.setattr(coprocessor, "LinkTransport", lambda link: _transport(link, board))
    return Coprocessor(Link(board, clock=board.clock, **options), config)


def _transport(link, board):
    from prunus.driver.transport import LinkTransport
    return LinkTransport(link, sleep=board.sleep, clock=board.clock)


def _check(results, jobs):
    assert len(results) == len(jobs)
    for (out, status), job in zip(results, jobs, strict=True):
        expected = head(job, CONFIG)
        assert_array_equal(out, expected.out)
        assert status.done
        assert status.theta_head == expected.theta_head


@pytest.mark.parametrize("chance", [0.0, 0.2])
def test_jobs_in_several_tables(monkeypatch, chance):
    jobs = _jobs(7)
    board = FakeBoard(CONFIG, jobs, memory_bytes=8192, spoil=spoiler(1, chance))
    told = []
    with _open(board, monkeypatch, retries=30) as opened:
        results, counters = opened.run(jobs, lambda *at: told.append(at))
    _check(results, jobs)
    assert board.rings == len(plan(jobs, CONFIG, 8192)) > 1
    assert counters["jobs_done"] == 7
    assert counters["cycles"] == 7000
    assert told[-1] == (7, 7)
    assert told == sorted(told)


def test_a_job_that_needs_its_output_over_its_inputs(monkeypatch):
    job, = jobs = _jobs(1, length=32)
    size = len(build_image(jobs, CONFIG).data)
    assert size == image_bytes(job, CONFIG)
    board = FakeBoard(CONFIG, jobs, memory_bytes=size - 64)
    results, _ = _open(board, monkeypatch).run(jobs)
    _check(results, jobs)


def test_a_head_in_tiles_is_not_folded():
    """Its planes are read again after its first rows are written."""
    config = CONFIG.model_copy(update={"tile": 8})
    job, = _jobs(1, length=32)
    assert is_tiled(job, config) and not is_tiled(job, CONFIG)
    assert folded_image(job, config).data == build_image([job], config).data
    assert folded_image(job, CONFIG).data != build_image([job], CONFIG).data


def test_folded_image():
    """The same operands and words, but for the addresses of output and record."""
    job, = _jobs(1, length=32)
    plain, folded = build_image([job], CONFIG), folded_image(job, CONFIG)
    assert len(plain.data) - len(folded.data) == 32 * 64
    assert folded.out == [64]
    assert folded.status == plain.out
    assert folded.data[64 : plain.out[0]] == plain.data[64 : plain.out[0]]
    before, after = (np.frombuffer(bytes(image.data[:64]), "<u4") for image in (plain, folded))
    assert list(np.flatnonzero(before != after)) == [11, 12]
    assert list(after[11:13]) == [64, plain.out[0]]
    assert folded.data[plain.out[0] :] == b"\xA5" * 64


def test_an_output_longer_than_its_inputs_stays_behind_them():
    job = build(Recipe(l_q=32, l_kv=2, valid_q=32, valid_kv=2, d=32), CONFIG)
    plain = build_image([job], CONFIG)
    assert 32 * 64 > int.from_bytes(plain.data[40:44], "little") - 64
    folded = folded_image(job, CONFIG)
    assert (folded.data, folded.out, folded.status) == (plain.data, plain.out, plain.status)


def test_plan():
    """Sizes are exact, no table is larger than the memory, none could take another job."""
    jobs = _jobs(5) + _jobs(3, 7, 8)
    shared = replace(jobs[0], same_kv=True)
    jobs = [jobs[0], shared, shared, *jobs[1:]]
    for memory in (4096, 6000, 9000, 1 << 20):
        tables = plan(jobs, CONFIG, memory)
        assert [table.first for table in tables] == list(
            np.cumsum([0, *(len(table.jobs) for table in tables[:-1])]))
        assert sum(len(table.jobs) for table in tables) == len(jobs)
        for table, after in zip(tables, [*tables[1:], None], strict=True):
            size = len(build_image(table.jobs, CONFIG).data)
            assert size == sum(image_bytes(job, CONFIG) for job in table.jobs) <= memory
            assert not table.jobs[0].same_kv
            if after:
                assert size + image_bytes(jobs[after.first], CONFIG) > memory
    assert len(plan(jobs, CONFIG, 1 << 20)) == 1
    assert [job.same_kv for job in plan(jobs, CONFIG, 1 << 20)[0].jobs[:3]] == [False, True, True]


def test_too_large():
    with pytest.raises(ValueError, match=r"job 1 \(l_q 32, l_kv 32, d 32\) must fit the board's "
                                         "memory of 3000 bytes, and takes 3"):
        plan(_jobs(1, 8) + _jobs(1, 32), CONFIG, 3000)


def test_another_coprocessor(monkeypatch):
    board = FakeBoard(load_config("hdp_edge"))
    with pytest.raises(DriverError, match="register limits must read 0x00200020, not 0x00400200"):
        _open(board, monkeypatch)


def test_a_coprocessor_that_hangs(monkeypatch):
    jobs = _jobs(1)
    board = FakeBoard(CONFIG, jobs)
    board.hang = True
    opened = _open(board, monkeypatch)
    monkeypatch.setattr(coprocessor.time, "monotonic", board.clock)
    with pytest.raises(DriverError, match="job 0 takes more than 60 s"):
        opened.run(jobs)

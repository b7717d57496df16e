# SPDX-License-Identifier: Apache-2.0
"""Backend serial of both engines, on a board in Python."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import host as driver
from golden.engines import load_config
from host import Coprocessor, Link, LinkTransport, coprocessor
from prunus import run
from prunus.engines import leopard
from prunus.errors import InputError, RunError
from sim.engines import random_jobs
from tests.host.board import FakeBoard

MODULES = {"hdp": run, "leopard": leopard}
ENGINES = pytest.mark.parametrize("config", [load_config("hdp_tiny"), load_config("leopard_tiny")],
                                  ids=lambda config: config.engine)


def _serial(board, config, jobs, monkeypatch):
    """The run of a board's jobs over its line."""
    monkeypatch.setattr(coprocessor, "LinkTransport", lambda link: LinkTransport(
        link, sleep=board.sleep, clock=board.clock))
    monkeypatch.setattr(driver, "open_serial", lambda port, config: Coprocessor(
        Link(board, clock=board.clock), config))
    return MODULES[config.engine].run_serial(jobs, config, port="/dev/none")


@ENGINES
def test_a_board_gives_what_golden_does(config, monkeypatch):
    jobs = random_jobs(config, 12, seed=1)
    board = FakeBoard(config, jobs, memory_bytes=10_240)
    done = _serial(board, config, jobs, monkeypatch)
    expected = MODULES[config.engine].run_golden(jobs, config)
    assert board.rings > 1
    for (out, _), (want, _) in zip(done.outputs, expected.outputs, strict=True):
        assert_array_equal(out, want)
    got, want = done.summary(), expected.summary()
    figures = {"hdp": ["blocks_kept", "heads_pruned"], "leopard": ["survivors", "digits_total"]}
    for name in figures[config.engine]:
        assert got[name] == want[name]
    assert (got["backend"], got["cycles"]) == ("serial", 12_000)


@ENGINES
def test_a_wrong_word_is_found(config, monkeypatch):
    """As a board gives it that is clocked too high."""
    jobs = random_jobs(config, 3, seed=2)
    board = FakeBoard(config, jobs)
    compute = board._compute

    def spoiled(count):
        compute(count)
        words = np.frombuffer(bytes(board.memory[64:128]), "<u4")     # the second descriptor
        board.memory[int(words[11])] ^= 1

    board._compute = spoiled
    with pytest.raises(RunError, match="head 1: the board's output is not that of the spec"):
        _serial(board, config, jobs, monkeypatch)


@ENGINES
def test_a_job_that_fails_is_reported(config, monkeypatch):
    jobs = random_jobs(config, 3, seed=3)
    board = FakeBoard(config, jobs)
    compute = board._compute

    def failed(count):
        compute(count)
        words = np.frombuffer(bytes(board.memory[128:192]), "<u4")
        board.memory[int(words[12]) + 1] = 7

    board._compute = failed
    with pytest.raises(RunError, match="head 2: the coprocessor reports BUS"):
        _serial(board, config, jobs, monkeypatch)


@ENGINES
def test_a_head_too_long_for_the_board(config, monkeypatch):
    jobs = random_jobs(config, 3, seed=4)
    with pytest.raises(InputError, match="must fit the board's memory of 256 bytes"):
        _serial(FakeBoard(config, jobs, memory_bytes=256), config, jobs, monkeypatch)

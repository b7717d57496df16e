# SPDX-License-Identifier: Apache-2.0
"""Backends of every engine: serial on a board in Python, and verilator on a stand-in."""

import inspect
import os
from enum import Enum
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import prunus.host as driver
from prunus.engines import FRONTS, front_of
from prunus.errors import InputError, RunError
from prunus.golden.engines import ENGINES, engine_of, load_config, preset_names
from prunus.golden.records import Error
from prunus.host import Coprocessor, Link, LinkTransport
from prunus.run import run_golden, run_serial, run_verilator
from prunus.sim.engines import BENCHES, random_jobs
from prunus.sim.simulate import SimulationError
from tests.host.board import FakeBoard
from tests.prunus.test_cli import EXAMPLE, prunus

CONFIGS = [load_config(BENCHES[name].preset) for name in ENGINES]
BY_ENGINE = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.engine)


def _serial(board, config, jobs, monkeypatch):
    """The run of a board's jobs over its line."""
    monkeypatch.setattr(driver, "open_serial", lambda port, config: Coprocessor(
        LinkTransport(Link(board, clock=board.clock), sleep=board.sleep, clock=board.clock), config,
        memory_bytes=len(board.memory)))
    return run_serial(jobs, config, port="/dev/none")


@BY_ENGINE
def test_a_board_gives_what_golden_does(config, monkeypatch):
    jobs = random_jobs(config, 12, seed=1)
    board = FakeBoard(config, jobs, memory_bytes=10_240)
    done = _serial(board, config, jobs, monkeypatch)
    expected = run_golden(jobs, config)
    assert board.rings > 1
    for (out, _), (want, _) in zip(done.outputs, expected.outputs, strict=True):
        assert_array_equal(out, want)
    front = front_of(config)
    got, want = (of.summary(front.figures(of)) for of in (done, expected))
    own = {"hdp": ["blocks_kept", "heads_pruned"], "leopard": ["survivors", "digits_total"]}
    assert set(front.figures(done)) >= set(own.get(config.engine, ()))
    for name in front.figures(done):
        assert got[name] == want[name]
    assert (got["backend"], got["cycles"]) == ("serial", 12_000)


@BY_ENGINE
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


@BY_ENGINE
def test_a_wrong_count_in_a_status_record_is_found(config, monkeypatch):
    """Where every output is right."""
    jobs = random_jobs(config, 3, seed=2)
    board = FakeBoard(config, jobs)
    compute = board._compute

    def spoiled(count):
        compute(count)
        words = np.frombuffer(bytes(board.memory[64:128]), "<u4")     # the second descriptor
        board.memory[int(words[12]) + 4] ^= 1

    board._compute = spoiled
    with pytest.raises(RunError, match="head 1: the board's status record is not that of the spec"):
        _serial(board, config, jobs, monkeypatch)


@BY_ENGINE
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


@BY_ENGINE
def test_a_head_too_long_for_the_board(config, monkeypatch):
    jobs = random_jobs(config, 3, seed=4)
    with pytest.raises(InputError, match="must fit the memory of 256 bytes"):
        _serial(FakeBoard(config, jobs, memory_bytes=256), config, jobs, monkeypatch)


# -- backend verilator ----------------------------------------------------------------------------
def _simulated(monkeypatch, spoil=lambda results: None):
    """The RTL is golden, but for what ``spoil`` does to its results. Gives the tables it got."""
    tables = []

    def simulate(jobs, config, progress=None):
        tables.append(jobs)
        results = [[out.copy(), status] for out, status in run_golden(jobs, config).outputs]
        spoil(results)
        return SimpleNamespace(results=[tuple(of) for of in results], build_s=1.0, sim_s=2.0,
                               registers={"cycles": 7, "read_bytes": 8, "write_bytes": 9})

    monkeypatch.setattr("prunus.sim.simulate.simulate", simulate)
    return tables


@BY_ENGINE
def test_the_rtl_is_compared_with_golden(config, monkeypatch):
    jobs = random_jobs(config, 8, seed=5)
    tables = _simulated(monkeypatch)
    done = run_verilator(jobs, config)
    assert len(tables) == 1
    assert (done.cycles, done.read_bytes, done.write_bytes) == (7, 8, 9)
    for n, result in enumerate(engine_of(config).compute(job, config) for job in jobs):
        assert_array_equal(done.outputs[n][0], result.out)
        assert_array_equal(done.golden[n].out, result.out)


@BY_ENGINE
@pytest.mark.parametrize("head", [0, 4])
def test_a_wrong_output_of_the_rtl_is_found(config, head, monkeypatch):
    """A single word, the last of all."""
    def spoil(results):
        results[head][0][-1, -1] ^= 1

    _simulated(monkeypatch, spoil)
    with pytest.raises(RunError, match=rf"^head {head}: the RTL's output is not that of the spec"):
        run_verilator(random_jobs(config, 5, seed=6), config)


def test_a_wrong_output_has_the_number_of_its_head(monkeypatch):
    """Not its place in a table that several cores share."""
    config = load_config("hdp_quad")
    jobs = random_jobs(config, 9, seed=7)
    order, _ = engine_of(config).arrange(jobs, config)
    assert order != sorted(order)

    def spoil(results):
        results[0][0][0, 0] += 1

    _simulated(monkeypatch, spoil)
    with pytest.raises(RunError, match=f"^head {order[0]}: the RTL"):
        run_verilator(jobs, config)


@BY_ENGINE
def test_a_head_that_the_rtl_fails_or_forgets_is_told(config, monkeypatch):
    jobs = random_jobs(config, 3, seed=8)
    kind = engine_of(config).kind(jobs[1])
    for status, said in ((kind.Status(done=True, error=Error.BUS), "BUS"),
                         (None, "no status record")):
        def spoil(results, status=status):
            results[1][1] = status

        _simulated(monkeypatch, spoil)
        with pytest.raises(RunError, match=f"^head 1: the coprocessor reports {said}$"):
            run_verilator(jobs, config)

    def fail(results):
        raise SimulationError("no end after 3 s")

    _simulated(monkeypatch, fail)
    with pytest.raises(RunError, match="^no end after 3 s$"):
        run_verilator(jobs, config)


# -- options --------------------------------------------------------------------------------------
def _spelled(name, parameter):
    """An option as it is typed, with a value that is not its default."""
    option = f"--{name.replace('_', '-')}"
    kinds = get_args(get_args(parameter.annotation)[0]) or get_args(parameter.annotation)[:1]
    kind = next(kind for kind in kinds if kind is not type(None))
    if kind is bool:
        return [option]
    return [option, list(kind)[0].value if issubclass(kind, Enum) else "1"]


FOREIGN = [pytest.param(config, front, *_spelled(name, parameter)[:1], _spelled(name, parameter),
                        id=f"{config.engine}-{name}")
           for config in CONFIGS for front in FRONTS
           for name, parameter in inspect.signature(FRONTS[front].options).parameters.items()
           if name not in inspect.signature(front_of(config).options).parameters]


def test_every_engine_has_a_front():
    assert set(FRONTS) == set(ENGINES) == set(BENCHES)
    assert {config.values[0].engine for config in FOREIGN} == set(ENGINES)
    assert all(preset_names(name) for name in FRONTS)


@pytest.mark.parametrize(("config", "other", "option", "args"), FOREIGN)
def test_options_of_another_engine_are_refused(capfd, tmp_path, config, other, option, args):
    """In one line, before anything is written; the engine that has them takes them."""
    code, out, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--config", config.name, *args)
    assert (code, out) == (2, "")
    assert err == (f"error: {option} is an option of engine {other}, and config {config.name} is "
                   f"of engine {config.engine}\n")
    assert os.listdir(tmp_path) == []
    code, _, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--config",
                          BENCHES[other].preset, *args)
    assert "is an option of engine" not in err

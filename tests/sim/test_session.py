# SPDX-License-Identifier: Apache-2.0
"""A simulation that stays alive between tables."""

import shlex
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.records import Error
from prunus.sim.cases import Case
from prunus.sim.compare import check
from prunus.sim.engines import BENCHES, random_jobs
from prunus.sim.session import Simulation, check_written, open_session
from prunus.sim.simulate import Access, Batch, SimulationError, simulate_batches

from .loopback import loopback
from .simulators.test_processes import _ends

CONFIG = load_config("hdp_tiny")
JOBS = random_jobs(CONFIG, 5, 1)
opened = partial(open_session, CONFIG, verilog=loopback(CONFIG))
BROKEN = Access(0xFC, 6, write=True)        # of the stand-in: WLAST on the wrong beat


def unknown(simulation, jobs):
    check(simulation, jobs, CONFIG, dict.fromkeys(range(len(jobs)), Error.OPCODE))


def process_of(session):
    return session._alive._runner._process


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_tables_of_a_session_are_those_of_one_simulation(stall):
    """Whatever their sizes are; the clock stands still in between."""
    tables = [JOBS[:1], JOBS, JOBS[:1], JOBS[1:3]]
    at_once = simulate_batches(tables, CONFIG, verilog=loopback(CONFIG), stall=stall, seed=3)
    with opened(stall=stall, seed=3) as session:
        for table, want in zip(tables, at_once, strict=True):
            got = session.simulate(table)
            unknown(got, table)
            assert (got.registers, got.cycles) == (want.registers, want.cycles)
            assert got.build_s == session.build_s and 0 < got.sim_s
        assert session.start_s > 0
        process = process_of(session)
    assert process.returncode == 0


@pytest.mark.parametrize("preset", [bench.preset for bench in BENCHES.values()])
def test_the_next_table_is_made_of_what_the_last_one_gave(preset):
    """On the RTL of each engine, held against the specification."""
    config = load_config(preset)
    jobs = list(random_jobs(config, 6, 4))
    with open_session(config) as session:
        for _ in range(3):
            simulation = session.simulate(jobs)
            check(simulation, jobs, config)
            given = sum(int(np.abs(out).sum()) for out, _ in simulation.results)
            jobs = list(random_jobs(config, 6, given % 1000))


def test_progress():
    seen: list[int] = []
    many = JOBS * 400
    with opened() as session:
        session.simulate(many, seen.append)
        assert seen and seen == sorted(seen) and seen[-1] <= len(many)
        session.simulate(JOBS)                  # nobody asked


def test_a_broken_rule_ends_the_session():
    with pytest.raises(SimulationError, match="m_axi_wlast came on beat 7 of 8"):
        with opened() as session:
            session.simulate(JOBS)
            session.ring(Batch(JOBS, before=[BROKEN]))


def test_a_driver_that_complains_names_the_table_and_how_to_repeat_it(monkeypatch):
    monkeypatch.setattr("prunus.sim.session.cycle_limit", lambda *_: 5)
    with pytest.raises(SimulationError) as failure, opened() as session:
        unknown(session.ring(Batch(JOBS, cycles=9_000)), JOBS)
        session.simulate(JOBS[:2])
    first, _, last = str(failure.value).partition("\n")
    assert first.startswith("hdp_tiny, batch 1: no interrupt after 5 cycles; status ")
    assert last.startswith("repeat it with: python -m prunus.sim.repeat ")
    file = Path(shlex.split(last)[6])
    case = Case.load(file)
    assert [len(batch.jobs) for batch in case.batches] == [2] and case.batch is None
    file.unlink()


def test_a_simulator_that_dies_is_reported(monkeypatch):
    monkeypatch.setattr("prunus.sim.session.advice", lambda case: "")
    with pytest.raises(SimulationError, match="simulation of hdp_tiny failed: hdp_tiny was ended"):
        with opened() as session:
            session.simulate(JOBS)
            process_of(session).kill()
            session.simulate(JOBS)


def test_one_that_dies_at_its_end_is_reported():
    with pytest.raises(SimulationError, match="simulation of hdp_tiny failed: hdp_tiny was ended"):
        with opened() as session:
            process_of(session).kill()


def test_one_that_never_answers_has_an_end():
    with pytest.raises(SimulationError, match="simulation of hdp_tiny failed: no end after 3 s"):
        with opened(limit_s=3) as session:
            session.ring(Batch(JOBS, before=[Access(0xFC, 1, write=True)], cycles=10**9))


def test_another_coprocessor_is_refused_at_once():
    other = CONFIG.model_copy(update={"l_max": 64})
    with pytest.raises(SimulationError, match="hdp_tiny: register limits must read 0x00200040"):
        with open_session(other, verilog=loopback(CONFIG)):
            pytest.fail("there is no session")


def test_an_exception_ends_the_simulator_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), opened() as session:
        process = process_of(session)
        assert process.poll() is None and list(tmp_path.iterdir())
        raise KeyboardInterrupt
    assert process.returncode is not None
    assert not list(tmp_path.iterdir())


def test_no_simulator_outlives_its_session():
    """That of a process that is killed."""
    script = ("import sys, time\n"
              "from prunus.golden.engines import load_config\n"
              "from prunus.sim.session import open_session\n"
              "from tests.sim.loopback import loopback\n"
              "config = load_config('hdp_tiny')\n"
              "with open_session(config, verilog=loopback(config)) as session:\n"
              "    print(session._alive._runner._process.pid, flush=True)\n"
              "    time.sleep(100)\n")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        simulator = int(parent.stdout.readline())
        assert Path(f"/proc/{simulator}").exists()
        parent.kill()
        assert _ends(simulator)


def test_a_job_without_a_record_is_told():
    some = Simulation(results=[(np.zeros((1, 8)), True), (np.zeros((1, 8)), None)], registers={})
    with pytest.raises(SimulationError, match="^hdp_tiny, job 1: no status record was written$"):
        check_written(some, CONFIG)


@pytest.mark.parametrize(("how", "message"), [
    ({"stall": 1}, r"stall must lie in \[0, 1\), not 1"),
    ({"simulator": "vcs"}, "simulator must be one of verilator, icarus, not 'vcs'"),
])
def test_arguments_are_checked(how, message):
    with pytest.raises(ValueError, match=message), opened(**how):
        pytest.fail("there is no session")


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_session_goes_on_after_a_failure(stall):
    """A restart makes it what a new one is; pauses may fall otherwise."""
    with opened(stall=stall, seed=3) as session:
        first = session.simulate(JOBS)
        with pytest.raises(SimulationError, match="no interrupt after 1 cycles"):
            session.ring(Batch(JOBS, cycles=1))
        assert session.alive
        session.restart(m_axi_bid=0)        # an input of the top like others
        again = session.simulate(JOBS)
        unknown(again, JOBS)
        timed = {"cycles", "idle_drain"} if stall else set()
        assert {name: again.registers[name] for name in first.registers.keys() - timed} == {
            name: first.registers[name] for name in first.registers.keys() - timed}


def test_a_broken_rule_is_the_end():
    with pytest.raises(SimulationError, match="m_axi_wlast"), opened() as session:
        try:
            session.ring(Batch(JOBS, before=[BROKEN]))
        finally:
            assert not session.alive

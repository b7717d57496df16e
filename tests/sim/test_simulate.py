# SPDX-License-Identifier: Apache-2.0
"""The whole path from jobs to results, with a stand-in for the coprocessor."""

import shutil
import sys
import tempfile
from functools import partial
from types import SimpleNamespace

import pytest

from prunus.golden.engines import load_config
from prunus.golden.records import Error
from prunus.golden.registers import register_map
from prunus.sim import simulate as module
from prunus.sim.compare import check
from prunus.sim.engines.hdp import random_jobs
from prunus.sim.simulate import Access, Batch, SimulationError, cycle_limit, simulate_batches
from prunus.sim.simulators import cache

from .loopback import loopback

CONFIG = load_config("hdp_tiny")
JOBS = random_jobs(CONFIG, 5, 1)
AT = {register.name: register.address for register in register_map(CONFIG)}
SLVERR = 2
run = partial(simulate_batches, config=CONFIG, verilog=loopback(CONFIG))


def _all_unknown(simulation, jobs):
    check(simulation, jobs, CONFIG, dict.fromkeys(range(len(jobs)), Error.OPCODE))


@pytest.mark.parametrize("stall", [0.0, 0.2, 0.7])
def test_batches(stall):
    first, second, third = run([JOBS, JOBS[:1], JOBS[1:3]], stall=stall, seed=5)
    _all_unknown(first, JOBS)
    _all_unknown(second, JOBS[:1])
    _all_unknown(third, JOBS[1:3])
    assert first.sim_s > 0
    assert 5 * 21 <= first.registers["cycles"] < first.cycles


def test_stalls_slow_down_and_repeat():
    cycles = [run([JOBS], stall=stall, seed=seed)[0].registers["cycles"]
              for stall, seed in ((0, 1), (0.5, 1), (0.5, 1), (0.5, 2))]
    assert cycles[0] < cycles[1] == cycles[2] != cycles[3]


@pytest.mark.skipif(not shutil.which("iverilog"), reason="no iverilog in PATH")
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_icarus_agrees(stall):
    verilated, interpreted = (run([JOBS], stall=stall, simulator=name, memory="python")[0]
                              for name in ("verilator", "icarus"))
    _all_unknown(interpreted, JOBS)
    assert interpreted.registers == verilated.registers


def test_works_anywhere_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _all_unknown(run([JOBS])[0], JOBS)
    assert not list(tmp_path.iterdir())


def test_progress():
    seen = []
    many = random_jobs(CONFIG, 2, 3) * 800
    run([many, many], progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 3200)
    assert seen[-1] == (3200, 3200)
    assert seen == sorted(set(seen))
    assert len(seen) > 2


def test_register_accesses_of_a_test():
    doorbell, table = AT["doorbell"], AT["table"]
    batch = Batch(
        JOBS, before=[Access(doorbell, 0, write=True), Access(table, 32, write=True),
                      Access(doorbell, 1, write=True), Access(table), Access(0xF0)],
        during=[Access(doorbell, 1, write=True), Access(AT["status"])],
        after=[Access(AT["jobs_done"])])
    answers = run([batch])[0].accesses
    assert answers["before"] == [(0, SLVERR, 0), (32, 0, 0), (1, SLVERR, 0), (32, 0, 0),
                                 (0, SLVERR, 0)]
    assert answers["during"] == [(1, SLVERR, 0), (1, 0, 0)]
    assert answers["after"] == [(5, 0, 0)]


FAULTS = {
    1: r"batch 1: no interrupt after 3000 cycles; status 2, jobs_done 5",
    2: r"m_axi_wstrb must be all ones, not 0xfe",
    3: r"batch 1: the coprocessor wrote to 0x[0-9a-f]+, outside the outputs",
    4: r"m_axi_araddr changed from 0x[0-9a-f]+ to 0x[0-9a-f]+ while it waited",
    5: r"m_axi_ar 0xfe0 of 8 beats: crosses a boundary of 4 KB",
    6: r"m_axi_wlast came on beat 7 of 8",
    7: r"status must be clear after the interrupt was",
    8: r"m_axi_ar 0x0 of 8 beats: size must be the whole beat, not 4 bytes",
    9: r"m_axi_awvalid fell before it was taken",
    10: r"m_axi_aw 0x[0-9a-f]+ of 8 beats: burst must be INCR, not 0",
    11: r"m_axi_ar 0x4 of 8 beats: the address must be a multiple of a beat",
    12: r"m_axi_wlast is missing on beat 8",
    13: r"s_axil_rdata changed from 0x[0-9a-f]+ to 0x[0-9a-f]+ while it waited",
    14: r"m_axi_aw 0x[0-9a-f]+ of 8 beats: m_axi_awcache must be 3, not 1",
    15: r"m_axi_ar 0x0 of 8 beats: m_axi_arid must be 0, not 1",
}


@pytest.mark.parametrize("memory", ["cpp", "python"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_rule_is_reported(fault, memory):
    faulty = Batch(JOBS, before=[Access(0xFC, fault, write=True)], cycles=3000)
    with pytest.raises(SimulationError, match=FAULTS[fault]):
        run([JOBS, faulty], stall=0.8, seed=1, memory=memory)


def test_errors_surface_with_progress():
    faulty = Batch(JOBS, before=[Access(0xFC, 6, write=True)])
    with pytest.raises(SimulationError, match="wlast"):
        run([faulty], progress=lambda done, total: None)


def test_a_simulation_has_an_end():
    hung = Batch(JOBS, before=[Access(0xFC, 1, write=True)], cycles=10**9)
    with pytest.raises(SimulationError, match="simulation of hdp_tiny failed: no end after 3 s"):
        run([hung], limit_s=3)


def test_another_coprocessor_is_refused():
    other = CONFIG.model_copy(update={"l_max": 64})
    with pytest.raises(SimulationError, match="register limits must read 0x00200040, not 0x00200"):
        simulate_batches([JOBS], other, verilog=loopback(CONFIG))


def test_the_watchdog_leaves_room():
    assert cycle_limit(JOBS, CONFIG) > 5 * 20_000
    assert cycle_limit(JOBS, CONFIG, 0.5) == pytest.approx(4 * cycle_limit(JOBS, CONFIG), abs=4)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"stall must lie in \[0, 1\), not 1"):
        run([JOBS], stall=1)
    with pytest.raises(ValueError, match="simulator must be one of verilator, icarus, not 'vcs'"):
        run([JOBS], simulator="vcs")
    with pytest.raises(ValueError, match="memory of icarus must be one of python, not 'cpp'"):
        run([JOBS], simulator="icarus", memory="cpp")


def test_emitted_text_is_kept_until_a_source_changes(monkeypatch, tmp_path):
    calls = []

    def emit(config):
        calls.append(config.name)
        return SimpleNamespace(verilog=f"text {len(calls)}")

    for room in ("golden", "hw"):
        (tmp_path / room).mkdir()
    (tmp_path / "hw" / "top.py").write_text("1")
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(cache, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "prunus.hw.verilog.emit", SimpleNamespace(emit=emit))
    assert module.emitted(CONFIG) == module.emitted(CONFIG) == "text 1"
    assert module.emitted(CONFIG.model_copy(update={"l_max": 16})) == "text 2"
    (tmp_path / "hw" / "top.py").write_text("2")
    assert module.emitted(CONFIG) == "text 3"
    monkeypatch.setattr(cache.metadata, "version", lambda name: f"another {name}")
    assert module.emitted(CONFIG) == "text 4"

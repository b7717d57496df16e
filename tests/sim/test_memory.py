# SPDX-License-Identifier: Apache-2.0
"""The memory in C++ against that of cocotbext-axi: the same results, in as many cycles."""

from functools import partial

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.image import build_image
from prunus.golden.records import Error
from prunus.sim.compare import check
from prunus.sim.engines import BENCHES, random_jobs
from prunus.sim.exchange import Faults, Side
from prunus.sim.scatter import scatter
from prunus.sim.session import open_session
from prunus.sim.simulate import Access, Batch, SimulationError, simulate_batches
from prunus.sim.trials import difference

from .loopback import loopback

TINY = load_config("hdp_tiny")


@pytest.fixture(params=sorted(BENCHES))
def config(request):
    return load_config(BENCHES[request.param].preset)


def _both(batches, config, **options):
    return zip(*(simulate_batches(batches, config, memory=memory, **options)
                 for memory in ("cpp", "python")), strict=True)


def _batches(config):
    """Tables of all kinds, long enough that reads and writes wait for each other."""
    jobs = [job.alone() for job in random_jobs(config, 8, 3)]
    big = [job.alone() for job in sorted(random_jobs(config, 40, 5),
                                         key=lambda job: -np.prod(job.output()))[:4]]
    return [Batch(jobs[:1]), Batch(jobs), scatter(jobs[:4], config, 1), Batch(big),
            Batch(jobs, reset=(90, 1)), Batch(jobs[2:])]


def test_as_many_cycles(config):
    for fast, slow in _both(_batches(config), config):
        assert (fast.registers, fast.cycles) == (slow.registers, slow.cycles)
        # One counts a beat as it is looked up, which a reset may come before.
        assert fast.aborted or not difference(fast, slow, config)


@pytest.mark.parametrize("stall", [0.3, 0.8])
def test_the_same_results_with_pauses(config, stall):
    batches = _batches(config)
    for batch, (fast, slow) in zip(batches, _both(batches, config, stall=stall), strict=True):
        if not batch.reset:
            assert not difference(fast, slow, config)
            check(fast, batch.jobs, config)


def test_responses_that_wait(config):
    """They come together, in the same cycles."""
    jobs = sorted(random_jobs(config, 40, 8), key=lambda job: np.prod(job.output()))[-3:]
    batches = [Batch([job.alone() for job in jobs], hold=hold) for hold in (3, 100)]
    for fast, slow in _both(batches, config):
        assert not difference(fast, slow, config)
        assert fast.cycles == pytest.approx(slow.cycles, rel=0.02)


def test_reads_that_fail():
    """Of descriptors, which the stand-in does not look at: both answer, and count."""
    jobs = random_jobs(TINY, 3, 1)
    image = build_image(jobs, TINY)
    batch = Batch(jobs, image=image, read_errors=[(image.table + 64, image.table + 72)])
    for run in next(iter(_both([batch], TINY))):
        assert run.results[1][1] is None
        assert run.registers["jobs_failed"] == 1
        assert run.bus_read_bytes == run.registers["read_bytes"]


def test_writes_that_fail():
    jobs = random_jobs(TINY, 3, 1)
    image = build_image(jobs, TINY)
    bad = Batch(jobs, image=image, faults=Faults(bad_writes=((image.out[1], image.out[1] + 8),)))
    run, again = simulate_batches([bad, jobs], TINY)
    assert [status.error for _, status in run.results] == [Error.NONE, Error.WRITE, Error.NONE]
    check(again, jobs, TINY)


def test_a_restart_ends_silence():
    """Of a table that was given up while a channel was silent."""
    jobs = random_jobs(TINY, 2, 1)
    silent = Batch(jobs, faults=Faults(silence=(Side.R, 20)), cycles=500)
    with open_session(TINY) as session:
        with pytest.raises(SimulationError, match="no interrupt after 500 cycles, though R is"):
            session.ring(silent)
        session.restart()
        check(session.ring(Batch(jobs)), jobs, TINY)


@pytest.mark.parametrize("memory", ["cpp", "python"])
def test_a_write_outside(memory):
    batch = scatter(random_jobs(TINY, 1, 0), TINY, 0)
    batch.places = [place for place in batch.places if place[0] != batch.image.status[0]]
    with pytest.raises(SimulationError, match=r"wrote to 0x[0-9a-f]+, outside the memory"):
        simulate_batches([batch], TINY, memory=memory)


def test_a_rule_ends_the_simulation_at_once():
    """Long before the table would."""
    jobs = random_jobs(TINY, 2, 1)
    faulty = Batch(jobs * 2000, before=[Access(0xFC, 5, write=True)], cycles=10**9)
    with pytest.raises(SimulationError, match="crosses a boundary of 4 KB") as failure:
        simulate_batches([faulty], TINY, verilog=loopback(TINY), limit_s=60)
    assert "no end" not in str(failure.value)


def test_pauses_of_another_seed_are_others():
    run = partial(simulate_batches, [random_jobs(TINY, 3, 1)], TINY, stall=0.5,
                  verilog=loopback(TINY))
    first, again, other = (run(seed=seed)[0] for seed in (1, 1, 2))
    assert first.cycles == again.cycles != other.cycles
    check(first, random_jobs(TINY, 3, 1), TINY, dict.fromkeys(range(3), Error.OPCODE))

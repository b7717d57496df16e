# SPDX-License-Identifier: Apache-2.0
"""Several cores behind one bus, and buses wider than a row, against golden through the ports."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.image import build_image
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.golden.registers import register_map
from prunus.sim.campaigns.scaling import measure, uneven_jobs, with_cores
from prunus.sim.compare import check
from prunus.sim.engines.hdp import Recipe, build, random_jobs
from prunus.sim.simulate import Access, Batch, simulate_batches

SINGLE = load_config("hdp_tiny")       # whose simulator is there anyway
PAIR = with_cores(SINGLE, 2)
# Each is a simulator to build: one has the largest d there can be, the other wide codes and cores.
WIDE = [HdpConfig(name="wide256", d_max=128, l_max=24, multipliers=16, softmax_lanes=1,
               axi_data_width=256),
        HdpConfig(name="pair512", width=12, frac=8, d_max=72, l_max=16, multipliers=8,
               softmax_lanes=1, axi_data_width=512, cores=2)]
AT = {register.name: register.address for register in register_map(PAIR)}
FLAGS, V, STATUS = 0, 10, 12        # descriptor words


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_random_jobs(stall):
    jobs = random_jobs(PAIR, 72, 3 if stall else 4)
    batches = [jobs[:1], jobs[1:3], jobs[3:12], jobs[12:]]
    for batch, simulation in zip(batches, simulate_batches(batches, PAIR, stall=stall, seed=1),
                                 strict=True):
        check(simulation, batch, PAIR)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", WIDE, ids=lambda c: c.name)
def test_wide_buses(config, stall):
    """Every d, many of which fill only a part of a beat, then jobs of all kinds."""
    every = [build(Recipe(l_q=9, l_kv=11, valid_q=9, valid_kv=10, d=d, rho=25, seed=d), config)
             for d in range(8, config.d_max + 1, 8)]
    batches = [every, random_jobs(config, 32, 5)]
    for batch, simulation in zip(batches, simulate_batches(batches, config, stall=stall, seed=2),
                                 strict=True):
        check(simulation, batch, config)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_grouped_queries(stall):
    """Groups of heads stay together and leave the other core to others."""
    groups = [build(Recipe(l_q=6 + n, l_kv=9, valid_q=6 + n, valid_kv=9 - n % 2, d=8 + 8 * (n % 4),
                           rho=25, seed=n), PAIR) for n in range(8)]
    jobs = [replace(job, same_kv=head > 0, rho=25 - 10 * head)
            for n, job in enumerate(groups) for head in range(1 + n % 4)]
    simulation, = simulate_batches([jobs], PAIR, stall=stall, seed=4)
    check(simulation, jobs, PAIR)


def _word(image, job, word):
    at = image.table + job * DESCRIPTOR_BYTES + 4 * word
    return np.frombuffer(image.data, "<u4", 1, at)


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_bad_jobs_do_not_disturb_others(stall):
    """Bad descriptors, unreadable operands and lost records among good heads on both cores."""
    jobs = random_jobs(PAIR, 3, 7)
    jobs += [build(Recipe(l_q=7, l_kv=9, valid_q=7, valid_kv=9, d=16, seed=n, rho=25), PAIR)
             for n in range(24)]
    image = build_image(jobs, PAIR)
    errors, ranges = {}, []
    for n in range(3, len(jobs), 3):
        if n % 2:
            _word(image, n, FLAGS)[:] |= 1 << 20
            errors[n] = Error.OPCODE
        else:
            at = int(_word(image, n, V)[0])
            ranges.append((at, at + 8))
            errors[n] = Error.BUS
    simulation, again = simulate_batches([Batch(jobs, image=image, read_errors=ranges), jobs],
                                         PAIR, stall=stall, seed=3)
    check(simulation, jobs, PAIR, errors)
    check(again, jobs, PAIR)


def test_a_lost_descriptor_is_counted():
    jobs = [build(Recipe(l_q=4, l_kv=4, valid_q=4, valid_kv=4, d=8, seed=n), PAIR)
            for n in range(6)]
    image = build_image(jobs, PAIR)
    at = image.table + 2 * DESCRIPTOR_BYTES
    _word(image, 4, STATUS)[:] |= 32
    bad = Batch(jobs, image=image, read_errors=[(at + 8, at + 16)])
    first, second = simulate_batches([bad, jobs], PAIR)
    assert (first.registers["jobs_done"], first.registers["jobs_failed"]) == (6, 2)
    check(second, jobs, PAIR)
    for n, (out, status) in enumerate(first.results):
        if n in (2, 4):
            assert status is None
        else:
            assert (out == second.results[n][0]).all()
            assert status == second.results[n][1]


def test_the_multipliers_of_all_cores_are_told():
    jobs = random_jobs(PAIR, 1, 8)
    simulation, = simulate_batches([Batch(jobs, before=[Access(AT["multipliers"])])], PAIR)
    assert simulation.accesses["before"] == [(16, 0, 0)]


def test_two_cores_are_nearly_twice_as_fast():
    """With heads of every length."""
    one, two = measure([uneven_jobs(SINGLE, 16, 1, 8)], SINGLE, (1, 2))
    assert (one.cores, one.speedup, two.cores) == (1, 1, 2)
    assert two.efficiency > 0.88

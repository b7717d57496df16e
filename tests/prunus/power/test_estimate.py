# SPDX-License-Identifier: Apache-2.0
"""What the estimate of energy adds up."""

from dataclasses import replace

import pytest

from prunus.golden import hdp
from prunus.golden.energy import GROUPS
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp import compute
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.heads import EXAMPLES
from prunus.power.calibrate import FIT, Case
from prunus.power.estimate import COEFFICIENTS, Costs, Load, load_of
from prunus.power.sizes import sizes
from tests.golden.hdp.test_compute import random_job

TINY = load_config("hdp_tiny")
LOAD = Load(model_cycles=None, first_cycles=100, busy_cycles=1000, flip_flops=50,
            adders={"scores": 300, "pruning": 20, "softmax": 10, "values": 5}, read_pj=7.0,
            file_bits=40, word_pj=600.0, moved_pj=800.0, dram_bits=64)
COSTS = Costs({"flip_flop": 0.5, "adder": 2.0, "read": 0.25, "register_file": 0.125, "word": 3.0,
               "moved": 5.0, "slowdown": 1.5, "start": 12.0, "dram": 20.0}, {}, {})


def test_by_hand():
    cycles = 100 + 1.5 * 1000 + 12
    assert COSTS.cycles(LOAD) == cycles
    wanted = {"scores": 600, "pruning": 40, "softmax": 20, "values": 10,
              "memory": 0.25 * 7 * cycles + 0.125 * 40 * cycles + 3 * 600 + 5 * 800,
              "clock": 0.5 * 50 * cycles, "dram": 20 * 64}
    assert COSTS.picojoules(LOAD) == pytest.approx(wanted)
    assert list(COSTS.picojoules(LOAD)) == list(GROUPS)


def test_cycles_that_are_known_count():
    assert COSTS.cycles(replace(LOAD, model_cycles=77)) == 77
    found = COSTS.picojoules(LOAD, 10)
    assert (found["clock"], found["memory"]) == (0.5 * 50 * 10, 17.5 + 50 + 1800 + 4000)
    assert found == COSTS.picojoules(replace(LOAD, model_cycles=10))


def test_every_coefficient_matters():
    """None of them could be forgotten, and all have a source."""
    costs, known = Costs.load(), set()
    for name in (*COEFFICIENTS, "dram"):
        other = Costs({**COSTS.values, name: 1.1 * COSTS.values[name]}, {}, {})
        known.add(tuple(other.picojoules(LOAD).values()))
    assert len(known) == len(COEFFICIENTS) + 1
    assert costs.values.keys() == costs.sources.keys() == {*COEFFICIENTS, "dram"}
    assert all(costs.sources.values())


def test_the_note_says_the_error():
    costs = Costs({}, {}, {"mean": 0.0321, "worst": 0.0987, "runs": 14})
    assert "on 14 runs that nothing was fitted on, its error is 3.2% on average and 9.9%" \
        in costs.note


def test_load_of_hdp():
    jobs = [random_job(TINY, seed, l_q=12, l_kv=16, d=24, rho=25) for seed in (3, 4)]
    results = [compute.head(job, TINY) for job in jobs]
    load, events = load_of(jobs, results, TINY)
    assert events == hdp.ENGINE.events(jobs, results, TINY)
    assert load.model_cycles == predict_cycles(jobs, results, TINY)
    assert load.flip_flops == sizes(TINY).flip_flops
    for group, count in load.adders.items():
        assert count == sum(event.count * event.bits for event in events
                            if event.group == group and event.kind in ("multiply", "add"))
    assert load.dram_bits == sum(event.count * 8 for event in events if event.group == "dram")
    # No memory is read in every cycle.
    assert load.read_pj == 0 and load.word_pj > 0


@pytest.mark.parametrize("name", ["leopard_tiny", "topk_tiny"])
def test_cycles_without_a_model(name):
    """Of two heads: loading the first, then the work of both, as loading takes less here."""
    config = load_config(name)
    case = Case(FIT, name, "minilm_sentence", 0, 2, 16, 16, 0.5)
    jobs = case.work(EXAMPLES / "minilm_sentence.npz")[0].jobs
    engine = engine_of(config)
    results = [engine.compute(job, config) for job in jobs]
    load, _ = load_of(jobs, results, config)
    kind = engine.kind(jobs[0])
    beats = [kind.record(job, result, config).read_bytes // 8
             for job, result in zip(jobs, results, strict=True)]
    bounds = [engine.bound_cycles([job], [result], config)
              for job, result in zip(jobs, results, strict=True)]
    assert load.model_cycles is None
    assert load.first_cycles == beats[0]
    assert load.busy_cycles == max(bounds[0], beats[1]) + bounds[1]


def test_pruning_saves_energy():
    costs, energies = Costs.load(), []
    for rho in (-127, 0, 100):
        job = random_job(TINY, 3, l_q=12, l_kv=16, d=24, rho=rho, spread=16.0)
        load, _ = load_of([job], [compute.head(job, TINY)], TINY)
        energies.append(sum(costs.picojoules(load).values()))
    assert energies == sorted(energies, reverse=True) and energies[0] > energies[2]

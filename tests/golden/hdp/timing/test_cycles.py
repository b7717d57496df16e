# SPDX-License-Identifier: Apache-2.0
"""What a model of cycles must hold to without a look at the RTL."""

import time
from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.bounds import bound_cycles
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.sim.engines.hdp import random_jobs
from tests.golden.hdp.test_compute import random_job

TINY, EDGE, W12 = (load_config(name) for name in ("hdp_tiny", "hdp_edge", "hdp_w12"))
OWN = EDGE.model_copy(update={"name": "own", "value_array": "own"})


def job(config=EDGE, seed=1, **fields):
    return random_job(config, seed, **{"l_q": 32, "l_kv": 32, "d": 32, "rho": 25,
                                       "spread": 1.3 * (1 << config.frac), **fields})


def predict(jobs, config=EDGE):
    return predict_cycles(jobs, [hdp.head(one, config) for one in jobs], config)


@pytest.mark.parametrize("config", [TINY, EDGE, W12, OWN], ids=lambda config: config.name)
def test_never_below_the_bound(config):
    for seed in range(30):
        jobs = random_jobs(config, 4, seed)
        results = [hdp.head(one, config) for one in jobs]
        assert predict_cycles(jobs, results, config) > bound_cycles(jobs, results, config)


@pytest.mark.parametrize("config", [TINY, EDGE, W12, OWN], ids=lambda config: config.name)
def test_more_kept_blocks_take_longer(config):
    """The same head with more and more blocks in its mask."""
    length = 32 if config is TINY else 96
    one = job(config, l_q=length, l_kv=length)
    result = hdp.head(one, config)
    order = np.random.default_rng(2).permutation(result.mask.shape[1])
    cycles = []
    for kept in range(1, len(order) + 1, max(1, len(order) // 8)):
        mask = np.zeros_like(result.mask)
        mask[:, order[:kept]] = True
        cycles.append(predict_cycles([one], [replace(result, mask=mask)], config))
    # Where something else is short, a block more or less is lost in the rounding.
    assert all(after > before - 8 for before, after in zip(cycles, cycles[1:], strict=False))
    assert cycles[-1] > 1.2 * cycles[0]


@pytest.mark.parametrize("fields", [
    {}, {"dense": True}, {"exact": True}, {"causal": True}, {"causal": True, "drop": True},
    {"l_q": 9, "l_kv": 31}, {"valid_q": 5, "valid_kv": 20}, {"tau_head": 2**32 - 1}], ids=str)
def test_longer_tables_take_longer(fields):
    cycles = [predict([job(seed=seed, **fields) for seed in range(count)])
              for count in (1, 2, 3, 6)]
    assert cycles == sorted(cycles)
    # Heads overlap, two at a time.
    assert cycles[2] - cycles[1] < cycles[0]


@pytest.mark.parametrize(("change", "less"), [
    ({"dense": True}, False), ({"exact": True}, False), ({"tau_head": 2**32 - 1}, True),
    ({"causal": True}, True), ({"valid_q": 12}, True), ({"valid_kv": 12}, True),
    ({"rho": 100}, True), ({"rho": -100}, False), ({"valid_q": 0}, True)], ids=str)
def test_modes(change, less):
    plain, other = (predict([job(seed=seed, **fields) for seed in range(4)])
                    for fields in ({}, change))
    assert (other < plain) is less


def test_long_heads_come_close_to_the_bound():
    jobs = [job(l_q=128, l_kv=128, d=64, dense=True, seed=seed) for seed in range(3)]
    bound = bound_cycles(jobs, [hdp.head(one, EDGE) for one in jobs], EDGE)
    assert bound < predict(jobs) < 1.03 * bound
    half = bound_cycles(jobs, [hdp.head(one, OWN) for one in jobs], OWN)
    assert half == bound // 2 < predict(jobs, OWN) < 1.06 * half


def test_an_array_for_values_never_costs():
    for seed in range(20):
        jobs = random_jobs(EDGE.model_copy(update={"linear": False}), 4, seed)
        assert predict(jobs, OWN) <= predict(jobs)


def test_shared_keys_spare_reading():
    """Short heads wait for their planes."""
    first = job(l_q=2, l_kv=32, d=64)
    jobs = [first] + [replace(job(l_q=2, l_kv=32, d=64, seed=n), k=first.k, v=first.v)
                      for n in range(2, 6)]
    alike = [jobs[0]] + [replace(one, same_kv=True) for one in jobs[1:]]
    assert predict(alike) < 0.7 * predict(jobs)


def test_rows_without_keys_keep_their_place():
    """Such a row is complete at once, but not before the one ahead of it."""
    jobs = [job(TINY, l_q=12, l_kv=27, rho=-120),
            job(TINY, l_q=15, l_kv=11, causal=True, seed=2)]
    results = [hdp.head(one, TINY) for one in jobs]
    assert predict_cycles(jobs, results, TINY) > bound_cycles(jobs, results, TINY)


def test_a_head_without_keys():
    """Descriptor, rows of zeros, record."""
    cycles = [predict([job(l_q=rows, valid_kv=0)]) for rows in (2, 12, 22)]
    assert cycles[2] - cycles[1] == cycles[1] - cycles[0] == 10 * 32 * 16 // 64
    assert cycles[0] < 100


def test_a_wider_bus_or_more_lanes_never_cost(monkeypatch):
    jobs = [job(l_q=12, l_kv=12, d=64, seed=seed) for seed in range(4)]
    plain = predict(jobs)
    for field, value in (("axi_data_width", 128), ("softmax_lanes", 4), ("output_lanes", 4)):
        assert predict(jobs, EDGE.model_copy(update={field: value})) <= plain


def test_cores():
    """Each more of them helps; the last heads leave some without work."""
    jobs = [job(l_q=64, l_kv=64, seed=seed) for seed in range(12)]
    cycles = {}
    for cores in (1, 2, 4):
        config = EDGE.model_copy(update={"cores": cores})
        cycles[cores] = predict(jobs, config)
        assert cycles[cores] > bound_cycles(jobs, [hdp.head(one, config) for one in jobs], config)
    assert 1.7 < cycles[1] / cycles[2] < 2
    assert 2.5 < cycles[1] / cycles[4] < 4


def test_shared_keys_stay_in_a_core():
    """So such heads do not run side by side."""
    first = job(l_q=64, l_kv=64)
    jobs = [first] + [replace(job(l_q=64, l_kv=64, seed=n), k=first.k, v=first.v, same_kv=True)
                      for n in range(2, 5)]
    config = EDGE.model_copy(update={"cores": 4})
    assert predict(jobs, config) > 0.9 * predict(jobs)
    apart = [replace(one, same_kv=False) for one in jobs]
    assert predict(apart, config) < 0.5 * predict(jobs, config)


def test_a_long_head_is_predicted_quickly():
    one = job(l_q=256, l_kv=256)
    result = hdp.head(one, EDGE)
    times = []
    for _ in range(3):
        begin = time.process_time()
        predict_cycles([one], [result], EDGE)
        times.append(time.process_time() - begin)
    assert min(times) < 0.1

# SPDX-License-Identifier: Apache-2.0
"""The order of keys changes how they are shared out, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.engines.leopard import load_jobs
from prunus.golden.engines import load_config
from prunus.golden.leopard.compute import head
from prunus.golden.leopard.order import balanced, key_order
from prunus.sim.engines.leopard import random_jobs
from prunus.sim.simulators.cache import ROOT

TINY, AE, HP = (load_config(f"leopard_{name}") for name in ("tiny", "ae", "hp"))


def test_keys_are_dealt_to_and_fro():
    q, k = np.array([[1, 0], [1, 0]]), np.array([[n, 7] for n in (3, 9, 1, 5, 8, 2, 7, 4)])
    assert key_order(q, k, 3).tolist() == [1, 4, 6, 0, 7, 3, 5, 2]
    assert key_order(q, k, 1).tolist() == key_order(q, k, 8).tolist() == [1, 4, 6, 3, 7, 0, 5, 2]


def test_results_stay_the_same():
    jobs = random_jobs(TINY, 60, 5)
    others = balanced(jobs, TINY)
    moved = 0
    for job, other in zip(jobs, others, strict=True):
        assert other.same_kv == job.same_kv
        a, b = head(job, TINY), head(other, TINY)
        assert (a.out == b.out).all()
        assert (a.survivors, a.digits_total, a.keys) == (b.survivors, b.digits_total, b.keys)
        moved += (job.k != other.k).any()
        assert not job.causal or (job.k == other.k).all()
    assert moved > 15


def test_shared_keys_stay_shared():
    jobs = [job for job in random_jobs(TINY, 60, 6) if not job.causal]
    for n, job in enumerate(balanced(jobs, TINY)):
        if job.same_kv and n:
            before = balanced(jobs, TINY)[n - 1]
            if jobs[n - 1].k is job.k:
                assert (job.k == before.k).all()
    pair = [jobs[0], replace(jobs[0], q=-jobs[0].q, same_kv=True)]
    first, second = balanced(pair, TINY)
    assert (first.k == second.k).all() and (first.v == second.v).all()


def busiest(jobs, config):
    """Digits of the unit with the most to do, times their number, over those of all."""
    most = total = 0
    for job in jobs:
        digits = head(job, config).digits.sum(axis=0)
        most += max(digits[n :: config.dpus].sum() for n in range(config.dpus)) * config.dpus
        total += digits.sum()
    return most / total


@pytest.mark.parametrize("config", [AE, HP], ids=lambda c: c.name)
@pytest.mark.parametrize("name, threshold", [("minilm_sentence", 0.31), ("vit_patches", 5.49)])
def test_units_have_as_much_to_do(config, name, threshold):
    jobs = load_jobs(ROOT / "examples" / f"{name}.npz", config, threshold)
    excess, without = (busiest(heads, config) - 1 for heads in (balanced(jobs, config), jobs))
    assert excess < 0.9 * without

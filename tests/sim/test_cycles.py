# SPDX-License-Identifier: Apache-2.0
"""The model of cycles against the RTL's own counter; ``prunus bench`` compares more of them."""

import pytest

from golden.config import load_config
from golden.cycles import predict_cycles
from prunus.bench.cases import dense, suite
from sim.compare import check
from sim.jobs import random_jobs
from sim.simulate import simulate_batches

TINY = load_config("hdp_tiny")
ERROR = 0.05


# Of eight and more heads; the quick ones have two.
WHOLE = "example,kept/d32/0.05,length,mode/causal,mode/heads"


@pytest.fixture(scope="module")
def tables():
    """Tables of jobs by name, each with its results and the RTL's cycles."""
    cases = {f"quick/{case.name}": case.jobs for case in suite(TINY, quick=True).cases}
    cases |= {case.name: case.jobs for case in suite(TINY, wanted=WHOLE).cases}
    jobs = {f"{name}{mode}": table for name, heads in cases.items()
            for mode, table in (("", heads), (", dense", [dense(job) for job in heads]))}
    jobs |= {f"random/{seed}": random_jobs(TINY, 12, seed) for seed in range(6)}
    runs = simulate_batches(list(jobs.values()), TINY)
    return {name: (table, check(run, table, TINY), run.registers["cycles"])
            for (name, table), run in zip(jobs.items(), runs, strict=True)}


def test_every_case_of_the_bench(tables):
    errors = {name: predict_cycles(jobs, results, TINY) / cycles - 1
              for name, (jobs, results, cycles) in tables.items()}
    assert {"example/minilm_sentence", "mode/causal, dense", "random/0"} <= errors.keys()
    assert {name: error for name, error in errors.items() if abs(error) > ERROR} == {}


def test_the_errors_have_no_direction(tables):
    """Too many cycles here, too few there: no stage is left out."""
    total = sum(cycles for _, _, cycles in tables.values())
    predicted = sum(predict_cycles(jobs, results, TINY) for jobs, results, _ in tables.values())
    assert abs(predicted / total - 1) < 0.01

# SPDX-License-Identifier: Apache-2.0
"""The model of cycles against the RTL's own counter; ``prunus bench`` compares more of them."""

import pytest

from prunus.bench.cases import dense, suite
from prunus.golden.engines import load_config
from prunus.golden.hdp.bounds import bound_cycles
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.sim.compare import check
from prunus.sim.engines.hdp import Recipe, build, random_jobs
from prunus.sim.simulate import simulate_batches

TINY = load_config("hdp_tiny")
OWN = load_config("hdp_own_tiny")
ERROR = 0.05


# Of eight and more heads; the quick ones have two.
WHOLE = "example,kept/d32/0.05,length,mode/causal,mode/heads"


@pytest.fixture(scope="module", params=[TINY, OWN], ids=lambda config: config.name)
def config(request):
    return request.param


@pytest.fixture(scope="module")
def tables(config):
    """Tables of jobs by name, each with its results and the RTL's cycles."""
    cases = {f"quick/{case.name}": case.jobs for case in suite(TINY, quick=True).cases}
    cases |= {case.name: case.jobs for case in suite(TINY, wanted=WHOLE).cases}
    jobs = {f"{name}{mode}": table for name, heads in cases.items()
            for mode, table in (("", heads), (", dense", [dense(job) for job in heads]))}
    jobs |= {f"random/{seed}": random_jobs(TINY, 12, seed) for seed in range(6)}
    runs = simulate_batches(list(jobs.values()), config)
    return {name: (table, check(run, table, config), run.registers["cycles"])
            for (name, table), run in zip(jobs.items(), runs, strict=True)}


def test_every_case_of_the_bench(tables, config):
    errors = {name: predict_cycles(jobs, results, config) / cycles - 1
              for name, (jobs, results, cycles) in tables.items()}
    assert {"example/minilm_sentence", "mode/causal, dense", "random/0"} <= errors.keys()
    assert {name: error for name, error in errors.items() if abs(error) > ERROR} == {}


def test_the_errors_have_no_direction(tables, config):
    """Too many cycles here, too few there: no stage is left out."""
    total = sum(cycles for _, _, cycles in tables.values())
    predicted = sum(predict_cycles(jobs, results, config) for jobs, results, _ in tables.values())
    assert abs(predicted / total - 1) < 0.01


TILES = load_config("hdp_tiles")


def _long(l_q, l_kv, **fields):
    recipe = {"valid_q": l_q, "valid_kv": l_kv, "d": TILES.d_max, "patterns": ("uniform",) * 3,
              "rho": 25, "scale": (40000, 24), "tau": "zero", "causal": False, "drop": False,
              "exact": False, "dense": False, "seed": 1, **fields}
    return build(Recipe(l_q=l_q, l_kv=l_kv, **recipe), TILES)


def test_heads_in_tiles():
    """And the bound, which counts what is made again for each tile."""
    cases = {"self": [_long(64, 64)], "dense": [_long(64, 64, dense=True)],
             "causal": [_long(64, 64, causal=True)], "decode": [_long(1, 64)] * 2,
             "cross": [_long(16, 64)], "one tile of keys": [_long(64, 16)],
             "theta_head": [_long(64, 64, tau="below")], "pruned": [_long(64, 64, tau="above")],
             "mixed": [_long(16, 16), _long(40, 40), _long(12, 12)]}
    for (name, jobs), run in zip(cases.items(), simulate_batches(list(cases.values()), TILES),
                                 strict=True):
        results, cycles = check(run, jobs, TILES), run.registers["cycles"]
        assert abs(predict_cycles(jobs, results, TILES) / cycles - 1) < ERROR, name
        if jobs[0].l_q > 16 and name != "pruned":
            assert 1 <= cycles / bound_cycles(jobs, results, TILES) < 1.25, name

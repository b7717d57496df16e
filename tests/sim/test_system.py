# SPDX-License-Identifier: Apache-2.0
"""The coprocessor against golden: random jobs, kept examples and recorded heads."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunus.engines.hdp import Options, load_jobs
from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import Importance
from prunus.golden.hdp.config import HdpConfig
from prunus.heads import example_heads
from prunus.sim.campaigns.soak import Chunk, run_chunk
from prunus.sim.compare import check
from prunus.sim.engines.hdp import Recipe, build, job_strategy
from prunus.sim.simulate import simulate_batches
from prunus.sim.simulators.cache import ROOT

TINY = load_config("hdp_tiny")
# Integer operations on groups of two blocks; those of four are in sim/campaigns/matrix.py.
PAIRS = HdpConfig(name="pairs", d_max=64, l_max=46, multipliers=128, softmax_lanes=4,
               axi_data_width=128)
RHO = 25 / 128
DATA = Path(os.environ.get("PRUNUS_DATA") or ROOT.parent / "shared" / "data")
RECORDED = ("minilm_l128_layer1", "minilm_l256_layer4", "minilm_sentence_layer3",
            "vit_257_layer6", "vit_50_layer3")


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize(("name", "count"), [("hdp_tiny", 80), ("hdp_edge", 48), ("hdp_w12", 48),
                                             ("hdp_tiles", 80), ("hdp_fine_tiny", 80),
                                             ("hdp_own_tiny", 80)])
def test_random_jobs(name, count, stall):
    run_chunk(Chunk(count, 1 if stall else 2, stall), load_config(name))


@pytest.mark.large
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_groups(stall):
    run_chunk(Chunk(40, 1 if stall else 2, stall), PAIRS)


def test_importance_of_heads_that_overlap():
    """The last rows of a head are masked while scores of the next one come, which is chosen by the
    other importance."""
    jobs = [build(Recipe(l_q=TINY.l_max, l_kv=TINY.l_max, valid_q=TINY.l_max, valid_kv=TINY.l_max,
                         d=8, importance=kind, rho=25, delta=2 + n, seed=n, causal=n % 3 == 2),
                  TINY) for n in range(6) for kind in Importance]
    jobs = [replace(job, k=jobs[0].k, v=jobs[0].v, same_kv=n > 0) for n, job in enumerate(jobs)]
    simulation, = simulate_batches([jobs], TINY)
    check(simulation, jobs, TINY)


def test_heavy_stalls():
    run_chunk(Chunk(24, 3, 0.85), TINY)


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                                                 HealthCheck.large_base_example])
@given(recipes=st.lists(job_strategy(TINY, l_max=12), min_size=20, max_size=40),
       per_doorbell=st.integers(1, 40), stall=st.sampled_from([0.0, 0.2, 0.6]))
def test_drawn_jobs(recipes, per_doorbell, stall):
    jobs = [build(recipe, TINY) for recipe in recipes]
    batches = [jobs[n : n + per_doorbell] for n in range(0, len(jobs), per_doorbell)]
    for batch, simulation in zip(batches, simulate_batches(batches, TINY, stall=stall, seed=1),
                                 strict=True):
        check(simulation, batch, TINY)


def _heads(path, options, stall=0.0, preset="hdp_edge"):
    config = load_config(preset)
    jobs = load_jobs(path, config, options)
    simulation, = simulate_batches([jobs], config, stall=stall)
    results = check(simulation, jobs, config)
    assert any(0 < result.blocks_kept < result.blocks_total for result in results)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("path", example_heads(), ids=lambda p: p.stem)
def test_examples(path, stall):
    _heads(path, Options(rho=RHO), stall)


DISTANCE = Options(importance=Importance.DISTANCE, distance=1.0)


@pytest.mark.parametrize("path", example_heads(), ids=lambda p: p.stem)
def test_examples_by_distance(path):
    _heads(path, DISTANCE)


@pytest.mark.parametrize("options", [Options(rho=RHO), DISTANCE], ids=["magnitude", "distance"])
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_an_example_in_tiles(stall, options):
    _heads(ROOT / "examples" / "minilm_sentence.npz", options, stall, "hdp_tiles")


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_heads(name):
    path = DATA / "qkv" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} is missing: set PRUNUS_DATA to the folder with qkv/")
    _heads(path, Options(rho=RHO))

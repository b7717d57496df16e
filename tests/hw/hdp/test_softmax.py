# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.hdp.timing.latency import Latency
from prunus.golden.hdp.timing.stages import SUMMED
from prunus.hw.hdp.softmax import SoftmaxUnit
from tests.hw.softmax.bench import PRESETS, config_like
from tests.hw.softmax.rows import Row, UnitBench, random_row, special_rows

STALLS = {
    "none": None,
    "input": {"i": 0.95, "o": 0.0},
    "output": {"i": 0.0, "o": 0.97},
    "both": {"i": 0.6, "o": 0.8},
}
SHAPES = {
    f"w{width}_{lanes}": config_like("hdp_tiny", width=width, frac=4, softmax_lanes=lanes)
    for width in (8, 12) for lanes in (1, 2, 4)
}


def run(config, rows, stalls=None, seed=0):
    stalls = stalls and (np.random.default_rng(seed), stalls)
    dut = SoftmaxUnit(config=config, tag_width=5)
    return dut, UnitBench(dut, config, rows, stalls=stalls).run()


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_random_rows(shape, stalls):
    config = SHAPES[shape]
    rng = np.random.default_rng(8)
    rows = [random_row(config, rng, most) for most in (16, 2, 1, 4, 16, 2, 2, 8, 16, 3, 1, 1)]
    run(config, rows, STALLS[stalls])


@pytest.mark.parametrize("most", [16, 11])
def test_a_full_ring_of_weights(most):
    """Rows of which no more than two have room, read long after they are complete."""
    config = SHAPES["w8_4"]
    rng = np.random.default_rng(12)
    rows = [Row(scores=rng.integers(-99, 99, (2, 32)), limits=np.array([32, 31]),
                columns=np.arange(most), drop=False, scale=(0xB8AA, 20)) for _ in range(8)]
    run(config, rows, STALLS["output"])


@pytest.mark.parametrize("shape", SHAPES)
def test_corners(shape):
    config = SHAPES[shape]
    run(config, special_rows(config))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset):
    config = config_like(preset)
    rng = np.random.default_rng(9)
    rows = [random_row(config, rng, most) for most in (None, 3, 20, 5)]
    every = np.arange(config.blocks)
    scores = rng.integers(-1000, 1000, (2, config.l_max))
    rows += [Row(scores=scores, limits=np.array([config.l_max - 1, config.l_max]), columns=every,
                 drop=False, scale=(0xB8AA, 22))]
    run(config, rows, STALLS["both"])


@pytest.mark.parametrize("l_max", [2, 4, 6])
def test_shortest(l_max):
    config = config_like("hdp_tiny", l_max=l_max)
    rng = np.random.default_rng(10)
    run(config, [random_row(config, rng) for _ in range(20)])


@pytest.mark.parametrize("shape", SHAPES)
def test_cycles(shape):
    config = SHAPES[shape]
    phases, latency = 4 // config.softmax_lanes, Latency(config)
    rng = np.random.default_rng(11)
    for n in (0, 1, 3, 16):
        rows = [Row(scores=rng.integers(-99, 99, (2, 32)), limits=np.array([32, 31]),
                    columns=np.arange(n), drop=False, scale=(0xB8AA, 20)) for _ in range(6)]
        dut, bench = run(config, rows)
        assert bench.given[0] - bench.taken[0] == dut.latency + phases * (n + 1)
        # A row's exponentials wait for the sums of the row before, its token for its exponentials.
        period = max(phases * (n + 1) + SUMMED[0], latency.exponential + 1)
        assert set(np.diff(bench.given[1:]).tolist()) == {period}


def test_the_page_has_the_latency():
    page = Path(__file__).parents[3] / "docs" / "hdp.md"
    for preset in PRESETS:
        of = Latency(config_like(preset))       # tests/hw/parts/test_stages.py compares the two
        latency = of.exponential + of.reciprocal
        assert f"| SoftmaxUnit | exponentials, weights, reciprocal | {latency} + row |" in \
            page.read_text()

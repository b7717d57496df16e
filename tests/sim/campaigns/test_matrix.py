# SPDX-License-Identifier: Apache-2.0
"""The matrix of sizes, and a sample of it on the RTL."""

import json
from itertools import product

import pytest

from prunus.golden.engines import load_config
from prunus.sim.campaigns import matrix
from prunus.sim.campaigns.campaign import Result
from prunus.sim.campaigns.matrix import Outcome, choose, main
from prunus.sim.compare import MismatchError
from prunus.sim.engines import hdp_sizes
from prunus.sim.engines.recipes import L_MAX
from prunus.sim.simulate import SimulationError

CONFIGS = matrix.matrix()
NAMES = [config.name for config in CONFIGS]
# Small ones, unlike each other, the presets and those of tests/sim/test_cores.py.
SAMPLE = ("w12_d32_m8_c2_tiles", "w8_d32_m8_c1_recompute", "w12_d32_m8_c2_rounded_tiles",
          "w8_f2_d32_m8_c1_rounded_recompute", "w12_d32_m8_c2_own_tiles",
          "w8_d16_m8_c1_own_linear")


def outcome(config, failure=""):
    return Outcome(config=config.name, parameters={}, jobs=12, cycles=1, build_s=0.0, sim_s=0.0,
                   failure=failure)


# The others come after all combinations.
PRODUCT = hdp_sizes.sizes()[: -len(hdp_sizes.OTHERS)]


def test_every_combination_once():
    axes = [(c.width, c.frac, c.d_max, c.multipliers, c.cores) for c in PRODUCT]
    assert axes == [(*form, *rest) for form, *rest in product(
        hdp_sizes.FORMATS, hdp_sizes.DIMENSIONS, hdp_sizes.MULTIPLIERS, hdp_sizes.CORES)]
    assert len(set(NAMES)) == len(NAMES)
    assert {c.l_max for c in CONFIGS} == {L_MAX}


@pytest.mark.parametrize("width", [8, 12])
def test_other_choices_vary_along(width):
    chosen = [c for c in PRODUCT if c.width == width and c.cores == 1]
    buses, lanes = (64, 128), (1, 2, 4)

    def met(*fields):
        return {tuple(getattr(config, field) for field in fields) for config in chosen}

    assert met("axi_data_width", "softmax_lanes") == set(product(buses, lanes))
    assert met("axi_data_width", "multipliers") == set(product(buses, hdp_sizes.MULTIPLIERS))
    assert met("softmax_lanes", "multipliers") == set(product(lanes, hdp_sizes.MULTIPLIERS))
    assert met("softmax_lanes", "d_max") == set(product(lanes, hdp_sizes.DIMENSIONS))
    assert met("output_lanes") == {(count,) for count in lanes}


@pytest.mark.parametrize(("wanted", "names"), [
    (None, NAMES), ("w12_d32_m8_", [name for name in NAMES if name.startswith("w12_d32_m8_")]),
    ("d128", [name for name in NAMES if "d128" in name]),
    ("w12*m64, w8_d32", [name for name in NAMES if "w8_d32" in name
                         or ("w12" in name and "m64" in name)])])
def test_choice(wanted, names):
    assert [config.name for config in choose(CONFIGS, wanted)] == names


@pytest.mark.large
@pytest.mark.parametrize("name", SAMPLE)
def test_sample(name):
    config, = choose(CONFIGS, name)
    result = matrix.run(config)
    assert (result.failure, result.config, result.jobs) == ("", config.name, matrix.JOBS)
    assert result.cycles > 2000


def test_a_difference_is_an_outcome(monkeypatch):
    """Found in the run with stalls, say; the cycles before it count."""
    config = load_config("hdp_tiny")
    stalls = []

    def simulate(jobs, config, *, stall, seed):
        stalls.append(stall)
        return outcome(config)

    def check(simulation, jobs, config):
        if stalls[-1]:
            raise MismatchError("job 3: out[0, 0] must be 1, not 2")

    monkeypatch.setattr(matrix, "simulate", simulate)
    monkeypatch.setattr(matrix, "check", check)
    result = matrix.run(config, count=2)
    assert (result.failure, result.cycles) == ("stall 0.3: job 3: out[0, 0] must be 1, not 2", 2)

    def fail(jobs, config, *, stall, seed):
        raise SimulationError("no interrupt")

    monkeypatch.setattr(matrix, "simulate", fail)
    assert matrix.run(config, count=2).failure == "stall 0.0: no interrupt"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Nothing that stand-ins give is kept."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path))


def test_all_equal(monkeypatch, capsys, elsewhere):
    seen = []
    monkeypatch.setattr(matrix, "run", lambda config, seed: seen.append(config.name)
                        or outcome(config))
    assert main(["--workers", "0"]) == 0
    out, err = capsys.readouterr()
    assert seen == NAMES
    assert out.startswith(f"{len(NAMES)} of {len(NAMES)} configurations equal golden, 12 jobs")
    assert err == ""


def test_failures_are_named_and_the_rest_is_run(monkeypatch, capsys, elsewhere):
    bad = "w12_d32_m8_"
    monkeypatch.setattr(matrix, "run", lambda config, seed: outcome(
        config, "stall 0.0: job 3 differs" if config.name.startswith(bad) else ""))
    assert main(["--only", "d32", "--seed", "7", "--json", "--workers", "0"]) == 1
    out, err = capsys.readouterr()
    failed = [one["config"] for one in json.loads(out) if one["failure"]]
    assert failed == [name for name in NAMES if name.startswith(bad)]
    assert len(json.loads(out)) == len(choose(CONFIGS, "d32"))
    assert f"{failed[0]}: width 12, d_max 32, " in err and "multipliers 8, " in err
    assert "stall 0.0: job 3 differs" in err
    assert (f"to repeat: python -m prunus.sim.campaigns.matrix --only {','.join(failed)} --seed 7"
            in err)


def test_a_worker_that_dies_is_a_failure(monkeypatch, capsys):
    def died(name, tasks, options):
        return (Result(task, None, "its worker died 3 times", 0.0) for task in tasks)

    monkeypatch.setattr(matrix.campaign, "run", died)
    assert main(["--only", "w8_d32_m8_c1_recompute", "--json"]) == 1
    one, = json.loads(capsys.readouterr().out)
    assert (one["config"], one["failure"]) == ("w8_d32_m8_c1_recompute", "its worker died 3 times")


def test_list(capsys):
    assert main(["--list", "--only", "w8_d64_m8_"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"w8_d64_m8_c{n}" for n in hdp_sizes.CORES]
    assert "axi_data_width" in lines[0]


def test_a_seed_is_checked(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--seed", "-1"])
    assert "--seed must be at least 0, not -1" in capsys.readouterr().err


def test_a_filter_that_fits_nothing(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "w17"])
    said = capsys.readouterr().err
    assert "--only must occur in the name of a configuration, such as w8_d32_m8" in said

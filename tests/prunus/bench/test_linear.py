# SPDX-License-Identifier: Apache-2.0
"""Linear layers in a bench of HDP."""

import json

import numpy as np
import pytest

from prunus.bench import report
from prunus.bench.cases import suite
from prunus.bench.linear import LinearCase, is_linear
from prunus.errors import InputError
from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.linear import linear
from tests.prunus.bench.test_bench import prunus

HEAT, EDGE, TINY = (load_config(name) for name in ("heat_tiny", "hdp_edge", "hdp_tiny"))
MODEL = 0.02            # error of the model of cycles on every case
ALL = "linear,chain"


@pytest.fixture(scope="module")
def rows():
    """All cases of heat_tiny on the RTL, which are held against the specification on the way."""
    from prunus.bench.suites import suite_of

    work = suite(HEAT, wanted=ALL)
    found, _ = suite_of(HEAT).measure(work, HEAT, False, None)
    return {row["case"]: row for row in found}


def test_the_model_of_cycles_is_near(rows):
    assert {name: row["model_error"] for name, row in rows.items()
            if abs(row["model_error"]) > MODEL} == {}


def test_cycles_stay_above_their_bounds(rows):
    for row in rows.values():
        assert max(row["bound"], row["bus_bound"]) < row["cycles"]
        assert row["utilisation"] == max(row["bound"], row["bus_bound"]) / row["cycles"]
        assert row["limit"] == "array"
        assert row["array_cycles"] == row["counters"]["score_slots"]


def test_what_long_layers_use_of_the_array(rows):
    assert rows["linear/m128/k64/n256/int8"]["array_use"] > 0.98
    assert rows["linear/m25/k64/n256/int8"]["array_use"] > 0.95


def test_narrow_weights_take_half_the_bytes_and_cycles(rows):
    wide, narrow = (rows[f"linear/m128/k64/n256/int{bits}"] for bits in (8, 4))
    assert wide["products"] == narrow["products"] == 128 * 64 * 256
    assert wide["bound"] == 2 * narrow["bound"] == 128 * 64 * 256 // 8
    assert wide["cycles"] > 1.98 * narrow["cycles"]
    assert wide["read_bytes"] - narrow["read_bytes"] == 2 * 64 * 256 // 2       # two strips


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name, between", [("svd", 25 * 48), ("tt", 25 * 64 + 25 * 64),
                                           ("grouped", 25 * 64)])
def test_what_is_held_does_not_cross_the_bus(rows, name, between, bits):
    held, written = (rows[f"chain/m25/{name}/int{bits}{end}"] for end in ("", "/unfused"))
    assert written["read_bytes"] - held["read_bytes"] == between
    assert written["write_bytes"] - held["write_bytes"] == between
    assert held["cycles"] < written["cycles"]


def test_fused_or_not_gives_the_same():
    for name in ("svd", "tt", "grouped"):
        fused, apart = suite(HEAT, wanted=f"chain/m25/{name}/int4").cases
        assert [job.held for job in fused.jobs[1:]] == [True] * (len(fused.jobs) - 1)
        assert [job.fence for job in apart.jobs[1:]] == [True] * (len(apart.jobs) - 1)
        np.testing.assert_array_equal(linear(fused.jobs[-1]).y, linear(apart.jobs[-1]).y)
        assert linear(fused.jobs[-1]).y.std() > 10


@pytest.mark.parametrize("config", [HEAT, EDGE], ids=lambda config: config.name)
@pytest.mark.parametrize("quick", [False, True])
def test_a_coprocessor_can_do_all_of_them(config, quick):
    kind = engine_of(config).kinds_of(config)[1]
    cases = list(suite(config, quick=quick, wanted=ALL).cases)
    for case in cases:
        assert isinstance(case, LinearCase)
        for before, job in zip([None, *case.jobs], case.jobs, strict=False):
            assert kind.refuse(job, config, before) == ""
    assert ("linear/m128/k384/n1536/int4" in [case.name for case in cases]) is (
        config is EDGE and not quick)


def test_only_of_a_coprocessor_with_linear_layers():
    assert not any(isinstance(case, LinearCase) for case in suite(TINY).cases)
    with pytest.raises(InputError, match="cases must occur in one of .*, not 'linear/'"):
        suite(TINY, wanted="linear/")


def test_the_command(capfd, tmp_path):
    """Tables of both kinds, one after the other."""
    wanted = "length/8,linear/m25/k64/n8"
    code, out, err = prunus(capfd, "bench", "--config", "heat_tiny", "--quick", "--cases", wanted,
                            "-o", tmp_path, "--fresh")
    assert (code, err) == (0, "")
    heads, layers = (next(line for line in out.splitlines() if line.startswith(f"case\t{second}"))
                     for second in ("heads", "steps"))
    assert "kappa" in heads.split("\t") and "array use" in layers.split("\t")
    row = next(line for line in out.splitlines() if line.startswith("linear/m25/k64/n8/int8"))
    assert row.split("\t")[1] == "25 x 64 -> 8"
    result = json.loads((tmp_path / "bench.json").read_text())
    assert [row["case"] for row in result["cases"]] == ["length/8"]
    assert [row["case"] for row in result["linear"]] == [
        "linear/m25/k64/n8/int8", "linear/m25/k64/n8/int4"]
    assert all(is_linear(row) for row in result["linear"])
    text = (tmp_path / "bench.md").read_text()
    assert text == report.markdown(result, ["speedup.svg"])
    assert text.index("| length/8 |") < text.index("Linear layers") and "**tt**" in text

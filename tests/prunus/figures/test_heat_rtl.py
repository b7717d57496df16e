# SPDX-License-Identifier: Apache-2.0
"""Compressed models on the RTL: what docs/heat.md says of them is what was counted."""

import pytest

from prunus.figures.figure import load
from prunus.figures.heat_rtl import DENSE, FIGURES, MODEL
from prunus.golden.engines import load_config
from prunus.golden.hdp.linear import Cost
from prunus.power.linear import linear_energy_nj

RTL, PARTS = FIGURES
DATA = load(RTL)["data"]
OTHERS = [row for row in DATA if row["model"] != DENSE]


def dense_of(row: dict) -> dict:
    return next(one for one in DATA if one["base"] == row["base"] and one["model"] == DENSE)


def gain(row: dict, energy: str = "nj") -> float:
    ours, dense = row["linear"], dense_of(row)["linear"]
    return dense[energy] * dense["cycles"] / (ours[energy] * ours["cycles"])


@pytest.mark.parametrize("row", DATA, ids=lambda row: f"{row['base']}-{row['model']}")
def test_energy_is_that_of_counters(row: dict):
    linear = row["linear"]
    assert linear["cycles_from"] == "counters"
    cost = Cost(cycles=linear["cycles"], array_cycles=linear["array_cycles"], bus_cycles=0,
                read_bytes=linear["read_bytes"], write_bytes=linear["write_bytes"],
                products=linear["products"], work_cycles=linear["work_cycles"])
    config = load_config("hdp_edge")
    assert linear["nj"] == pytest.approx(linear_energy_nj(cost, config), rel=1e-8)
    moved = 8 * (linear["read_bytes"] + linear["write_bytes"])
    assert linear["nj_with_memory"] - linear["nj"] == pytest.approx(moved * 20e-3, rel=1e-6)


@pytest.mark.parametrize("least, most_lost, bits", [(80, 0.5, 4), (150, 1.1, 4), (19, 0.5, 8)])
def test_goals_of_minilm_are_reached(least: float, most_lost: float, bits: int):
    assert any(gain(row) >= least and row["quality"]["dev"]["lost"] <= most_lost
               and min(row["bits"]) >= bits for row in OTHERS if row["base"] == MODEL)


def test_the_decoder_keeps_its_perplexity_within_two_percent():
    row, = (row for row in OTHERS if row["base"] == "stories260k")
    assert row["quality"]["dev"]["lost_interval"][1] <= 2
    assert row["forms"] == ["dense4"] and 3 < gain(row) < 4


def test_tables_have_all_rows():
    text = RTL.table(DATA)
    assert text.count("\n") + 1 == 2 + len(DATA)
    assert all(f"{row['linear']['cycles']:,}" in text for row in DATA)
    parts = PARTS.table(DATA)
    rows = [row for row in DATA if row["base"] == MODEL]
    assert parts.count("\n") + 1 == 2 + 2 * len(rows)
    assert "| 1.00x |" in parts and "| 0.0% |" in parts


def test_pruning_saves_cycles_of_attention_only():
    for row in DATA:
        if row["base"] == MODEL:
            attention, dev = row["attention"], row["dev"]
            assert attention["pruned"]["cycles"] < 0.55 * attention["unpruned"]["cycles"]
            assert dev["unpruned"]["blocks_pruned"] == 0 < dev["pruned"]["blocks_pruned"]

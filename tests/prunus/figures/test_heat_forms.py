# SPDX-License-Identifier: Apache-2.0
"""Where decomposition loses: what is kept comes out again, and says so."""

import pytest

pytest.importorskip("opt_einsum", reason="needs opt_einsum: pip install -e '.[models]'")

from prunus.figures.figure import Heads, changes, compared, load
from prunus.figures.heat_forms import FIGURES, measure

FIGURE, = FIGURES


def test_what_costs_give_is_what_is_kept():
    fresh = measure(Heads.under(None))
    assert [*changes(compared(FIGURE, load(FIGURE)["data"]), compared(FIGURE, fresh))] == []


def test_trains_of_balanced_dimensions_lose():
    """By hand: a rank times (1/n1 + 1/k2) of the dense products; rebuilt, those and the rank by
    the rows."""
    rows = {row["rank"][0]: row for row in load(FIGURE)["data"]
            if (row["n"], row["shape"]) == (768, [[24, 32], [24, 32]])}
    for rank, row in rows.items():
        assert row["128"]["products"] == pytest.approx(1 / (rank * (1 / 24 + 1 / 32)))
    assert rows[8]["128"]["most_products"] == pytest.approx(12 / 7)
    assert rows[32]["128"]["most_products"] == pytest.approx(1 / (1 + 32 / 128))
    assert rows[32]["128"]["rebuilds"] and not rows[8]["128"]["rebuilds"]
    assert "**0.80x**" in FIGURE.table(load(FIGURE)["data"])


def test_no_order_is_better_than_the_best():
    for row in load(FIGURE)["data"]:
        for rows in ("25", "128"):
            own = row[rows]
            assert own["best_edp"] >= own["fewest_edp"]
            assert own["edp"] >= own["edp_apart"]
            if row["form"] != "cp":             # whose chain has factors that were rebuilt before
                assert own["best_edp"] >= own["edp"] * (1 - 1e-8)

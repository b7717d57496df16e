# SPDX-License-Identifier: Apache-2.0
"""Where the decomposition of a weight pays on the array, and where it loses (docs/heat_forms.md).

Weights of 8 bits throughout, so that what is told is the form's own. Nothing is fitted: products,
cycles and energy follow from shapes and ranks alone.
"""

from typing import Any

from prunus.golden.engines import load_config

from .figure import Compared, Figure, Heads, table

__all__ = ["FIGURES", "ROWS", "measure"]

PRESET = "hdp_edge"
ROWS = (25, 128)        # of X: the mean sentence of SST-2, a long one


def _cases() -> list[Any]:
    """Forms, weight by weight."""
    from ..compress.forms import cp, heuristic_shape, svd, ttm, tucker

    half, whole = (24, 32), 768
    theirs = heuristic_shape(whole, whole, 2)
    found = [ttm(half, half, (rank,)) for rank in (8, 16, 32, 64)]
    # The longest dimension of n is made last, that of k is contracted first.
    found += [ttm(theirs[0][::-1], theirs[1], (rank,)) for rank in (16, 32)]
    found += [ttm((384, 2), (2, 384), (rank,)) for rank in (16, 64, 128)]
    found += [ttm((12, 8, 8), (8, 8, 12), (rank, rank)) for rank in (8, 16, 32)]
    found += [svd(whole, whole, rank) for rank in (64, 128)]
    small = heuristic_shape(384, 384, 2)
    found += [ttm(*small, (rank,)) for rank in (16, 64, 88)]
    found += [ttm((192, 2), (2, 192), (rank,)) for rank in (16, 48)]
    found += [tucker((4, 96), (12, 32), (4, 32, 12, 24)),
              tucker((2, 192), (2, 192), (2, 192, 2, 32)), cp(*small, 64), svd(384, 384, 64)]
    return found


def measure(heads: Heads) -> list[dict]:
    from prunus.golden.hdp.config import HdpConfig

    from ..compress.cost import Energy, edp, form_cost
    from ..compress.forms import dense_form, fault
    from ..compress.paths import best, fewest, orders

    config = load_config(PRESET)
    assert isinstance(config, HdpConfig)
    energy = Energy.of_config(config)
    found = []
    for form in _cases():
        row: dict[str, Any] = {
            "form": form.name, "n": form.n, "k": form.k, "shape": form.shape, "rank": form.rank,
            "storage": form.n * form.k / _stored(form), "runs": fault(form) is None}
        for rows in ROWS:
            dense = form_cost(dense_form(form.n, form.k), rows, config)
            every = orders(form, rows, config)
            quickest, few = best(every, energy), fewest(form, rows, config)
            fewest_products = min(one.products for one in every)
            row[str(rows)] = {
                "products": dense.products / (rows * form.products),
                "edp": edp(dense, energy) / edp(form_cost(form, rows, config), energy),
                "edp_apart": edp(dense, energy) / edp(
                    form_cost(form, rows, config, fused=False), energy),
                "orders": len(every), "best": str(quickest), "rebuilds": quickest.rebuilds,
                "best_products": dense.products / quickest.products,
                "best_edp": edp(dense, energy) / edp(quickest.cost, energy),
                "most_products": dense.products / fewest_products,
                "fewest": str(few), "fewest_edp": edp(dense, energy) / edp(few.cost, energy)}
        found.append(row)
    return found


def _stored(form: Any) -> int:
    """Numbers in the factors. Those of CP are rebuilt to two; its own are fewer."""
    if form.name == "cp":
        return form.rank[0] * sum(sum(part) for part in form.shape)
    return form.parameters


def _said(row: dict) -> str:
    name = {"ttm": "TTM", "svd": "SVD", "cp": "CP", "tucker": "Tucker"}[row["form"]]
    parts = " by ".join("x".join(map(str, part)) for part in row["shape"])
    ranks = ", ".join(map(str, row["rank"]))
    return f"{name} {parts}, rank {ranks}" if parts else f"{name}, rank {ranks}"


def _times(value: float) -> str:
    return f"{value:.1f}x" if value >= 1 else f"**{value:.2f}x**"


def _table(data: list[dict]) -> str:
    short, long = map(str, ROWS)
    return table(
        ["weight", "form", "numbers fewer", "products fewer: as a chain",
         f"best order, {short} rows", f"{long} rows", f"EDP lower as a chain, {short} rows",
         f"{long} rows", f"intermediates to memory, {short} rows", "runs"],
        [[f"{row['n']} x {row['k']}", _said(row), _times(row["storage"]),
          _times(row[short]["products"]),
          *(_times(row[rows]["most_products"]) for rows in (short, long)),
          *(_times(row[rows]["edp"]) for rows in (short, long)),
          _times(row[short]["edp_apart"]), "yes" if row["runs"] else "no"] for row in data])


FIGURES = [Figure(
    name="heat_forms", about="forms of a weight on the array: where decomposition loses",
    measure=measure, table=_table, configs=(PRESET,), tools=("numpy", "opt-einsum"),
    compared=Compared.COMMAND)]

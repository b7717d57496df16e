# SPDX-License-Identifier: Apache-2.0
"""Orders of contraction: all are there, each costs what its products by hand cost."""

import numpy as np
import pytest

pytest.importorskip("opt_einsum", reason="needs opt_einsum: pip install -e '.[models]'")

from prunus.compress.chain import Step, apply
from prunus.compress.cost import Energy, edp, form_cost, job_cost
from prunus.compress.forms import butterfly, cp, dense_form, svd, ttm, tucker
from prunus.compress.paths import best, fewest, network, orders
from prunus.golden.engines import load_config

EDGE = load_config("hdp_edge")
ENERGY = Energy.of_config(EDGE)
FORMS = [dense_form(96, 64), svd(96, 64, 8, 4), ttm((16, 6), (4, 16), (16,), 4),
         ttm((16, 3, 2), (2, 2, 16), (16, 16)), tucker((16, 6), (8, 8), (8, 3, 4, 5)),
         tucker((4, 24), (4, 16), (4, 16, 4, 8), 4)]
NAMED = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.name}{form.rank}")


@NAMED
def test_the_chain_is_one_of_them_with_the_cost_of_its_steps(form):
    for fused in (True, False):
        chain, = (one for one in orders(form, 10, EDGE, fused=fused) if one.chain)
        assert chain.cost == form_cost(form, 10, EDGE, fused=fused)
        assert chain.products == 10 * form.products


@NAMED
def test_all_orders_are_tried_once(form):
    found = orders(form, 10, EDGE)
    count = len(form.steps) + 1
    # Trees with so many leaves: 1, 3, 15, 105, ...
    assert len(found) == len({str(one) for one in found}) == np.prod(range(2 * count - 3, 0, -2))


@NAMED
@pytest.mark.parametrize("rows", [1, 25, 128])
def test_none_has_fewer_products_than_opt_einsum_finds(form, rows):
    found = orders(form, rows, EDGE)
    assert fewest(form, rows, EDGE).products == min(one.products for one in found)
    by_edp = best(found, ENERGY)
    assert all(edp(by_edp.cost, ENERGY) <= edp(one.cost, ENERGY) for one in found)
    assert edp(by_edp.cost, ENERGY) <= edp(fewest(form, rows, EDGE).cost, ENERGY)


@pytest.mark.parametrize("form", [form for form in FORMS if form.name in ("svd", "ttm")],
                         ids=lambda form: f"{form.name}{form.rank}")
def test_the_network_is_that_of_the_chain(form):
    """Weights of the steps are the factors; outputs of a train stand in the opposite order."""
    net = network(form, 3)
    random = np.random.default_rng(0)
    x = random.normal(size=(3, form.k))
    weights = [random.normal(size=step.shape) for step in form.steps]
    factors = []
    for names, weight in zip(net.inputs[1:], weights, strict=True):
        sizes = [net.sizes[name] for name in names]
        if form.name == "ttm":      # rows are (n, left), columns (k, right); factors (left, n, ...)
            m = len(form.shape[0]) - len(factors) - 1
            left = form.rank[m - 1] if m else 1
            right = form.rank[m] if m < len(form.rank) else 1
            weight = weight.reshape(form.shape[0][m], left, form.shape[1][m], right)
            weight = weight.transpose(1, 0, 2, 3)
        factors.append(weight.reshape(sizes))
    made = np.einsum(net.equation, x.reshape(net.shapes[0]), *factors, optimize=True)
    if form.name == "ttm":
        made = made.transpose(0, *range(made.ndim - 1, 0, -1))
    np.testing.assert_allclose(apply(form, weights, x), made.reshape(3, -1))


def test_rebuilding_by_hand():
    form = svd(96, 64, 8, 4)
    rebuilt, = (one for one in orders(form, 10, EDGE) if one.rebuilds and str(one) == "(X (F1 F2))")
    # (64 x 8) times (8 x 96), as 64 rows; the result is a weight of 8 bits that no bus sees.
    want = (job_cost(64, Step(96, 8, bits=4), EDGE, held_y=True)
            + job_cost(10, Step(96, 64), EDGE, held_w=True))
    assert rebuilt.cost == want
    assert rebuilt.products == 64 * 96 * 8 + 10 * 64 * 96


def test_many_rows_are_worth_a_rebuilding():
    """At a rank that makes more products than it saves, W is made once and used for all rows."""
    form = ttm((16, 48), (48, 16), (32,))
    chosen = [best(orders(form, rows, EDGE), ENERGY) for rows in (8, 512)]
    assert [one.rebuilds for one in chosen] == [False, True]


def test_factors_with_a_dimension_in_common():
    """CP's rank is in all factors: products of them have one for each of its columns."""
    form = cp((8, 12), (4, 16), 8)
    found = orders(form, 10, EDGE)
    assert len(found) == 105
    rebuilt = [one for one in found if one.rebuilds]
    assert min(one.products for one in rebuilt) >= 10 * 96 * 64
    assert fewest(form, 10, EDGE).products <= min(one.products for one in found) * 1.05


def test_what_is_no_network():
    with pytest.raises(ValueError, match="form must be one of dense, svd, tucker, ttm, cp, not "):
        network(butterfly(64, 64, 16), 4)

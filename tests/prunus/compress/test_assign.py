# SPDX-License-Identifier: Apache-2.0
"""The assignment is the best there is, by brute force; what it is compared with."""

import ctypes
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

pytest.importorskip("tensorly", reason="needs tensorly: pip install -e '.[models]'")
pytest.importorskip("scipy", reason="needs scipy: pip install -e '.[models]'")

from prunus.compress.assign import (
    Assignment,
    Option,
    assign,
    cheapest_loss,
    curve,
    heuristic,
    options_of,
    silent,
    uniform,
)
from prunus.compress.cost import Cost, Energy
from prunus.compress.fit import Fit
from prunus.compress.forms import dense_form, fault, svd
from prunus.compress.pareto import Candidate
from prunus.golden.engines import load_config

ENERGY = Energy.of_config(load_config("hdp_edge"))
FORM = dense_form(8, 8)


def cost(random):
    cycles = int(random.integers(50, 1000))
    return Cost(cycles=cycles, array_cycles=cycles, read_bytes=int(random.integers(50, 3000)),
                products=int(random.integers(1, 1000)))


def case(seed, stack):
    """Options of four weights, the first of each a dear one without loss; all choices."""
    random = np.random.default_rng(seed)
    each = []
    for number in range(4):
        name = (f"w{number}",)
        own = [Option(name, FORM, cost(random), float(random.random())) for _ in range(5)]
        dear = Cost(cycles=2000, array_cycles=2000, read_bytes=6000, products=2000)
        each.append([Option(name, FORM, dear, 0.0), *own])
    choices = [*product(*each)]
    options = [option for own in each for option in own]
    if stack:
        both = Option(("w0", "w1"), FORM, Cost(cycles=150, array_cycles=150, read_bytes=300), 0.4)
        options.append(both)
        choices += [(both, *rest) for rest in product(*each[2:])]
    dense = Assignment(tuple(own[0] for own in each)).cost
    return options, [Assignment(choice) for choice in choices], dense


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gain", [1.0, 5.0, 30.0, 1000.0])
def test_the_best_assignment(seed, stack, gain):
    options, choices, dense = case(seed, stack)
    within = [one for one in choices if one.gain(dense, ENERGY) >= gain]
    found = assign(options, dense, ENERGY, gain)
    if not within:
        assert found is None
    else:
        assert found.gain(dense, ENERGY) >= gain * (1 - 1e-9)
        assert found.loss == pytest.approx(min(one.loss for one in within), rel=3e-4)
        names = sorted(name for option in found.options for name in option.weights)
        assert names == ["w0", "w1", "w2", "w3"]


@pytest.mark.parametrize("seed", range(4))
def test_the_best_within_a_sum_of_prices(seed):
    options, choices, _ = case(seed, True)
    prices = [option.cost.products for option in options]
    for limit in (500, 1500, 4000):
        within = [one.loss for one in choices if one.cost.products <= limit]
        found = cheapest_loss(options, prices, limit)
        assert (found is None) == (not within)
        if within:
            assert found.loss == pytest.approx(min(within), rel=2e-4)


def test_what_libraries_print_is_not_seen(capfd):
    printed = ctypes.CDLL(None).puts
    printed(b"before")
    with silent():
        printed(b"within")
    printed(b"after")
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr().out == "before\nafter\n"


def test_no_weight_is_in_two_stacks():
    unit = Cost(cycles=1, array_cycles=1, products=1)
    names = ("a", "b", "c")
    options = [Option((name,), FORM, unit, 1.0) for name in names]
    options += [Option(names[:2], FORM, unit, 0.1), Option(names[1:], FORM, unit, 0.2)]
    found = cheapest_loss(options, [1.0] * 5, 3.0)
    assert found.forms == {("a", "b"): FORM, ("c",): FORM}


def test_a_curve_falls_and_one_of_products_is_no_better():
    options, _, dense = case(0, False)
    gains = (2.0, 5.0, 20.0, 1e6)
    ours = curve(options, dense, ENERGY, gains)
    assert len(ours) == 3                                   # nothing reaches a million
    losses = [one.loss for one in ours]
    assert losses == sorted(losses)
    theirs = curve(options, dense, ENERGY, (2.0, 4.0, 8.0), lambda one: one.cost.products)
    assert theirs
    for one in theirs:
        # Between two of the grid lie two thousandths of the budget.
        best = assign(options, dense, ENERGY, one.gain(dense, ENERGY) * (1 - 4e-3))
        assert best.loss <= one.loss + 1e-9


def test_losses_of_a_stack_are_summed():
    found = Candidate(Fit(FORM, (), 0.0, np.zeros(8)), Cost(), (0.1, 0.2))
    option, = options_of(("a", "b"), [found], {"a": 3.0, "b": 10.0})
    assert (option.weights, option.form) == (("a", "b"), FORM)
    assert option.loss == pytest.approx(2.3)
    with pytest.raises(ValueError):
        options_of(("a",), [replace(found)], {"a": 3.0})


def test_forms_by_weight():
    options, choices, _ = case(0, False)
    assert choices[0].forms == {(f"w{number}",): FORM for number in range(4)}
    assert choices[0].cost.cycles == 4 * 2000


SHAPES = {"a": (384, 384), "b": (1536, 384)}


def test_uniform_ranks():
    found = uniform(SHAPES, 1 / 5, 4)
    assert found == {"a": svd(384, 384, 40, 4), "b": svd(1536, 384, 64, 4)}
    assert uniform({"a": (64, 64)}, 0.01, 8)["a"].rank == (8,)


def test_heuristic_shapes():
    found = heuristic(SHAPES, 2, 16, 4)
    assert {name: form.shape for name, form in found.items()} == {
        "a": ((16, 24), (16, 24)), "b": ((96, 16), (16, 24))}
    assert all(fault(form) is None for form in found.values())


def test_heuristic_shapes_that_do_not_run():
    with pytest.raises(ValueError, match=re.escape(
            "weight a of 384 x 384 must have a tensor train of 2 dimensions that the hardware can "
            "run at rank 8, a multiple of 16")):
        heuristic(SHAPES, 2, 8, 4)

# SPDX-License-Identifier: Apache-2.0
"""The Pareto set of a weight: what is in it, what is left out, and estimates of errors."""

import numpy as np
import pytest

pytest.importorskip("tensorly", reason="needs tensorly: pip install -e '.[models]'")
pytest.importorskip("scipy", reason="needs scipy: pip install -e '.[models]'")

from prunus.compress.cost import Energy, edp, form_cost
from prunus.compress.fit import Stack, Target, fit
from prunus.compress.forms import butterfly, cp, dense_form, svd, ttm, tucker
from prunus.compress.pareto import Estimates, best_of, candidates, front, screened, stacked
from prunus.golden.engines import load_config

EDGE = load_config("hdp_edge")
ENERGY = Energy.of_config(EDGE)
N, K = 64, 64


def target(n=N, k=K, seed=0, low=False):
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(k, k)) * np.linspace(0.05, 2, k)
    mean = random.normal(size=k)
    weight = random.normal(size=(n, 8 if low else k))
    if low:
        weight = weight @ random.normal(size=(8, k))
    return Target(weight, mixed.T @ mixed / k + np.outer(mean, mean), mean)


# -- fronts ---------------------------------------------------------------------------------------
def test_a_front_by_brute_force():
    random = np.random.default_rng(0)
    for width in (1, 2, 3):
        points = random.integers(0, 6, (60, width)).tolist()
        kept = front(points)
        for number, point in enumerate(points):
            beaten = any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point
                         for other in points)
            assert (number in kept) == (not beaten and points.index(point) == number)


def test_nothing_has_no_front():
    assert front([]) == [] == screened([])


def test_screening_keeps_the_ends_and_spreads_the_rest():
    found = [(svd(64, 64, 8 * rank), 2.0**rank, 1.0 / rank) for rank in range(1, 13)]
    found.append((svd(64, 64, 8, 4), 3.0, 2.0))             # dearer and worse than the first
    kept = screened(found, 4)
    assert [form.rank[0] // 8 for form in kept] == [1, 5, 8, 12]
    assert len(screened(found, 99)) == 12


# -- estimates ------------------------------------------------------------------------------------
def test_the_estimate_of_an_svd_is_its_error():
    own = target()
    for rank in (8, 32):
        form = svd(N, K, rank)
        assert Estimates(own).of(form) == pytest.approx(fit(form, own).error, rel=1e-4)
        assert Estimates(own).of(cp((8, 8), (8, 8), rank)) == Estimates(own).of(form)


@pytest.mark.parametrize("form", [
    ttm((16, 4), (4, 16), (16,)), ttm((16, 2, 2), (2, 4, 8), (16, 16)),
    tucker((2, 32), (2, 32), (2, 16, 2, 16)), tucker((4, 16), (4, 16), (3, 8, 2, 8)),
    butterfly(N, K, 16)], ids=lambda form: f"{form.name}{form.rank}")
def test_estimates_of_tensors_are_about_those_of_starts(form):
    """Of C that is a Kronecker product they are the start's, or its bound."""
    random = np.random.default_rng(1)
    k = form.shape[1] if form.name != "butterfly" else (K,)
    c = np.eye(1)
    for size in k:
        mixed = random.normal(size=(size, size))
        c = np.kron(c, mixed @ mixed.T / size + np.eye(size))
    own = Target(random.normal(size=(N, K)), c)
    error, estimate = fit(form, own, 0).error, Estimates(own).of(form)
    dimensions = max(1, len(form.rank))
    assert 0.99 * error <= estimate <= 1.01 * dimensions * error


@pytest.mark.parametrize("ranks, slow", [((4, 8, 2, 32), True), ((3, 8, 2, 32), False)])
def test_estimates_know_which_outputs_lie_together(ranks, slow):
    """n1 is the slow dimension of the outputs where it has no factor, the fast one otherwise."""
    random = np.random.default_rng(2)
    first, second = random.normal(size=(4, ranks[0])), random.normal(size=(16, ranks[1]))
    weight = np.einsum("ap,bq,pqk->abk", first, second, random.normal(size=(*ranks[:2], K)))
    form = tucker((4, 16), (2, 32), ranks)
    other = weight.swapaxes(0, 1)
    estimates = [Estimates(Target(one.reshape(N, K), np.eye(K))).of(form)
                 for one in ((weight, other) if slow else (other, weight))]
    assert estimates[0] < 1e-9
    assert estimates[1] > 0.05


def test_a_dense_weight_has_no_error():
    assert Estimates(target()).of(dense_form(N, K)) == 0


# -- the Pareto set -------------------------------------------------------------------------------
def test_all_that_is_left_beats_all_others_somewhere():
    own = target()
    every = candidates(own, 25, EDGE, ENERGY, most=3, iterations=5, everything=True)
    assert {one.form.name for one in every} >= {"dense8", "dense4", "svd", "tucker", "cp"}
    kept = best_of(every, ENERGY)
    assert {one.form.name for one in kept} >= {"dense8", "dense4", "svd"}
    for one in every:
        beaten = any(other.cost.cycles <= one.cost.cycles and other.error <= one.error
                     and ENERGY.of(other.cost) <= ENERGY.of(one.cost) for other in kept)
        assert beaten
    for one in kept:
        assert one.cost == form_cost(one.form, 25, EDGE)
        assert len(one.errors) == 1 and one.error == one.errors[0]
        assert one.fit.form == one.form


def test_cp_is_tried_where_nothing_of_its_cost_is():
    own = target()
    names = {one.form.name for one in candidates(own, 25, EDGE, ENERGY, most=2, iterations=2)}
    assert "cp" not in names
    names = {one.form.name for one in candidates(own, 25, EDGE, ENERGY, names=("dense", "cp"),
                                                 most=2, iterations=2)}
    assert "cp" in names


def test_a_weight_of_low_rank_is_an_svd():
    kept = candidates(target(low=True), 25, EDGE, ENERGY, bits=(8,), most=2, iterations=2)
    best = min(kept, key=lambda one: edp(one.cost, ENERGY))
    assert (best.form.name, best.form.rank) == ("svd", (8,))
    assert best.error < 1e-3
    assert len(kept) <= 3                   # no rank above 8 is worth its cost


def test_progress_ends_with_all():
    seen = []
    candidates(target(), 25, EDGE, ENERGY, names=("dense", "svd"),
               progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == [*range(1, seen[-1][1] + 1)]


def test_widths_have_their_own_errors():
    both = candidates(target(), 25, EDGE, ENERGY, names=("dense",))
    errors = {one.form.name: one.error for one in both}
    assert 0 < errors["dense8"] < errors["dense4"] / 20


# -- stacks ---------------------------------------------------------------------------------------
def test_a_stack_reads_its_inputs_once():
    """And has an error for each weight."""
    first = target()
    random = np.random.default_rng(3)
    three = tuple(Target(random.normal(size=(N, K)), first.moments, first.mean) for _ in range(3))
    kept = stacked(Stack(three, (1.0, 1.0, 1.0)), 25, EDGE, ENERGY)
    assert {one.form.n for one in kept} == {3 * N}
    assert all(len(one.errors) == 3 for one in kept)
    dense, = (one for one in kept if one.form.name == "dense8")
    apart = form_cost(dense_form(N, K), 25, EDGE)
    # Two jobs less: X, a descriptor and a status each.
    assert 3 * apart.moved_bytes - dense.cost.moved_bytes == 2 * (25 * K + 128)
    shared = next(one for one in kept if one.form.name == "svd")
    assert shared.fit.weights[1].shape[0] == 3 * N

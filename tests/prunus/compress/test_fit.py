# SPDX-License-Identifier: Apache-2.0
"""Factors: exact where they can be, better under C than without it, no worse after a descent."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("tensorly", reason="needs tensorly: pip install -e '.[models]'")
pytest.importorskip("scipy", reason="needs scipy: pip install -e '.[models]'")

from prunus.compress.chain import apply, dense
from prunus.compress.fit import Stack, Target, _Chain, _khatri_rao, fit, rounded, start
from prunus.compress.forms import butterfly, cp, dense_form, svd, ttm, tucker

N, K = 96, 64
FORMS = [svd(N, K, 8), ttm((16, 6), (4, 16), (16,)), ttm((16, 3, 2), (2, 2, 16), (16, 16)),
         tucker((4, 24), (4, 16), (4, 16, 4, 8)), tucker((6, 16), (8, 8), (3, 5, 4, 6)),
         tucker((4, 24), (4, 16), (4, 24, 4, 8)), tucker((4, 24), (4, 16), (4, 8, 4, 16)),
         cp((8, 12), (8, 8), 8), butterfly(N, K, 16)]
NAMED = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.name}{form.rank}")


def moments(seed=0, k=K):
    """C of inputs that are far from alike, and their mean."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(k, k)) * np.linspace(0.05, 2, k)
    mean = random.normal(size=k)
    return mixed.T @ mixed / k + np.outer(mean, mean), mean


def target(seed=0, centred=True):
    c, mean = moments(seed)
    return Target(np.random.default_rng(seed + 1).normal(size=(N, K)), c, mean if centred else None)


def representable(form):
    random = np.random.default_rng(2)
    weights = [random.normal(size=step.shape) for step in form.steps]
    if form.name == "butterfly":
        weights[1] = np.eye(len(weights[1]))
    if form.name == "cp":
        f = [random.normal(size=(size, form.rank[0])) for size in form.shape[1] + form.shape[0]]
        weights = [_khatri_rao(f[0], f[1]).T, _khatri_rao(f[2], f[3])]
    return dense(form, weights)


@NAMED
def test_what_a_form_can_say_it_says(form):
    c, mean = moments()
    weight = representable(form)
    # ALS has no closed form.
    found = fit(form, Target(weight, c, mean), 300 if form.name == "cp" else 0)
    assert found.error < (1e-3 if form.name == "cp" else 1e-12)
    assert [value.shape for value in found.weights] == [step.shape for step in form.steps]


@NAMED
def test_errors_are_those_of_outputs(form):
    """Of samples whose moments C is."""
    random = np.random.default_rng(5)
    x = random.normal(size=(300, K)) @ random.normal(size=(K, K)) + random.normal(size=K)
    weight = random.normal(size=(N, K))
    found = fit(form, Target(weight, x.T @ x / len(x), x.mean(0)), 3)
    off = x @ weight.T - apply(form, found.weights, x) - found.bias
    assert found.error == pytest.approx((off**2).sum() / ((x @ weight.T)**2).sum(), rel=1e-6)
    assert_allclose(off.mean(0), 0, atol=1e-9)


@NAMED
def test_weighted_by_inputs_beats_unweighted(form):
    own = target()
    plain = fit(form, Target(own.weight, np.eye(K)))
    assert fit(form, own).error < 0.95 * own.error(dense(form, plain.weights))


@NAMED
def test_a_descent_is_no_worse_than_its_start(form):
    own = target()
    before, after = fit(form, own, 0).error, fit(form, own).error
    assert after == before if form.name == "svd" else after < before


def test_svd_is_the_best_of_its_rank():
    own, form = target(), svd(N, K, 8)
    random = np.random.default_rng(3)
    found = fit(form, own)
    for _ in range(20):
        near = [value + 1e-3 * random.normal(size=value.shape) for value in found.weights]
        assert own.error(dense(form, near)) > found.error


def test_no_mean_no_bias():
    found = fit(svd(N, K, 8), target(centred=False))
    assert not found.bias.any()
    assert fit(svd(N, K, 8), target()).error < found.error


@NAMED
def test_gradients(form):
    own = target()
    chain = _Chain(form, own)
    random = np.random.default_rng(4)
    weights = [value + 0.1 * random.normal(size=value.shape) for value in start(form, own)]
    _, gradients = chain(weights)
    for number, gradient in enumerate(gradients):
        way = random.normal(size=gradient.shape)
        ends = [chain([value + sign * 1e-4 * way if other == number else value
                       for other, value in enumerate(weights)])[0] for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2e-4 == pytest.approx((gradient * way).sum(), rel=1e-5)


def test_rounding_leaves_what_codes_can_say():
    own = target()
    for bits in (8, 4):
        found = fit(dense_form(N, K, bits), own)
        weight, = rounded(found)
        for row in weight:
            steps = np.unique(np.abs(row[row != 0]))
            assert len(steps) <= 1 << (bits - 1)
            assert_allclose(row / (scale := np.diff(np.unique(row)).min()),
                            np.rint(row / scale), atol=1e-6)
    errors = [own.error(rounded(fit(dense_form(N, K, bits), own))[0]) for bits in (8, 4)]
    assert 0 < errors[0] < errors[1] / 20


def test_a_row_of_zeros_stays_one():
    c, _ = moments()
    weight = np.random.default_rng(0).normal(size=(N, K))
    weight[3] = 0
    assert not rounded(fit(dense_form(N, K, 4), Target(weight, c)))[0][3].any()


def test_a_stack_is_fitted_to_what_matters():
    c, mean = moments()
    random = np.random.default_rng(6)
    targets = tuple(Target(size * random.normal(size=(24, K)), c, mean) for size in (1, 1, 10))
    form = svd(72, K, 16)
    errors = {}
    for shares in ((1.0, 1.0, 1.0), (100.0, 1.0, 1.0)):
        stack = Stack(targets, shares)
        found = stack.back(fit(form, stack.target))
        close = dense(form, found.weights)
        errors[shares] = stack.errors(close)
        for one, rows, error in zip(targets, stack.rows(), errors[shares], strict=True):
            assert_allclose(found.bias[rows], one.bias(close[rows]))
            assert error == pytest.approx(one.error(close[rows]))
    alike, first = errors.values()
    assert max(alike) < 1.3 * min(alike)            # whatever their sizes
    assert first[0] < 0.7 * alike[0] and first[1] > alike[1]


def test_bad_input():
    c, mean = moments()
    with pytest.raises(ValueError, match=r"moments must be of shape \(64, 64\), not \(32, 64\)"):
        Target(np.zeros((N, K)), c[:32])
    with pytest.raises(ValueError, match=r"mean must be of shape \(64,\), not \(63,\)"):
        Target(np.zeros((N, K)), c, mean[:-1])
    with pytest.raises(ValueError, match="weight and moments must be finite"):
        Target(np.full((N, K), np.nan), c)
    with pytest.raises(ValueError, match=r"form must be one of a weight \(96, 64\), not \(64, 64"):
        fit(svd(64, 64, 8), target())

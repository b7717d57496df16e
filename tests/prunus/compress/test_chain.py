# SPDX-License-Identifier: Apache-2.0
"""A chain is what einsum makes of its factors; views are permutations."""

import json
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from prunus.compress.chain import Form, Step, View, apply, dense
from prunus.compress.forms import butterfly, cp, dense_form, svd, ttm, tucker


def weights_of(form, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=step.shape) for step in form.steps]


def inputs(k, seed=1):
    return np.random.default_rng(seed).normal(size=(2, 3, k))


# -- views ----------------------------------------------------------------------------------------
def test_a_split_as_the_design_has_it():
    a, b, c, p, r = 2, 3, 4, 5, 16
    y = np.arange(a * b * c * p * r).reshape(a * b * c, p * r)
    want = y.reshape(a, b, c, p, r).transpose(0, 2, 3, 1, 4).reshape(a * c * p, b * r)
    view = View(B=b, C=c, R=r, split=True)
    assert_array_equal(view.read(y), want)
    assert view.shape(*y.shape) == want.shape


def test_a_merge_as_the_design_has_it():
    a, b, p, r = 2, 3, 5, 16
    y = np.arange(a * b * p * r).reshape(a * b, p * r)
    want = y.reshape(a, b, p, r).transpose(0, 2, 1, 3).reshape(a, p * b * r)
    view = View(B=b, R=r)
    assert_array_equal(view.read(y), want)
    assert view.shape(*y.shape) == want.shape


def test_the_default_changes_nothing():
    y = np.arange(12).reshape(3, 4)
    assert_array_equal(View().read(y), y)


@pytest.mark.parametrize("view, text", [
    (View(B=4), "view must divide 6 rows and 32 channels, not View(B=4, "),
    (View(R=5), "view must divide 6 rows and 32 channels, not View(B=1, "),
    (View(B=0), "view must divide 6 rows and 32 channels, not View(B=0, "),
    (View(B=2, C=3), "view must have C = 1 where it merges, not 3"),
])
def test_views_that_do_not_divide(view, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        view.shape(6, 32)


# -- chains against einsum ------------------------------------------------------------------------
def test_svd():
    form = svd(24, 16, 8)
    a, b = weights_of(form)
    x = inputs(16)
    assert_allclose(apply(form, [a, b], x), np.einsum("nr,rk,xyk->xyn", b, a, x))


def test_tensor_train_of_two():
    form = ttm((16, 6), (4, 8), (16,))
    last, first = weights_of(form)
    x = inputs(32)
    want = np.einsum("brl,apr,xypl->xyba", last.reshape(6, 16, 8), first.reshape(16, 4, 16),
                     x.reshape(2, 3, 4, 8), optimize=True)
    assert_allclose(apply(form, [last, first], x), want.reshape(2, 3, 96))


def test_tensor_train_of_three():
    form = ttm((16, 3, 2), (2, 4, 8), (5, 7))
    third, second, first = weights_of(form)
    x = inputs(64)
    want = np.einsum("csl,brqs,apr,xypql->xycba", third.reshape(2, 7, 8),
                     second.reshape(3, 5, 4, 7), first.reshape(16, 2, 5),
                     x.reshape(2, 3, 2, 4, 8), optimize=True)
    assert_allclose(apply(form, [third, second, first], x), want.reshape(2, 3, 96))


def test_tucker_with_all_factors():
    form = tucker((6, 16), (4, 8), (3, 5, 2, 7))
    v2, v1, core, u2, u1 = weights_of(form)
    x = inputs(32)
    want = np.einsum("na,mb,abdc,cp,dq,xypq->xymn", u1, u2, core.reshape(3, 5, 7, 2), v1, v2,
                     x.reshape(2, 3, 4, 8), optimize=True)
    assert_allclose(apply(form, [v2, v1, core, u2, u1], x), want.reshape(2, 3, 96))


def test_tucker_whose_first_dimensions_stay():
    form = tucker((6, 16), (4, 8), (6, 5, 4, 7))
    v2, core, u2 = weights_of(form)
    x = inputs(32)
    want = np.einsum("mb,nbpd,dq,xypq->xynm", u2, core.reshape(6, 5, 4, 7), v2,
                     x.reshape(2, 3, 4, 8), optimize=True)
    assert_allclose(apply(form, [v2, core, u2], x), want.reshape(2, 3, 96))


@pytest.mark.parametrize("ranks, steps", [((6, 16, 4, 7), 2), ((6, 5, 4, 8), 2),
                                          ((3, 5, 4, 8), 3)])
def test_tucker_without_factors_on_a_side(ranks, steps):
    form = tucker((6, 16), (4, 8), ranks)
    assert len(form.steps) == steps
    assert dense(form, weights_of(form)).shape == (96, 32)


def test_butterfly():
    form = butterfly(48, 24, 8)                 # 16 groups of 8, then 8 of 16; 24 inputs are filled
    first, unit, second = weights_of(form)
    x = inputs(24)
    filled = np.concatenate([x, np.zeros((2, 3, 104))], -1).reshape(2, 3, 16, 8)
    got = apply(form, [first, np.eye(8), second], x)
    want = np.einsum("ihg,gij,xygj->xyih", second.reshape(8, 16, 16), first.reshape(16, 8, 8),
                     filled)
    assert_allclose(got, want.reshape(2, 3, 128)[..., :48])
    assert unit.shape == (8, 8)


FORMS = [dense_form(96, 32, 4), svd(96, 32, 8), cp((8, 12), (4, 8), 8), ttm((16, 6), (4, 8), (16,)),
         ttm((16, 3, 2), (2, 2, 8), (16, 16)), tucker((6, 16), (4, 8), (3, 5, 2, 7)),
         butterfly(96, 32, 16)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_dense_is_what_apply_multiplies_with(form):
    weights, x = weights_of(form), inputs(32)
    close = dense(form, weights)
    assert close.shape == (96, 32)
    assert_allclose(apply(form, weights, x), x @ close.T)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_tensors_as_arrays(form):
    torch = pytest.importorskip("torch")
    weights, x = weights_of(form), inputs(32)
    got = apply(form, [torch.tensor(weight) for weight in weights], torch.tensor(x))
    assert_allclose(got.numpy(), apply(form, weights, x))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_forms_survive_json(form):
    assert Form.of_plain(json.loads(json.dumps(form.plain()))) == form


def test_between_steps_something_can_be_added():
    form = svd(24, 16, 8)
    weights, x = weights_of(form), inputs(16)
    seen = []

    def between(number, y):
        seen.append((number, y.shape))
        return y + number

    got = apply(form, weights, x, between)
    assert seen == [(0, (6, 8)), (1, (6, 24))]
    assert_allclose(got, apply(form, weights, x) + 1)


# -- counts ---------------------------------------------------------------------------------------
def test_counts_by_hand():
    form = ttm((16, 6), (4, 8), (16,), bits=4)
    # 4 rows of (8 -> 6 * 16), then 6 rows of (4 * 16 -> 16)
    assert form.rows(10) == (40, 60)
    assert form.products == 4 * 8 * 96 + 6 * 64 * 16
    assert form.parameters == 8 * 96 + 64 * 16
    assert form.weight_bytes == form.parameters // 2 + 8 * (96 + 16)
    grouped = Step(4, 8, groups=3)
    assert (grouped.shape, grouped.parameters, grouped.weight_bytes) == ((12, 8), 96, 96 + 96)


# -- bad input ------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, text", [
    (lambda: Form("svd", 8, 8, ()), "a form must have at least one step"),
    (lambda: Form("svd", 8, 16, (Step(8, 16), Step(8, 24))),
     "step 1 must take 8 channels, not 1 x 24"),
    (lambda: Form("svd", 16, 16, (Step(8, 16),)),
     "steps must make 1 row of 16 outputs from 16 inputs, not 1 of 8 from 16"),
    (lambda: Form("svd", 8, 24, (Step(8, 16),)),
     "steps must make 1 row of 8 outputs from 24 inputs, not 1 of 8 from 16"),
])
def test_steps_that_do_not_fit(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_inputs_that_do_not_fit():
    form = svd(24, 16, 8)
    with pytest.raises(ValueError, match=r"form must have X \(\.\.\., 16\) and 2 weights, not "
                                         r"\(2, 3, 24\) and 2"):
        apply(form, weights_of(form), inputs(24))

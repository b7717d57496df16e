# SPDX-License-Identifier: Apache-2.0
"""Which forms there are, and which the hardware can run."""

import re
from math import prod

import pytest

from prunus.compress.chain import Form, Step, View
from prunus.compress.forms import (
    NAMES,
    butterfly,
    cp,
    dense_form,
    factorised,
    fault,
    forms,
    heuristic_shape,
    svd,
    ttm,
    tucker,
)


def test_all_kinds_are_there_in_both_widths():
    found = {(form.name, form.steps[0].bits) for form in forms(384, 384)}
    assert found == {("dense8", 8), ("dense4", 4)} | {
        (name, bits) for name in NAMES[1:] for bits in (8, 4)}


@pytest.mark.parametrize("n, k", [(384, 384), (64, 64), (64, 176), (176, 64)])
def test_what_is_found_runs_and_is_smaller(n, k):
    found = [*forms(n, k)]
    assert len(set(found)) == len(found) > 4
    for form in found:
        assert (form.n, form.k) == (n, k)
        assert fault(form) is None
        assert form.products < n * k or form.name.startswith("dense")
        assert all(not step.n % 8 and not step.k % 8 for step in form.steps)
        if form.name in ("tucker", "ttm", "cp"):
            assert tuple(map(prod, form.shape)) == (n, k)


def test_ranks_of_svd_are_all_below_dense():
    assert [form.rank[0] for form in forms(384, 384, ("svd",), (8,))] == [*range(8, 192, 8)]


def test_trains_of_two_and_three_cores():
    assert {len(form.shape[0]) for form in forms(384, 384, ("ttm",), (4,))} == {2, 3}


def test_cp_is_the_svd_of_its_rank():
    one, other = cp((16, 24), (12, 32), 40, 4), svd(384, 384, 40, 4)
    assert one.steps == other.steps


@pytest.mark.parametrize("form, text", [
    (svd(24, 16, 12), "step 0 must have n and k multiples of 8, not 12, 16"),
    (ttm((16, 6), (4, 8), (8,)), "step 0: a view must have R a multiple of 16, or R = 1 with C = 1 "
                                 "and B a multiple of 16, not View(B=4, C=1, R=8, split=True)"),
    (ttm((8, 6), (4, 8), (16,)), "step 1: a view must have R a multiple of 16"),
    (butterfly(64, 64, 8), "step 0: a view must have R a multiple of 16"),
    (Form("butterfly", 48, 48, (Step(24, 24, groups=2),)),
     "step 0 must have blocks of (8, 16, 32) inputs, not 24"),
])
def test_what_the_hardware_cannot_run(form, text):
    assert fault(form).startswith(text)


@pytest.mark.parametrize("form", [
    dense_form(8, 8), ttm((16, 6), (4, 8), (16,)), tucker((16, 32), (16, 32), (16, 16, 16, 16)),
    butterfly(384, 384, 32), Form("x", 32, 8, (Step(32, 8, view=View(R=32, split=True)),))])
def test_what_it_can(form):
    assert fault(form) is None


@pytest.mark.parametrize("arguments, text", [
    ((12, 16), "a weight must have multiples of 8 outputs and inputs, not 12 and 16"),
    ((16, 0), "a weight must have multiples of 8 outputs and inputs, not 16 and 0"),
    ((16, 16, ("dense", "lu")),
     "forms must be some of dense, svd, tucker, ttm, cp, butterfly, not 'lu'"),
])
def test_bad_input(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        [*forms(*arguments)]


@pytest.mark.parametrize("ranks", [(3, 16, 4, 8), (6, 16, 3, 8)])
def test_tucker_has_the_outer_factor_first(ranks):
    with pytest.raises(ValueError, match="tucker must have a factor of"):
        tucker((6, 16), (4, 8), ranks)


def test_unlike_sizes_have_as_many_dimensions():
    assert heuristic_shape(1536, 22, 3) == ((4, 384), (2, 11))
    assert heuristic_shape(1536, 384, 2) == ((16, 96), (16, 24))


def test_factors():
    assert [*factorised(12, 2)] == [(2, 6), (3, 4), (4, 3), (6, 2)]
    assert [*factorised(12, 3)] == [(2, 2, 3), (2, 3, 2), (3, 2, 2)]
    assert [*factorised(7, 2)] == []


@pytest.mark.parametrize("value, order, want", [
    (768, 2, (16, 48)), (768, 3, (4, 12, 16)), (384, 2, (16, 24)), (1536, 3, (6, 16, 16)),
    (64, 2, (4, 16)), (7, 2, (7,))])
def test_shapes_of_tltorch(value, order, want):
    """As its get_tensorized_shape gives them."""
    assert heuristic_shape(value, value, order) == (want, want)

# SPDX-License-Identifier: Apache-2.0
"""Which forms there are, and which the hardware can run."""

import re
from math import prod

import numpy as np
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
from prunus.golden.engines import load_config
from prunus.golden.hdp.linear.compute import LinearJob
from prunus.golden.hdp.linear.kind import LinearKind


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
    (butterfly(64, 64, 8), "step 0 must have blocks of multiples of 16 inputs and outputs, of the "
                           "latter at most 64, not 8 and 8"),
    (butterfly(1536, 384, 16), "step 2 must have blocks of multiples of 16 inputs and outputs, of "
                               "the latter at most 64, not 32 and 96"),
    (svd(4104, 64, 8), "step 1 must have at most 4096 inputs and outputs"),
    (Form("x", 32, 32, (Step(32, 32, view=View(R=8, split=True)), Step(8, 8), Step(8, 8, view=View(
        B=4)))), "step 0: a view must have R a multiple of 16"),
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


# -- what is enumerated, as jobs ------------------------------------------------------------------
def jobs(form, rows):
    """The chain as the specification has it, with weights of zeros."""
    x = np.zeros((rows * form.split, form.inputs // form.split), int)
    for number, step in enumerate(form.steps):
        n, view = step.groups * step.n, step.view
        job = LinearJob(
            x=x, w=np.zeros(step.shape, int), bias=np.zeros(n, int), multiplier=np.ones(n, int),
            shift=np.ones(n, int), bits=step.bits, groups=step.groups, held=number > 0,
            target="held" if number + 1 < len(form.steps) else "codes",
            arrangement="split" if view.split else "merge", inner=view.B, middle=view.C,
            run=view.R or 0)
        yield job
        x = np.zeros(job.output_shape(), int)


@pytest.mark.parametrize("n, k", [(384, 384), (1536, 384), (384, 1536), (64, 176)])
def test_the_specification_takes_all(n, k):
    """A row of X at a time at least."""
    kind, edge = LinearKind(), load_config("hdp_edge")
    every = [*forms(n, k, bits=(4,))]
    random = np.random.default_rng(0)
    some = [form for form in every if form.name not in ("tucker", "ttm")]
    some += [every[number] for number in random.choice(len(every), min(100, len(every)), False)]
    assert {form.name for form in some} >= {"dense4", "svd", "cp", "tucker"}
    assert k == 176 or "butterfly" in {form.name for form in some}
    for form in some:
        for job in jobs(form, 1):
            said = kind.checks(kind.fields(job, edge), edge)
            assert not any(np.any(wrong) for wrong in said.values()), (form, said)
            assert job.output_shape() == job.view(np.zeros((job.rows, job.channels))).shape

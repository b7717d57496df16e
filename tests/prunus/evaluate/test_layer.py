# SPDX-License-Identifier: Apache-2.0
"""Layers with the keys of a cache, told slowly."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.evaluate.layer import counted, quantised
from prunus.evaluate.methods.own import Float, Uniform
from prunus.evaluate.methods.registry import make_method
from prunus.golden.engines import load_config
from prunus.golden.jobs import visible_limits
from prunus.golden.softmax import encode_scale
from prunus.run import OPENED
from tests.prunus.evaluate.layers import make_layer, make_step, of, slow_codes, slow_counts

METHODS = {"hdp": {"distance": 0.5}, "leopard": {"threshold": 0.1}, "topk": {"keep": 0.3}}
STEPS = pytest.mark.parametrize("queries", [1, 2, 5])


@STEPS
def test_who_sees_whom(queries):
    step = make_step(queries, length=9)
    assert (step.length, step.keys) == (queries, 9)
    assert step.visible().sum(axis=1).tolist() == list(range(10 - queries, 10))
    job, _, _ = quantised(step, 0, load_config("topk_tiny"), centred=True)
    assert (job.l_q, job.l_kv) == (queries, 9)
    assert visible_limits(job).tolist() == list(range(10 - queries, 10))


@STEPS
@pytest.mark.parametrize("length", [8, 9])
def test_counts(queries, length):
    step = make_step(queries, length=length)
    keep = np.random.default_rng(1).random((3, queries, length)) < 0.3
    keep &= step.visible()
    assert of(counted(step, keep)) == slow_counts(step, keep)


@STEPS
@pytest.mark.parametrize("method", [Float(), Uniform()])
def test_steps_are_the_last_rows_of_a_text(queries, method):
    whole, step = make_step(9, length=9), make_step(queries, length=9)
    np.testing.assert_allclose(method.attend(step).out, method.attend(whole).out[:, -queries:])


@STEPS
@pytest.mark.parametrize("name", METHODS)
def test_hardware_gets_the_whole_cache(name, queries):
    """Codes fill the width anew, over all keys there are."""
    step = make_step(queries, length=9, share=3)
    method = make_method(name, f"{name}_tiny", METHODS[name])
    attended = method.attend(step)
    for h, (job, result) in enumerate(zip(attended.jobs, attended.results, strict=True)):
        most = method.config.codes_of("k").max_code
        k = step.k[h] - (0 if name == "leopard" else step.k[h].mean(axis=0))
        np.testing.assert_array_equal(job.k, slow_codes(k, most)[0])
        np.testing.assert_array_equal(job.v, slow_codes(step.v[h], most)[0])
        assert job.same_kv is (h > 0)
        np.testing.assert_array_equal(visible_limits(job), step.visible().sum(axis=1))
        assert result.out.shape == (queries, 8)
    if name != "hdp":
        keep = np.stack([result.mask for result in attended.results])
        assert of(attended.counts) == slow_counts(step, keep)
    assert 0 < attended.counts.pruned()["scores_pruned"] < 1
    assert all(cost > 0 for cost in method.cost(attended.jobs, attended.results))


@pytest.mark.parametrize("name", METHODS)
def test_a_backend_says_what_comes_out(name):
    step = make_step(2, length=9)
    method = make_method(name, f"{name}_tiny", METHODS[name])
    tables = []

    def through(jobs):
        tables.append(jobs)
        with OPENED["golden"](method.config) as run:
            done = run(jobs)
        done.outputs[1] = (done.outputs[1][0] + 64, done.outputs[1][1])
        return done

    plain, other = method.attend(step), method.attend(step, through)
    assert len(tables) == 1 and other.run is not None and plain.run is None
    np.testing.assert_array_equal(other.out[[0, 2]], plain.out[[0, 2]])
    assert (other.out[1] > plain.out[1]).all()
    assert other.counts == plain.counts


def test_too_many_keys_are_refused():
    method = make_method("topk", "topk_tiny", {"top_k": 2})
    with pytest.raises(InputError, match=r"at most 32 tokens \(topk_tiny\), not 33"):
        method.attend(make_step(1, length=33))


def test_masks_by_chance_have_the_shape_of_the_step():
    step = make_step(1, length=9)
    for of_what in ("blocks", "scores"):
        attended = make_method("random", None, {"share": 0.5, "of": of_what}).attend(step)
        assert 0 < attended.counts.scores_kept < attended.counts.scores == 27
    attended = make_method("energon", None, {}).attend(step)
    assert 0 < attended.counts.scores_kept < 27
    with pytest.raises(InputError, match="spatten needs all queries of a text, which a decoder"):
        make_method("spatten", None, {"head_keep": 0.5}).check_cache()


# -- balanced dimensions --------------------------------------------------------------------------
FINE = load_config("hdp_fine")
UNLIKE = np.array([9, 1, 0.1, 1, 3, 1, 0.01, 1])        # peaks of dimensions


def unlike(**how):
    layer = make_layer(length=9, heads=4, **how)
    return replace(layer, q=layer.q * UNLIKE, k=layer.k * UNLIKE[::-1], group=how.get("share", 1))


@pytest.mark.parametrize("share", [1, 2, 4])
def test_balanced_dimensions_have_the_same_peak(share):
    layer = unlike(share=share)
    for h in range(4):
        plain, unit, _ = quantised(layer, h, FINE, centred=False)
        job, finer, _ = quantised(layer, h, FINE, centred=False, balanced=True)
        if share == 1:
            np.testing.assert_allclose(np.abs(job.q).max(axis=0), np.abs(job.k).max(axis=0), atol=1)
        logits = layer.q[h] @ layer.k[h].T * layer.scaling
        # What the integer parts say, which choose the blocks.
        off, worse = (np.square((one.q + 4) // 8 @ ((one.k + 4) // 8).T * of_it * 64
                                - logits).mean()
                      for one, of_it in ((job, finer), (plain, unit)))
        assert off < worse / 4


def test_balanced_heads_of_a_group_share_keys():
    layer = unlike(share=2)
    codes = [quantised(layer, h, FINE, centred=True, balanced=True)[0].k for h in range(4)]
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[2], codes[3])
    assert (codes[0] != codes[2]).any()
    for h in range(4):              # alone a head is what it is among others
        job, _, _ = quantised(layer.only(h), 0, FINE, centred=True, balanced=True)
        np.testing.assert_array_equal(job.k, codes[h])


def test_a_dimension_without_values_stays_as_it_is():
    layer = make_layer()
    q, k = layer.q.copy(), layer.k.copy()
    q[:, :, 2], k[:, :, 5] = 0, 0
    job, unit, _ = quantised(replace(layer, q=q, k=k), 0, FINE, centred=False, balanced=True)
    assert not job.q[:, 2].any() and not job.k[:, 5].any() and np.isfinite(unit)


def test_a_temperature_divides_the_logits():
    layer = make_layer()
    _, unit, _ = quantised(layer, 0, FINE, centred=True)
    job, cooler, _ = quantised(layer, 0, FINE, centred=True, temperature=1.6)
    assert cooler == unit / 1.6 and job.scale == encode_scale(cooler)

# SPDX-License-Identifier: Apache-2.0
"""Layers with the keys of a cache, told slowly."""

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.evaluate.layer import counted, quantised
from prunus.evaluate.methods.own import Float, Uniform
from prunus.evaluate.methods.registry import make_method
from prunus.golden.engines import load_config
from prunus.golden.jobs import visible_limits
from prunus.run import OPENED
from tests.prunus.evaluate.layers import make_step, of, slow_codes, slow_counts

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

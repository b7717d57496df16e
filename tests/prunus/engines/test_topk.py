# SPDX-License-Identifier: Apache-2.0
"""Heads through Top-K as a user runs them."""

import json

import numpy as np
import pytest

from prunus import cli
from prunus.bench.suites import suite_of
from prunus.engines.topk import load_jobs
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.topk import compute as topk
from tests.prunus.test_heads import arrays

TINY = load_config("topk_tiny")


def heads(tmp_path, **fields):
    """A file of two heads of 6 queries and 8 keys, which the smallest preset takes."""
    path = tmp_path / "in.npz"
    np.savez(path, **arrays(**fields))
    return path


def prunus(capfd, *args):
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(arg) for arg in args])
    out, err = capfd.readouterr()
    return stop.value.code or 0, out, err


def test_the_option_overrides_the_file(tmp_path):
    path = heads(tmp_path, top_k=np.array([2, 5]))
    assert [job.top_k for job in load_jobs(path, TINY, None)] == [2, 5]
    assert [job.top_k for job in load_jobs(path, TINY, 3)] == [3, 3]
    path = heads(tmp_path, top_k=np.array(8))
    assert [job.top_k for job in load_jobs(path, TINY, None)] == [8, 8]


@pytest.mark.parametrize(("field", "option", "message"), [
    ({}, None, "top_k is missing: give --top-k, 1..8 (topk_tiny), or an array of that name"),
    ({}, 0, "--top-k must lie in 1..8 (topk_tiny), not 0"),
    ({}, 2**70, "--top-k must lie in 1..8 (topk_tiny), not 1180591620717411303424"),
    ({}, 9, "--top-k must lie in 1..8 (topk_tiny), not 9"),
    ({"top_k": np.array([1, 9])}, None, "top_k must lie in 1..8, not 9"),
    ({"top_k": np.array(2.0)}, None, "top_k must have an integer dtype, not float64"),
    ({"top_k": np.array([1, 2, 3])}, None, "top_k must be a scalar or have shape (2,)"),
])
def test_a_bad_k_is_named(tmp_path, field, option, message):
    with pytest.raises(InputError) as caught:
        load_jobs(heads(tmp_path, **field), TINY, option)
    assert message in str(caught.value)


def test_figures_and_traces(tmp_path, capfd):
    path, target = heads(tmp_path), tmp_path / "out.npz"
    code, out, err = prunus(capfd, "run", path, target, "--config", "topk_tiny", "--top-k", 4,
                            "--trace", "--json")
    assert (code, err) == (0, "")
    results = [topk.head(job, TINY) for job in load_jobs(path, TINY, 4)]
    summary = json.loads(out)
    assert (summary["survivors"], summary["keys"]) == (2 * 6 * 4, 2 * 6 * 8)
    assert summary["bound_cycles"] == topk.bound_cycles(results, TINY)
    with np.load(target) as given:
        assert sorted(given) == ["mask", "out", "out_frac", "scores", "survivors"]
        for name in ("out", "mask", "scores"):
            np.testing.assert_array_equal(given[name], [getattr(r, name) for r in results])
        np.testing.assert_array_equal(given["survivors"], [24, 24])


def test_options_of_other_engines_are_refused(tmp_path, capfd):
    path = heads(tmp_path)
    code, out, err = prunus(capfd, "run", path, tmp_path / "o.npz", "--config", "topk_tiny",
                            "--top-k", 4, "--threshold", 1)
    assert (code, out) == (2, "")
    assert err == ("error: --threshold is an option of engine leopard, and config topk_tiny is of "
                   "engine topk\n")


def test_bench(tmp_path):
    """Cycles of heads that follow each other are those of the bound, nearly."""
    suite = suite_of(TINY)
    work = suite.choose(TINY, data=[heads(tmp_path)], quick=True, wanted="in/*")
    rows, simulation = suite.measure(work, TINY, True, None)
    row, = rows
    assert (row["case"], row["heads"], row["top_k"]) == ("in/8", 2, 8)
    assert row["survive"] == 1.0 and row["bound"] == 2 * 6 * 8 * 2
    assert row["bound"] <= row["cycles"] and 1 <= row["over_bound"] < 1.5
    text = suite.markdown(suite.document(work, rows, simulation, TINY, "prunus bench"), TINY, ())
    assert "| in/8 | 2 | 6 x 8 | 16 | 8 | 100.0% |" in text

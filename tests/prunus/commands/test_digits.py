# SPDX-License-Identifier: Apache-2.0
"""``prunus digits`` and the search for thresholds, whose scores are never all there at once."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunus.commands import digits
from prunus.commands.digits import threshold_for
from prunus.golden.jobs import visible_limits
from prunus.golden.leopard.compute import LeopardJob
from tests.prunus.test_cli import prunus


def jobs_of(seed, heads, wide):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(heads):
        rows, keys = (int(n) for n in rng.integers(1, 20, 2))
        q, k, v = (rng.integers(-wide, wide, (n, 8)) for n in (rows, keys, keys))
        made.append(LeopardJob(q=q, k=k, v=v, scale=(1 << 15, 30), threshold=0,
                               valid_kv=int(rng.integers(0, keys + 1)),
                               causal=bool(rng.integers(2))))
    return made


def sorted_scores(jobs):
    return np.sort(np.concatenate([
        (job.q @ job.k.T)[np.arange(job.l_kv) < visible_limits(job)[:, None]] for job in jobs]))


@given(seed=st.integers(0, 2**32), heads=st.integers(1, 5),
       wide=st.sampled_from([1, 3, 128, 2048]), share=st.floats(0, 1, exclude_max=True))
def test_the_threshold_is_the_score_at_its_place(seed, heads, wide, share):
    jobs = jobs_of(seed, heads, wide)
    scores = sorted_scores(jobs)
    expected = scores[int(share * len(scores))] if len(scores) else 0
    assert threshold_for(jobs, share) == expected


def test_few_bins_find_the_same(monkeypatch):
    jobs = jobs_of(1, 4, 2048)
    scores = sorted_scores(jobs)
    monkeypatch.setattr(digits, "BINS", 3)
    assert [threshold_for(jobs, share) for share in (0, 0.3, 0.99)] == [
        scores[int(share * len(scores))] for share in (0, 0.3, 0.99)]


def test_shares_add_up(capfd):
    code, out, _ = prunus(capfd, "digits", "--json")
    assert code == 0
    rows = json.loads(out)
    assert len(rows) == 6
    for row in rows:
        assert row["survive"] + sum(row["dropped"]) == pytest.approx(1)
        assert row["survive"] == pytest.approx(1 - row["pruned"], abs=0.01)


def test_no_query_sees_a_key(capfd, tmp_path):
    codes = np.ones((1, 4, 8), np.int8)
    np.savez(tmp_path / "in.npz", q=codes, k=codes, v=codes, scale=0.1, valid_kv=0)
    code, out, err = prunus(capfd, "digits", tmp_path / "in.npz")
    assert (code, out, err) == (2, "", "error: in.npz: no query sees a key\n")

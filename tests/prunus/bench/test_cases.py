# SPDX-License-Identifier: Apache-2.0
"""The heads of a bench: what they are meant to be, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.bench.cases import KEPT, LENGTHS, Case, dense, suite
from prunus.bench.linear import LinearCase
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import Importance, head
from prunus.golden.hdp.config import HdpConfig
from prunus.heads import EXAMPLES

EDGE, TINY = load_config("hdp_edge"), load_config("hdp_tiny")
EXAMPLE = EXAMPLES / "minilm_sentence.npz"


def names(**options):
    return [case.name for case in suite(EDGE, **options).cases]


def kappas(jobs, config):
    results = [head(job, config) for job in jobs]
    return [r.blocks_kept / r.blocks_total for r in results]


def test_all_cases_of_edge():
    work = suite(EDGE)
    assert work.left_out == []
    assert [case.name for case in work.cases] == [
        "example/minilm_sentence", "example/vit_patches",
        *(f"{group}/d{d}/{kept:g}" for d in (32, 64) for group in ("kept", "distance")
          for kept in KEPT),
        *(f"length/{length}" for length in LENGTHS),
        "mode/heads", "mode/causal", "mode/cross", "mode/decode", "mode/padded",
        *(case.name for case in work.cases if isinstance(case, LinearCase))]
    assert work.cases[-1].name == "chain/m25/grouped/int4/unfused"
    heads = [case for case in work.cases if isinstance(case, Case)]
    for case in heads:
        assert len({(job.l_q, job.l_kv, job.d) for job in case.jobs}) == 1
    shapes = {case.name: (len(case.jobs), case.jobs[0].l_q, case.jobs[0].l_kv, case.jobs[0].d)
              for case in heads}
    assert shapes["example/minilm_sentence"] == (12, 24, 24, 32)
    assert shapes["kept/d32/0.05"] == (8, 128, 128, 32)
    assert shapes["length/65"] == (8, 65, 65, 64)
    assert shapes["mode/cross"] == (8, 64, 128, 64)
    assert shapes["mode/decode"] == (8, 1, 128, 64)


@pytest.mark.parametrize("group", ["kept", "distance"])
@pytest.mark.parametrize("kept", KEPT)
def test_kept_fraction_is_near(kept, group):
    """Each head by itself; a row of 64 blocks cannot do better than its own steps, nor a delta than
    the few distances that there are between integer scores."""
    case, = suite(EDGE, wanted=f"{group}/d32/{kept:g}").cases[:1]
    assert {job.importance for job in case.jobs} == {
        {"kept": Importance.MAGNITUDE, "distance": Importance.DISTANCE}[group]}
    most = {"kept": 0.02, "distance": 0.05}[group]
    assert max(abs(kappa - kept) for kappa in kappas(case.jobs, EDGE)) < most
    if kept == 1:
        assert kappas(case.jobs, EDGE) == [1.0] * 8


def test_both_choose_among_the_same_heads():
    a, b = (suite(EDGE, wanted=f"{group}/d64/0.25").cases[0].jobs for group in ("kept", "distance"))
    for one, other in zip(a, b, strict=True):
        assert_array_equal(one.q, other.q)
        assert_array_equal(one.v, other.v)


def test_modes():
    cases = {case.name: case.jobs for case in suite(EDGE, wanted="mode/").cases}
    assert all(job.causal for job in cases["mode/causal"])
    assert not any(job.causal for name in cases if name != "mode/causal" for job in cases[name])
    valid = [job.valid_q for job in cases["mode/padded"]]
    assert [job.valid_kv for job in cases["mode/padded"]] == valid
    assert min(valid) >= 64 and max(valid) <= 128 and len(set(valid)) > 1
    kept = [head(job, EDGE).head_kept for job in cases["mode/heads"]]
    assert kept.count(False) == 4


def test_the_same_heads_in_any_company():
    whole = {case.name: case for case in suite(TINY, quick=True).cases}
    for name in ("kept/d32/0.1", "mode/padded"):
        alone, = suite(TINY, quick=True, wanted=name).cases
        for a, b in zip(alone.jobs, whole[name].jobs, strict=True):
            assert_array_equal(a.q, b.q)
            assert (a.rho, a.valid_q) == (b.rho, b.valid_q)


def test_dense_twin():
    job = suite(EDGE, wanted="mode/heads").cases[0].jobs[0]
    twin = dense(job)
    assert (twin.dense, twin.rho, twin.tau_head) == (True, 0, 0)
    assert twin.q is job.q


def test_filters():
    assert names(wanted="length/8") == ["length/8"]
    assert names(wanted="d32/0.1, mode/c*") == ["kept/d32/0.1", "distance/d32/0.1",
                                                      "mode/causal", "mode/cross"]
    assert len(names(quick=True)) < len(names())
    with pytest.raises(InputError, match=r"cases must occur in one of example/minilm_sentence, .*"
                                         r"not 'speed'"):
        suite(EDGE, wanted="speed")
    with pytest.raises(InputError, match="not ','"):
        suite(EDGE, wanted=",")


def test_a_small_coprocessor_leaves_out_what_does_not_fit():
    work = suite(TINY)
    assert [name for name, _ in work.left_out] == ["example/vit_patches", "length/50",
                                                   "length/65", "length/100"]
    assert dict(work.left_out)["length/50"] == "l must be at most 32"
    assert {job.l_kv for case in work.cases if case.name.startswith("kept")
            for job in case.jobs} == {32}
    with pytest.raises(InputError, match=r"hdp_tiny has no room for any of the cases "
                                         r"\(length/50: l must be at most 32\): give heads of d "
                                         r"up to 32 and l up to 32 with --data"):
        suite(TINY, wanted="length/50")


def test_dimensions_of_a_narrow_coprocessor():
    narrow = HdpConfig(name="narrow", d_max=16, multipliers=8)
    assert {job.d for case in suite(narrow, quick=True, wanted="kept,mode,length").cases
            for job in case.jobs} == {16}


def test_data(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "b.npz")
    shutil.copy(EXAMPLE, tmp_path / "a.npz")
    assert names(data=[tmp_path], wanted="data/") == ["data/a", "data/b"]
    assert names(data=[tmp_path / "b.npz"], wanted="data/") == ["data/b"]
    case, = suite(EDGE, data=[tmp_path / "b.npz"], quick=True, wanted="data/").cases
    assert len(case.jobs) == 2
    with np.load(EXAMPLE) as file:
        assert_array_equal(case.jobs[1].q, file["q"][1])


def test_bad_data(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="data '.*empty' must be .npz files or directories of "
                                         "them, and holds none"):
        suite(EDGE, data=[empty])
    with pytest.raises(InputError, match="data must be files of different names, not "
                                         "'minilm_sentence' twice"):
        suite(EDGE, data=[EXAMPLE, Path(EXAMPLE)])
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"bad.npz: input .* must be an .npz archive"):
        suite(EDGE, data=[tmp_path / "bad.npz"])
    with pytest.raises(InputError, match="vit_patches.npz: q must have a d that is a multiple of "
                                         "8 up to 32"):
        suite(TINY, data=[EXAMPLES / "vit_patches.npz"], wanted="data/")


def test_long_heads():
    """Only of a configuration with tiles, and the longest ones only when named."""
    tiles = load_config("hdp_tiles")
    work = suite(tiles, wanted="long")
    assert {case.name: (len(case.jobs), case.jobs[0].l_q, case.jobs[0].l_kv, case.jobs[0].causal)
            for case in work.cases} == {
        "long/64": (1, 64, 64, False), "long/causal": (1, 64, 64, True),
        "long/decode": (1, 1, 64, False), "long/cross": (1, 16, 64, False),
        "longest/causal": (1, 64, 64, True), "longest/self": (1, 64, 64, False)}
    assert [name for name, _ in suite(tiles).left_out if name.startswith("long")] == [
        "longest/causal", "longest/self"]

# SPDX-License-Identifier: Apache-2.0
"""Heads through LeOPArd: what a user gives and gets."""

import json
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.engines.leopard import load_jobs
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.leopard import compute as leopard
from prunus.golden.leopard.compute import encode_threshold
from tests.prunus.test_cli import EXAMPLE, prunus, run
from tests.prunus.test_heads import arrays

AE, TINY, BASE = (load_config(f"leopard_{name}") for name in ("ae", "tiny", "base"))
KEYS = ["backend", "config", "heads", "cycles", "bound_cycles", "utilisation", "baseline_cycles",
        "survivors", "keys", "digits_total", "digits_wasted", "digits_full", "read_bytes",
        "write_bytes", "build_s", "sim_s"]


def load(tmp_path, config=AE, threshold=None, **fields):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays(**fields))
    return load_jobs(path, config, threshold)


def golden(threshold, config=AE, source=EXAMPLE):
    return [leopard.head(job, config) for job in load_jobs(source, config, threshold)]


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 1.5])
def test_run_equals_the_specification(capfd, tmp_path, threshold):
    summary, got = run(capfd, tmp_path, "--config", "leopard_ae", "--threshold", threshold)
    results = golden(threshold)
    assert set(got) == {"out", "out_frac", "survivors", "digits_total", "digits_wasted"}
    assert got["out"].dtype == np.int32
    assert_array_equal(got["out"], [r.out for r in results])
    assert (got["out_frac"].shape, int(got["out_frac"])) == ((), 12)
    for name in ("survivors", "digits_total"):
        assert got[name].dtype == np.int64
        assert_array_equal(got[name], [getattr(r, name) for r in results])
    assert_array_equal(got["digits_wasted"], np.zeros(12))
    survivors, digits = int(got["survivors"].sum()), int(got["digits_total"].sum())
    assert 0 < survivors < 12 * 24 * 24
    assert list(summary) == KEYS
    assert summary == {
        "backend": "golden", "config": "leopard_ae", "heads": 12, "cycles": None,
        "bound_cycles": leopard.bound_cycles(results, AE), "utilisation": None,
        "baseline_cycles": 12 * 24 * 24,
        "survivors": survivors, "keys": 12 * 24 * 24, "digits_total": digits, "digits_wasted": 0,
        "digits_full": 6 * 12 * 24 * 24,
        # Rows of q and v take 4 beats of 8 codes, those of k 6 words, of the output 8 beats.
        "read_bytes": 12 * (64 + 24 * (4 + 6 + 4) * 16),
        "write_bytes": 12 * (64 + 24 * 8 * 16), "build_s": None, "sim_s": None}


def test_more_is_pruned_above_a_higher_threshold(capfd, tmp_path):
    figures = [run(capfd, tmp_path, "--config", "leopard_ae", "--threshold", t)[0]
               for t in (-1e9, 0, 2, "inf")]
    for name in ("survivors", "digits_total", "bound_cycles"):
        values = [summary[name] for summary in figures]
        assert values == sorted(values, reverse=True) and len(set(values)) == 4
    assert figures[0]["survivors"] == figures[0]["keys"]
    assert figures[-1]["survivors"] == 0


def test_the_rtl_gives_the_same(capfd, tmp_path):
    """Through memory and buses, as ``--backend verilator`` does it."""
    options = ("--config", "leopard_tiny", "--threshold", 1.3)
    plain, expected = run(capfd, tmp_path, *options)
    summary, got = run(capfd, tmp_path, *options, "--backend", "verilator")
    assert set(got) == {*expected, "cycles"}
    for name, array in expected.items():
        assert_array_equal(got[name], array)
    same = set(KEYS) - {"backend", "cycles", "utilisation", "build_s", "sim_s"}
    assert {name: summary[name] for name in same} == {name: plain[name] for name in same}
    assert summary["cycles"] == got["cycles"] > summary["bound_cycles"]
    assert summary["utilisation"] == summary["bound_cycles"] / summary["cycles"]


def test_trace(capfd, tmp_path):
    _, got = run(capfd, tmp_path, "--config", "leopard_hp", "--threshold", 0.5, "--trace")
    results = golden(0.5)
    for name in ("mask", "digits", "scores"):
        assert_array_equal(got[name], [getattr(r, name) for r in results])
        assert got[name].shape == (12, 24, 24)
    assert got["mask"].dtype == bool
    assert_array_equal(got["mask"].sum(axis=(1, 2)), got["survivors"])
    assert_array_equal(got["digits"].sum(axis=(1, 2)), got["digits_total"])


def test_the_rule_on_real_scores(capfd, tmp_path):
    """From the file to the mask, in the plainest form there is."""
    _, got = run(capfd, tmp_path, "--config", "leopard_ae", "--threshold", 0.7, "--trace")
    with np.load(EXAMPLE) as data:
        scores = data["q"].astype(int) @ data["k"].astype(int).transpose(0, 2, 1)
        assert_array_equal(got["mask"], scores * float(data["scale"]) >= 0.7)


def test_narrow_codes_mean_the_same_in_any_width(capfd, tmp_path):
    """Codes of 8 bits are sign-extended to 12: the same survivors, more digits."""
    wide = run(capfd, tmp_path, "--config", "leopard_ae", "--threshold", 0.5, "--trace")[1]
    tiny = run(capfd, tmp_path, "--config", "leopard_tiny", "--threshold", 0.5, "--trace")[1]
    assert_array_equal(wide["mask"], tiny["mask"])
    assert_array_equal(wide["digits"], tiny["digits"] + 2)
    assert (int(wide["out_frac"]), int(tiny["out_frac"])) == (12, 7)


def test_the_baseline(capfd, tmp_path):
    summary, got = run(capfd, tmp_path, "--config", "leopard_base")
    assert summary["survivors"] == summary["keys"] == summary["digits_total"]
    assert summary["digits_full"] == summary["keys"]
    assert summary["bound_cycles"] == summary["baseline_cycles"] == 12 * 24 * 24
    assert_array_equal(got["out"], [r.out for r in golden(None)])


def test_without_a_threshold_nothing_is_pruned(capfd, tmp_path):
    summary, _ = run(capfd, tmp_path, "--config", "leopard_ae")
    assert summary["survivors"] == summary["keys"]
    assert summary["digits_total"] == summary["digits_full"]


def test_plain_lines_in_a_pipe(capfd, tmp_path):
    code, out, err = prunus(capfd, "run", EXAMPLE, tmp_path / "o", "--config", "leopard_ae",
                            "--threshold", "inf")
    assert (code, err) == (0, "")
    # Every key is dropped at its first digit, six at a time.
    assert out.splitlines() == [
        "backend: golden, leopard_ae", "heads: 12", "survivors: 0 of 6912 (0.0%)",
        "digits: 6912 of 41472 (16.7%)", "bound: 1152 cycles", "baseline: 6912 cycles",
        "read: 65280 bytes", "written: 37632 bytes"]


def test_a_threshold_for_each_head(tmp_path):
    jobs = load(tmp_path, threshold=None)
    assert {job.threshold for job in jobs} == {-(2**29)}
    path = tmp_path / "in.npz"
    np.savez(path, **arrays(), threshold=np.array([0.5, -np.inf]))
    assert [job.threshold for job in load_jobs(path, AE, None)] == [500, -(2**29)]
    assert [job.threshold for job in load_jobs(path, AE, 0.25)] == [250, 250]
    assert {job.threshold for job in load_jobs(path, BASE, None)} == {500, -(2**29)}
    np.savez(path, **arrays(), threshold=np.int8(2))
    assert [job.threshold for job in load_jobs(path, AE, None)] == [2000, 2000]


def test_the_other_fields_are_those_of_every_engine(tmp_path):
    q = np.random.default_rng(2).integers(-2048, 2048, (6, 5, 16), np.int16)
    jobs = load(tmp_path, q=q, valid_q=np.array([3, 5, 1, 0, 5, 5]), valid_kv=7, causal=True,
                rho="ignored")
    assert [job.valid_q for job in jobs] == [3, 5, 1, 0, 5, 5]
    assert {(job.valid_kv, job.causal) for job in jobs} == {(7, True)}
    for h, job in enumerate(jobs):
        assert_array_equal(job.q, q[h])
        assert_array_equal(job.k, arrays()["k"][h // 3])
        assert job.same_kv == (h not in (0, 3))


@pytest.mark.parametrize(("fields", "message"), [
    ({"threshold": [0.1] * 3},
     "threshold must be a scalar or have shape (2,), one for each head, not (3,)"),
    ({"threshold": "0.5"}, "threshold must have a real dtype, not <U3"),
    ({"threshold": [0.0, np.nan]}, "threshold must be a real number, not nan"),
    ({"q": np.full((2, 6, 16), 2048)}, "q must lie in -2048..2047 (codes of 12 bits), not 2048"),
    ({"scale": None}, "scale is missing, the input needs q, k, v and scale"),
    ({"k": None}, "k is missing, the input needs q, k, v and scale"),
])
def test_bad_fields_say_what_is_allowed(tmp_path, fields, message):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays(**fields))
    with pytest.raises(InputError, match=re.escape(message)):
        load_jobs(path, AE, None)


def test_t_int_comes_from_the_scale_of_the_file(tmp_path):
    """And not from the 16 bits that the softmax takes of it."""
    for scale in (1 / 3, 0.00023682075291642793, 7e-9):
        (job, _) = load(tmp_path, threshold=0.3, scale=scale)
        assert job.threshold == encode_threshold(0.3, scale, AE)


# -- prunus digits ----------------------------------------------------------------------------
def digits(capfd, *args):
    code, out, err = prunus(capfd, "digits", "--json", *args)
    assert (code, err) == (0, "")
    return json.loads(out)


def test_digits_are_those_of_the_specification(capfd):
    for row in digits(capfd, EXAMPLE):
        results = golden(row["threshold"] * (1 - 1e-12 * np.sign(row["threshold"])))
        spent = np.concatenate([r.digits[~r.mask] for r in results])
        assert row["dropped"] == [(spent == t).sum() / 6912 for t in range(1, 7)]
        assert row["survive"] == sum(r.survivors for r in results) / 6912
        assert sum(row["dropped"]) + row["survive"] == pytest.approx(1)
        assert 1 - row["survive"] == pytest.approx(row["pruned"], abs=0.01)
        assert row["digits_per_key"] == sum(r.digits_total for r in results) / 6912
        assert row["bound_cycles"] == leopard.bound_cycles(results, AE)
        assert row["speed_up"] == 6912 / row["bound_cycles"]


def test_filling_the_width_takes_fewer_digits_for_the_same_survivors(capfd):
    plain, filled = (digits(capfd, *option, EXAMPLE, "--share", 0.75)[0]
                     for option in ([], ["--fill"]))
    assert (plain["shift"], filled["shift"]) == (0, 4)
    assert plain["threshold"] == pytest.approx(filled["threshold"])
    assert plain["survive"] == filled["survive"]
    assert filled["digits_per_key"] < plain["digits_per_key"] - 1


def test_digits_as_a_table(capfd):
    code, out, _ = prunus(capfd, "digits", "--share", "0.5", "--share", "0")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [row[:2] for row in rows] == [
        ["heads", "pruned"], ["minilm_sentence", "50%"], ["minilm_sentence", "0%"],
        ["vit_patches", "50%"], ["vit_patches", "0%"]]
    assert rows[2][3:] == ["0.0%"] * 6 + ["100.0%", "6.00", "1.00x"]


@pytest.mark.parametrize(("args", "message"), [
    (["--share", "1"], "share must lie in [0, 1), not 1.0"),
    (["--share", "nan"], "share must lie in [0, 1), not nan"),
    (["--config", "hdp_edge"], "config must be one of engine leopard here, and 'hdp_edge' is of "
                               "engine hdp"),
    (["none.npz"], "none.npz: input 'none.npz' cannot be read: No such file or directory"),
])
def test_bad_options_of_digits(capfd, args, message):
    code, out, err = prunus(capfd, "digits", *args)
    assert (code, out, err) == (2, "", f"error: {message}\n")


def test_digits_of_heads_that_see_nothing(capfd, tmp_path):
    np.savez(tmp_path / "in.npz", **arrays(), valid_kv=0)
    code, _, err = prunus(capfd, "digits", tmp_path / "in.npz")
    assert (code, err) == (2, "error: in.npz: no query sees a key\n")

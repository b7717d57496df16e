# SPDX-License-Identifier: Apache-2.0
"""Input files: what is accepted, and one message for everything that is not."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.commands.run import save
from prunus.engines import front_of, leopard
from prunus.engines.hdp import Options, load_jobs
from prunus.errors import InputError
from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.compute import DELTA_MAX, Importance, encode_delta
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard.compute import encode_threshold
from prunus.golden.softmax import encode_scale
from prunus.heads import KNOWN
from prunus.run import run_golden

TINY = load_config("hdp_tiny")
WIDE = load_config("hdp_w12")
FINE = load_config("hdp_fine_tiny")


def arrays(**fields):
    """A good input with ``fields`` changed, or left out where they are None."""
    rng = np.random.default_rng(1)
    good = {name: rng.integers(-127, 128, (2, rows, 16)).astype(np.int8)
            for name, rows in (("q", 6), ("k", 8), ("v", 8))}
    good["scale"] = 0.001
    return {name: value for name, value in {**good, **fields}.items() if value is not None}


@pytest.mark.parametrize("name", ["hdp_tiny", "leopard_tiny", "topk_tiny"])
def test_the_page_has_every_array(monkeypatch, name):
    config, read = load_config(name), []
    front = front_of(config)

    def listen(path, *more):
        read.extend((*KNOWN, *more))
        raise InputError("stop")

    monkeypatch.setattr(sys.modules[type(front).__module__], "read_arrays", listen)
    with pytest.raises(InputError, match="stop"):
        front.load_jobs(Path("in.npz"), config, None)
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.split("### IN.npz", 1)[1].split("\n### ", 1)[0]
    rows = {array for line in section.splitlines() if line.startswith("| `")
            for array in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert len(read) > len(KNOWN) and {*read} <= rows


def test_the_page_has_the_limits_of_rounded_digits():
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    most = {frac: HdpConfig(name="x", digits="rounded", frac=frac).format.max_code
            for frac in (3, 4)}
    assert re.search(rf"-{most[4]}\.\.{most[4]} for 8 bits and `frac` 4, "
                     rf"-{most[3]}\.\.{most[3]}\s+for `frac` 3", page)


def load(tmp_path, config=TINY, options=None, **fields):
    path = tmp_path / "in.npz"
    np.savez(path, **arrays(**fields))
    return load_jobs(path, config, options or Options())


def test_a_plain_file(tmp_path):
    jobs = load(tmp_path)
    for h, job in enumerate(jobs):
        for name in ("q", "k", "v"):
            assert_array_equal(getattr(job, name), arrays()[name][h])
        assert job.scale == encode_scale(0.001)
        assert (job.valid_q, job.valid_kv, job.rho, job.tau_head) == (6, 8, 25, 0)
        assert not (job.causal or job.drop or job.exact or job.dense)


def test_a_scale_for_each_head(tmp_path):
    jobs = load(tmp_path, scale=[0.001, 0.003], importance="distance", distance=2.0)
    assert [job.scale for job in jobs] == [encode_scale(0.001), encode_scale(0.003)]
    assert [job.delta for job in jobs] == [encode_delta(2.0, s, TINY) for s in (0.001, 0.003)]
    np.savez(tmp_path / "in.npz", **arrays(scale=[0.001, 0.003]))
    config = load_config("leopard_tiny")
    assert [job.threshold for job in leopard.load_jobs(tmp_path / "in.npz", config, 0.7)] == [
        encode_threshold(0.7, s, config) for s in (0.001, 0.003)]


def test_everything_in_the_file(tmp_path):
    jobs = load(tmp_path, valid_q=np.array([3, 6]), valid_kv=np.uint8(5), causal=True,
                rho=np.array([0.5, -0.25]), tau_head=np.array([7, 2**32 - 1]),
                v_scale=0.1, note=np.array("ignored"))
    assert [job.valid_q for job in jobs] == [3, 6]
    assert [job.valid_kv for job in jobs] == [5, 5]
    assert [job.rho for job in jobs] == [64, -32]
    assert [job.tau_head for job in jobs] == [7, 2**32 - 1]
    assert all(job.causal for job in jobs)


@pytest.mark.parametrize("name", ["q", "k"])
@pytest.mark.parametrize("code", [-124, 124])
def test_codes_whose_rounded_digits_do_not_fit(tmp_path, name, code):
    """V is not split: its codes may be any."""
    good = arrays()
    fits = {"q": good["q"].clip(-123, 123), "k": good["k"].clip(-123, 123)}
    v = good["v"].copy()
    v[0, 0, :2] = -128, 127
    assert_array_equal(load(tmp_path, FINE, **fits, v=v)[0].v, v[0])
    fits[name][1, 2, 3] = code
    text = (f"{name} must lie in -123..123 (codes of 8 bits whose rounded integer part fits "
            f"5 bits), not {code}")
    with pytest.raises(InputError, match=re.escape(text)):
        load(tmp_path, FINE, **fits, v=v)
    load(tmp_path, TINY, **fits, v=v)


def test_grouped_queries(tmp_path):
    rng = np.random.default_rng(2)
    q = rng.integers(-127, 128, (6, 5, 16))
    jobs = load(tmp_path, q=q)
    for h, job in enumerate(jobs):
        assert_array_equal(job.q, q[h])
        assert_array_equal(job.k, arrays()["k"][h // 3])
        assert_array_equal(job.v, arrays()["v"][h // 3])
        assert job.same_kv == (h not in (0, 3))


def test_importance_by_head(tmp_path):
    """Heads of both kinds in a file; what belongs to the other kind is not looked at."""
    unit = 0.001 * 4**TINY.frac
    jobs = load(tmp_path, importance=np.array(["distance", "magnitude"]),
                rho=np.array([np.nan, 0.25]), distance=np.array([3.2 * unit, np.nan]))
    assert [(job.importance, job.rho, job.delta) for job in jobs] == [
        (Importance.DISTANCE, 0, 3), (Importance.MAGNITUDE, 32, 0)]
    jobs = load(tmp_path, importance="distance", distance=np.inf)
    assert {(job.importance, job.delta) for job in jobs} == {(Importance.DISTANCE, DELTA_MAX)}


def test_options_reach_the_heads_that_they_belong_to(tmp_path):
    mixed = {"importance": np.array(["distance", "magnitude"]), "distance": 1.0, "rho": 0.75}
    unit = 0.001 * 4**TINY.frac
    jobs = load(tmp_path, options=Options(rho=0.5, distance=7 * unit), **mixed)
    assert [(job.rho, job.delta) for job in jobs] == [(0, 7), (64, 0)]


@pytest.mark.parametrize(("given", "options", "want"), [
    ({"importance": "distance", "distance": 1.0}, Options(importance=Importance.MAGNITUDE),
     (Importance.MAGNITUDE, 0)),
    ({"importance": "distance", "distance": 1.0}, Options(distance=2.56),
     (Importance.DISTANCE, 10)),
    ({"distance": 0.512}, Options(importance=Importance.DISTANCE), (Importance.DISTANCE, 2)),
    ({"distance": 0.512}, Options(), (Importance.MAGNITUDE, 0)),
    ({"importance": "distance"}, Options(dense=True), (Importance.DISTANCE, 0)),
    ({"importance": "distance", "distance": np.nan}, Options(dense=True),
     (Importance.DISTANCE, 0)),
    ({"importance": "distance", "distance": np.longdouble(2) ** 2000}, Options(),
     (Importance.DISTANCE, DELTA_MAX)),
])
def test_importance_of_file_and_options(tmp_path, given, options, want):
    for job in load(tmp_path, options=options, **given):
        assert (job.importance, job.delta) == want


def test_options_override_the_file(tmp_path):
    options = Options(rho=-0.5, tau_head=9, drop=True, exact=True)
    jobs = load(tmp_path, options=options, rho=np.array([0.5, 0.25]), tau_head=np.array([7, 8]))
    assert {(job.rho, job.tau_head, job.drop, job.exact) for job in jobs} == {(-64, 9, True, True)}


@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i4", "i8"])
def test_every_integer_dtype(tmp_path, dtype):
    changed = {name: arrays()[name].astype(dtype) for name in ("q", "k", "v")}
    assert_array_equal(load(tmp_path, **changed)[1].q, arrays()["q"][1])


def test_unsigned_codes(tmp_path):
    q = np.full((2, 6, 16), 127, np.uint64)
    assert_array_equal(load(tmp_path, q=q)[0].q, 127)
    with pytest.raises(InputError, match=re.escape("q must lie in -128..127 (codes of 8 bits), "
                                                   "not 18446744073709551615")):
        load(tmp_path, q=q + np.uint64(2**64 - 128))


def test_the_width_decides_the_range(tmp_path):
    q = np.full((2, 6, 16), -2048, np.int16)
    assert_array_equal(load(tmp_path, WIDE, q=q)[0].q, -2048)
    with pytest.raises(InputError, match=re.escape("-2048..2047 (codes of 12 bits), not -2049")):
        load(tmp_path, WIDE, q=q - 1)


def ones(*shape, dtype=np.int8):
    return np.ones(shape, dtype)


@pytest.mark.parametrize(("fields", "message"), [
    ({"q": None}, "q is missing, the input needs q, k, v and scale"),
    ({"v": None}, "v is missing, the input needs q, k, v and scale"),
    ({"scale": None}, "scale is missing, the input needs q, k, v and scale"),
    ({"q": ones(2, 6, 16, dtype=np.float32)}, "q must have an integer dtype, not float32"),
    ({"k": ones(2, 8, 16, dtype=bool)}, "k must have an integer dtype, not bool"),
    ({"v": ones(2, 8, 16, dtype=complex)}, "v must have an integer dtype, not complex128"),
    ({"q": ones(6, 16)}, "q must have shape (heads, l, d) with no size 0, not (6, 16)"),
    ({"k": ones(2, 0, 16)}, "k must have shape (heads, l, d) with no size 0, not (2, 0, 16)"),
    ({"q": ones(0, 6, 16)}, "q must have shape (heads, l, d) with no size 0, not (0, 6, 16)"),
    ({"q": ones(2, 6, 12)}, "q must have a d that is a multiple of 8 up to 32 (hdp_tiny), not 12"),
    ({"q": ones(2, 6, 40)}, "q must have a d that is a multiple of 8 up to 32 (hdp_tiny), not 40"),
    ({"k": ones(2, 33, 16)}, "k must have at most 32 rows (hdp_tiny), not 33"),
    ({"k": ones(2, 9, 16)}, "k and v must have the same shape, not (2, 9, 16) and (2, 8, 16)"),
    ({"q": ones(3, 6, 16)},
     "q must have a whole number of times the heads of k (grouped queries), not 3 and 2"),
    ({"q": ones(2, 6, 8)}, "q and k must have the same d, not (2, 6, 8) and (2, 8, 16)"),
    ({"q": np.full((2, 6, 16), 128)}, "q must lie in -128..127 (codes of 8 bits), not 128"),
    ({"v": np.full((2, 8, 16), -129)}, "v must lie in -128..127 (codes of 8 bits), not -129"),
    ({"scale": 0.0}, "scale must lie in 7.52e-20..11.09, not 0.0"),
    ({"scale": -1.0}, "scale must lie in 7.52e-20..11.09, not -1.0"),
    ({"scale": np.nan}, "scale must lie in 7.52e-20..11.09, not nan"),
    ({"scale": np.inf}, "scale must lie in 7.52e-20..11.09, not inf"),
    ({"scale": [1.0, 0.0]}, "scale must lie in 7.52e-20..11.09, not 0.0"),
    ({"scale": [1.0, 12.0]}, "scale must lie in 7.52e-20..11.09, not 12.0"),
    ({"scale": 5e-324}, "scale must lie in 7.52e-20..11.09, not 5e-324"),
    ({"scale": [1.0] * 3},
     "scale must be a scalar or have shape (2,), one for each head, not (3,)"),
    ({"scale": True}, "scale must have a real dtype, not bool"),
    ({"scale": "1"}, "scale must have a real dtype, not <U1"),
    ({"valid_q": [7, 1]}, "valid_q must lie in 0..6, not 7"),
    ({"valid_kv": [3, -1]}, "valid_kv must lie in 0..8, not -1"),
    ({"valid_q": [1.0, 2.0]}, "valid_q must have an integer dtype, not float64"),
    ({"valid_kv": [1, 2, 3]},
     "valid_kv must be a scalar or have shape (2,), one for each head, not (3,)"),
    ({"causal": 2}, "causal must be a bool, 0 or 1, not 2"),
    ({"causal": [True, False]}, "causal must be one bool, not bool of shape (2,)"),
    ({"causal": 1.0}, "causal must be one bool, not float64 of shape ()"),
    ({"rho": 1.0}, "rho must lie in (-1, 1), not 1.0"),
    ({"rho": [0.0, np.nan]}, "rho must lie in (-1, 1), not nan"),
    ({"rho": [0.1] * 3}, "rho must be a scalar or have shape (2,), one for each head, not (3,)"),
    ({"rho": "0.5"}, "rho must have a real dtype, not <U3"),
    ({"importance": "size"}, "importance must be magnitude or distance, not 'size'"),
    ({"importance": 1}, "importance must have a text dtype, not int64"),
    ({"importance": ["distance"] * 3},
     "importance must be a scalar or have shape (2,), one for each head, not (3,)"),
    ({"importance": "distance"}, "distance is missing: importance distance needs --distance"),
    ({"importance": "distance", "distance": -0.5}, "distance must be 0 or more, not -0.5"),
    ({"importance": "distance", "distance": [1.0, np.nan]}, "distance must be 0 or more, not nan"),
    ({"importance": "distance", "distance": "1"}, "distance must have a real dtype, not <U1"),
    ({"tau_head": [0, -1]}, "tau_head must lie in 0..4294967295, not -1"),
    ({"tau_head": [0, 2**32]}, "tau_head must lie in 0..4294967295, not 4294967296"),
    ({"tau_head": 0.5}, "tau_head must have an integer dtype, not float64"),
    ({"q": np.array([None, 1])}, "must be a plain array: it holds Python objects"),
])
def test_bad_fields_say_what_is_allowed(tmp_path, fields, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(tmp_path, **fields)


@pytest.mark.parametrize(("options", "message"), [
    (Options(rho=1.0), "rho must lie in (-1, 1), not 1.0"),
    (Options(rho=float("nan")), "rho must lie in (-1, 1), not nan"),
    (Options(tau_head=-1), "tau_head must lie in 0..4294967295, not -1"),
    (Options(tau_head=2**32), "tau_head must lie in 0..4294967295, not 4294967296"),
    (Options(tau_head=2**70), f"tau_head must lie in 0..4294967295, not {2**70}"),
])
def test_bad_options(tmp_path, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(tmp_path, options=options)


def test_objects_that_nobody_needs_are_ignored(tmp_path):
    assert len(load(tmp_path, extra=np.array([{"a": 1}], object))) == 2


def test_files_that_are_no_archives(tmp_path):
    single, text = tmp_path / "single.npy", tmp_path / "text.npz"
    np.save(single, np.ones(3))
    text.write_text("no archive")
    empty = tmp_path / "empty.npz"
    empty.touch()
    for path, message in ((single, "must be an .npz archive, and is a single array"),
                          (text, "must be an .npz archive of NumPy, and is none"),
                          (empty, "must be an .npz archive of NumPy, and is none"),
                          (tmp_path / "none.npz", "cannot be read: No such file or directory"),
                          (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(InputError, match=message):
            load_jobs(path, TINY, Options())


def test_damaged_files_never_raise_anything_else(tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez_compressed(good, **arrays())
    raw, random, refused = good.read_bytes(), Random(3), 0
    for _ in range(400):
        data = bytearray(raw)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        bad.write_bytes(bytes(data[: random.choice([len(data), random.randrange(len(data))])]))
        try:
            load_jobs(bad, TINY, Options())
        except InputError:
            refused += 1
    assert refused > 100


def test_results_in_the_file(tmp_path):
    jobs = load(tmp_path, WIDE, options=Options(tau_head=0))
    results = [hdp.head(job, WIDE) for job in jobs]
    done = replace(run_golden(jobs, WIDE, whole=True), cycles=77)
    path = tmp_path / "exactly.this"
    save(path, done, trace=True)
    with np.load(path) as got:
        assert got["out"].dtype == np.int32
        assert_array_equal(got["out"], [r.out for r in results])
        assert (got["out_frac"].shape, int(got["out_frac"]), int(got["cycles"])) == ((), 12, 77)
        assert got["head_kept"].dtype == bool
        for name in ("theta_head", "blocks_kept", "blocks_total", "theta", "scores"):
            assert got[name].dtype == np.int64
            assert_array_equal(got[name], [getattr(r, name) for r in results])
        assert got["mask"].dtype == bool
        assert_array_equal(got["mask"], [r.mask for r in results])

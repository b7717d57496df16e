# SPDX-License-Identifier: Apache-2.0
"""``prunus linear``."""

import json

import numpy as np
import pytest

from prunus.golden.hdp.linear import LinearJob, linear
from tests.prunus.test_cli import prunus

RNG = np.random.default_rng(4)


def arrays(rows=5, k=24, n=16):
    return {"x": RNG.integers(-128, 128, (rows, k)), "w": RNG.integers(-128, 128, (n, k)),
            "bias": RNG.integers(-999, 999, n), "multiplier": RNG.integers(30000, 65536, n),
            "shift": np.full(n, 24)}


def chain():
    first = arrays()
    second = {f"{name}_2": value for name, value in arrays(k=16, n=8).items() if name != "x"}
    return first | second | {"bits_2": np.int64(4), "w_2": RNG.integers(-8, 8, (8, 16)),
                             "activation": np.array("relu")}


@pytest.fixture
def file(tmp_path):
    def make(**content):
        np.savez(tmp_path / "in.npz", **content)
        return str(tmp_path / "in.npz"), str(tmp_path / "out.npz")
    return make


@pytest.mark.parametrize("backend", ["golden", "verilator"])
def test_a_chain(capfd, file, backend):
    content = chain()
    source, target = file(**content)
    code, out, err = prunus(capfd, "linear", source, target, "--config", "heat_tiny", "--backend",
                            backend, "--json")
    assert code == 0, err
    first = LinearJob(**{name: content[name] for name in ("x", "w", "bias", "multiplier", "shift")},
                      activation="relu")
    second = LinearJob(x=linear(first).y, bits=4, **{
        name: content[f"{name}_2"] for name in ("w", "bias", "multiplier", "shift")})
    want, said = linear(second), json.loads(out)
    with np.load(target) as given:
        assert (given["y"] == want.out).all()
        assert given["clipped"].tolist() == [linear(first).clipped, want.clipped]
        assert ("cycles" in given) == (backend == "verilator")
    assert said["products"] == 5 * 24 * 16 + 5 * 16 * 8 and len(said["steps"]) == 2
    assert said["bound_cycles"] == -(-(5 * 24 * 16 + 5 * 16 * 8 // 2) // 8)
    # Descriptors, x, weights and parameters; Y and two records. Nothing of what lies between.
    assert said["read_bytes"] == 2 * 64 + 5 * 24 + 16 * (24 + 8) + 8 * (8 + 8)
    assert said["write_bytes"] == 5 * 8 + 2 * 64
    if backend == "verilator":
        assert said["bound_cycles"] <= said["cycles"] < 3 * said["model_cycles"]


def test_wide(capfd, file):
    content = arrays()
    source, target = file(**content)
    code, out, _ = prunus(capfd, "linear", source, target, "--wide")
    assert code == 0 and "hdp_edge" in out
    with np.load(target) as given:
        assert (given["y"] == content["x"] @ content["w"].T + content["bias"]).all()


@pytest.mark.parametrize(("change", "options", "text"), [
    ({}, ["--config", "hdp_tiny"], "config hdp_tiny must have linear layers, as hdp_edge has"),
    ({}, ["--backend", "uio"], "--backend must be golden or verilator, not uio"),
    ({"x": None}, [], "x is missing"),
    ({"shift": None}, [], "shift of step 1 is missing"),
    ({"x": np.full((2, 24), 200)}, [], "step 1: x must lie in -128..127, not in 200..200"),
    ({"w": np.zeros((16, 24))}, [], "w of step 1 must have an integer dtype, not float64"),
    ({"bits": np.array([4])}, [], "bits of step 1 must be one number"),
    ({"activation": np.array(3)}, [], "activation of step 1 must be a text"),
    ({"activation": np.array("gelu")}, [], "activation must be none, relu, table, not 'gelu'"),
    ({"residual_scale": np.array([1])}, [], "residual_scale of step 1 must be a multiplier"),
    ({"x": np.zeros((5, 20), int), "w": np.zeros((16, 20), int)}, [],
     "step 1 cannot be done by hdp_edge"),
])
def test_what_is_refused(capfd, file, tmp_path, change, options, text):
    content = {name: value for name, value in (arrays() | change).items() if value is not None}
    source, target = file(**content)
    code, out, err = prunus(capfd, "linear", source, target, *options)
    assert code == 2 and not out and err.startswith("error: ") and err.count("\n") == 1
    assert text in err
    assert not (tmp_path / "out.npz").exists()

# SPDX-License-Identifier: Apache-2.0
"""Heads as codes, and where the specification then prunes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.engines import leopard
from prunus.golden.engines import load_config
from prunus.models.quantise import quantise
from prunus.run import run_golden

AE = load_config("leopard_ae")


def heads(seed=0, count=3, length=9, d=16, padded=True):
    random = np.random.default_rng(seed)
    q, k, v = (random.normal(0, size, (count, length, d)).astype(np.float32)
               for size in (1.0, 2.0, 0.3))
    valid = random.integers(1, length + 1, count) if padded else np.full(count, length)
    return q, k, v, valid


def test_codes_fill_the_width_and_padding_has_no_say():
    q, k, v, valid = heads()
    valid[0] = 4
    q[0, 4:] = 1e6
    layer = quantise(q, k, v, valid, 0.25, AE)
    rows = np.arange(9) < valid[:, None]
    for x, codes, unit in zip((q, k, v), (layer.q, layer.k, layer.v), layer.units, strict=True):
        assert np.abs(codes).max() == 2047 and codes.dtype == np.int16
        assert not codes[~rows].any()
        assert np.abs(codes[rows] * unit - x[rows]).max() <= unit * 0.500001
    assert layer.scale == layer.units[0] * layer.units[1] * 0.25


def test_nothing_but_zeros_has_codes_too():
    layer = quantise(*np.zeros((3, 1, 2, 8)), [2], 1.0, AE)
    assert layer.units == (1, 1, 1) and not layer.q.any()
    (result,) = layer.run(0.0, AE)
    assert result.survivors == 4            # 0 >= 0


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.5])
def test_survivors_differ_only_within_what_rounding_can_do(threshold):
    q, k, v, valid = heads(seed=1, count=8, length=40)
    layer = quantise(q, k, v, valid, 16**-0.5, AE)
    results = layer.run(threshold, AE)
    q_unit, k_unit, _ = layer.units
    differ = 0
    for h, result in enumerate(results):
        n = valid[h]
        a, b = (x[h, :n].astype(np.float64) for x in (q, k))
        logits = a @ b.T / 4
        # |q·k - q'·k'| <= sum |q| e_k + |k'| e_q, with e half a unit.
        bound = (np.abs(a).sum(1)[:, None] * k_unit / 2
                 + (np.abs(b) + k_unit / 2).sum(1) * q_unit / 2) / 4
        other = result.mask[:n, :n] != (logits >= threshold)
        assert (np.abs(logits - threshold) <= bound)[other].all()
        assert not result.mask[n:].any() and not result.mask[:, n:].any()
        differ += other.sum()
    assert differ / (valid**2).sum() < 0.005
    assert sum(result.keys for result in results) == (valid**2).sum()


def test_outputs_are_attention_over_survivors():
    q, k, v, valid = heads(seed=2, padded=False)
    layer = quantise(q, k, v, valid, 0.25, AE)
    results = layer.run(0.5, AE)
    for h, out in enumerate(layer.real(results, AE)):
        logits = np.where(results[h].mask, q[h] @ k[h].T * 0.25, -np.inf)
        e = np.exp(logits - np.maximum(logits.max(1, keepdims=True), -1e9))
        want = e / np.maximum(e.sum(1, keepdims=True), 1e-30) @ v[h]
        assert np.abs(out - want).max() < 0.01 * np.abs(v).max()


def test_a_file_of_it_is_what_run_takes(tmp_path):
    layer = quantise(*heads(), 0.25, AE)
    np.savez(tmp_path / "in.npz", **layer.arrays(0.75))
    jobs = leopard.load_jobs(tmp_path / "in.npz", AE, None)
    read = run_golden(jobs, AE, whole=True).golden
    for a, b in zip(read, layer.run(0.75, AE), strict=True):
        assert_array_equal(a.mask, b.mask)
        assert_array_equal(a.out, b.out)
    fewer = replace(layer, valid=np.ones_like(layer.valid)).run(0.75, AE)
    assert sum(result.keys for result in fewer) == 3

# SPDX-License-Identifier: Apache-2.0
"""Tables of activations and scales, against real numbers."""

import math

import numpy as np
import pytest

from prunus.golden.hdp.linear import encode_requant, gelu_table, tanh_table
from prunus.golden.hdp.linear.tables import activation_table


def gelu(x: float) -> float:
    return x / 2 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize(("table", "function", "unit_in", "unit_out"), [
    (gelu_table, gelu, 0.03, 0.03), (gelu_table, gelu, 0.1, 0.11),
    (tanh_table, math.tanh, 0.05, 1 / 127), (tanh_table, math.tanh, 0.01, 1 / 127)])
def test_an_entry_is_wrong_by_half_a_unit_at_most(table, function, unit_in, unit_out):
    entries = table(unit_in, unit_out)
    real = np.array([function(code * unit_in) for code in range(-128, 128)]) / unit_out
    assert entries.shape == (256,) and entries.min() >= -128 and entries.max() <= 127
    kept = np.abs(real) <= 127
    assert kept.sum() > 250 and np.abs(entries - real)[kept].max() <= 0.5 + 1e-9
    assert entries[128] == 0 and len(set(entries)) > 30


def test_what_does_not_fit_is_clipped():
    entries = activation_table(lambda x: 3 * x, 1.0, 1.0)
    assert (entries == np.clip(3 * np.arange(-128, 128), -128, 127)).all()


def test_scales_are_close():
    scales = np.concatenate([2.0 ** np.linspace(-45, 14.99, 2000), [0.0, 1.0, 0.5, 32767.4]])
    multiplier, shift = encode_requant(scales)
    assert (multiplier >= 0).all() and (multiplier < 1 << 16).all()
    assert (shift >= 0).all() and (shift < 64).all()
    real = multiplier * 2.0 ** -shift.astype(float)
    assert (np.abs(real - scales) <= 2.0**-16 * scales).all()


@pytest.mark.parametrize("scale", [-1.0, 2.0**15, 2.0**-60])
def test_scales_that_are_none(scale):
    with pytest.raises(ValueError, match="scale must be 0 or lie in"):
        encode_requant([1.0, scale])


@pytest.mark.parametrize("units", [(0, 1), (1, -1), (math.inf, 1)])
def test_units_that_are_none(units):
    with pytest.raises(ValueError, match="must be positive and finite"):
        gelu_table(*units)

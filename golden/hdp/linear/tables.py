# SPDX-License-Identifier: Apache-2.0
"""What a linear job needs of real numbers: tables of activations and scales in integers."""

import math
from collections.abc import Callable

import numpy as np

from .compute import CODE, MULTIPLIER_BITS, SHIFT_BITS

__all__ = ["activation_table", "encode_requant", "gelu_table", "tanh_table"]


def activation_table(function: Callable[[float], float], unit_in: float,
                     unit_out: float) -> np.ndarray:
    """The 256 codes of an activation: entry c + 128 is the nearest code of
    ``function(c * unit_in)`` in units of ``unit_out``, ties to even.

    Where nothing is clipped an entry is wrong by at most half of ``unit_out``.
    """
    for name, unit in (("unit_in", unit_in), ("unit_out", unit_out)):
        if not 0 < unit < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {unit!r}")
    codes = np.arange(CODE[0], CODE[1] + 1)
    real = np.array([function(float(code) * unit_in) for code in codes])
    return np.clip(np.rint(real / unit_out), *CODE).astype(np.int64)


def gelu_table(unit_in: float, unit_out: float) -> np.ndarray:
    """x * Phi(x), with the distribution function of the normal distribution itself (Hendrycks and
    Gimpel, arXiv 1606.08415)."""
    return activation_table(lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2)), unit_in, unit_out)


def tanh_table(unit_in: float, unit_out: float) -> np.ndarray:
    return activation_table(math.tanh, unit_in, unit_out)


def encode_requant(scale) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts (int64) of real scales: ``multiplier * 2^-shift`` is within 2^-16 of
    each, relative to it.

    Raises
    ------
    ValueError
        A scale is negative, or not below 2^15, or so small (but not 0) that no shift reaches it.
    """
    scale = np.asarray(scale, np.float64)
    least, most = 2.0 ** (MULTIPLIER_BITS - 1 - (1 << SHIFT_BITS) + 1), 2.0 ** (MULTIPLIER_BITS - 1)
    wrong = ~((scale == 0) | ((scale >= least) & (scale < most)))
    if wrong.any():
        raise ValueError(f"scale must be 0 or lie in {least:g}..{most:g}, not "
                         f"{scale[wrong].ravel()[0]!r}")
    exponent = np.where(scale > 0, np.frexp(np.where(scale > 0, scale, 1.0))[1], 0)
    shift = np.clip(MULTIPLIER_BITS - exponent, 0, (1 << SHIFT_BITS) - 1)
    multiplier = np.rint(np.ldexp(scale, shift)).astype(np.int64)
    over = multiplier >> MULTIPLIER_BITS        # rounded up to a power of two
    return np.where(over, multiplier >> 1, multiplier), (shift - over).astype(np.int64)

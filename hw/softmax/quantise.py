# SPDX-License-Identifier: Apache-2.0
"""Weights as short mantissas with a shared shift."""

from amaranth.hdl import Array

from prunus.golden.softmax import MANT_BITS, SHIFT_STEP

__all__ = ["SHIFT_INDEX_BITS", "STEPS", "is_over", "mantissa"]

SHIFT_INDEX_BITS = 3       # a pair's shift is SHIFT_STEP times 0 to 4
STEPS = 4          # the largest weight, 255 << 8 when rounded, takes a shift of 4 * SHIFT_STEP


def is_over(mag, k: int):
    """Whether the rounded magnitude does not fit after a shift by ``k`` steps."""
    if k == 0:
        return mag[MANT_BITS:].any()
    low = SHIFT_STEP * k - 1
    high = low + MANT_BITS + 1
    return mag[high:].any() | mag[low:high].all()


def mantissa(mag, index):
    """``mag`` shifted by ``index`` steps, with one fraction bit left for the rounding."""
    return Array(((mag << 1) >> (SHIFT_STEP * k))[: MANT_BITS + 1]
                 for k in range(STEPS + 1))[index]

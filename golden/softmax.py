# SPDX-License-Identifier: Apache-2.0
"""The softmax pieces in exact integers (spec: HDP section 5).

A row of scores becomes a row of *weights* ``w = e - e0`` in units of ``2**-EXP_FRAC``, each pair of
keys sharing one shift so that a weight is an ``MANT_BITS``-bit magnitude with a sign. The row is
normalised at its end by a reciprocal of the sum of its weights as they are after rounding, so that
they sum to 1. The largest exponential of a row is ``2**-(T_OFFSET / 2**T_FRAC)``, just below 1,
because that fits ``MANT_BITS`` bits.
"""

import math
from functools import cache

import numpy as np

from .errors import InputError

__all__ = [
    "DEN_BITS", "EXP_FRAC", "MANT_BITS", "RECIP_BITS", "RECIP_SEGMENTS", "SCALES", "SCALE_MAX",
    "SCALE_MIN", "SHIFT_STEP", "T_FRAC", "T_INT", "T_OFFSET",
    "encode_scale", "exp2_neg", "exponent", "normalise", "quantise_pair", "reciprocal",
    "reciprocal_table",
]

T_FRAC = 12        # fraction bits of t = (m - s) * scale * log2(e)
T_INT = 5          # integer bits of t; beyond them exp2 is zero anyway
T_OFFSET = 24      # added to each t: the largest exponential is 65,279 and fits 255 << 8
EXP_FRAC = 16      # fraction bits of an exponential: 1.0 is 2**16
DEN_BITS = 15      # a denominator that is not 0 is at least 2**DEN_BITS
MANT_BITS = 8      # magnitude bits of a weight, what a W = 8 multiplier takes
SHIFT_STEP = 2     # a weight's shift is a multiple of this
SCALE_BITS = 16    # mantissa bits of the encoded scale
SCALE_SHIFT_MIN, SCALE_SHIFT_MAX = T_FRAC, 63
# What a mantissa and a shift can hold, as a factor of logits; the text rounds inwards.
SCALE_MIN = 2.0**-SCALE_SHIFT_MAX / math.log2(math.e)
SCALE_MAX = ((1 << SCALE_BITS) - 1) * 2.0**-SCALE_SHIFT_MIN / math.log2(math.e)
SCALES = "7.52e-20..11.09"
RECIP_SEGMENTS = 16
RECIP_BITS = 17    # fraction bits of the reciprocal's mantissa, just below 0.5 to just below 1


def encode_scale(scale: float) -> tuple[int, int]:
    """``(mant, shift)`` with ``mant * 2**-shift`` the nearest to ``scale * log2(e)``.

    ``mant`` has ``SCALE_BITS`` bits and ``SCALE_SHIFT_MIN <= shift <= SCALE_SHIFT_MAX``. At the
    largest shift ``mant`` may have fewer bits.

    Raises
    ------
    InputError
        The scale lies outside ``SCALE_MIN..SCALE_MAX``, what such a pair can hold.
    """
    if not SCALE_MIN <= scale <= SCALE_MAX:     # nor is it a nan
        raise InputError(f"scale must lie in {SCALES}, not {scale!r}")
    frac, exp = math.frexp(scale * math.log2(math.e))
    shift = min(max(SCALE_BITS - exp, SCALE_SHIFT_MIN), SCALE_SHIFT_MAX)
    mant = round(math.ldexp(frac, exp + shift))
    return min(mant, (1 << SCALE_BITS) - 1), shift


def exponent(diff, mant: int, shift: int) -> np.ndarray:
    """t = diff * scale * log2(e) + T_OFFSET, ``T_FRAC`` fraction bits, saturated to ``T_INT``
    integer bits.

    ``diff = m - s >= 0`` in score units, any shape.
    """
    t = ((np.asarray(diff, np.int64) * mant) >> (shift - T_FRAC)) + T_OFFSET
    return np.minimum(t, (1 << (T_INT + T_FRAC)) - 1)


def exp2_neg(t) -> np.ndarray:
    """``2**-t`` with ``EXP_FRAC`` fraction bits, for t with ``T_FRAC`` fraction bits.

    ``2**-f ~ 1 - (43/64) f + (11/64) f**2`` on the fraction, then a rounded right shift by the
    integer part. Exact at f = 0, monotone, max abs error 1.96e-3.
    """
    t = np.asarray(t, np.int64)
    z, f = t >> T_FRAC, t & ((1 << T_FRAC) - 1)
    y = (1 << EXP_FRAC) - ((f * ((43 << T_FRAC) - 11 * f)) >> (6 + 2 * T_FRAC - EXP_FRAC))
    return (y + ((1 << z) >> 1)) >> z


def quantise_pair(w, e0=0) -> tuple[np.ndarray, np.ndarray]:
    """``(mant, shift)`` of weights (..., 2): signed mantissas and the shift the pair shares.

    ``w >= -e0``, with the background ``e0`` (...,) of the pair, and so it is after rounding: where
    the magnitude of a negative weight would be rounded up beyond ``e0``, it is rounded down.

    A weight that comes alone, (..., 1), has a shift of its own. ``shift`` is the smallest multiple
    of ``SHIFT_STEP`` at which the rounded magnitude of either weight fits ``MANT_BITS`` bits, so
    the pair stands for ``mant << shift``.
    """
    w = np.asarray(w, np.int64)
    mag = np.abs(w)
    largest = np.maximum(mag[..., 0], mag[..., -1])     # faster than a reduction over so few
    shift = np.zeros_like(largest)
    while (over := _rounded_shift(largest, shift) >= (1 << MANT_BITS)).any():
        shift = shift + SHIFT_STEP * over
    mant = _rounded_shift(mag, shift[..., None])
    most = (np.asarray(e0, np.int64) >> shift)[..., None]
    return np.where(w < 0, -np.minimum(mant, most), mant), shift


def _rounded_shift(x, n) -> np.ndarray:
    """``x >> n`` rounded half up."""
    return (x + ((1 << n) >> 1)) >> n


@cache
def reciprocal_table() -> list[tuple[int, int]]:
    """``(value, drop)`` of 1/x per sixteenth of [1, 2), both with ``RECIP_BITS`` fraction bits.

    The chord of the segment, lowered by half of its largest error, so that the relative error
    is at most 4.9e-4 to either side.
    """
    table = []
    for i in range(RECIP_SEGMENTS):
        lo, hi = 1 + i / RECIP_SEGMENTS, 1 + (i + 1) / RECIP_SEGMENTS
        sag = 1 / lo + 1 / hi - 2 / math.sqrt(lo * hi)      # largest chord minus curve
        value = round((1 / lo - sag / 2) * 2**RECIP_BITS)
        table.append((value, value - round((1 / hi - sag / 2) * 2**RECIP_BITS)))
    return table


def reciprocal(den) -> tuple[np.ndarray, np.ndarray]:
    """``(r, p)`` with ``r * 2**-RECIP_BITS ~ 2**p / den`` and p = floor(log2(den)).

    The lowered chord takes r below one half near the end: it lies in 65529..131014.

    ``den >= 2**DEN_BITS``. Below the leading one the next 4 bits choose the segment and the
    following 12 interpolate in it.
    """
    den = np.asarray(den, np.int64)
    p = np.frexp(den.astype(np.float64))[1].astype(np.int64) - 1
    f = ((den << 1) >> (p - DEN_BITS)) & 0xFFFF
    value, drop = np.array(reciprocal_table(), np.int64).T
    return value[f >> 12] - ((drop[f >> 12] * (f & 0xFFF)) >> 12), p


def normalise(num, den, *, width: int, out_frac: int) -> np.ndarray:
    """Output rows ``num / den`` with ``out_frac`` fraction bits; a row with ``den == 0`` is zero.

    ``num`` (rows, d) and ``den`` (rows,) both have ``EXP_FRAC`` fraction bits; ``width`` is W.
    The numerator is shifted to ``out_frac + 1`` fraction bits of ``num / 2**p`` and clamped to
    ``width + out_frac + 3`` bits (only cancellation far beyond real data reaches the clamp),
    multiplied by the reciprocal, rounded, and clamped to ``width + out_frac + 1`` bits.
    """
    num, den = np.asarray(num, np.int64), np.asarray(den, np.int64)
    r, p = reciprocal(np.where(den == 0, 1 << EXP_FRAC, den))
    limit = 1 << (width + out_frac + 2)
    scaled = np.clip(_rounded_shift(num, (p - out_frac - 1)[:, None]), -limit, limit - 1)
    limit = 1 << (width + out_frac)
    out = np.clip(_rounded_shift(scaled * r[:, None], RECIP_BITS + 1), -limit, limit - 1)
    return np.where(den[:, None] == 0, 0, out)

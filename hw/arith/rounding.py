# SPDX-License-Identifier: Apache-2.0
"""Rounding and clamping, as expressions."""

from amaranth.hdl import Cat, Mux

__all__ = ["clamped", "halved"]


def halved(value):
    """``value / 2`` rounded half up.

    A right shift that leaves one fraction bit, then this, is a rounded shift: it equals adding half
    of the last place before shifting.
    """
    return (value >> 1) + value[0]


def clamped(value, width: int):
    """Signed ``value`` clamped to ``width`` signed bits."""
    if len(value) <= width:
        return value
    sign = value[-1]
    fits = (value[width - 1:] == 0) | value[width - 1:].all()
    return Mux(fits, value[:width], Cat((~sign).replicate(width - 1), sign)).as_signed()

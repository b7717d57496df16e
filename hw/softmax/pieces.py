# SPDX-License-Identifier: Apache-2.0
"""Small expressions and registers that the softmax blocks share."""

from amaranth.hdl import Cat, Mux, Signal

__all__ = ["clamped", "delayed", "halved"]


def delayed(m, value, cycles: int, *, name: str, reset_less: bool = True) -> list:
    """``value`` and its copies of 1 to ``cycles`` clocks ago, newest first.

    Data needs no reset; pass ``reset_less=False`` for what says whether data is valid.
    """
    taps = [value]
    for n in range(1, cycles + 1):
        tap = Signal(value.shape(), name=f"{name}_{n}", reset_less=reset_less)
        m.d.sync += tap.eq(taps[-1])
        taps.append(tap)
    return taps


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

# SPDX-License-Identifier: Apache-2.0
"""Registers in a row."""

from amaranth.hdl import Signal

__all__ = ["delayed", ]


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

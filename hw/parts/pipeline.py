# SPDX-License-Identifier: Apache-2.0
"""Registers in a row."""

from amaranth.hdl import Signal

__all__ = ["delayed", "delayed_view"]


def delayed(m, value, cycles: int, *, name: str, reset_less: bool = True,
            valid=None) -> list:
    """``value`` and its copies of 1 to ``cycles`` clocks ago, newest first.

    Data needs no reset; pass ``reset_less=False`` for what says whether data is valid. ``valid[n]``
    says whether what is n clocks old means anything: registers rest where it does not, and where a
    process has clock gates, their clock does.
    """
    taps = [value]
    for n in range(1, cycles + 1):
        tap = Signal(value.shape(), name=f"{name}_{n}", reset_less=reset_less)
        with m.If(1 if valid is None else valid[n - 1]):
            m.d.sync += tap.eq(taps[-1])
        taps.append(tap)
    return taps


def delayed_view(m, view, cycles: int, *, name: str, strobes=("valid",)) -> list:
    """``view`` and its copies of 1 to ``cycles`` clocks ago, newest first.

    Of a structure with a member ``valid``: without it the ``strobes`` move on and the other members
    rest.
    """
    views = [view]
    for n in range(1, cycles + 1):
        before, copy = views[-1], Signal(view.shape(), name=f"{name}_{n}")
        m.d.sync += [copy[member].eq(before[member]) for member in strobes]
        with m.If(before.valid):
            m.d.sync += [copy[member].eq(before[member]) for member, _ in view.shape()
                         if member not in strobes]
        views.append(copy)
    return views

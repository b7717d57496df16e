# SPDX-License-Identifier: Apache-2.0
"""Registers that hold the same in several places of a chip."""

from amaranth.hdl import Signal, Value

__all__ = ["kept_copy"]


def kept_copy(m, value, name: str, *, en=None, reset_less: bool = True) -> Signal:
    """``value`` a cycle later, in a register that stays one of its own.

    For what drives much that lies far apart. Synthesis makes one register of all that hold the
    same; ``keep`` tells it not to, and ``KEEP_COPIES`` in ``prunus/synth/tools.py`` carries that
    from the signal to its register, where Yosys looks for it. It has no reset, which would have to
    come as far; pass ``reset_less=False`` for what moves a queue or a state, which would take a
    step of its own after a reset. With ``en`` it only changes where that is set.
    """
    value = Value.cast(value)
    copy = Signal(len(value), name=name, reset_less=reset_less, attrs={"keep": 1})
    with m.If(1 if en is None else en):
        m.d.sync += copy.eq(value)
    return copy

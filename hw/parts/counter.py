# SPDX-License-Identifier: Apache-2.0
"""A counter most of which stands still."""

from amaranth.hdl import Mux, Signal, Value

__all__ = ["count"]

LOW = 4         # bits of the part that moves with every step of one


def count(m, value, step, clear) -> None:
    """``value`` grows by ``step`` in each cycle, or is 0 after one with ``clear``.

    The upper bits have an enable of their own, the carry, which is there once in many cycles.
    """
    value, step = Value.cast(value), Value.cast(step)
    low = max(LOW, len(step))
    total = Signal(low + 1)
    m.d.comb += total.eq(value[:low] + step)
    with m.If(clear | step.any()):
        m.d.sync += value[:low].eq(Mux(clear, 0, total[:low]))
    with m.If(clear | total[-1]):
        m.d.sync += value[low:].eq(Mux(clear, 0, value[low:] + 1))

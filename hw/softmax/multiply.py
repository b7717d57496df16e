# SPDX-License-Identifier: Apache-2.0
"""A multiplier whose stages fit the 18x18 multipliers of an FPGA."""

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SplitMultiplier"]

PIECE = 17         # unsigned bits of a signed 18-bit operand


class SplitMultiplier(wiring.Component):
    """Exact product of a wide and a narrow number, 18x18 bits per multiplier.

    ``latency`` cycles, one product per cycle. An ``a`` wider than 18 signed bits is cut in two:
    the two partial products are registered and added in the next stage.

    Parameters
    ----------
    a_shape : Shape
        At most 35 bits with a sign, 34 without.
    b_width : int
        Unsigned bits of ``b``, at most 17.

    Members
    -------
    a, b : In
    o : Out
        ``a * b``, signed if ``a`` is.
    """

    def __init__(self, *, a_shape, b_width: int):
        a_shape = Shape.cast(a_shape)
        if not 1 <= a_shape.width - a_shape.signed <= 2 * PIECE:
            raise ValueError(f"a_shape must have 1 to {2 * PIECE} bits without the sign, "
                             f"not {a_shape!r}")
        if not 1 <= b_width <= PIECE:
            raise ValueError(f"b_width must be 1 to {PIECE}, not {b_width!r}")
        self._is_split = a_shape.width - a_shape.signed > PIECE
        super().__init__({
            "a": In(a_shape),
            "b": In(b_width),
            "o": Out(Shape(a_shape.width + b_width, a_shape.signed)),
        })

    @property
    def latency(self) -> int:
        return 2 if self._is_split else 1

    def elaborate(self, platform):
        m = Module()
        if not self._is_split:
            m.d.sync += self.o.eq(self.a * self.b)
            return m
        is_signed = self.a.shape().signed
        a_low, a_high = self.a[:PIECE], self.a[PIECE:]
        if is_signed:
            a_high = a_high.as_signed()
        low = Signal(PIECE + len(self.b), reset_less=True)
        high = Signal(Shape(len(a_high) + len(self.b), is_signed), reset_less=True)
        m.d.sync += low.eq(a_low * self.b), high.eq(a_high * self.b)
        # The low PIECE bits need no adder.
        m.d.sync += self.o.eq(Cat(low[:PIECE], high + low[PIECE:]))
        return m

# SPDX-License-Identifier: Apache-2.0
"""A multiplier whose stages fit the 18x18 multipliers of an FPGA."""

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.parts.pipeline import delayed

__all__ = ["SplitMultiplier"]

PIECE = 17         # unsigned bits of a signed 18-bit operand
PIECES = 3


class SplitMultiplier(wiring.Component):
    """Exact product of a wide and a narrow number, 18x18 bits per multiplier.

    ``latency`` cycles, one product per cycle. An ``a`` wider than 18 signed bits is cut in two or
    three: the partial products are registered and added one by one in the next stages.

    Parameters
    ----------
    a_shape : Shape
        At most 52 bits with a sign, 51 without.
    b_width : int
        Unsigned bits of ``b``, at most 17.

    Members
    -------
    valid : In
        There is something to multiply.
    a, b : In
    o : Out
        ``a * b``, signed if ``a`` is.
    """

    def __init__(self, *, a_shape, b_width: int):
        a_shape = Shape.cast(a_shape)
        if not 1 <= a_shape.width - a_shape.signed <= PIECES * PIECE:
            raise ValueError(f"a_shape must have 1 to {PIECES * PIECE} bits without the sign, "
                             f"not {a_shape!r}")
        if not 1 <= b_width <= PIECE:
            raise ValueError(f"b_width must be 1 to {PIECE}, not {b_width!r}")
        self._pieces = -(-(a_shape.width - a_shape.signed) // PIECE)
        super().__init__({
            "valid": In(1),
            "a": In(a_shape),
            "b": In(b_width),
            "o": Out(Shape(a_shape.width + b_width, a_shape.signed)),
        })

    @property
    def latency(self) -> int:
        return self._pieces

    def elaborate(self, platform):
        m = Module()
        valid = delayed(m, self.valid, self._pieces - 1, name="valid", reset_less=False)
        if self._pieces == 1:
            with m.If(valid[0]):
                m.d.sync += self.o.eq(self.a * self.b)
            return m
        low = Signal(PIECE + len(self.b), reset_less=True)
        with m.If(valid[0]):
            m.d.sync += low.eq(self.a[:PIECE] * self.b)
        done, total = [], low               # bits that need no adder any more, and the rest
        for n in range(1, self._pieces):
            is_last = n == self._pieces - 1
            piece = self.a[n * PIECE :] if is_last else self.a[n * PIECE : (n + 1) * PIECE]
            if is_last and self.a.shape().signed:
                piece = piece.as_signed()
            product = Signal(Shape(len(piece) + len(self.b), piece.shape().signed),
                             name=f"product_{n}", reset_less=True)
            with m.If(valid[0]):
                m.d.sync += product.eq(piece * self.b)
            product = delayed(m, product, n - 1, name=f"product_{n}", valid=valid[1:])[-1]
            done = [*done, total[:PIECE]]
            added = product + total[PIECE:]
            if is_last:
                with m.If(valid[n]):
                    m.d.sync += self.o.eq(Cat(*done, added))
            else:
                total = Signal(added.shape(), name=f"total_{n}", reset_less=True)
                with m.If(valid[n]):
                    m.d.sync += total.eq(added)
                done = [delayed(m, part, 1, name=f"done_{n}_{k}", valid=valid[n:])[-1]
                        for k, part in enumerate(done)]
        return m

# SPDX-License-Identifier: Apache-2.0
"""A full-width multiplier that is also four integer or two fraction multipliers."""

from typing import Protocol

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from prunus.golden.formats import Format
from prunus.hw.parts.repeated import Repeated

__all__ = ["ComposableMultiplier", "add_sub", "digit_layout", "multiply"]


def digit_layout(width: int) -> data.StructLayout:
    """A sign-magnitude digit with a magnitude of ``width`` bits."""
    return data.StructLayout({"mag": width, "sign": 1})


def multiply(a, b):
    """Unsigned product as sums of row pairs, which map to one carry chain each.

    Small products written as ``a * b`` would each take a whole DSP block on an FPGA.
    """
    rows = [Mux(bit, a, 0) for bit in b]
    step = 1
    while len(rows) > 1:
        rows = [low + (high << step) for low, high in zip(rows[::2], rows[1::2], strict=False)] \
            + rows[len(rows) & ~1:]
        step *= 2
    return rows[0][: len(a) + len(b)]


def add_sub(a, b, subtract):
    """``a - b`` if ``subtract`` else ``a + b``, in one carry chain: the carry enters as a bit."""
    width = max(len(x) + (not x.shape().signed) for x in (a, b)) + 1
    a, b = (Cat(x, (x[-1] if x.shape().signed else C(0, 1)).replicate(width - len(x)))
            for x in (a, b))
    return (Cat(C(1, 1), a) + Cat(subtract, Mux(subtract, ~b, b)))[1 : width + 1].as_signed()


class SplitCodes(Protocol):
    """Whose codes have an integer part and a fraction; see HdpConfig."""

    @property
    def width(self) -> int: ...

    @property
    def format(self) -> Format: ...

    @property
    def low_width(self) -> int: ...

    @property
    def lift(self) -> int: ...

    @property
    def linear(self) -> bool: ...


class ComposableMultiplier(Repeated):
    """One W x W product, or the sum of four digit products, per cycle; latency 3.

    Four digit multipliers serve every phase of HDP::

        unit     integer pass     fraction pass      full product     P.V
        0        I[0] * I[0]      Fq[0] * Ik[0]      Iq * Ik          v.hi * w.hi
        1        I[1] * I[1]      Fq[1] * Ik[1]      Fq * Ik          v.lo * w.hi
        2        I[2] * I[2]      Iq[0] * Fk[0]      Iq * Fk          v.hi * w.lo
        3        I[3] * I[3]      Iq[1] * Fk[1]      Fq * Fk          v.lo * w.lo

    With ``full`` the four are weighted 2**(2*S), 2**S, 2**S and 1, with S = ``config.low_width``. A
    fraction digit is F * 2**(S - FW), so that I * 2**S plus it is a multiple of the code and four
    digits of about W / 2 bits serve codes with a short fraction as well. Otherwise each unit has
    weight 1. Digits are sign-magnitude, so all four multipliers are unsigned, and truncation toward
    zero is a bit slice.

    Of truncated digits units 0 and 3 of a full product share the sign of unit 3: if both integer
    digits are not zero they have the signs of their codes, and if not the product is zero. Of
    rounded ones, and otherwise, each unit has its own sign.

    Parameters
    ----------
    config : SplitCodes
        With ``linear`` there is a fifth use, ``narrow``: two dimensions of codes of W bits times
        digits. Units 1 and 2 have the upper digits of the codes, their sum has the weight 2**S.

    Members
    -------
    x, y : In(4 digits)
        Query (or value) and key (or weight) digits; lower ones have S bits.
    full, narrow : In(1)
        With the digits.
    o, o_sign : Out(signed), Out(1)
        The result is ``-o`` if ``o_sign`` else ``o``, three cycles after the digits: the sign is
        left to the next adder, which subtracts at no cost.
    """

    latency = 3

    def __init__(self, *, config: SplitCodes):
        self._low = config.low_width
        self._rounded = config.format.digits == "rounded"
        upper = max(config.format.int_mag, config.width - config.low_width)
        lower = max(config.format.int_mag, config.low_width)
        digit = max(upper, lower)
        self._x_widths = (digit, lower, upper, lower)
        self._y_widths = (upper, upper, lower, lower)
        digits = data.ArrayLayout(digit_layout(digit), 4)
        # A full product without that of the fractions may be larger than the one of the codes.
        largest = (config.format.min_code << config.lift)**2 + (1 << 2 * config.low_width)
        super().__init__({
            "x": In(digits),
            "y": In(digits),
            "full": In(1),
            **({"narrow": In(1)} if config.linear else {}),
            "o": Out(signed(max(2 * config.width, largest.bit_length()) + 1)),
            "o_sign": Out(1),
        }, config=config)

    def build(self):
        m = Module()
        products, signs = [], []
        for u in range(4):
            x, y = self.x[u], self.y[u]
            product = Signal(self._x_widths[u] + self._y_widths[u], name=f"product_{u}",
                             reset_less=True)
            sign = Signal(name=f"sign_{u}", reset_less=True)
            m.d.sync += [
                product.eq(multiply(x.mag[: self._x_widths[u]], y.mag[: self._y_widths[u]])),
                sign.eq(x.sign ^ y.sign),
            ]
            products.append(product)
            signs.append(sign)

        full = Signal(reset_less=True)
        full_sum = Signal(reset_less=True)
        m.d.sync += full.eq(self.full)
        if self._config.linear:
            lifted = Signal(reset_less=True)
            m.d.sync += [lifted.eq(self.full | self.narrow), full_sum.eq(lifted)]
        else:
            m.d.sync += full_sum.eq(full)

        # Every sum s0*a + s1*b is formed as s0*(a +- b), the sign s0 going on beside it.
        # Truncated, lo*lo fits below hi*hi, so the outer pair of a full product is a concatenation.
        if self._rounded:
            joined, alone = products[0] << 2 * self._low, products[3]
        else:
            joined = Cat(products[3][: 2 * self._low], products[0])
            alone = Mux(full, 0, products[3])
        outer = Signal(signed(max(len(joined), len(products[3])) + 2), reset_less=True)
        inner = Signal(signed(max(len(products[1]), len(products[2])) + 2), reset_less=True)
        outer_sign = Signal(reset_less=True)
        inner_sign = Signal(reset_less=True)
        m.d.sync += [
            inner.eq(add_sub(products[1], products[2], signs[1] ^ signs[2])),
            inner_sign.eq(signs[1]),
            outer.eq(add_sub(Mux(full, joined, products[0]), alone, signs[0] ^ signs[3])),
            outer_sign.eq(signs[0] if self._rounded else Mux(full, signs[3], signs[0])),
        ]
        weighted = Signal(signed(len(inner) + self._low))
        m.d.comb += weighted.eq(Mux(full_sum, inner << self._low, inner))
        total = Signal.like(self.o, reset_less=True)
        total_sign = Signal(reset_less=True)
        m.d.sync += [total.eq(add_sub(outer, weighted, outer_sign ^ inner_sign)),
                     total_sign.eq(outer_sign)]
        m.d.comb += [self.o.eq(total), self.o_sign.eq(total_sign)]
        return m

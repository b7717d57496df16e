# SPDX-License-Identifier: Apache-2.0
"""Full-width multipliers that are also four integer or two fraction multipliers."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hw.repeated import Repeated

__all__ = ["ComposableMultiplier", "MultiplierPair", "add_sub", "digit_layout", "multiply"]


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


def multiply_pair(a, b, shared):
    """``a * shared`` and ``b * shared`` as one product, which is small enough for a DSP block."""
    width = len(a) + len(shared)
    both = Cat(a, C(0, len(shared)), b) * shared
    return both[:width], both[width : width + len(b) + len(shared)]


def _digits(config: Config) -> data.ArrayLayout:
    return data.ArrayLayout(digit_layout(max(config.int_width, config.frac)), 4)


def _digit_widths(config: Config) -> list[tuple[int, int]]:
    """Bits of the magnitudes that each of the four digit multipliers gets."""
    digit = max(config.int_width, config.frac)
    return [(digit, config.int_width), (digit, config.int_width), (config.int_width, digit),
            (digit, digit)]


class _Composer:
    """From four digit products to the result, of one or more multipliers that share ``full``."""

    def __init__(self, m, config: Config, full):
        self._m, self._frac = m, config.frac
        self._full, self._full_sum = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [self._full.eq(full), self._full_sum.eq(self._full)]

    def compose(self, products, signs, name: str):
        """Result and sign, two cycles after products and signs, which are registers.

        Every sum s0*a + s1*b is formed as s0*(a +- b), the sign s0 going on beside it.
        """
        def register(value, label):
            held = Signal(value.shape(), name=f"{label}{name}", reset_less=True)
            self._m.d.sync += held.eq(value)
            return held

        full = self._full
        # lo*lo fits below hi*hi, so the outer pair of a full product is a concatenation.
        joined = Cat(products[3][: 2 * self._frac], products[0])
        inner = register(add_sub(products[1], products[2], signs[1] ^ signs[2]), "inner")
        inner_sign = register(signs[1], "inner_sign")
        outer = register(add_sub(Mux(full, joined, products[0]), Mux(full, 0, products[3]),
                                 signs[0] ^ signs[3]), "outer")
        outer_sign = register(Mux(full, signs[3], signs[0]), "outer_sign")
        weighted = Signal(signed(len(inner) + self._frac), name=f"weighted{name}")
        self._m.d.comb += weighted.eq(Mux(self._full_sum, inner << self._frac, inner))
        return (register(add_sub(outer, weighted, outer_sign ^ inner_sign), "total"),
                register(outer_sign, "total_sign"))


class ComposableMultiplier(Repeated):
    """One W x W product, or the sum of four digit products, per cycle; latency 3.

    Four digit multipliers serve every phase of HDP::

        unit     integer pass     fraction pass      full product     P.V
        0        I[0] * I[0]      Fq[0] * Ik[0]      Iq * Ik          w.hi * v.hi
        1        I[1] * I[1]      Fq[1] * Ik[1]      Fq * Ik          w.lo * v.hi
        2        I[2] * I[2]      Iq[0] * Fk[0]      Iq * Fk          w.hi * v.lo
        3        I[3] * I[3]      Iq[1] * Fk[1]      Fq * Fk          w.lo * v.lo

    With ``full`` the four are weighted 2**(2*FW), 2**FW, 2**FW and 1, and units 0 and 3 share the
    sign of unit 3: if both integer digits are not zero they have the signs of their codes, and if
    not the product is zero. Otherwise each unit has its own sign and weight 1. Digits are
    sign-magnitude, so truncation toward zero is a bit slice and all four multipliers are unsigned.
    Units 0 to 2 need only the integer width on one side.

    Parameters
    ----------
    config : Config

    Members
    -------
    x, y : In(4 digits)
        Query (or weight) and key (or value) digits; fraction digits have FW bits.
    full : In(1)
        With the digits.
    o, o_sign : Out(signed(2 * W + 1)), Out(1)
        The result is ``-o`` if ``o_sign`` else ``o``, three cycles after the digits: the sign is
        left to the next adder, which subtracts at no cost.
    """

    latency = 3

    def __init__(self, *, config: Config):
        digits = _digits(config)
        super().__init__({
            "x": In(digits),
            "y": In(digits),
            "full": In(1),
            "o": Out(signed(2 * config.width + 1)),
            "o_sign": Out(1),
        }, config=config)

    def build(self):
        m = Module()
        products, signs = [], []
        for u, (x_width, y_width) in enumerate(_digit_widths(self._config)):
            x, y = self.x[u], self.y[u]
            product = Signal(x_width + y_width, name=f"product_{u}", reset_less=True)
            sign = Signal(name=f"sign_{u}", reset_less=True)
            m.d.sync += [product.eq(multiply(x.mag[:x_width], y.mag[:y_width])),
                         sign.eq(x.sign ^ y.sign)]
            products.append(product)
            signs.append(sign)
        total, sign = _Composer(m, self._config, self.full).compose(products, signs, "")
        m.d.comb += [self.o.eq(total), self.o_sign.eq(sign)]
        return m


class MultiplierPair(Repeated):
    """Two multipliers that share ``y``, for DSP blocks: four of these make the digit products.

    Each is a :class:`ComposableMultiplier` in what it computes and when. Products of the same digit
    of ``y`` are one product, with the digits of ``x`` so far apart that they do not meet.

    Parameters
    ----------
    config : Config

    Members
    -------
    x : In(2 x 4 digits)
    y : In(4 digits)
    full : In(1)
    o, o_sign : Out(2 x signed(2 * W + 1)), Out(2)
    """

    latency = ComposableMultiplier.latency

    def __init__(self, *, config: Config):
        digits = _digits(config)
        super().__init__({
            "x": In(data.ArrayLayout(digits, 2)),
            "y": In(digits),
            "full": In(1),
            "o": Out(data.ArrayLayout(signed(2 * config.width + 1), 2)),
            "o_sign": Out(2),
        }, config=config)

    def build(self):
        m = Module()
        products, signs = ([], []), ([], [])
        for u, (x_width, y_width) in enumerate(_digit_widths(self._config)):
            y = self.y[u]
            made = multiply_pair(*(self.x[q][u].mag[:x_width] for q in range(2)),
                                 y.mag[:y_width])
            for q in range(2):
                product = Signal(x_width + y_width, name=f"product_{u}_{q}", reset_less=True)
                sign = Signal(name=f"sign_{u}_{q}", reset_less=True)
                m.d.sync += [product.eq(made[q]), sign.eq(self.x[q][u].sign ^ y.sign)]
                products[q].append(product)
                signs[q].append(sign)
        composer = _Composer(m, self._config, self.full)
        for q in range(2):
            total, sign = composer.compose(products[q], signs[q], f"_{q}")
            m.d.comb += [self.o[q].eq(total), self.o_sign[q].eq(sign)]
        return m

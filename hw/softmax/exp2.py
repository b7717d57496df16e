# SPDX-License-Identifier: Apache-2.0
"""Powers of two with negative exponents."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.softmax import EXP_FRAC, T_FRAC, T_INT
from prunus.hw.arith.rounding import halved
from prunus.hw.parts.pipeline import delayed

__all__ = ["Exp2"]


class Exp2(wiring.Component):
    """``e = 2**-t``, bit for bit ``prunus.golden.softmax.exp2_neg``.

    ``latency`` cycles, one exponential per cycle; one 12x18-bit multiplier.

    ::

        f, 43 - 11 f -> product -> 1 - product -> shift by 4 z[2:] -> shift by z[:2], round

    Members
    -------
    valid : In
        There is an exponent.
    t : In
        Unsigned, ``T_INT`` integer and ``T_FRAC`` fraction bits.
    e : Out
        0 to 1.0 with ``EXP_FRAC`` fraction bits.
    """

    latency = 5

    valid: In(1)
    t: In(T_INT + T_FRAC)
    e: Out(EXP_FRAC + 1)

    def elaborate(self, platform):
        m = Module()
        valid = delayed(m, self.valid, self.latency - 1, name="valid", reset_less=False)
        fraction = self.t[:T_FRAC]
        f = Signal(T_FRAC, reset_less=True)
        slope = Signal(range((43 << T_FRAC) + 1), reset_less=True)
        eleven_f = (fraction << 3) + (fraction << 1) + fraction
        with m.If(valid[0]):
            m.d.sync += f.eq(fraction), slope.eq((43 << T_FRAC) - eleven_f)

        product = Signal(len(f) + len(slope), reset_less=True)
        with m.If(valid[1]):
            m.d.sync += product.eq(f * slope)

        # y is in [0.5, 1], so the product stays below half and the difference positive.
        y = Signal(EXP_FRAC + 1, reset_less=True)
        with m.If(valid[2]):
            m.d.sync += y.eq((1 << EXP_FRAC) - (product >> (6 + 2 * T_FRAC - EXP_FRAC)))

        z = delayed(m, self.t[T_FRAC:], 4, name="z", valid=valid)
        coarse = Signal(EXP_FRAC + 2, reset_less=True)     # one fraction bit, for the rounding
        with m.If(valid[3]):
            m.d.sync += coarse.eq((y << 1) >> Cat(Const(0, 2), z[3][2:]))
        with m.If(valid[4]):
            m.d.sync += self.e.eq(halved(coarse >> z[4][:2]))
        return m

# SPDX-License-Identifier: Apache-2.0
"""The weight of one survivor as a short mantissa with a shift of its own."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.softmax import EXP_FRAC, MANT_BITS
from prunus.hw.arith.rounding import halved
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.quantise import SHIFT_INDEX_BITS, STEPS, is_over, mantissa

__all__ = ["Quantiser"]


class Quantiser(wiring.Component):
    """An exponential as an 8-bit magnitude; bit for bit ``quantise_pair`` of one weight.

    ``latency`` cycles, one per cycle: the shift, the rounded mantissa.

    Members
    -------
    valid : In
        There is an exponential.
    e : In
        0 to 2**16.
    mag, shift : Out
        It stands for ``mag << (SHIFT_STEP * shift)``.
    """

    latency = 2

    valid: In(1)
    e: In(EXP_FRAC + 1)
    mag: Out(MANT_BITS)
    shift: Out(SHIFT_INDEX_BITS)

    def elaborate(self, platform):
        m = Module()
        valid = delayed(m, self.valid, 1, name="valid", reset_less=False)
        e = delayed(m, self.e, 1, name="e", valid=valid)[-1]
        index = Signal.like(self.shift)
        for k in range(STEPS):
            over = Signal(name=f"over_{k}", reset_less=True)
            with m.If(valid[0]):
                m.d.sync += over.eq(is_over(self.e, k))
            with m.If(over):            # a thermometer: their number is the first shift that fits
                m.d.comb += index.eq(k + 1)
        picked = Signal(MANT_BITS + 1)
        m.d.comb += picked.eq(mantissa(e, index))
        with m.If(valid[1]):
            m.d.sync += [self.shift.eq(index), self.mag.eq(halved(picked))]
        return m

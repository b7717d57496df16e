# SPDX-License-Identifier: Apache-2.0
"""Weights as short mantissas with a shared shift."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from golden.softmax import EXP_FRAC, MANT_BITS, SHIFT_STEP

from .layouts import weight_pair_layout
from .pieces import delayed, halved

__all__ = ["STEPS", "PairQuantiser", "is_over", "mantissa"]

STEPS = 5          # the largest weight, 2**16, takes a shift of 5 * SHIFT_STEP


def is_over(mag, k: int):
    """Whether the rounded magnitude does not fit after a shift by ``k`` steps."""
    if k == 0:
        return mag[MANT_BITS:].any()
    low = SHIFT_STEP * k - 1
    high = low + MANT_BITS + 1
    return mag[high:].any() | mag[low:high].all()


def mantissa(mag, index):
    """``mag`` shifted by ``index`` steps, with one fraction bit left for the rounding."""
    return Array(((mag << 1) >> (SHIFT_STEP * k))[: MANT_BITS + 1]
                 for k in range(STEPS + 1))[index]


class PairQuantiser(wiring.Component):
    """Two weights of one query as 8-bit magnitudes; bit for bit ``golden.softmax.quantise_pair``.

    ``latency`` cycles, one pair per cycle: magnitudes, the shift, the rounded mantissas.

    Members
    -------
    w : In
        Two signed weights, -2**16 to 2**16.
    o : Out
        The pair's shift, in steps of ``SHIFT_STEP``, and two signs with magnitudes; magnitude 0
        has sign 0.
    """

    latency = 3

    w: In(ArrayLayout(signed(EXP_FRAC + 2), 2))
    o: Out(weight_pair_layout())

    def elaborate(self, platform):
        m = Module()
        mags, signs, over = [], [], []
        for n in range(2):
            w = self.w[n]
            mag = Signal(EXP_FRAC + 1, name=f"mag_{n}", reset_less=True)
            m.d.sync += mag.eq(Mux(w < 0, -w, w))
            mags.append(delayed(m, mag, 1, name=f"mag_{n}"))
            signs.append(delayed(m, w[-1], 2, name=f"sign_{n}"))
        # over[k]: after a shift by k steps the rounded magnitude would not fit. It rounds up to
        # 2**MANT_BITS where the bits that stay and the first that goes are all ones.
        for k in range(STEPS):
            flag = Signal(name=f"over_{k}", reset_less=True)
            m.d.sync += flag.eq(is_over(mags[0][0], k) | is_over(mags[1][0], k))
            over.append(flag)

        # The flags are a thermometer: their number is the first shift that fits.
        index = Signal.like(self.o.shift)
        for k, flag in enumerate(over):
            with m.If(flag):
                m.d.comb += index.eq(k + 1)
        m.d.sync += self.o.shift.eq(index)
        for n in range(2):
            picked = Signal(MANT_BITS + 1, name=f"picked_{n}")
            m.d.comb += picked.eq(mantissa(mags[n][1], index))
            m.d.sync += self.o.mant[n].mag.eq(halved(picked))
            m.d.sync += self.o.mant[n].sign.eq(signs[n][2] & picked.any())
        return m

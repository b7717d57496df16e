# SPDX-License-Identifier: Apache-2.0
"""Weights as short mantissas with a shared shift."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from golden.softmax import EXP_FRAC, MANT_BITS, SHIFT_STEP

from .layouts import weight_pair_layout
from .pieces import delayed, halved

__all__ = ["PairQuantiser"]

STEPS = 5          # the largest weight, 2**16, takes a shift of 5 * SHIFT_STEP


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
        # over[k]: with a shift of k steps the rounded magnitude would not fit. The rounding makes
        # 2**MANT_BITS out of anything from half a last place below it.
        for k in range(STEPS):
            shift = SHIFT_STEP * k
            least = (1 << (MANT_BITS + shift)) - ((1 << shift) >> 1)
            flag = Signal(name=f"over_{k}", reset_less=True)
            m.d.sync += flag.eq((mags[0][0] >= least) | (mags[1][0] >= least))
            over.append(flag)

        # The flags are a thermometer: their number is the first shift that fits.
        index = Signal.like(self.o.shift)
        m.d.comb += index.eq(sum(over))
        m.d.sync += self.o.shift.eq(index)
        for n in range(2):
            mag = mags[n][1] << 1                          # one fraction bit, for the rounding
            shifted = Array((mag >> (SHIFT_STEP * k))[:MANT_BITS + 1] for k in range(STEPS + 1))
            picked = Signal(MANT_BITS + 1, name=f"picked_{n}")
            m.d.comb += picked.eq(shifted[index])
            m.d.sync += self.o.mant[n].mag.eq(halved(picked))
            m.d.sync += self.o.mant[n].sign.eq(signs[n][2] & picked.any())
        return m

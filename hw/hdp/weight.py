# SPDX-License-Identifier: Apache-2.0
"""The weights of a query for the two keys of a block, with a shared shift."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from prunus.golden.softmax import EXP_FRAC, MANT_BITS, SHIFT_STEP
from prunus.hw.hdp.softmax_layouts import weight_pair_layout
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.quantise import STEPS, is_over, mantissa

__all__ = ["PairQuantiser"]


class PairQuantiser(wiring.Component):
    """Two weights of one query as 8-bit magnitudes; bit for bit
    ``prunus.golden.softmax.quantise_pair``.

    ``latency`` cycles, one pair per cycle: magnitudes, the shift, the mantissas, their rounding.

    Members
    -------
    valid : In
        There is a pair.
    w : In
        Two signed weights, each at least ``-e0``.
    e0 : In
        The background of their query, ``background_latency`` cycles later.
    o : Out
        The pair's shift, in steps of ``SHIFT_STEP``, and two signs with magnitudes; magnitude 0
        has sign 0.
    """

    latency = 4
    background_latency = 2

    valid: In(1)
    w: In(ArrayLayout(signed(EXP_FRAC + 1), 2))
    e0: In(EXP_FRAC)
    o: Out(weight_pair_layout())

    def elaborate(self, platform):
        m = Module()
        valid = delayed(m, self.valid, self.latency - 1, name="valid", reset_less=False)
        mags, signs, over = [], [], []
        for n in range(2):
            w = self.w[n]
            mag = Signal(EXP_FRAC, name=f"mag_{n}", reset_less=True)
            with m.If(valid[0]):
                m.d.sync += mag.eq(Mux(w < 0, -w, w))
            mags.append(delayed(m, mag, 1, name=f"mag_{n}", valid=valid[1:]))
            signs.append(delayed(m, w[-1], 3, name=f"sign_{n}", valid=valid))
        # over[k]: after a shift by k steps the rounded magnitude would not fit. It rounds up to
        # 2**MANT_BITS where the bits that stay and the first that goes are all ones.
        for k in range(STEPS):
            flag = Signal(name=f"over_{k}", reset_less=True)
            with m.If(valid[1]):
                m.d.sync += flag.eq(is_over(mags[0][0], k) | is_over(mags[1][0], k))
            over.append(flag)

        # The flags are a thermometer: their number is the first shift that fits.
        index = Signal.like(self.o.shift)
        for k, flag in enumerate(over):
            with m.If(flag):
                m.d.comb += index.eq(k + 1)
        shift = delayed(m, index, 1, name="index", valid=valid[2:])[-1]
        with m.If(valid[3]):
            m.d.sync += self.o.shift.eq(shift)
        # A negative weight is rounded down where it would else be rounded beyond -e0: its
        # magnitude is at most e0, so that happens only where what stays is all that stays of e0.
        most = Signal(EXP_FRAC, reset_less=True)
        with m.If(valid[2]):
            m.d.sync += most.eq(Array(self.e0 >> SHIFT_STEP * k
                                      for k in range(STEPS + 1))[index])
        for n in range(2):
            picked = Signal(MANT_BITS + 1, name=f"picked_{n}", reset_less=True)
            with m.If(valid[2]):
                m.d.sync += picked.eq(mantissa(mags[n][1], index))
            is_most = signs[n][3] & (picked[1:] == most)
            mag = Signal(MANT_BITS, name=f"rounded_{n}")
            m.d.comb += mag.eq(picked[1:] + (picked[0] & ~is_most))
            with m.If(valid[3]):
                m.d.sync += [self.o.mant[n].mag.eq(mag),
                             self.o.mant[n].sign.eq(signs[n][3] & mag.any())]
        return m

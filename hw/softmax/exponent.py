# SPDX-License-Identifier: Apache-2.0
"""From a difference of scores to the exponent of a power of two."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.softmax import SCALE_BITS, SCALE_SHIFT_MIN, T_FRAC, T_INT, T_OFFSET
from prunus.hw.arith.multiply import SplitMultiplier
from prunus.hw.parts.pipeline import delayed

__all__ = ["Exponent"]

T_WIDTH = T_INT + T_FRAC


class Exponent(wiring.Component):
    """``t = diff * mant * 2**-shift`` and an offset, saturated; bit for bit
    ``prunus.golden.softmax.exponent``.

    ``latency`` cycles, one exponent per cycle: the multiplier's, then a shift by a multiple of 8,
    then the rest of the shift and the saturation.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    valid : In
        There is a difference.
    diff : In
        Largest score minus score, unsigned.
    mant, shift : In
        The encoded scale; ``shift`` is 12 to 63. Sampled with ``diff``.
    t : Out
        ``T_INT`` integer and ``T_FRAC`` fraction bits.
    """

    def __init__(self, *, config: EngineConfig):
        self._multiplier = SplitMultiplier(a_shape=unsigned(config.score_width),
                                           b_width=SCALE_BITS)
        super().__init__({
            "valid": In(1),
            "diff": In(config.score_width),
            "mant": In(SCALE_BITS),
            "shift": In(6),
            "t": Out(T_WIDTH),
        })

    @property
    def latency(self) -> int:
        return self._multiplier.latency + 2

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = self._multiplier
        valid = delayed(m, self.valid, self.latency - 1, name="valid", reset_less=False)
        m.d.comb += [multiplier.valid.eq(self.valid), multiplier.a.eq(self.diff),
                     multiplier.b.eq(self.mant)]

        amount = Signal(6, reset_less=True)
        with m.If(self.valid):
            m.d.sync += amount.eq(self.shift - SCALE_SHIFT_MIN)
        amount = delayed(m, amount, multiplier.latency, name="amount", valid=valid[1:])

        by_eights = Signal.like(multiplier.o)
        m.d.comb += by_eights.eq(multiplier.o >> Cat(Const(0, 3), amount[-2][3:]))
        # The second shift is by at most 7, so that bits further up overflow whatever it is. The
        # offset is added in front of it, shifted as far to the left.
        coarse = Signal(T_WIDTH + 7, reset_less=True)
        over = Signal(reset_less=True)
        sum_ = Signal(len(coarse) + 1)
        m.d.comb += sum_.eq(by_eights[:len(coarse)] + (Const(T_OFFSET) << amount[-2][:3]))
        with m.If(valid[-2]):
            m.d.sync += coarse.eq(sum_), over.eq(by_eights[len(coarse):].any() | sum_[-1])

        fine = Signal.like(coarse)
        m.d.comb += fine.eq(coarse >> amount[-1][:3])
        with m.If(valid[-1]):
            m.d.sync += self.t.eq(fine[:T_WIDTH]
                                  | (over | fine[T_WIDTH:].any()).replicate(T_WIDTH))
        return m

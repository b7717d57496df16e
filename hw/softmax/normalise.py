# SPDX-License-Identifier: Apache-2.0
"""From an accumulated row of weights times values to output words."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.softmax import DEN_BITS, EXP_FRAC, RECIP_BITS
from prunus.hw.arith.multiply import SplitMultiplier
from prunus.hw.arith.rounding import clamped, halved
from prunus.hw.parts.pipeline import delayed

__all__ = ["NormaliseLane"]


class NormaliseLane(wiring.Component):
    """One output word per cycle; bit for bit ``prunus.golden.softmax.normalise``.

    Takes ``latency`` cycles. One or two multipliers for the background, if there is one, and one
    or two for the reciprocal, depending on the widths. The word is that of
    ``num = acc + e0 * column_sum``, or of ``acc`` without a background.

    ::

        e0 * column_sum -> + acc -> shift -> round -> clamp -> * r -> round -> clamp

    Parameters
    ----------
    config : EngineConfig
        Of HDP, if there is a background.
    background : bool

    Members
    -------
    valid : In
        There is something to normalise; all inputs are sampled with it.
    acc : In
        Sum of weight times V over the kept keys. With the background added it still fits
        ``accumulator_width`` bits.
    e0, column_sum : In
        Only with a background: its weight and the sum of V over every visible key.
    p, r, empty : In
        The reciprocal of the denominator, see :class:`Reciprocal`.
    adds, num : In, Out
        Only with ``Config.tile``: ``adds`` with what is only to be added up as well, and the sum,
        ``numerator_latency`` cycles later.
    out_valid, out : Out
        The word, with ``out_frac`` fraction bits; 0 where ``empty``.
    """

    def __init__(self, *, config: EngineConfig, background: bool = True):
        self._config = config
        self._background = SplitMultiplier(a_shape=signed(config.column_sum_width),
                                           b_width=EXP_FRAC) if background else None
        self._scaled_width = config.width + config.out_frac + 3
        self._scale = SplitMultiplier(a_shape=signed(self._scaled_width), b_width=RECIP_BITS)
        super().__init__({
            "valid": In(1),
            "acc": In(signed(config.accumulator_width)),
            **({"e0": In(EXP_FRAC),
                "column_sum": In(signed(config.column_sum_width))} if background else {}),
            "p": In(5),
            "r": In(RECIP_BITS + 1),
            "empty": In(1),
            **({"adds": In(1), "num": Out(signed(config.accumulator_width))}
               if config.tile else {}),
            "out_valid": Out(1),
            "out": Out(signed(config.width + config.out_frac + 1)),
        })

    @property
    def latency(self) -> int:
        return self._before + self._scale.latency + 6

    @property
    def _before(self) -> int:
        """Cycles of the background's product."""
        return self._background.latency if self._background else 0

    @property
    def numerator_latency(self) -> int:
        return self._background.latency + 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.scale = self._scale
        before = self._before
        valid = delayed(m, self.valid, self.latency, name="valid", reset_less=False)
        empty = delayed(m, self.empty, self.latency - 1, name="empty", valid=valid)

        num = self._numerator(m, delayed(m, self.adds, before, name="adds", reset_less=False)
                              if self._config.tile else valid)
        # How far p is above the least that it can be is the part of the shift that varies. The
        # constant part leaves one fraction bit, for the rounding.
        p = delayed(m, (self.p - DEN_BITS)[:4], before + 1, name="p", valid=valid)[-1]
        aligned = num >> (DEN_BITS - self._config.out_frac - 1 - 1)
        shifted = Signal(signed(len(aligned)), reset_less=True)
        with m.If(valid[before + 1]):
            m.d.sync += shifted.eq(aligned >> p)
        rounded = Signal(signed(len(shifted)), reset_less=True)
        with m.If(valid[before + 2]):
            m.d.sync += rounded.eq(halved(shifted))
        scaled = Signal(signed(self._scaled_width), reset_less=True)
        with m.If(valid[before + 3]):
            m.d.sync += scaled.eq(clamped(rounded, self._scaled_width))

        r = delayed(m, self.r[:RECIP_BITS], before + 4, name="r", valid=valid)[-1]
        m.d.comb += [self._scale.valid.eq(valid[before + 4]), self._scale.a.eq(scaled),
                     self._scale.b.eq(r)]
        word = Signal(signed(len(self.out) + 1), reset_less=True)
        with m.If(valid[-3]):
            m.d.sync += word.eq(halved(self._scale.o >> RECIP_BITS))
        with m.If(valid[-2]):
            m.d.sync += self.out.eq(Mux(empty[-1], 0, clamped(word, len(self.out))))
        m.d.comb += self.out_valid.eq(valid[-1])
        return m

    def _numerator(self, m, valid):
        """``acc + e0 * column_sum``, registered."""
        num = Signal(signed(self._config.accumulator_width), reset_less=True)
        if self._background is None:
            with m.If(valid[0]):
                m.d.sync += num.eq(self.acc)
            return num
        m.submodules.background = self._background
        m.d.comb += [
            self._background.valid.eq(valid[0]),
            self._background.a.eq(self.column_sum),
            self._background.b.eq(self.e0),
        ]
        acc = delayed(m, self.acc, self._background.latency, name="acc", valid=valid)[-1]
        with m.If(valid[self._before]):
            m.d.sync += num.eq(acc + self._background.o)
        if self._config.tile:
            m.d.comb += self.num.eq(num)
        return num

# SPDX-License-Identifier: Apache-2.0
"""P.V beside the scores: plain multipliers and the sums of a chunk."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import MANT_BITS, SHIFT_STEP
from prunus.hw.arith.multiplier import add_sub
from prunus.hw.hdp.layouts import value_layout
from prunus.hw.hdp.softmax_layouts import weight_entry_layout
from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.quantise import STEPS

__all__ = ["ValueArray"]

NEAR = 8        # outputs that share registers of weights and flags, as they lie too far apart


class ValueArray(wiring.Component):
    """2 queries x 2 keys x T outputs, a multiplier for each.

    Takes an operation in every cycle; a chunk of T outputs is there ``latency`` cycles after the
    values of its last one. Output stationary: the 2 x T sums of a chunk are over before the next
    one begins. A weight is shifted before it is multiplied: a DSP block of an FPGA has a side of
    18 bits, which is as wide as the widest weight, and there are four weights but 2 x T sums::

        w -> << -+
                 * -> pair of keys -> += -> value (2 x T)
        v -------+

    All is in sign-magnitude up to the pair, so that the products are unsigned and no operand needs
    an adder.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    en, first, last, w : In
        An operation, ``first`` and ``last`` of a chunk, and its weights.
    v : In
        Its values, a cycle later: T outputs of two keys.
    value_valid : Out(1)
    value : Out(2 x T signed)
        A finished chunk of two output rows in units of 2**-EXP_FRAC.
    """

    latency = 3

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "en": In(1),
            "first": In(1),
            "last": In(1),
            "w": In(weight_entry_layout(config).members["row"]),
            "v": In(data.ArrayLayout(data.ArrayLayout(value_layout(config), config.taps), 2)),
            "value_valid": Out(1),
            "value": Out(data.ArrayLayout(
                data.ArrayLayout(signed(config.accumulator_width), config.taps), 2)),
        })

    def elaborate(self, platform):
        m = Module()
        en = delayed(m, self.en, 2, name="en", reset_less=False)
        first = delayed(m, self.first, 2, name="first", valid=en)
        ends = delayed(m, self.en & self.last, self.latency + 1, name="ends", reset_less=False)
        m.d.comb += self.value_valid.eq(ends[-1])
        shifted = self._shifted(m)
        for begin in range(0, self._config.taps, NEAR):
            outputs = range(begin, min(begin + NEAR, self._config.taps))
            # From the weights on, whether there is something to multiply, to add, to take.
            moves = delayed(m, kept_copy(m, self.en, f"moves_{begin}", reset_less=False), 2,
                            name=f"moves_{begin}", reset_less=False)
            begins = kept_copy(m, first[2], f"begins_{begin}")
            for q in range(2):
                weights = [(kept_copy(m, mag, f"mag_{q}_{k}_{begin}", en=self.en),
                            kept_copy(m, sign, f"sign_{q}_{k}_{begin}", en=self.en))
                           for k, (mag, sign) in enumerate(shifted[q])]
                for n in outputs:
                    self._output(m, q, n, weights, moves, begins)
        return m

    def _shifted(self, m):
        """``(magnitude, sign)`` of the weights of each query for both keys."""
        weights = []
        for q in range(2):
            pair = []
            for k, mant in enumerate(self.w[q].mant):
                mag = Signal(MANT_BITS + SHIFT_STEP * STEPS, name=f"shifted_{q}_{k}")
                with m.Switch(self.w[q].shift):
                    for step in range(STEPS + 1):
                        with m.Case(step):
                            m.d.comb += mag.eq(mant.mag << SHIFT_STEP * step)
                pair.append((mag, mant.sign))
            weights.append(pair)
        return weights

    def _output(self, m, q, n, weights, moves, begins):
        """The sum of a query and an output."""
        products = []
        for k, (mag, sign) in enumerate(weights):
            value, name = self.v[k][n], f"{q}_{k}_{n}"
            product = Signal(len(mag) + self._config.width, name=f"product_{name}",
                             reset_less=True)
            product_sign = Signal(name=f"product_sign_{name}", reset_less=True)
            with m.If(moves[0]):
                m.d.sync += [product.eq(mag * value.mag), product_sign.eq(sign ^ value.sign)]
            products.append((product, product_sign))
        (a, sign_a), (b, sign_b) = products         # s0*a + s1*b = s0*(a +- b)
        pair = Signal(signed(len(a) + 2), name=f"pair_{q}_{n}", reset_less=True)
        sign = Signal(name=f"pair_sign_{q}_{n}", reset_less=True)
        with m.If(moves[1]):
            m.d.sync += [pair.eq(add_sub(a, b, sign_a ^ sign_b)), sign.eq(sign_a)]
        total = Signal(self.value[q][n].shape(), name=f"value_{q}_{n}", reset_less=True)
        with m.If(moves[2]):
            m.d.sync += total.eq(add_sub(Mux(begins, 0, total).as_signed(), pair, sign))
        m.d.comb += self.value[q][n].eq(total)

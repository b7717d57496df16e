# SPDX-License-Identifier: Apache-2.0
"""What the composable multiplier is measured against."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hw.arith.multiplier import digit_layout, multiply

__all__ = ["PlainMultiplier"]


class PlainMultiplier(wiring.Component):
    """One W x W product per cycle and nothing else; latency 2.

    Built as the composable multiplier is, of sign-magnitude codes and carry chains with at most
    two additions between registers: the products with both halves of ``y``, then their sum.

    Parameters
    ----------
    config : Config

    Members
    -------
    x, y : In(digit_layout(W))
    o, o_sign : Out(2 * W), Out(1)
        Magnitude and sign of the product.
    """

    latency = 2

    def __init__(self, *, config: Config):
        self._width = config.width
        super().__init__({
            "x": In(digit_layout(config.width)), "y": In(digit_layout(config.width)),
            "o": Out(2 * config.width), "o_sign": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        half = self._width // 2
        low, high = (Signal(self._width + half, name=name) for name in ("low", "high"))
        sign = Signal()
        m.d.sync += [
            low.eq(multiply(self.x.mag, self.y.mag[:half])),
            high.eq(multiply(self.x.mag, self.y.mag[half:])),
            sign.eq(self.x.sign ^ self.y.sign),
            self.o.eq(low + (high << half)),
            self.o_sign.eq(sign),
        ]
        return m

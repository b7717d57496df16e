# SPDX-License-Identifier: Apache-2.0
"""What the parts that are there for pruning are measured against."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import unread
from prunus.hw.arith.multiplier import digit_layout, multiply
from prunus.hw.leopard.dot_product import sum_width
from prunus.hw.leopard.query import RowLoader

__all__ = ["PlainAccumulator", "PlainMultiplier", "PlainRowLoader"]


class PlainMultiplier(wiring.Component):
    """One W x W product per cycle and nothing else; latency 2.

    Built as the composable multiplier is, of sign-magnitude codes and carry chains with at most
    two additions between registers: the products with both halves of ``y``, then their sum.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    x, y : In(digit_layout(W))
    o, o_sign : Out(2 * W), Out(1)
        Magnitude and sign of the product.
    """

    latency = 2
    x: data.View
    y: data.View
    o: Signal
    o_sign: Signal

    def __init__(self, *, config: HdpConfig):
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


class PlainAccumulator(wiring.Component):
    """A key after the other, all digits of each: what a dot-product unit without early termination
    has behind its adder tree; latency 1.

    All units would be at the same digit of the same query then, so that what counts keys and digits
    is there once for all of them, and there is nothing to decide and nothing to put in order.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    total : In(signed)
        The sum of a word, of keys with a sign of their own.
    digit : In
        Where it belongs.
    first : In(1)
        It is the first word of a key.
    o : Out(signed(score_width))
        The score after the last word.
    """

    latency = 1
    total: Signal
    digit: Signal
    first: Signal
    o: Signal

    def __init__(self, *, config: LeopardConfig):
        self._config = config
        super().__init__({
            "total": In(signed(sum_width(config) + 1)), "digit": In(range(config.digits)),
            "first": In(1), "o": Out(signed(config.score_width)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        word = Signal(signed(config.score_width))
        with m.Switch(self.digit):
            for n in range(config.digits):
                with m.Case(n):
                    m.d.comb += word.eq(self.total << unread(n + 1, config.width, config.digit))
        m.d.sync += self.o.eq(Mux(self.first, 0, self.o) + word)
        return m


class PlainRowLoader(RowLoader):
    """Takes rows and their queries without a threshold and without anything summed.

    Parameters and members are those of :class:`prunus.hw.leopard.query.RowLoader`, of which
    ``thresholds`` and the ``start`` of slots mean nothing.
    """

    latency = 1
    loaded: Signal

    def __init__(self, *, config: LeopardConfig, tag_width: int):
        super().__init__(config=config.model_copy(update={"pruning": False}), tag_width=tag_width)

    def _sum(self, m, slot, ends):
        m.d.sync += self.loaded.eq(self.loaded + ends[1])

# SPDX-License-Identifier: Apache-2.0
"""Products of a query with a digit of a key."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import unread
from prunus.hw.arith.multiplier import multiply
from prunus.hw.arith.tree import add_levels, levels_latency
from prunus.hw.leopard.layouts import tap_layout
from prunus.hw.parts.repeated import Repeated

__all__ = ["DotProduct", "product_width", "sum_width"]

DIGIT = 4       # the most bits of a digit whose products are made of carry chains


def product_width(config: LeopardConfig) -> int:
    """Bits of |q| times a digit: at most 2**(W-1) * (2**B - 1)."""
    return config.width - 1 + config.digit


def sum_width(config: LeopardConfig) -> int:
    """Bits of the sum of ``taps`` such products."""
    return product_width(config) + (config.taps - 1).bit_length()


class DotProduct(Repeated):
    """What a digit takes from the bound of a score: ``sum_j |q_j| * (q_j > 0 ? ~d_j : d_j)``.

    A digit of ``taps`` dimensions per cycle; latency ``1 + ceil(log2(taps) / 2)``.

    All digits are unsigned here. The top one has its sign bit inverted on the way in, which adds
    2**(W-1) to the key, and bits above it, where W is no multiple of B, count as 0 whatever q is::

        digits -> xor -> |q| * e -> register -> 4:1 sums -> register -> ... -> o

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    query : In(taps x tap_layout)
    digits : In(taps x B bits)
    top : In(1)
        ``digits`` are the keys' first ones.
    o : Out
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            "query": In(data.ArrayLayout(tap_layout(config), config.taps)),
            "digits": In(data.ArrayLayout(unsigned(config.digit), config.taps)),
            "top": In(1),
            "o": Out(sum_width(config)),
        }, config=config)

    @property
    def latency(self) -> int:
        return 1 + levels_latency(self._config.taps)

    def build(self):
        m = Module()
        config = self._config
        sign = config.width - 1 - unread(1, config.width, config.digit)     # its place
        products = []
        for n in range(config.taps):
            # Slices of wide words cost an emission minutes.
            digit, mag = Signal(config.digit, name=f"d_{n}"), Signal(config.width, name=f"q_{n}")
            positive, taken = Signal(name=f"positive_{n}"), Signal(config.digit, name=f"e_{n}")
            m.d.comb += [digit.eq(self.digits[n]), mag.eq(self.query[n].mag),
                         positive.eq(self.query[n].positive)]
            inverse = digit ^ positive.replicate(config.digit)
            m.d.comb += taken.eq(Cat(inverse[:sign], inverse[sign] ^ self.top,
                                     Mux(self.top, 0, inverse[sign + 1 :])))
            product = Signal(product_width(config), name=f"product_{n}", reset_less=True)
            m.d.sync += product.eq(multiply(mag, taken) if config.digit <= DIGIT
                                   else mag * taken)
            products.append(product)
        m.d.comb += self.o.eq(add_levels(m, products, "sum"))
        return m

# SPDX-License-Identifier: Apache-2.0
"""Scores at full width."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from prunus.golden.topk.config import TopkConfig
from prunus.hw.arith.tree import add_levels, levels_latency
from prunus.hw.parts.pipeline import delayed
from prunus.hw.parts.repeated import Repeated
from prunus.hw.topk.layouts import scored_layout, step_layout

__all__ = ["DotProduct"]

PIECE = 8


class DotProduct(Repeated):
    """``sum_j q_j * k_j``, ``taps`` dimensions per cycle; the chunks of a key one after the other.

    A score is at ``o`` ``latency`` cycles after the last chunk's ``step``. The codes of the query
    are there with the step, those of the key a cycle later: a query passes a register first whose
    reset takes out the dimensions beyond d::

        q -> register -> * -> register -> 4:1 sums -> register -> ... -> + -> o
                    k ---^                                      chunks --^

    Parameters
    ----------
    config : TopkConfig

    Members
    -------
    step : In(step_layout)
    query, key : In(taps codes)
    valid : Out(1)
        Strobe: a score is at ``o``.
    o : Out(scored_layout)
    """

    def __init__(self, *, config: TopkConfig):
        codes = data.ArrayLayout(signed(config.width), config.taps)
        super().__init__({
            "step": In(step_layout(config)),
            "query": In(codes),
            "key": In(codes),
            "valid": Out(1),
            "o": Out(scored_layout(config)),
        }, config=config)

    @property
    def latency(self) -> int:
        return 3 + levels_latency(self._config.taps)

    def build(self):
        m = Module()
        config, products = self._config, []
        for n in range(config.taps):
            query, key = (Signal(signed(config.width), name=f"{name}_{n}") for name in "qk")
            product = Signal(signed(2 * config.width), name=f"product_{n}", reset_less=True)
            m.d.sync += [
                query.eq(Mux(self.step.pieces[n // PIECE], self.query[n], 0)),
                product.eq(query * key),
            ]
            m.d.comb += key.eq(self.key[n])
            products.append(product)
        chunk = add_levels(m, products, "sum")
        steps = delayed(m, self.step, self.latency - 1, name="step", reset_less=False)
        total = Signal(signed(config.score_width), reset_less=True)
        now, score = steps[-1], self.o.score
        m.d.comb += total.eq(Mux(now.first, 0, score) + chunk)
        with m.If(now.valid):
            m.d.sync += [score.eq(total), self.o.item.eq(now.item)]
        m.d.sync += self.valid.eq(now.valid & now.done)
        return m

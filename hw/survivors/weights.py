# SPDX-License-Identifier: Apache-2.0
"""From the scores of a row to weights and the reciprocal of their sum."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.softmax import EXP_FRAC, SCALE_BITS, SHIFT_STEP
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.exp2 import Exp2
from prunus.hw.softmax.exponent import Exponent
from prunus.hw.softmax.quantise import STEPS
from prunus.hw.softmax.reciprocal import Reciprocal
from prunus.hw.survivors.layouts import (
    TAG,
    entry_layout,
    ring_depth,
    row_result_layout,
    scored_row_layout,
    weight_layout,
)
from prunus.hw.survivors.weight import Quantiser

__all__ = ["ROWS_UNDER_WAY", "WEIGHTS", "RowWeights"]

WEIGHTS = 32            # under way or waiting for the value unit
ROWS_UNDER_WAY = 16     # from their first weight to the last word of their output


class RowWeights(wiring.Component):
    """Exponentials of ``score - largest score``, one per cycle, from row to row without a pause.

    A weight is at ``o`` ``latency`` cycles after its address, a row's result as many after its
    last address and 7. What is begun always has a place to go to, so nothing in between ever
    stops::

        row -> address -> ring -> top - score -> Exponent -> Exp2 -> Quantiser -+-> FIFO -> o
                                                                                +-> sum
                                                           result <- FIFO <- Reciprocal

    Parameters
    ----------
    config : SurvivorConfig

    Members
    -------
    row : In(stream of scored_row_layout)
    mant, shift : In
        The encoded scale of the head of ``row``.
    address, entry, freed
        See :class:`prunus.hw.survivors.collector.RowCollector`.
    o : Out(stream of weight_layout)
    result : Out(stream of row_result_layout)
        Of each row, in order.
    """

    def __init__(self, *, config: SurvivorConfig):
        self._config = config
        self._exponent = Exponent(config=config)
        self._exp2 = Exp2()
        self._reciprocal = Reciprocal(config=config)
        super().__init__({
            "row": In(stream.Signature(scored_row_layout(config))),
            "mant": In(SCALE_BITS),
            "shift": In(6),
            "address": Out(range(ring_depth(config))),
            "entry": In(entry_layout(config)),
            "freed": Out(1),
            "o": Out(stream.Signature(weight_layout(config))),
            "result": Out(stream.Signature(row_result_layout())),
        })

    @property
    def latency(self) -> int:
        return 3 + self._exponent.latency + self._exp2.latency + 1 + Quantiser.latency + 1

    def elaborate(self, platform):
        m = Module()
        asked = self._ask(m)
        item = self._differ(m, asked)
        self._weigh(m, item)
        return m

    def _ask(self, m):
        """One entry of a row after the other, while there is room behind; what was asked for."""
        config, row = self._config, self.row.payload
        now = Signal(data.StructLayout({
            "top": signed(config.score_width), "mant": SCALE_BITS, "shift": 6, "tag": TAG,
            "none": 1, "first": 1}))
        active, step, last, begin = (Signal(name=name)
                                     for name in ("active", "step", "last", "begin"))
        left = Signal(config.length_width)
        ahead = Signal(range(WEIGHTS + 1))      # weights under way
        rows = Signal(range(ROWS_UNDER_WAY + 1))
        m.d.comb += [
            step.eq(active & (ahead != WEIGHTS)), last.eq(left <= 1),
            self.row.ready.eq((~active | (step & last)) & (rows != ROWS_UNDER_WAY)),
            begin.eq(self.row.valid & self.row.ready),
            self.freed.eq(step & ~now.none),
        ]
        m.d.sync += [
            ahead.eq(ahead + step - (self.o.valid & self.o.ready)),
            rows.eq(rows + begin - (self.result.valid & self.result.ready)),
        ]
        with m.If(self.freed):
            m.d.sync += self.address.eq(self.address + 1)
        with m.If(step):
            m.d.sync += [left.eq(left - 1), now.first.eq(0)]
            with m.If(last):
                m.d.sync += active.eq(0)
        with m.If(begin):
            m.d.sync += [
                active.eq(1), left.eq(row.count), now.none.eq(row.count == 0), now.first.eq(1),
                now.top.eq(row.top), now.mant.eq(self.mant), now.shift.eq(self.shift),
                now.tag.eq(row.tag),
            ]
        asked = Signal(data.StructLayout({
            **{name: field.shape for name, field in now.shape()}, "valid": 1, "last": 1}))
        m.d.sync += [asked[name].eq(now[name]) for name, _ in now.shape()]
        m.d.sync += [asked.valid.eq(step), asked.last.eq(last)]
        return asked

    def _differ(self, m, asked):
        """Starts the exponent of what the ring shows; what goes along with it."""
        config = self._config
        m.submodules.exponent = exponent = self._exponent
        # What leaves a block RAM is late in its cycle and gets a register.
        shown = Signal.like(asked)
        entry = Signal(entry_layout(config))
        m.d.sync += [shown.eq(asked), entry.eq(self.entry)]
        item = Signal(data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "none": 1, "tag": TAG, "key": range(config.l_max)}))
        diff = Signal(config.score_width, reset_less=True)
        scale = Signal(data.StructLayout({"mant": SCALE_BITS, "shift": 6}), reset_less=True)
        m.d.sync += [
            diff.eq(shown.top - entry.score), scale.mant.eq(shown.mant),
            scale.shift.eq(shown.shift), item.key.eq(entry.key),
            *(item[name].eq(shown[name]) for name in ("valid", "first", "last", "none", "tag")),
        ]
        m.d.comb += [exponent.valid.eq(item.valid), exponent.diff.eq(diff),
                     exponent.mant.eq(scale.mant), exponent.shift.eq(scale.shift)]
        return item

    def _weigh(self, m, item):
        m.submodules.exp2 = exp2 = self._exp2
        m.submodules.quantiser = quantiser = Quantiser()
        m.submodules.weights = weights = fifo.SyncFIFO(
            width=weight_layout(self._config).size, depth=WEIGHTS)
        items = delayed(m, item, self._exponent.latency + exp2.latency + 1, name="item",
                        reset_less=False)
        e = Signal(EXP_FRAC + 1, reset_less=True)
        done = items[-1]
        with m.If(items[-2].valid):
            m.d.sync += e.eq(Mux(items[-2].none, 0, exp2.e))
        m.d.comb += [exp2.valid.eq(items[self._exponent.latency].valid),
                     exp2.t.eq(self._exponent.t),
                     quantiser.valid.eq(done.valid), quantiser.e.eq(e)]

        out = delayed(m, done, Quantiser.latency, name="out", reset_less=False)[-1]
        weight = Signal(weight_layout(self._config))
        m.d.comb += [
            weight.mag.eq(quantiser.mag), weight.shift.eq(quantiser.shift),
            *(weight[name].eq(out[name]) for name in ("key", "first", "last", "none", "tag")),
            weights.w_en.eq(out.valid), weights.w_data.eq(weight),
            self.o.valid.eq(weights.r_rdy), self.o.payload.eq(weights.r_data),
            weights.r_en.eq(self.o.ready),
        ]
        self._sum(m, out, quantiser)

    def _sum(self, m, out, quantiser):
        """The denominator of a row, and its reciprocal into a place that is kept for it."""
        m.submodules.reciprocal = reciprocal = self._reciprocal
        m.submodules.results = results = fifo.SyncFIFO(
            width=row_result_layout().size, depth=ROWS_UNDER_WAY)
        steps = Array(quantiser.mag << SHIFT_STEP * k for k in range(STEPS + 1))
        weight = Signal(EXP_FRAC, reset_less=True)
        m.d.sync += weight.eq(steps[quantiser.shift])
        done = delayed(m, out, 1, name="done", reset_less=False)[-1]
        total = Signal(self._config.denominator_width, reset_less=True)
        with m.If(done.valid):
            m.d.sync += total.eq(Mux(done.first, 0, total) + weight)
        end = Signal(data.StructLayout({"valid": 1, "tag": TAG}))
        m.d.sync += [end.valid.eq(done.valid & done.last), end.tag.eq(done.tag)]
        ended = end.valid
        end = delayed(m, end, reciprocal.latency, name="end", reset_less=False)[-1]
        result = Signal(row_result_layout())
        m.d.comb += [
            reciprocal.valid.eq(ended), reciprocal.den.eq(total),
            result.r.eq(reciprocal.r), result.p.eq(reciprocal.p),
            result.empty.eq(reciprocal.empty), result.tag.eq(end.tag),
            results.w_en.eq(end.valid), results.w_data.eq(result),
            self.result.valid.eq(results.r_rdy), self.result.payload.eq(results.r_data),
            results.r_en.eq(self.result.ready),
        ]

# SPDX-License-Identifier: Apache-2.0
"""Chooses what the array does in each cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.layouts import Mode, op_layout, value_op_layout

__all__ = ["Issue"]


class Issue(wiring.Component):
    """Merges value, score and integer operations into one per cycle; latency 1.

    Kept scores go first, then the integer pass, then P.V: both of the former stop when rows queue
    up behind them, and with rows in its queue P.V has work for every cycle that they leave. They
    share accumulators, so a block once begun runs to its last operation before the other may
    start; value operations may fall in between.

    With an array of their own value operations wait for nothing and come beside the others.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    value : In(stream of value_op_layout)
    score, integer : In(stream of op_layout)
    en : Out(1)
    op : Out(op_layout)
        This cycle's operation. Of a value operation only mode, bank, column, chunk, first and
        last hold.
    value_en : Out(1)
        Only where values have an array of their own: an operation of that one. ``en`` and ``op``
        are the other's then.
    value_op : Out(value_op_layout)
        The operation as the value pass gave it.
    background : Out(1)
        Not an operation of the array: only its word of V is wanted.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "value": In(stream.Signature(value_op_layout(config))),
            "score": In(stream.Signature(op_layout(config))),
            "integer": In(stream.Signature(op_layout(config))),
            "en": Out(1),
            "op": Out(op_layout(config)),
            **({"value_en": Out(1)} if config.own_values else {}),
            "value_op": Out(value_op_layout(config)),
            "background": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        own = self._config.own_values
        # Which of the two is inside a block.
        in_score = Signal()
        in_integer = Signal()
        take_score = self.score.valid & self.score.ready
        take_integer = self.integer.valid & self.integer.ready
        m.d.comb += [
            self.score.ready.eq(~in_integer),
            self.integer.ready.eq(~in_score & (in_integer | ~self.score.valid)),
            self.value.ready.eq(1 if own else ~take_score & ~take_integer),
        ]
        with m.If(take_score):
            m.d.sync += in_score.eq(~self.score.payload.last)
        with m.If(take_integer):
            m.d.sync += in_integer.eq(~self.integer.payload.last)

        value = self.value.payload
        if own:
            take_value = self.value.valid & self.value.ready
            m.d.sync += [
                self.en.eq(take_score | take_integer),
                self.value_en.eq(take_value & ~value.background),
                self.background.eq(take_value & value.background),
                self.value_op.eq(value),
                self.op.eq(Mux(take_score, self.score.payload, self.integer.payload)),
            ]
            return m
        from_value = Signal(op_layout(self._config))
        m.d.comb += [
            from_value.mode.eq(Mode.VALUE),
            from_value.bank.eq(value.bank),
            from_value.column.eq(value.column),
            from_value.chunk.eq(value.chunk),
            from_value.first.eq(value.first),
            from_value.last.eq(value.last),
        ]
        take_value = self.value.valid & self.value.ready
        m.d.sync += [
            self.en.eq((take_value & ~value.background) | take_score | take_integer),
            self.background.eq(take_value & value.background),
        ]
        with m.If(take_value):
            m.d.sync += self.value_op.eq(value)
        with m.If(take_value | take_score | take_integer):
            m.d.sync += self.op.eq(Mux(take_score, self.score.payload,
                                       Mux(take_integer, self.integer.payload, from_value)))
        return m

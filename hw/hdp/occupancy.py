# SPDX-License-Identifier: Apache-2.0
"""What the array does in each cycle, or why it does nothing."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp import OCCUPANCY
from prunus.hw.hdp.layouts import Mode

__all__ = ["Occupancy"]

ROWS = 16       # more than may ever wait between scores and weights


class Occupancy(wiring.Component):
    """Tells for every cycle which counter of ``prunus.golden.hdp.OCCUPANCY`` it belongs to.

    Latency 1. Of several causes the one nearest to the end of the pipeline counts: rows on their
    way through softmax or waiting for the output, then masks that are read, then planes that are
    loaded, then rows whose threshold is being made, then that there is nothing to do.

    With ``own_values`` "the array" is that of the scores; ``value_slots`` are the cycles in which
    the other one has an operation, whatever the first does.

    Parameters
    ----------
    own_values : bool
        P.V has an array of its own.

    Members
    -------
    en, mode : In
        The array's operation in this cycle.
    value_en : In(1)
        Only with ``own_values``: the other array has one.
    announced, gathered, weighted : In(1)
        Strobes: a row's scores are under way; its largest one is all that was wanted of it; its
        weights are taken for P.V.
    values_busy : In(1)
        P.V is at work.
    fetch_busy, loading, integer_busy, sparsity_busy : In(1)
        The same of fetch upon mask, the loader, the integer pass and the sparsity engine.
    counts : Out(len(OCCUPANCY))
        One bit is set, in the order of ``OCCUPANCY``; with ``own_values`` that of ``value_slots``
        comes beside it.
    """

    def __init__(self, *, own_values: bool = False):
        self._own_values = own_values
        super().__init__({
            "en": In(1),
            "mode": In(Mode),
            **({"value_en": In(1)} if own_values else {}),
            "announced": In(1),
            "gathered": In(1),
            "weighted": In(1),
            "values_busy": In(1),
            "fetch_busy": In(1),
            "loading": In(1),
            "integer_busy": In(1),
            "sparsity_busy": In(1),
            "counts": Out(len(OCCUPANCY)),
        })

    def elaborate(self, platform):
        m = Module()
        rows = Signal(range(ROWS))
        m.d.sync += rows.eq(rows + self.announced - self.gathered - self.weighted)
        cases = {
            "integer_slots": self.en & (self.mode == Mode.INTEGER),
            **({} if self._own_values else {
                "value_slots": self.en & (self.mode == Mode.VALUE)}),
            "score_slots": self.en,
            "idle_softmax": (rows != 0) | self.values_busy,
            "idle_operand": self.fetch_busy,
            "idle_dma": self.loading,
            "idle_threshold": self.integer_busy | self.sparsity_busy,
        }
        set_bit = {name: 1 << bit for bit, name in enumerate(OCCUPANCY)}
        m.d.sync += self.counts.eq(set_bit["idle_drain"])
        for name, condition in reversed(cases.items()):      # the last assignment wins
            with m.If(condition):
                m.d.sync += self.counts.eq(set_bit[name])
        if self._own_values:
            m.d.sync += self.counts[OCCUPANCY.index("value_slots")].eq(self.value_en)
        return m

# SPDX-License-Identifier: Apache-2.0
"""Gathers results that lie side by side into words."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.hdp.linear.layouts import word_layout
from prunus.hw.hdp.linear.requantise import LANES, result_layout

__all__ = ["WORDS", "LinearCollector"]

WORDS = 4           # that wait, at most
HALF = 8            # codes of a short word


class LinearCollector(wiring.Component):
    """Words of both lanes, 128 bits each; there must be room when one is complete.

    Members
    -------
    valid, i : In
        Results.
    wide : In(1)
        They have 32 bits instead of 8.
    o : Out(stream of word_layout)
    """

    def __init__(self):
        super().__init__({"valid": In(1), "i": In(result_layout()), "wide": In(1),
                          "o": Out(stream.Signature(word_layout()))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = fifo.SyncFIFOBuffered(
            width=word_layout().size, depth=WORDS + 1)
        incoming = data.View(word_layout(), words.w_data)
        count = Signal(4)
        short = ~self.wide & (count == HALF - 1)
        ends = self.valid & self.i.ends
        with m.If(self.valid):
            m.d.sync += count.eq(Mux(self.i.ends, 0, count + 1))
        for lane in range(LANES):
            value, held = self.i.lanes[lane], Signal(128, name=f"held_{lane}")
            word = Mux(self.wide, Cat(held[32:], value), Cat(held[8:], value[:8]))
            with m.If(self.valid):
                m.d.sync += held.eq(word)
            m.d.comb += incoming.lanes[lane].eq(Mux(short, word[64:], word))
        m.d.comb += [
            words.w_en.eq(ends), incoming.short.eq(short), incoming.single.eq(self.i.single),
            self.o.valid.eq(words.r_rdy), self.o.payload.eq(words.r_data),
            words.r_en.eq(self.o.ready),
        ]
        return m

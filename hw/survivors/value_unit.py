# SPDX-License-Identifier: Apache-2.0
"""Weights times values, summed over the survivors of a row."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.softmax import EXP_FRAC, MANT_BITS, SHIFT_STEP
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed
from prunus.hw.softmax.quantise import STEPS
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.layouts import chunk_count, values_layout, weight_layout

__all__ = ["VALUES", "ValueUnit"]

VALUES = 8      # chunks of rows that are under way or wait for the normaliser
NEAR = 8        # taps that share control registers and a queue, as all of them lie too far apart


class ValueUnit(wiring.Component):
    """A survivor per cycle, or one in as many cycles as its d has chunks of ``taps`` dimensions.

    A chunk of a row is at ``o`` ``latency`` cycles after its last weight was taken. The last
    weight of a row waits while ``VALUES`` chunks are under way or not taken; until then the
    rows that follow each other leave no gap::

        i -> address -> V -> * mag -> << shift -> + accumulators -> FIFO -> o

    With one chunk the accumulators are registers, with more distributed RAM.

    Parameters
    ----------
    config : SurvivorConfig

    Members
    -------
    i : In(stream of weight_layout)
    d8, bank : In
        Of the head of ``i``: d / 8, and where its values are.
    en, row_bank, row, chunk : Out
        A chunk of a row of V is asked for; ``data`` is to be there two cycles later.
    data : In(taps codes)
    o : Out(stream of values_layout)
        The chunks of a row, then those of the next one.
    """

    def __init__(self, *, config: SurvivorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(weight_layout(config))),
            "d8": In(range(config.d_max // 8 + 1)),
            "bank": In(1),
            "en": Out(1),
            "row_bank": Out(1),
            "row": Out(range(config.l_max)),
            "chunk": Out(range(max(2, config.chunks))),
            "data": In(data.ArrayLayout(signed(config.width), config.taps)),
            "o": Out(stream.Signature(values_layout(config))),
        })

    @property
    def latency(self) -> int:
        return CodeBuffer.latency + 4

    def elaborate(self, platform):
        m = Module()
        config, weight = self._config, self.i.payload
        step = Signal()
        last = Signal()
        left = Signal(range(VALUES + 1), init=VALUES)
        m.d.comb += [
            step.eq(self.i.valid & (~weight.last | (left != 0))),
            last.eq(self.chunk == chunk_count(config, self.d8) - 1),
            self.i.ready.eq(step & last),
            self.en.eq(step & ~weight.none), self.row_bank.eq(self.bank), self.row.eq(weight.key),
        ]
        m.d.sync += left.eq(left - (step & weight.last) + (self.o.valid & self.o.ready))
        with m.If(step):
            m.d.sync += self.chunk.eq(Mux(last, 0, self.chunk + 1))

        op = Signal(data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "chunk": self.chunk.shape(),
            "mag": MANT_BITS, "shift": weight.shift.shape()}))
        m.d.comb += [op.valid.eq(step), op.chunk.eq(self.chunk),
                     *(op[name].eq(weight[name]) for name in ("first", "last", "mag", "shift"))]
        ops = delayed(m, op, CodeBuffer.latency + 2, name="op", reset_less=False)
        self._accumulate(m, ops)
        return m

    def _accumulate(self, m, ops):
        config = self._config
        layout = values_layout(config)
        held = Signal(layout)
        sums = Signal(layout)
        total = Signal(layout)
        # Flags as they are registered: those of a group of taps are copies.
        early, there, multiplied, now = ops[CodeBuffer.latency - 1 :]
        for first in range(0, config.taps, NEAR):
            taps = range(first, min(first + NEAR, config.taps))
            self._add(m, taps, early, there, multiplied, held, sums)
            if config.chunks == 1:
                valid = kept_copy(m, multiplied.valid, f"valid_{first}")
                with m.If(valid):
                    m.d.sync += [held[n].eq(sums[n]) for n in taps]
        if config.chunks == 1:
            m.d.comb += total.eq(held)
        else:
            m.submodules.sums = mem = memory.Memory(
                shape=layout.size, depth=config.chunks, init=[])
            write = mem.write_port()
            read = mem.read_port(domain="comb")
            m.d.comb += [write.en.eq(now.valid), write.addr.eq(now.chunk), write.data.eq(sums),
                         read.addr.eq(now.chunk), held.eq(read.data)]
            m.d.sync += total.eq(sums)
        self._queue(m, now.valid & now.last, total)

    def _add(self, m, taps, early, there, multiplied, held, sums):
        """Weights times codes of some taps, added to what there is of the row."""
        config = self._config
        mag = kept_copy(m, early.mag, f"mag_{taps[0]}")
        shift = kept_copy(m, there.shift, f"shift_{taps[0]}")
        begins = kept_copy(m, multiplied.first, f"begins_{taps[0]}")
        for n in taps:
            product = Signal(signed(MANT_BITS + config.width), name=f"product_{n}",
                             reset_less=True)
            term = Signal(signed(EXP_FRAC + 1 + config.width), name=f"term_{n}", reset_less=True)
            m.d.sync += product.eq(mag * self.data[n])
            with m.Switch(shift):
                for k in range(STEPS + 1):
                    with m.Case(k):
                        m.d.sync += term.eq(product << (SHIFT_STEP * k))
            before = Signal(signed(config.accumulator_width), name=f"before_{n}")
            m.d.comb += [before.eq(Mux(begins, 0, held[n])), sums[n].eq(before + term)]

    def _queue(self, m, ends, total):
        """Chunks of finished rows, ``ends`` a cycle before they are there."""
        for first in range(0, self._config.taps, NEAR):
            taps = range(first, min(first + NEAR, self._config.taps))
            values = Cat(total[n] for n in taps)
            m.submodules[f"done_{first}"] = done = fifo.SyncFIFO(width=len(values), depth=VALUES)
            # Has a reset: a row that one cuts off must not be there when the queue is empty again.
            write = kept_copy(m, ends, f"ends_{first}", reset_less=False)
            m.d.comb += [
                done.w_en.eq(write), done.w_data.eq(values),
                Cat(self.o.payload[n] for n in taps).eq(done.r_data),
                done.r_en.eq(self.o.ready),
            ]
            if not first:
                m.d.comb += self.o.valid.eq(done.r_rdy)

# SPDX-License-Identifier: Apache-2.0
"""Sums of V over visible keys, the background of `zero`."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.loader import beat_dims

__all__ = ["ColumnSum"]


class ColumnSum(wiring.Component):
    """Sums of the columns of V, made while V is loaded, and running sums of two causal heads.

    A beat of V per cycle; it is in the sums two cycles later. The keys counted at loading are
    those visible to the whole head, or, when causal, those before the first row's edge; the output
    adds the others as it comes to the rows that see them, in the head's running sums, so that
    other heads find the loaded ones untouched. Row 0 starts a bank's sums anew.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    load_en, load_bank, load_row, load_beat, load_data : In
        A beat of V, two's complement, and its place: bank, row, and beat within the row.
    base : In
        Of the beat's head: keys below it are counted.
    bank, running, dimension : In
        Of the loaded sums in that bank of V, or of the running sums of the head in that bank.
    sum : Out(output_lanes x)
        The sums of the columns from ``dimension`` on, a multiple of their number; in the same
        cycle.
    add_en, add_bank, add_dimension, add_sum : In
        Replaces as many running sums.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        *_, self._lanes = beat_dims(config)
        self._words = -(-config.d_max // self._lanes)
        sums = data.ArrayLayout(signed(config.column_sum_width), config.output_lanes)
        super().__init__({
            "load_en": In(1),
            "load_bank": In(1),
            "load_row": In(range(config.held_rows)),
            "load_beat": In(range(max(2, self._words))),
            "load_data": In(data.ArrayLayout(signed(config.width), self._lanes)),
            "base": In(config.held_width),
            "bank": In(1),
            "running": In(1),
            "dimension": In(range(config.d_max)),
            "sum": Out(sums),
            "add_en": In(1),
            "add_bank": In(1),
            "add_dimension": In(range(config.d_max)),
            "add_sum": In(sums),
        })

    def elaborate(self, platform):
        m = Module()
        group = self._config.output_lanes
        group_bits = (group - 1).bit_length()
        lane_bits = (self._lanes - 1).bit_length()
        word_bits = max(1, (self._words - 1).bit_length())
        width = self._config.column_sum_width

        def address(bank, word):
            return Cat(Cat(word, C(0, word_bits))[:word_bits], bank)

        # The beat waits a cycle while the sums so far are read.
        en = Signal()
        row0 = Signal()
        counts = Signal()
        where = Signal(word_bits + 1)
        beat = Signal.like(self.load_data)
        m.d.sync += en.eq(self.load_en)
        with m.If(self.load_en):
            m.d.sync += [
                where.eq(address(self.load_bank, self.load_beat)),
                row0.eq(self.load_row == 0),
                counts.eq(self.load_row < self.base),
                beat.eq(self.load_data),
            ]
        sums = []
        for n in range(self._lanes):
            m.submodules[f"loaded_{n}"] = loaded = memory.Memory(
                shape=signed(width), depth=2 << word_bits, init=[])
            m.submodules[f"running_{n}"] = running = memory.Memory(
                shape=signed(width), depth=2 << word_bits, init=[])
            load = loaded.write_port()
            add = running.write_port()
            old = loaded.read_port(domain="comb")
            read_loaded = loaded.read_port(domain="comb")
            read_running = running.read_port(domain="comb")
            m.d.comb += [
                old.addr.eq(where), load.addr.eq(where), load.en.eq(en),
                load.data.eq(Mux(row0, 0, old.data) + Mux(counts, beat[n], 0)),
                add.addr.eq(address(self.add_bank, self.add_dimension[lane_bits:])),
                add.data.eq(self.add_sum[n % group]),
                add.en.eq(self.add_en
                          & (self.add_dimension[group_bits:lane_bits] == n // group)),
                *(read.addr.eq(address(self.bank, self.dimension[lane_bits:]))
                  for read in (read_loaded, read_running)),
            ]
            sums.append(Mux(self.running, read_running.data, read_loaded.data))
        which = self.dimension[group_bits:lane_bits]
        m.d.comb += [self.sum[i].eq(Array(sums[i::group])[which]) for i in range(group)]
        return m

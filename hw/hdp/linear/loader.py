# SPDX-License-Identifier: Apache-2.0
"""Fetches what linear jobs read and unpacks it into buffers and memories."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import OUT_FRAC
from prunus.golden.hdp.linear.sizes import MOST_TILE, Sizes
from prunus.hw.arith.rounding import clamped
from prunus.hw.hdp.layouts import fraction_layout, integer_layout
from prunus.hw.hdp.linear.layouts import (
    Plane,
    command_layout,
    place_bits,
    record_layout,
    table_layout,
)
from prunus.hw.hdp.loader import tag_layout
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.reader import read_beat_layout

__all__ = ["LinearLoader"]

FLIGHT = 16         # commands whose beats have not come


class LinearLoader(wiring.Component):
    """A beat per cycle from memory to where linear jobs want it.

    A request comes a cycle after its command; a beat is written in the cycle after it came.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    command : In(stream of command_layout)
    req, beats : streams
        To and from the read DMA; beats are always taken.
    write : Out
        Strobes for X and W, and where their 16 codes go: a place and the row of a pair; ``narrow``
        codes are digits of their own.
    i, f : Out
        These codes as digits.
    channel : Out
        Strobe, slot, number in the tile and record of a channel.
    table : Out
        Strobe, index and 8 entries of the table of the job in slot ``job``.
    residual : Out
        Strobe for each beat, whether it is the last of a word, its lane, whether its word ``ends``
        what one of both lanes needs, and its 8 codes.
    loaded : Out
        Strobes: the last beat of X, or of W, is being written.
    beat, error, bank : Out
        Strobe for every beat, whether it is an error, and the slot of its job.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        tag, width = tag_layout().size, config.axi_address_width
        unit = Sizes(config).unit
        super().__init__({
            "command": In(stream.Signature(command_layout(config))),
            "req": Out(stream.Signature(request_layout(tag, width))),
            "beats": In(stream.Signature(read_beat_layout(config, tag))),
            "write": Out(data.StructLayout({"x": 1, "w": 1, "parity": 1, "narrow": 1,
                                            "place": place_bits(config)})),
            "i": Out(data.ArrayLayout(integer_layout(config), unit)),
            "f": Out(data.ArrayLayout(fraction_layout(config), unit)),
            "channel": Out(data.StructLayout({"en": 1, "slot": 1, "index": range(MOST_TILE),
                                              "record": record_layout()})),
            "table": Out(table_layout(config)),
            "residual": Out(data.StructLayout({"en": 1, "last": 1, "lane": 1, "ends": 1,
                                               "data": config.axi_data_width})),
            "loaded": Out(data.StructLayout({"x": 1, "w": 1})),
            "beat": Out(1), "error": Out(1), "bank": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        flight = data.StructLayout({
            name: field.shape for name, field in command_layout(self._config)
            if name in ("plane", "bank", "slot", "row_beats", "base", "stride", "ends",
                        "first")})
        m.submodules.flight = queue = fifo.SyncFIFOBuffered(width=flight.size, depth=FLIGHT)
        command, req = self.command.payload, self.req
        entry = data.View(flight, queue.w_data)
        m.d.comb += [self.command.ready.eq(queue.w_rdy & (~req.valid | req.ready)),
                     queue.w_en.eq(self.command.valid & self.command.ready)]
        m.d.comb += [entry[name].eq(command[name]) for name, _ in flight]
        with m.If(req.ready):
            m.d.sync += req.valid.eq(0)
        with m.If(queue.w_en):
            m.d.sync += [
                req.valid.eq(1), req.payload.address.eq(command.address),
                req.payload.beats.eq(command.beats), req.payload.job.eq(command.index),
                req.payload.refused.eq(command.refused),
            ]
        self._unpack(m, queue, data.View(flight, queue.r_data))
        return m

    def _unpack(self, m, queue, now):
        """Where a beat goes. A command is there before its first beat."""
        sizes, beat = Sizes(self._config), self.beats.payload
        per = sizes.granule // sizes.unit
        take = self.beats.valid
        index = Signal(now.row_beats.shape())       # of the beat in its row, or of all beats
        unit = Signal(self.write.place.shape())     # in the row
        pair = Signal(self.write.place.shape())     # where the pair of rows begins, from the first
        parity = Signal()
        odd = Signal()
        row_ends = Signal()
        whole = Signal()                            # a unit is complete
        is_words, is_w8, is_w4 = (now.plane == plane for plane in (Plane.WORDS, Plane.W8, Plane.W4))
        is_x = (now.plane == Plane.X) | is_words
        wide = is_x | is_w8
        m.d.comb += [
            self.beats.ready.eq(1), queue.r_en.eq(take & beat.last),
            row_ends.eq(index == now.row_beats - 1), odd.eq(index[0]),
            whole.eq(is_w4 | Mux(is_words, index[:2] == 3, odd) | row_ends),
        ]
        with m.If(take):
            m.d.sync += index.eq(index + 1)
            with m.If(whole):
                m.d.sync += unit.eq(unit + 1)
            with m.If(row_ends & (wide | is_w4)):
                m.d.sync += [index.eq(0), unit.eq(0), parity.eq(~parity)]
                with m.If(parity):
                    m.d.sync += pair.eq(pair + now.stride * per)
            with m.If(beat.last):
                m.d.sync += [index.eq(0), unit.eq(0), parity.eq(0), pair.eq(0)]
        m.d.sync += [
            self.write.x.eq(take & is_x & whole), self.write.w.eq(take & (is_w8 | is_w4) & whole),
            self.write.parity.eq(parity), self.write.narrow.eq(is_w4),
            self.write.place.eq(now.base * per + now.first + pair + unit),
            self.loaded.x.eq(take & is_x & beat.last & now.ends),
            self.loaded.w.eq(take & (is_w8 | is_w4) & beat.last),
            self.channel.en.eq(take & (now.plane == Plane.CHANNELS)),
            self.channel.slot.eq(now.slot), self.channel.index.eq(index),
            self.channel.record.eq(beat.data),
            self.table.en.eq(take & (now.plane == Plane.TABLE)),
            self.table.index.eq(index), self.table.data.eq(beat.data), self.table.job.eq(now.bank),
            self.residual.en.eq(take & (now.plane == Plane.RESIDUAL)),
            self.residual.last.eq(beat.last), self.residual.data.eq(beat.data),
            self.residual.lane.eq(now.slot), self.residual.ends.eq(now.ends),
            self.beat.eq(take), self.error.eq(beat.error), self.bank.eq(now.bank),
        ]
        self._digits(m, beat, take, odd, is_w4, is_words)

    def _digits(self, m, beat, take, odd, narrow, words):
        """Codes of 8 bits come 8 at a time, the first ones wait for the others; of 4 bits 16. Words
        come 4 at a time."""
        before = Signal(self._config.axi_data_width)
        size = self._config.out_width
        rounded = Cat(*(clamped((beat.data[n : n + size].as_signed() + (1 << OUT_FRAC - 1))
                                >> OUT_FRAC, 8) for n in range(0, len(beat.data), size)))
        gathered = Signal(self._config.axi_data_width * 2 - len(rounded))
        with m.If(take):
            m.d.sync += [before.eq(beat.data), gathered.eq(Cat(gathered, rounded)[len(rounded):])]
        low = Mux(odd, before, beat.data)
        high = Mux(odd, beat.data, 0)
        both = Mux(words, Cat(gathered, rounded), Cat(low, high))
        for n, (i, f) in enumerate(zip(self.i, self.f, strict=True)):
            code, small = both[8 * n : 8 * n + 8], beat.data[4 * n : 4 * n + 4]
            mag, digit = Signal(8, name=f"mag_{n}"), Signal(4, name=f"digit_{n}")
            m.d.comb += [mag.eq(Mux(code[-1], -code.as_signed(), code)),
                         digit.eq(Mux(small[-1], -small.as_signed(), small))]
            sign = Mux(narrow, small[-1], code[-1])
            m.d.sync += [i.mag.eq(Mux(narrow, digit, mag[4:])), i.sign.eq(sign),
                         f.mag.eq(Mux(narrow, C(0, 4), mag[:4])), f.sign.eq(sign)]

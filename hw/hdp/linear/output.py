# SPDX-License-Identifier: Apache-2.0
"""Where results of linear jobs go: to memory, or to the buffers of X."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import WORD
from prunus.golden.hdp.linear.kind import LinearKind
from prunus.golden.hdp.linear.sizes import Sizes
from prunus.golden.records import STATUS_BYTES, Error
from prunus.hw.hdp.layouts import fraction_layout, integer_layout
from prunus.hw.hdp.linear.layouts import granule_bits, job_layout, place_bits, word_layout
from prunus.hw.hdp.linear.places import LinearPlaces
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.records import record_layout

__all__ = ["LinearOutput"]

LANES = 2


class LinearOutput(wiring.Component):
    """Writes the words of a job where its view wants them, then its status record.

    A word of a lane takes about 6 cycles, 3 if it is held; of digits about 9.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    valid, job : In
        A job, until ``taken``, with the end of its status record.
    taken : Out(1)
    word : In(stream of word_layout)
        In the order in which LinearIssue makes them.
    base : In
        The granule where Y begins, if it is held.
    bad : In(1)
        The job has met an error of the bus, or the job before it holds nothing for it.
    read_beats, clipped : In
        Of the job.
    req, o : Out(streams)
        To the write DMA.
    write : Out
        Strobe, place and row of a pair of a word that is held, and its digits ``i`` and ``f``.
    failed : Out(1)
        Beside ``taken``: the record tells of an error.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        unit = Sizes(config).unit
        super().__init__({
            "valid": In(1), "job": In(job_layout(config)), "taken": Out(1),
            "word": In(stream.Signature(word_layout())), "base": In(granule_bits(config) - 1),
            "bad": In(1), "read_beats": In(32), "clipped": In(32),
            "req": Out(stream.Signature(request_layout(
                address_width=config.axi_address_width))),
            "o": Out(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
            "write": Out(data.StructLayout({"en": 1, "parity": 1, "place": place_bits(config)})),
            "i": Out(data.ArrayLayout(integer_layout(config), unit)),
            "f": Out(data.ArrayLayout(fraction_layout(config), unit)),
            "failed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, job, word = self._config, self.job, self.word.payload
        m.submodules.places = places = LinearPlaces(config=config)
        m.d.comb += places.job.eq(job)
        place = Signal(places.o.payload.shape())
        lane = Signal()
        chosen = Signal(128)
        m.d.comb += chosen.eq(Mux(lane, word.lanes[1], word.lanes[0]))
        i_beat, f_beat, negative = self._split(m, chosen)
        signs = Signal(data.ArrayLayout(config.axi_data_width, LANES))
        written = Signal(32)                            # beats
        error = Signal(8)
        product = Signal(32)                            # beats, or granules, up to the row
        beat = config.axi_data_width // 8
        address, f_address = (Signal(config.axi_address_width + 1, name=name)
                              for name in ("address", "f_address"))
        more = Signal()                                 # the second beat of a word
        record = Signal(record_layout(LinearKind.status, whole=True))
        m.d.comb += record.error.eq(error), record.done.eq(1)
        with m.If(error == 0):
            m.d.comb += [record.clipped.eq(self.clipped),
                         record.read_bytes.eq(self.read_beats * beat),
                         record.write_bytes.eq(written * beat + STATUS_BYTES)]
        req, o = self.req, self.o
        m.d.comb += [req.payload.job.eq(job.index), self.failed.eq(error != 0)]
        m.d.sync += written.eq(written + (o.valid & o.ready))

        def ask(state, at, count, following):
            with m.State(state):
                m.d.comb += [req.valid.eq(1), req.payload.address.eq(at),
                             req.payload.beats.eq(count), req.payload.refused.eq(at[-1])]
                with m.If(req.ready):
                    m.next = following

        def send(state, value, following):
            with m.State(state):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(value)]
                with m.If(o.ready):
                    m.next = following

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [written.eq(0), error.eq(job.error), lane.eq(0)]
                with m.If(self.valid & (job.error == 0)):
                    m.d.comb += places.start.eq(1)
                    m.next = "PLACE"
                with m.Elif(self.valid):
                    m.next = "STATUS"
            with m.State("PLACE"):
                m.d.sync += place.eq(places.o.payload)
                with m.If(self.word.valid & places.o.valid):
                    m.d.comb += places.o.ready.eq(1)
                    m.next = "ROW"
                with m.Elif(places.over):
                    m.d.sync += error.eq(Mux(self.bad, Error.BUS, Error.NONE))
                    m.next = "STATUS"
            with m.State("ROW"):
                m.d.sync += [
                    product.eq(Mux(job.held_y, place.row >> 1, place.row) * job.stride),
                    signs[lane].eq(Cat(signs[lane][WORD:], negative)),
                ]
                m.next = "HOLD"
                with m.If(~job.held_y):
                    m.next = "ADDRESS"
            with m.State("HOLD"):
                m.d.comb += self.write.en.eq(1)
                m.next = "NEXT"
            with m.State("ADDRESS"):
                inside = Mux(job.wide, place.inner << 2,
                             Mux(job.digits, place.inner >> 1, place.inner))
                m.d.sync += [address.eq(job.out + product * beat + inside), more.eq(0),
                             f_address.eq(job.out_f + (product + place.row) * beat)]
                m.next = "REQUEST"
                with m.If(job.digits):
                    m.next = "I_REQUEST"
                with m.If(self.bad):
                    m.next = "NEXT"
            ask("REQUEST", address, Mux(word.short, 1, 2), "DATA")
            with m.State("DATA"):
                m.d.comb += [o.valid.eq(1),
                             o.payload.data.eq(Mux(more, chosen[64:], chosen[:64]))]
                with m.If(o.ready):
                    m.d.sync += more.eq(1)
                    with m.If(more | word.short):
                        m.next = "NEXT"
            # Integer parts; fractions, behind the signs of their row; the signs, of a whole row.
            ask("I_REQUEST", address, 1, "I_DATA")
            send("I_DATA", i_beat, "F_REQUEST")
            ask("F_REQUEST", (f_address + (place.inner >> 1) + beat)[: len(f_address)], 1, "F_DATA")
            send("F_DATA", f_beat, "SIGNS")
            with m.State("SIGNS"):
                m.next = "NEXT"
                with m.If(place.head_ends):
                    m.next = "S_REQUEST"
            ask("S_REQUEST", f_address, 1, "S_DATA")
            # The last sign lies at the top.
            send("S_DATA", signs[lane] >> (config.axi_data_width - job.run)[:6], "NEXT")
            with m.State("NEXT"):
                both = lane | word.single
                m.d.comb += self.word.ready.eq(both)
                m.d.sync += lane.eq(~both)
                m.next = "PLACE"
            with m.State("STATUS"):
                m.d.comb += [req.valid.eq(1), req.payload.address.eq(job.status),
                             req.payload.record.eq(1),
                             req.payload.beats.eq(STATUS_BYTES * 8 // config.axi_data_width)]
                with m.If(req.ready):
                    m.next = "RECORD"
            index = Signal(range(STATUS_BYTES * 8 // config.axi_data_width))
            with m.State("RECORD"):
                m.d.comb += [o.valid.eq(1), o.payload.data.eq(
                    record.as_value().word_select(index, config.axi_data_width))]
                # The record's own bytes are counted beside.
                m.d.sync += written.eq(written)
                with m.If(o.ready):
                    m.d.sync += index.eq(index + 1)      # wraps
                    with m.If(index == STATUS_BYTES * 8 // config.axi_data_width - 1):
                        m.d.comb += self.taken.eq(1)
                        m.next = "IDLE"
        sizes = Sizes(config)
        per = sizes.granule // sizes.unit
        m.d.comb += [
            self.write.parity.eq(place.row[0]),
            self.write.place.eq((self.base + product) * per + (place.inner >> 4)),
        ]
        return m

    def _split(self, m, chosen):
        """The digits of 16 codes: beats of integer parts and of fractions, and signs."""
        wholes, rests, signs = [], [], []
        for n in range(WORD):
            code = chosen[8 * n : 8 * n + 8]
            mag = Signal(8, name=f"mag_{n}")
            m.d.comb += [mag.eq(Mux(code[-1], -code.as_signed(), code)),
                         self.i[n].mag.eq(mag[4:]), self.i[n].sign.eq(code[-1]),
                         self.f[n].mag.eq(mag[:4]), self.f[n].sign.eq(code[-1])]
            wholes.append(Mux(code[-1], -mag[4:], mag[4:])[:4])
            rests.append(mag[:4])
            signs.append(code[-1])
        return Cat(*wholes), Cat(*rests), Cat(*signs)

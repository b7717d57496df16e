# SPDX-License-Identifier: Apache-2.0
"""The coprocessor: registers, DMA and a core."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from golden import registers
from golden.config import Config
from hw.hdp.core import HdpCore
from hw.hdp.loader import tag_layout
from hw.shell.axi import AXI4, AXI4Lite, connect_flat, flat_members
from hw.shell.csr import Csr, counter_layout
from hw.shell.dispatch import Dispatcher
from hw.shell.reader import Reader
from hw.shell.writer import Writer

__all__ = ["Top"]


class Top(wiring.Component):
    """A coprocessor with an AXI4-Lite slave, an AXI4 master and an interrupt.

    ::

        s_axil -> Csr -> Dispatcher -> HdpCore -+-> Writer -> m_axi
                  irq        |            |     |
                             +-- Reader --+ <---+----------- m_axi

    Parameters
    ----------
    config : Config

    Members
    -------
    s_axil_*, m_axi_* : the bus signals, flat
    irq : Out(1)
        A doorbell's work is done.
    """

    def __init__(self, *, config: Config):
        self._config = config
        self._control = AXI4Lite(registers.ADDRESS_BITS)
        self._memory = AXI4(32, config.axi_data_width)
        super().__init__({
            **flat_members("s_axil", self._control.flip()),
            **flat_members("m_axi", self._memory),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.csr = csr = Csr(config=config)
        m.submodules.dispatcher = dispatcher = Dispatcher(config=config)
        m.submodules.core = core = HdpCore(config=config)
        core_tag = tag_layout().size
        m.submodules.reader = reader = Reader(config=config, tag_width=core_tag + 1)
        m.submodules.writer = writer = Writer(config=config)
        wiring.connect(m, dispatcher.job, core.job)
        wiring.connect(m, core.write_req, writer.req)
        wiring.connect(m, core.write, writer.i)
        m.d.comb += [
            dispatcher.start.eq(csr.start), dispatcher.table.eq(csr.table),
            dispatcher.count.eq(csr.count), self.irq.eq(csr.irq),
            csr.write_error.eq(writer.error),
        ]
        connect_flat(m, self, "s_axil", csr.bus)
        connect_flat(m, self, "m_axi", reader.axi)
        connect_flat(m, self, "m_axi", writer.axi)
        self._share_reader(m, reader, dispatcher, core)
        self._count(m, csr, dispatcher, core, reader, writer)
        return m

    @staticmethod
    def _share_reader(m, reader, dispatcher, core):
        """Descriptors go first, they are short; the tag's top bit tells whose a beat is."""
        req, beat = reader.req, reader.o
        for_core = beat.payload.tag[-1]
        m.d.comb += [
            req.valid.eq(dispatcher.req.valid | core.read_req.valid),
            req.payload.address.eq(Mux(dispatcher.req.valid, dispatcher.req.payload.address,
                                       core.read_req.payload.address)),
            req.payload.beats.eq(Mux(dispatcher.req.valid, dispatcher.req.payload.beats,
                                     core.read_req.payload.beats)),
            req.payload.tag.eq(Mux(dispatcher.req.valid, 0,
                                   core.read_req.payload.tag | 1 << len(beat.payload.tag) - 1)),
            dispatcher.req.ready.eq(req.ready),
            core.read_req.ready.eq(req.ready & ~dispatcher.req.valid),
            beat.ready.eq(Mux(for_core, core.read.ready, dispatcher.beats.ready)),
        ]
        for sink, mine in ((dispatcher.beats, ~for_core), (core.read, for_core)):
            m.d.comb += [
                sink.valid.eq(beat.valid & mine),
                sink.payload.data.eq(beat.payload.data),
                sink.payload.error.eq(beat.payload.error),
                sink.payload.last.eq(beat.payload.last),
            ]
        m.d.comb += core.read.payload.tag.eq(beat.payload.tag)

    def _count(self, m, csr, dispatcher, core, reader, writer):
        """Counters of a doorbell's work, and its end."""
        beat_bytes = self._config.axi_data_width // 8
        running = Signal()
        counters = csr.counters
        strobes = {
            "jobs_done": core.done + dispatcher.lost,
            "jobs_failed": core.failed + dispatcher.lost,
            "cycles": running,
            "read_bytes": Mux(reader.beat, beat_bytes, 0),
            "write_bytes": Mux(writer.beat, beat_bytes, 0),
            **{name: running & core.occupancy[n] for n, name in enumerate(registers.OCCUPANCY)},
        }
        values = Signal(counter_layout())
        m.d.comb += counters.eq(values)
        for name, step in strobes.items():
            m.d.sync += values[name].eq(Mux(csr.start, 0, values[name] + step))
        finished = running & (values.jobs_done == csr.count) & writer.idle
        m.d.comb += csr.done.eq(finished)
        with m.If(csr.start):
            m.d.sync += running.eq(1)
        with m.Elif(finished):
            m.d.sync += running.eq(0)

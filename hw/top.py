# SPDX-License-Identifier: Apache-2.0
"""The coprocessor: registers, DMA and cores."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.registers import INDEX_BITS, Cause
from prunus.hw.cores import CORES
from prunus.hw.parts.counter import count
from prunus.hw.parts.restart import Restarted
from prunus.hw.shell.arbiter import ReadArbiter, WriteArbiter
from prunus.hw.shell.axi import AXI4, AXI4Lite, connect_flat, flat_members
from prunus.hw.shell.collector import WriteCollector
from prunus.hw.shell.control import Control
from prunus.hw.shell.csr import Csr, counter_layout
from prunus.hw.shell.dispatch import Dispatcher
from prunus.hw.shell.faults import FirstFault
from prunus.hw.shell.reader import Reader
from prunus.hw.shell.router import JobRouter
from prunus.hw.shell.writer import Writer

__all__ = ["Top"]


class Top(wiring.Component):
    """A coprocessor with an AXI4-Lite slave, an AXI4 master and an interrupt.

    ::

        s_axil -> Csr -> Dispatcher -> core ----+-> Writer -> m_axi
                  irq        |            |     |
                             +-- Reader --+ <---+----------- m_axi

    Several cores share the buses::

        Dispatcher -> JobRouter -> cores 0..n-1   -> WriteCollector 0..n-1 -> WriteArbiter -> Writer
            |                         |
            +------- ReadArbiter -----+ <- Reader

    Parameters
    ----------
    config : EngineConfig
        Its engine says what the cores are, see :mod:`prunus.hw.cores`.

    Members
    -------
    s_axil_*, m_axi_* : the bus signals, flat
    irq : Out(1)
        A doorbell's work is done.
    """

    def __init__(self, *, config: EngineConfig):
        self._config = config
        self._control = AXI4Lite(registers.ADDRESS_BITS)
        self._memory = AXI4(config.axi_address_width, config.axi_data_width)
        super().__init__({
            **flat_members("s_axil", self._control.flip()),
            **flat_members("m_axi", self._memory),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        several = config.cores > 1
        m.submodules.csr = csr = Csr(config=config)
        m.submodules.control = control = Control()

        def add(name, block):
            """A block that an abort resets."""
            m.submodules[name] = Restarted(block, control.restart)
            return block

        dispatcher = add("dispatcher", Dispatcher(
            config=config, ahead=2 * config.cores if several else 1))
        cores = [add(f"core_{n}" if several else "core", CORES[config.engine](config=config))
                 for n in range(config.cores)]
        clients, tag_width = config.cores + 1, len(cores[0].read_req.payload.tag)
        reader = add("reader", Reader(
            config=config, tag_width=tag_width + (clients - 1).bit_length()))
        writer = add("writer", Writer(config=config, tag_width=(config.cores - 1).bit_length()))
        if several:
            self._route(m, add, dispatcher, cores)
            self._share_reads(m, reader, add("read_arbiter", ReadArbiter(
                config=config, clients=clients, tag_width=tag_width)), dispatcher, cores)
            written = self._share_writes(m, add, csr, writer, cores)
        else:
            core, = cores
            wiring.connect(m, dispatcher.job, core.job)
            wiring.connect(m, core.write_req, writer.req)
            wiring.connect(m, core.write, writer.i)
            self._share_reader(m, reader, dispatcher, core)
            written = writer.idle
        m.d.comb += [
            dispatcher.start.eq(csr.start), dispatcher.table.eq(csr.table),
            dispatcher.count.eq(csr.count), self.irq.eq(csr.irq),
            csr.write_error.eq(writer.error),
        ]
        self._guard(m, csr, control, dispatcher, reader, writer)
        connect_flat(m, self, "s_axil", csr.bus)
        connect_flat(m, self, "m_axi", reader.axi)
        connect_flat(m, self, "m_axi", writer.axi)
        self._count(m, csr, control, dispatcher, cores, reader, writer, written)
        return m

    def _guard(self, m, csr, control, dispatcher, reader, writer):
        """Windows, errors, and the end of tables before their time."""
        m.submodules.faults = faults = FirstFault(
            sources=4, address_width=self._config.axi_address_width)
        timed_out, *others = faults.i
        for fault, source in zip(others, (reader, writer, dispatcher), strict=True):
            m.d.comb += fault.eq(source.fault)
        operands, results, records = csr.windows
        job = Signal(INDEX_BITS)
        with m.If(dispatcher.job.valid & dispatcher.job.ready):
            m.d.sync += job.eq(dispatcher.job.payload.index)
        m.d.comb += [
            timed_out.valid.eq(control.timed_out), timed_out.cause.eq(Cause.TIMEOUT),
            timed_out.job.eq(job),
            faults.clear.eq(csr.start), csr.fault.eq(faults.o), csr.error.eq(faults.any),
            csr.job.eq(job),
            reader.windows[0].eq(operands), writer.windows[0].eq(results),
            reader.windows[1].eq(records), writer.windows[1].eq(records),
            control.abort.eq(csr.abort), control.timeout.eq(csr.timeout),
            control.outstanding.eq(reader.busy | writer.busy),
            control.moved.eq(reader.moved | writer.moved),
            reader.stop.eq(control.stop), writer.stop.eq(control.stop),
            csr.halted.eq(control.halted), csr.aborting.eq(control.aborting),
            csr.outstanding.eq(control.outstanding), csr.restart.eq(control.restart),
        ]

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
            *(req.payload[name].eq(Mux(dispatcher.req.valid, dispatcher.req.payload[name],
                                       core.read_req.payload[name]))
              for name in ("job", "record", "refused")),
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

    def _route(self, m, add, dispatcher, cores):
        """Jobs to whichever core can take one."""
        router = add("router", JobRouter(config=self._config))
        wiring.connect(m, dispatcher.job, router.job)
        for n, core in enumerate(cores):
            wiring.connect(m, router.cores[n], core.job)
            m.d.comb += [router.done[n].eq(core.done), router.hungry[n].eq(core.hungry)]

    @staticmethod
    def _share_reads(m, reader, arbiter, dispatcher, cores):
        """The dispatcher is the arbiter's first client."""
        wiring.connect(m, arbiter.req, reader.req)
        wiring.connect(m, reader.o, arbiter.i)
        for n, core in enumerate(cores, 1):
            wiring.connect(m, core.read_req, arbiter.reqs[n])
            wiring.connect(m, arbiter.beats[n], core.read)
        req, beats = arbiter.reqs[0], arbiter.beats[0]
        m.d.comb += [
            req.valid.eq(dispatcher.req.valid), dispatcher.req.ready.eq(req.ready),
            *(req.payload[name].eq(dispatcher.req.payload[name])
              for name in ("address", "beats", "job", "record", "refused")),
            dispatcher.beats.valid.eq(beats.valid), beats.ready.eq(dispatcher.beats.ready),
            dispatcher.beats.payload.data.eq(beats.payload.data),
            dispatcher.beats.payload.error.eq(beats.payload.error),
            dispatcher.beats.payload.last.eq(beats.payload.last),
        ]

    def _share_writes(self, m, add, csr, writer, cores):
        """Bursts of all cores in turn. Returns whether all that was handed over is written."""
        config = self._config
        arbiter = add("write_arbiter", WriteArbiter(config=config, clients=len(cores)))
        _, results, records = csr.windows
        wiring.connect(m, arbiter.req, writer.req)
        wiring.connect(m, arbiter.o, writer.i)
        written = writer.idle
        for n, core in enumerate(cores):
            collector = add(f"collector_{n}", WriteCollector(config=config))
            m.d.comb += [collector.windows[0].eq(results), collector.windows[1].eq(records)]
            wiring.connect(m, core.write_req, collector.req)
            wiring.connect(m, core.write, collector.i)
            wiring.connect(m, collector.burst, arbiter.reqs[n])
            wiring.connect(m, collector.o, arbiter.i[n])
            written = written & collector.idle
        return written

    def _count(self, m, csr, control, dispatcher, cores, reader, writer, written):
        """Counters of a doorbell's work, and its end."""
        beat_bytes = self._config.axi_data_width // 8
        running = Signal()
        counters = csr.counters
        strobes = {
            "jobs_done": self._total(m, "done", [core.done for core in cores]) + dispatcher.lost,
            "jobs_failed": self._total(m, "failed", [core.failed for core in cores])
            + dispatcher.lost + writer.failed,
            "cycles": running,
            "read_bytes": Mux(reader.beat, beat_bytes, 0),
            "write_bytes": Mux(writer.beat, beat_bytes, 0),
            **{name: Mux(running, step, 0) for name, step in self._engine(m, cores).items()},
        }
        values = Signal(counter_layout(self._config))
        m.d.comb += counters.eq(values)
        for name, step in strobes.items():
            count(m, values[name], step, csr.start)
        if dispatcher.fences:
            m.d.comb += dispatcher.drained.eq((values.jobs_done == dispatcher.index) & written)
        finished = running & (values.jobs_done == csr.count) & written
        m.d.comb += [csr.done.eq(finished | control.timed_out), control.running.eq(running)]
        with m.If(csr.start):
            m.d.sync += running.eq(1)
        with m.Elif(csr.done | control.restart):
            m.d.sync += running.eq(0)

    @staticmethod
    def _total(m, name: str, steps: list):
        """What all cores count. A sum of several strobes comes a cycle later, from a register."""
        if len(steps) == 1:
            return steps[0]
        count = Signal(range(len(steps) + 1), name=f"{name}_count")
        m.d.sync += count.eq(sum(steps))
        return count

    def _engine(self, m, cores) -> dict:
        """What the counters of the engine itself grow by."""
        counts = [core.counts for core in cores]
        return {name: self._total(m, name, [of[name] for of in counts]) for name in counts[0]}

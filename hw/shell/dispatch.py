# SPDX-License-Identifier: Apache-2.0
"""Works off a table of descriptors."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.records import Error
from prunus.golden.registers import INDEX_BITS

from .bursts import request_layout
from .descriptor import DescriptorDecoder, descriptor_layout
from .faults import fault_layout

__all__ = ["Dispatcher"]


class Dispatcher(wiring.Component):
    """Reads descriptors in turn, ahead of the cores, and hands them on decoded.

    The first request comes in the cycle after ``start``. With ``ahead`` = 1 the next one comes in
    the cycle after the job was taken. Otherwise ``ahead`` descriptors are asked for, one in two
    cycles, and wait in a FIFO; their beats are always taken at once, and a job is ready as many
    cycles after the one before was taken as a descriptor has beats, and 4.

    Parameters
    ----------
    config : EngineConfig
    ahead : int
        Descriptors under way or waiting, beside the one that is being decoded if it is more
        than 1.

    Members
    -------
    start, table, count : In
        Strobe, after the table before was worked off: begin with ``count`` descriptors (not 0)
        from address ``table``, a multiple of a descriptor's size.
    req, beats : streams
        To and from the read DMA.
    job : Out(stream of descriptor_layout)
        ``same_kv`` only where the job before it in this table has keys and values at the same
        addresses.
    lost : Out(1)
        Strobe: a job has no status record, see :class:`DescriptorDecoder`, so it is over.
    fault : Out(fault_layout())
        Strobe: a descriptor is wrong. One that could not be read is for the read DMA to tell of.
    index, drained : Out, In
        If there are several kinds of job: so many have been handed on or lost; all of them are
        over and what they wrote is answered.

    Raises
    ------
    ValueError
        ``ahead`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, ahead: int = 1):
        if ahead < 1:
            raise ValueError(f"ahead must be at least 1, not {ahead!r}")
        self._config = config
        self._ahead = ahead
        self.fences = len(engine_of(config).kinds_of(config)) > 1
        width = config.axi_address_width
        super().__init__({
            "start": In(1),
            "table": In(width),
            "count": In(INDEX_BITS),
            "req": Out(stream.Signature(request_layout(address_width=width))),
            "beats": In(stream.Signature(data.StructLayout(
                {"data": config.axi_data_width, "error": 1, "last": 1}))),
            "job": Out(stream.Signature(descriptor_layout(config))),
            "lost": Out(1),
            "fault": Out(fault_layout(width)),
            **({"drained": In(1), "index": Out(INDEX_BITS)} if self.fences else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = DescriptorDecoder(config=self._config)
        job = decoder.o.payload
        size = self._config.descriptor_bytes
        address = Signal(len(self.table) + 1)       # beyond the last address nothing is read
        asked = Signal(INDEX_BITS)
        index = Signal(INDEX_BITS)
        if self.fences:
            index = self.index
        lost = Signal()
        known = Signal()
        handed_on = Signal()
        shares = self._shares(m, decoder.o.payload, handed_on & ~lost)
        m.d.comb += [
            self.req.payload.address.eq(address), self.req.payload.refused.eq(address[-1]),
            self.req.payload.beats.eq(size * 8 // self._config.axi_data_width),
            self.req.payload.job.eq(asked), self.req.payload.record.eq(1),
            self.job.payload.eq(job),
            self.job.payload.same_kv.eq(job.same_kv & shares),
            self.job.payload.index.eq(index),
            self.job.valid.eq(known & ~lost & self._passes(m, job, handed_on & ~lost)
                              if self.fences else known & ~lost),
            self.lost.eq(known & lost),
            decoder.o.ready.eq(known & (lost | self.job.ready)),
            handed_on.eq(decoder.o.valid & decoder.o.ready),
        ]
        m.d.sync += [
            lost.eq(decoder.lost),
            known.eq(decoder.o.valid & ~handed_on),
            self.fault.valid.eq(handed_on & (job.error != 0) & (job.error != Error.BUS)),
        ]
        with m.If(handed_on):
            m.d.sync += [index.eq(index + 1), self.fault.cause.eq(job.error),
                         self.fault.job.eq(index)]
        if self._ahead == 1:
            wiring.connect(m, wiring.flipped(self.beats), decoder.i)
            room = handed_on
        else:
            room = self._queue(m, decoder)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [address.eq(self.table), asked.eq(0)]
                with m.If(self.start):
                    m.d.sync += index.eq(0)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.req.valid.eq(1)
                with m.If(self.req.ready):
                    m.d.sync += [address.eq(address + size), asked.eq(asked + 1)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(room):
                    m.next = "REQUEST"
                    with m.If(asked == self.count):
                        m.next = "IDLE"
        return m

    def _passes(self, m, job, taken):
        """Whether a job need not wait for those before it. One with a ``fence``, or of another
        kind, may read what they write."""
        before = Signal.like(job.kind)
        with m.If(taken):
            m.d.sync += before.eq(job.kind)
        return self.drained | ~(((job.kind != 0) & job.fence) | (job.kind != before))

    def _shares(self, m, job, taken):
        """Whether K and V lie where they do for the job that was taken before in this table."""
        head = engine_of(self._config).kinds_of(self._config)[0]
        now = Cat(job[plane.name] for plane in head.planes if plane.of != "q")
        before = Signal(len(now))
        follows = Signal()
        shares = Signal()
        m.d.sync += shares.eq(follows & (before == now))
        with m.If(taken):
            m.d.sync += [before.eq(now), follows.eq(job.kind == 0 if self.fences else 1)]
        with m.If(self.start | self.lost):
            m.d.sync += follows.eq(0)
        return shares

    def _queue(self, m, decoder):
        """A FIFO before the decoder; whether it has room for one more descriptor."""
        beats = self._config.descriptor_bytes * 8 // self._config.axi_data_width
        payload = self.beats.payload
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(
            width=len(payload.as_value()),
            depth=self._ahead * beats + 1)      # one is the FIFO's output register
        room = Signal(range(self._ahead + 1), init=self._ahead)
        asked = Signal()
        taken = Signal()
        m.d.comb += [
            queue.w_en.eq(self.beats.valid), queue.w_data.eq(payload),
            self.beats.ready.eq(1),
            decoder.i.valid.eq(queue.r_rdy), decoder.i.payload.eq(queue.r_data),
            queue.r_en.eq(decoder.i.ready),
            asked.eq(self.req.valid & self.req.ready),
            taken.eq(queue.r_rdy & queue.r_en & decoder.i.payload.last),
        ]
        m.d.sync += room.eq(room - asked + taken)
        return room != 0

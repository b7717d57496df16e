# SPDX-License-Identifier: Apache-2.0
"""Works off a table of descriptors."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.records import DESCRIPTOR_BYTES, STATUS_BYTES, Error

from .bursts import request_layout
from .descriptor import DescriptorDecoder, descriptor_layout

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
        from address ``table``, a multiple of 64.
    req, beats : streams
        To and from the read DMA.
    job : Out(stream of descriptor_layout)
        Without ``same_kv`` where no job of this table went before.
    lost : Out(1)
        Strobe: a descriptor could not be read or has no place for a status record, so the job
        is over.

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
        super().__init__({
            "start": In(1),
            "table": In(32),
            "count": In(32),
            "req": Out(stream.Signature(request_layout())),
            "beats": In(stream.Signature(data.StructLayout(
                {"data": config.axi_data_width, "error": 1, "last": 1}))),
            "job": Out(stream.Signature(descriptor_layout(config))),
            "lost": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = DescriptorDecoder(config=self._config)
        job = decoder.o.payload
        address = Signal(32)
        left = Signal(32)
        unreachable = Signal()
        follows = Signal()
        known = Signal()
        handed_on = Signal()
        m.d.comb += [
            self.req.payload.address.eq(address),
            self.req.payload.beats.eq(DESCRIPTOR_BYTES * 8 // self._config.axi_data_width),
            self.job.payload.eq(job),
            self.job.payload.same_kv.eq(job.same_kv & follows),
            # A misaligned status is an error of its own, if there is no other.
            self.job.valid.eq(known & ~unreachable),
            self.lost.eq(known & unreachable),
            decoder.o.ready.eq(known & (unreachable | self.job.ready)),
            handed_on.eq(decoder.o.valid & decoder.o.ready),
        ]
        m.d.sync += [
            unreachable.eq((job.error == Error.BUS) | ((job.status & (STATUS_BYTES - 1)) != 0)),
            known.eq(decoder.o.valid & ~handed_on),
        ]
        with m.If(handed_on):
            m.d.sync += follows.eq(~unreachable)
        if self._ahead == 1:
            wiring.connect(m, wiring.flipped(self.beats), decoder.i)
            room = handed_on
        else:
            room = self._queue(m, decoder)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [address.eq(self.table), left.eq(self.count)]
                with m.If(self.start):
                    m.d.sync += follows.eq(0)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.req.valid.eq(1)
                with m.If(self.req.ready):
                    m.d.sync += [address.eq(address + DESCRIPTOR_BYTES), left.eq(left - 1)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(room):
                    m.next = "REQUEST"
                    with m.If(left == 0):
                        m.next = "IDLE"
        return m

    def _queue(self, m, decoder):
        """A FIFO before the decoder; whether it has room for one more descriptor."""
        beats = DESCRIPTOR_BYTES * 8 // self._config.axi_data_width
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

# SPDX-License-Identifier: Apache-2.0
"""Works off a table of descriptors."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from golden.memory import DESCRIPTOR_BYTES, STATUS_BYTES, Error

from .bursts import request_layout
from .descriptor import DescriptorDecoder, descriptor_layout

__all__ = ["Dispatcher"]


class Dispatcher(wiring.Component):
    """Reads descriptors in turn, one ahead of the core, and hands them on decoded.

    The first request comes in the cycle after ``start``, the next one in the cycle after the job
    was taken.

    Parameters
    ----------
    config : Config

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
    """

    def __init__(self, *, config: Config):
        self._config = config
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
        wiring.connect(m, wiring.flipped(self.beats), decoder.i)
        job = decoder.o.payload
        address, left = Signal(32), Signal(32)
        unreachable, follows = Signal(), Signal()
        m.d.comb += [
            self.req.payload.address.eq(address),
            self.req.payload.beats.eq(DESCRIPTOR_BYTES * 8 // self._config.axi_data_width),
            self.job.payload.eq(job),
            self.job.payload.same_kv.eq(job.same_kv & follows),
            # A misaligned status is an error of its own, if there is no other.
            unreachable.eq((job.error == Error.BUS) | ((job.status & (STATUS_BYTES - 1)) != 0)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [address.eq(self.table), left.eq(self.count), follows.eq(0)]
                with m.If(self.start):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.req.valid.eq(1)
                with m.If(self.req.ready):
                    m.d.sync += [address.eq(address + DESCRIPTOR_BYTES), left.eq(left - 1)]
                    m.next = "HAND_ON"
            with m.State("HAND_ON"):
                m.d.comb += [
                    self.job.valid.eq(decoder.o.valid & ~unreachable),
                    self.lost.eq(decoder.o.valid & unreachable),
                    decoder.o.ready.eq(unreachable | self.job.ready),
                ]
                with m.If(decoder.o.valid & decoder.o.ready):
                    m.d.sync += follows.eq(~unreachable)
                    m.next = "REQUEST"
                    with m.If(left == 0):
                        m.next = "IDLE"
        return m

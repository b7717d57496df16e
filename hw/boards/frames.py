# SPDX-License-Identifier: Apache-2.0
"""Frames on a line of bytes: SLIP (RFC 1055) and CRC-32, as prunus.golden.link defines them."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.crc import Processor
from amaranth.lib.crc.catalog import CRC32_ETHERNET
from amaranth.lib.wiring import In, Out

from prunus.golden.link import CRC_BYTES, END, ESC, ESC_END, ESC_ESC, HEADER_BYTES, PAYLOAD_BYTES

from .uart import Strobed, received_layout

__all__ = ["FrameReceiver", "FrameSender", "SlipDecoder", "SlipEncoder", "decoded_layout",
           "frame_layout", "item_layout"]

LONGEST = HEADER_BYTES + PAYLOAD_BYTES + CRC_BYTES


def item_layout() -> data.StructLayout:
    """A byte, or with ``end`` the end of a frame."""
    return data.StructLayout({"data": 8, "end": 1})


def decoded_layout() -> data.StructLayout:
    """The same from the line; ``error`` if the byte or its escape was damaged."""
    return data.StructLayout({"data": 8, "end": 1, "error": 1})


def frame_layout() -> data.StructLayout:
    """A frame from the host: its header, how much data it has, and whether its CRC is right."""
    return data.StructLayout({"opcode": 8, "session": 8, "sequence": 8, "zero": 8, "address": 32,
                              "length": 16, "size": range(PAYLOAD_BYTES + 1), "good": 1})


class SlipDecoder(wiring.Component):
    """Bytes of the line to those of frames. Combinational, but for remembering an ESC.

    Members
    -------
    i : Strobed of received_layout()
    o : Strobed of decoded_layout()
    """

    i: In(Strobed(received_layout()))
    o: Out(Strobed(decoded_layout()))

    def elaborate(self, platform):
        m = Module()
        byte = self.i.payload
        escape = Signal()
        escaped = Signal()
        m.d.comb += [
            escape.eq(~escaped & ~byte.error & (byte.data == ESC)),
            self.o.valid.eq(self.i.valid & ~escape),
            self.o.payload.data.eq(byte.data),
            self.o.payload.error.eq(byte.error),
            self.o.payload.end.eq(~byte.error & (byte.data == END)),
        ]
        with m.If(escaped):
            with m.Switch(byte.data):
                with m.Case(ESC_END):
                    m.d.comb += self.o.payload.data.eq(END)
                with m.Case(ESC_ESC):
                    m.d.comb += self.o.payload.data.eq(ESC)
                with m.Default():       # an END ends the frame even so
                    m.d.comb += self.o.payload.error.eq(1)
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(escape)
        return m


class SlipEncoder(wiring.Component):
    """Bytes of frames to those of the line. One byte per cycle, two for one that is escaped.

    Members
    -------
    i : stream of item_layout()
    o : stream of 8 bits
    """

    i: In(stream.Signature(item_layout()))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        item = self.i.payload
        second = Signal()
        special = Signal()
        m.d.comb += [
            special.eq(~item.end & ((item.data == END) | (item.data == ESC))),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(item.data),
            self.i.ready.eq(self.o.ready & (second | ~special)),
        ]
        with m.If(item.end):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(second):
            m.d.comb += self.o.payload.eq(Mux(item.data == END, ESC_END, ESC_ESC))
        with m.Elif(special):
            m.d.comb += self.o.payload.eq(ESC)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += second.eq(special & ~second)
        return m


class FrameReceiver(wiring.Component):
    """Collects frames from the host and checks their CRC.

    A frame shows two cycles after its END and stays until it is taken. What comes meanwhile is
    lost, and a frame whose beginning was lost is a bad one. Frames without a byte, as between two
    ENDs, are passed over.

    Members
    -------
    i : Strobed of decoded_layout()
    frame : stream of frame_layout()
        Of a frame that is not ``good`` nothing else means anything.
    index : In
        Of a byte of the data of the frame that shows.
    byte : Out(8)
        That byte, a cycle later.
    """

    def __init__(self):
        super().__init__({
            "i": In(Strobed(decoded_layout())),
            "frame": Out(stream.Signature(frame_layout())),
            "index": In(range(PAYLOAD_BYTES)),
            "byte": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        depth = PAYLOAD_BYTES + CRC_BYTES
        m.submodules.buffer = buffer = memory.Memory(shape=8, depth=depth, init=[])
        m.submodules.crc = crc = Processor(CRC32_ETHERNET(8))
        write = buffer.write_port()
        read = buffer.read_port()
        count = Signal(range(LONGEST + 1))
        bad = Signal()
        ended = Signal()
        header = Signal(8 * HEADER_BYTES)
        item, frame = self.i.payload, self.frame.payload
        busy = Signal()
        take = Signal()
        in_header = Signal()
        m.d.comb += [
            busy.eq(ended | self.frame.valid),
            take.eq(self.i.valid & ~item.end & ~busy),
            in_header.eq(count < HEADER_BYTES),
            crc.valid.eq(take), crc.data.eq(item.data), crc.start.eq(count == 0),
            write.en.eq(take & ~in_header), write.data.eq(item.data),
            write.addr.eq(count - HEADER_BYTES),
            read.addr.eq(self.index), self.byte.eq(read.data),
        ]
        with m.If(take):
            with m.If(in_header):
                m.d.sync += header.eq(Cat(header[8:], item.data))
            with m.If(count == LONGEST):
                m.d.sync += bad.eq(1)
            with m.Else():
                m.d.sync += count.eq(count + 1)
            with m.If(item.error):
                m.d.sync += bad.eq(1)
        with m.Elif(self.i.valid & ~item.end):
            m.d.sync += bad.eq(1)       # lost
        with m.If(self.i.valid & item.end):
            with m.If(busy):            # all of it was lost
                m.d.sync += bad.eq(0)
            with m.Elif((count != 0) | bad | item.error):
                m.d.sync += ended.eq(1)
        with m.If(ended):
            m.d.sync += [
                ended.eq(0), count.eq(0), bad.eq(self.i.valid & ~item.end),
                self.frame.valid.eq(1), frame.eq(header),
                frame.size.eq(count - (HEADER_BYTES + CRC_BYTES)),
                frame.good.eq(~bad & crc.match_detected & (count >= HEADER_BYTES + CRC_BYTES)),
            ]
        with m.If(self.frame.valid & self.frame.ready):
            m.d.sync += self.frame.valid.eq(0)
        return m


class FrameSender(wiring.Component):
    """Adds to a body what makes it a frame: ENDs and CRC. A byte of it every other cycle.

    Bytes wait in a register, so that whether there is room for one does not come all the way from
    the line.

    Members
    -------
    i : stream
        Bytes of a body: ``data``, and ``last`` with the last one.
    o : stream of item_layout()
    """

    i: In(stream.Signature(data.StructLayout({"data": 8, "last": 1})))
    o: Out(stream.Signature(item_layout()))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Processor(CRC32_ETHERNET(8))
        part = Signal(range(CRC_BYTES))
        item = self.o.payload
        byte = Signal.like(self.i.payload)
        full = Signal()
        take = Signal()
        m.d.comb += [self.i.ready.eq(~full), crc.data.eq(byte.data), crc.valid.eq(take)]
        with m.If(take):
            m.d.sync += full.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [byte.eq(self.i.payload), full.eq(1)]
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [self.o.valid.eq(full), item.end.eq(1), crc.start.eq(1)]
                with m.If(full & self.o.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [self.o.valid.eq(full), take.eq(full & self.o.ready),
                             item.data.eq(byte.data)]
                with m.If(take & byte.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [self.o.valid.eq(1),
                             item.data.eq(Array(crc.crc.word_select(n, 8)
                                                for n in range(CRC_BYTES))[part])]
                with m.If(self.o.ready):
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == CRC_BYTES - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), item.end.eq(1)]
                with m.If(self.o.ready):
                    m.next = "BEGIN"
        return m

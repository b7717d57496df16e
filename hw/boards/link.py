# SPDX-License-Identifier: Apache-2.0
"""What a host's requests do: registers over AXI4-Lite, memory over a port of its own."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import link, registers
from prunus.golden.engine import EngineConfig
from prunus.golden.link import INFO, PAYLOAD_BYTES, REPLY, REPLY_BYTES, Info, Opcode, Status
from prunus.hw.shell.axi import AXI4Lite

from .frames import FrameReceiver, FrameSender, decoded_layout, item_layout
from .ram import access_layout
from .uart import Strobed

__all__ = ["Link"]

REGISTER_BYTES = 4
RESET_CYCLES = 8


class Link(wiring.Component):
    """Works off the frames of a host, one at a time, as ``prunus.golden.link`` says.

    A few cycles a byte beside what the line takes. ::

        i -> FrameReceiver -> check -> gather bytes -+-> lite, memory
                                                     |
        o <- FrameSender <- header, bytes of words <-+

    Parameters
    ----------
    config : EngineConfig
        Of the coprocessor; gives the bits of a beat.
    memory_bytes : int

    Members
    -------
    i : Strobed of decoded_layout()
    o : stream of item_layout()
    lite : Out(AXI4Lite)
        The coprocessor's registers.
    access : stream of access_layout()
        To the memory.
    word_valid, word : In
        What it reads.
    reset : Out(1)
        High for some cycles when a session begins: resets the coprocessor.
    error : Out(1)
        A request was refused in this session.
    """

    def __init__(self, *, config: EngineConfig, memory_bytes: int):
        self._config = config
        self._beat = config.axi_data_width // 8
        self._memory_bytes = memory_bytes
        words = memory_bytes // self._beat
        super().__init__({
            "i": In(Strobed(decoded_layout())),
            "o": Out(stream.Signature(item_layout())),
            "lite": Out(AXI4Lite(registers.ADDRESS_BITS)),
            "access": Out(stream.Signature(access_layout(config, words))),
            "word_valid": In(1),
            "word": In(config.axi_data_width),
            "reset": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        # The request stays at the receiver until its reply has been handed over.
        self._request = request = receiver.frame.payload
        self._refusal = Signal(Status)
        self._status = Signal(Status)
        self._session = Signal(8)
        self._in_session = Signal()
        # The request before this one, which this one may repeat.
        self._last = Signal(8)
        self._last_status = Signal(Status)
        self._has_last = Signal()
        self._shift = Signal(self._config.axi_data_width)   # bytes of a word, lowest first
        self._index = Signal(range(self._memory_bytes // self._beat + 1))
        self._count = Signal(range(PAYLOAD_BYTES + 1))      # bytes of a request's data so far
        self._part = Signal(range(self._beat))              # bytes of the word, of the header
        self._left = Signal(range(PAYLOAD_BYTES + 1))       # bytes of a reply's data
        self._is = {code: request.opcode == code for code in Opcode}
        self._check(m)
        reset = Signal(range(RESET_CYCLES + 1))
        m.d.sync += self.reset.eq(reset != 0)
        with m.If(reset != 0):
            m.d.sync += reset.eq(reset - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [self._count.eq(0), self._part.eq(0)]
                with m.If(receiver.frame.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):      # for the refusal, which comes from a register
                m.next = "BEGIN"
            with m.State("BEGIN"):
                self._begin(m, reset)
                # Nothing of a damaged frame is needed, and a good one may follow at once.
                m.d.comb += receiver.frame.ready.eq(self._refusal == Status.CHECKSUM)
            self._gather(m, receiver)
            self._access_register(m)
            self._access_memory(m)
            self._reply(m, sender)
            with m.State("DONE"):
                m.d.comb += receiver.frame.ready.eq(1)
                m.next = "IDLE"
        return m

    def _check(self, m):
        """Why a request is refused, a cycle after it shows."""
        request, code, beat = self._request, self._is, self._beat
        of_register = code[Opcode.READ_REGISTER] | code[Opcode.WRITE_REGISTER]
        of_memory = code[Opcode.READ_MEMORY] | code[Opcode.WRITE_MEMORY]
        writes = code[Opcode.WRITE_REGISTER] | code[Opcode.WRITE_MEMORY]
        session = Signal()
        length = Signal()
        address = Signal()
        end = Signal(33)
        m.d.comb += [
            end.eq(request.address + request.length),
            session.eq(~code[Opcode.SYNC]
                       & (~self._in_session | (request.session != self._session))),
            length.eq((request.size != Mux(writes, request.length, 0))
                      | (code[Opcode.SYNC] & (request.length != 0))
                      | (of_register & (request.length != REGISTER_BYTES))
                      | (of_memory & ((request.length == 0) | (request.length > PAYLOAD_BYTES)
                                      | (request.length & (beat - 1) != 0)))),
            address.eq((of_register & ((request.address & (REGISTER_BYTES - 1) != 0)
                                       | (request.address >> registers.ADDRESS_BITS != 0)))
                       | (of_memory & ((request.address & (beat - 1) != 0)
                                       | (end > self._memory_bytes)))),
        ]
        m.d.sync += self._refusal.eq(
            Mux(~request.good, Status.CHECKSUM, Mux(session, Status.SESSION, Mux(
                ~Cat(*code.values()).any(), Status.OPCODE, Mux(length, Status.LENGTH, Mux(
                    address, Status.ADDRESS, Status.OK))))))

    def _begin(self, m, reset):
        request, code = self._request, self._is
        info = Info(version=link.VERSION, beat_bytes=self._beat, payload_bytes=PAYLOAD_BYTES,
                    memory_bytes=self._memory_bytes)
        again = self._has_last & (request.sequence == self._last)
        m.d.sync += [self._status.eq(self._refusal), self._left.eq(0),
                     self._index.eq(request.address // self._beat)]
        m.next = "HEADER"
        with m.If(self._refusal != Status.OK):
            m.d.sync += self.error.eq(1)
        with m.Else():
            m.d.sync += [self._last.eq(request.sequence), self._has_last.eq(1)]
            with m.If(code[Opcode.SYNC]):
                m.d.sync += [
                    self._session.eq(request.session), self._in_session.eq(1), self.error.eq(0),
                    self._shift.eq(int.from_bytes(info.pack(), "little")),
                    self._left.eq(INFO.size), reset.eq(RESET_CYCLES),
                ]
            with m.Elif(code[Opcode.READ_MEMORY]):
                m.d.sync += self._left.eq(request.length)
            with m.Elif(code[Opcode.READ_REGISTER]):
                m.next = "REGISTER_READ"
            with m.Elif(code[Opcode.WRITE_REGISTER] & again):
                m.d.sync += self._status.eq(self._last_status)
            with m.Else():
                m.next = "GATHER"

    def _gather(self, m, receiver):
        """A word from the bytes of a request; of a register it ends up in the highest ones."""
        size = Mux(self._is[Opcode.WRITE_REGISTER], REGISTER_BYTES, self._beat)
        m.d.comb += receiver.index.eq(self._count)
        with m.State("GATHER"):         # for the buffer
            m.next = "BYTE"
        with m.State("BYTE"):
            m.d.sync += [self._shift.eq(Cat(self._shift[8:], receiver.byte)),
                         self._count.eq(self._count + 1), self._part.eq(self._part + 1)]
            m.next = "GATHER"
            with m.If(self._part == size - 1):
                m.d.sync += self._part.eq(0)
                m.next = "REGISTER_WRITE"
                with m.If(self._is[Opcode.WRITE_MEMORY]):
                    m.next = "MEMORY_WRITE"

    def _access_register(self, m):
        lite = self.lite
        sent = Signal(2)
        address = self._request.address
        m.d.comb += [lite.araddr.eq(address), lite.awaddr.eq(address),
                     lite.wdata.eq(self._shift[-32:]), lite.wstrb.eq(~0)]
        with m.State("REGISTER_READ"):
            m.d.comb += lite.arvalid.eq(~sent[0])
            with m.If(lite.arready):
                m.d.sync += sent[0].eq(1)
            m.d.comb += lite.rready.eq(1)
            with m.If(lite.rvalid):
                m.d.sync += [sent.eq(0), self._shift.eq(lite.rdata)]
                with m.If(lite.rresp[1]):
                    m.d.sync += [self._status.eq(Status.BUS), self.error.eq(1)]
                with m.Else():
                    m.d.sync += self._left.eq(REGISTER_BYTES)
                m.next = "HEADER"
        with m.State("REGISTER_WRITE"):
            m.d.comb += [lite.awvalid.eq(~sent[0]), lite.wvalid.eq(~sent[1]), lite.bready.eq(1)]
            with m.If(lite.awready):
                m.d.sync += sent[0].eq(1)
            with m.If(lite.wready):
                m.d.sync += sent[1].eq(1)
            with m.If(lite.bvalid):
                status = Mux(lite.bresp[1], Status.BUS, Status.OK)
                m.d.sync += [sent.eq(0), self._status.eq(status), self._last_status.eq(status),
                             self.error.eq(self.error | lite.bresp[1])]
                m.next = "HEADER"

    def _access_memory(self, m):
        access = self.access.payload
        m.d.comb += [access.index.eq(self._index), access.data.eq(self._shift)]
        with m.State("MEMORY_WRITE"):
            m.d.comb += [self.access.valid.eq(1), access.write.eq(1)]
            with m.If(self.access.ready):
                m.d.sync += self._index.eq(self._index + 1)
                m.next = "GATHER"
                with m.If(self._count == self._request.length):
                    m.next = "HEADER"
        with m.State("MEMORY_READ"):
            m.d.comb += self.access.valid.eq(1)
            with m.If(self.access.ready):
                m.d.sync += self._index.eq(self._index + 1)
                m.next = "WORD"
        with m.State("WORD"):
            m.d.sync += self._shift.eq(self.word)
            with m.If(self.word_valid):
                m.next = "DATA"

    def _reply(self, m, sender):
        request, known = self._request, self._status != Status.CHECKSUM
        header = Array([
            Mux(known, request.opcode, 0) | REPLY, Mux(known, request.session, 0),
            Mux(known, request.sequence, 0), self._status])
        out = sender.i
        with m.State("HEADER"):
            end = self._part == REPLY_BYTES - 1
            m.d.comb += [out.valid.eq(1), out.payload.data.eq(header[self._part[:2]]),
                         out.payload.last.eq(end & (self._left == 0))]
            with m.If(out.ready):
                m.d.sync += self._part.eq(self._part + 1)
                with m.If(end):
                    m.d.sync += self._part.eq(0)
                    with m.If(~known):
                        m.next = "IDLE"
                    with m.Elif(self._left == 0):
                        m.next = "DONE"
                    with m.Elif(self._is[Opcode.READ_MEMORY]):
                        m.next = "MEMORY_READ"
                    with m.Else():
                        m.next = "DATA"
        with m.State("DATA"):
            m.d.comb += [out.valid.eq(1), out.payload.data.eq(self._shift[:8]),
                         out.payload.last.eq(self._left == 1)]
            with m.If(out.ready):
                m.d.sync += [self._shift.eq(self._shift >> 8), self._left.eq(self._left - 1),
                             self._part.eq(self._part + 1)]
                with m.If(self._left == 1):
                    m.next = "DONE"
                with m.Elif(self._part == self._beat - 1):
                    m.d.sync += self._part.eq(0)
                    m.next = "MEMORY_READ"

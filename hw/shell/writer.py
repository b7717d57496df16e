# SPDX-License-Identifier: Apache-2.0
"""AXI4 write DMA."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.records import Error
from prunus.golden.registers import Cause

from .axi import AXI4Write, attributes
from .bursts import BurstSplitter, request_layout, unclaimed_beats, windows_in
from .faults import fault_layout

__all__ = ["Writer"]

OUTSTANDING = 16        # most bursts without their write response
LENGTHS = 8             # bursts that have their address and wait for their beats to be sent
ERRORS = slice(8, 16)   # of a record, the first bits of its error code
FAILED = 1 | Error.WRITE << ERRORS.start


class Writer(wiring.Component):
    """Writes runs of beats over AXI4, all bytes of every beat.

    From the last beat of a burst to its address on the bus: 2 cycles, to its first beat: 4
    cycles. Sustains one beat per cycle, across requests too; all of them take as many cycles as
    they have beats, and the longest burst (at least 2), the memory's latency and 4.

    An address goes out only when the FIFO holds all data of its burst, so a slow producer never
    holds up the bus. Addresses, data and responses run independently: data of a burst may
    precede its address, and up to 16 bursts may wait for their response.

    A status record waits for the responses to everything before it. If a write of its client's
    outputs was answered with an error or refused since the record before, and the record tells of
    no error, it is made one of ``Error.WRITE``. A record lies within a burst.

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat and of an address.
    burst : int
        Most beats of a burst, a power of two. The FIFO holds four times as many.
    tag_width : int
        Bits of the number of a client, if there are several.

    Members
    -------
    req : stream
        Requests: ``address`` (on a beat) and ``beats`` (of 20 bits, never 0).
    i : stream
        Beats: ``data``, in the order of the requests.
    windows : In(windows_layout())
        Where it may write, see :class:`BurstSplitter`.
    stop : In(1)
        No further burst goes out.
    busy : Out(1)
        A burst is on the bus, or waits for its response.
    moved : Out(1)
        An address, a beat or a response is taken in this cycle.
    fault : Out(fault_layout())
        Strobe: a burst was answered with an error, or refused.
    failed : Out(1)
        Strobe: a job ends with an error that its record did not tell, or without a record. Not
        later than the rise of ``idle``.
    idle : Out(1)
        All requests are worked off and answered, and no beat is left. Low from the cycle after
        one that accepts a request or a beat.
    error : Out(1)
        Strobe: a burst was answered with an error, or refused. Not later than the rise of ``idle``.
    beat : Out(1)
        Strobe in the cycle after a beat was put on the bus. Not later than the rise of ``idle``.
    axi : Out(AXI4Write)
        Write channels. Bursts rise, have id 0 and never cross a 4 KB border.

    Raises
    ------
    ValueError
        ``burst`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, burst: int = 16, tag_width: int = 0):
        self._bursts = BurstSplitter(config=config, burst=burst, tag_width=tag_width)
        self.depth = 4 * burst
        self._clients = 1 << tag_width
        self._config, width = config, config.axi_address_width
        super().__init__({
            "req": In(stream.Signature(request_layout(tag_width, width))),
            "i": In(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
            "windows": windows_in(width),
            "stop": In(1),
            "busy": Out(1),
            "moved": Out(1),
            "fault": Out(fault_layout(width)),
            "failed": Out(1),
            "idle": Out(1),
            "error": Out(1),
            "beat": Out(1),
            "axi": Out(AXI4Write(width, config.axi_data_width)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self._bursts
        wiring.connect(m, wiring.flipped(self.req), bursts.i)
        m.submodules.fifo = beats = fifo.SyncFIFOBuffered(
            width=len(self.i.payload.data), depth=self.depth + 1)
        # Beats of each burst that has its address; deep enough to bridge the FIFO's latency.
        self._length = data.StructLayout({
            "beats": bursts.o.p.beats.shape(), "refused": 1, "record": 1, "failed": 1})
        m.submodules.lengths = lengths = fifo.SyncFIFO(width=self._length.size, depth=LENGTHS)
        # Bursts that wait for their response.
        m.submodules.answers = answers = fifo.SyncFIFO(
            width=bursts.o.p.shape().size, depth=OUTSTANDING)
        # A register in front of the block RAM, which is far from those who write, and room for it.
        m.d.comb += [self.i.ready.eq(beats.level < self.depth), bursts.windows.eq(self.windows)]
        comes = self.i.valid & self.i.ready
        m.d.sync += beats.w_en.eq(comes)
        with m.If(comes):
            m.d.sync += beats.w_data.eq(self.i.p.data)
        issue = Signal()
        unclaimed = unclaimed_beats(m, self.depth, accepted=self.i.valid & self.i.ready,
                                    claimed=issue, beats=bursts.o.p.beats)
        told = Signal()         # the last record tells of an error
        missed = Signal()       # a job's error is counted here
        self._address(m, lengths, answers, unclaimed, issue)
        self._answers(m, lengths, answers, issue, told, missed)
        sending = self._data(m, beats, lengths, told, missed)
        m.d.comb += [
            self.idle.eq(~bursts.busy & (unclaimed == 0) & ~answers.r_rdy & ~sending),
            self.busy.eq(self.axi.awvalid | self.axi.wvalid | answers.r_rdy | sending),
        ]
        return m

    def _address(self, m, lengths, answers, unclaimed, issue):
        """AW channel; ``issue`` strobes with the address of a burst."""
        axi, burst = self.axi, self._bursts.o.p
        length = data.View(self._length, lengths.w_data)
        m.d.comb += [
            self._bursts.o.ready.eq(
                (unclaimed >= burst.beats) & (~burst.record | ~answers.r_rdy) & answers.w_rdy
                & lengths.w_rdy & ~self.stop & (~axi.awvalid | axi.awready)),
            issue.eq(self._bursts.o.valid & self._bursts.o.ready),
            lengths.w_en.eq(issue),
            length.beats.eq(burst.beats), length.refused.eq(burst.refused),
            length.record.eq(burst.record),
            *attributes(axi, "aw", self._config),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                axi.awvalid.eq(~burst.refused),
                axi.awaddr.eq(burst.address),
                axi.awlen.eq(burst.beats - 1),
            ]

    def _answers(self, m, lengths, answers, issue, told, missed):
        """B channel, and which client's outputs have met an error."""
        axi, burst = self.axi, self._bursts.o.p
        answered = data.View(burst.shape(), answers.r_data)
        bad = Signal()
        refused = Signal()
        failed = Signal(self._clients)
        mine, its = (failed.bit_select(at.tag, 1) if self._clients > 1 else failed
                     for at in (burst, answered))
        m.d.comb += [
            axi.bready.eq(1),
            answers.w_en.eq(issue & ~burst.refused), answers.w_data.eq(burst),
            # What nobody waits for is dropped.
            answers.r_en.eq(axi.bvalid),
            bad.eq(axi.bvalid & answers.r_rdy & axi.bresp[1]),
            refused.eq(issue & burst.refused),
            data.View(self._length, lengths.w_data).failed.eq(mine),
            self.moved.eq((axi.awvalid & axi.awready) | (axi.wvalid & axi.wready)
                          | (axi.bvalid & answers.r_rdy)),
        ]
        with m.If(issue & burst.record):
            m.d.sync += mine.eq(0)
        with m.If(refused & ~burst.record):
            m.d.sync += mine.eq(1)
        with m.If(bad & ~answered.record):
            m.d.sync += its.eq(1)
        m.d.sync += [
            self.error.eq(bad | refused),
            self.failed.eq(missed | (bad & answered.record & ~told)),
            self.fault.valid.eq(bad | refused),
        ]
        with m.If(bad | refused):
            m.d.sync += [
                self.fault.cause.eq(Mux(bad, Cause.WRITE, Cause.WINDOW)),
                self.fault.response.eq(Mux(bad, axi.bresp, 0)),
                self.fault.job.eq(Mux(bad, answered.job, burst.job)),
                self.fault.address.eq(Mux(bad, answered.address, burst.address)),
            ]

    def _data(self, m, beats, lengths, told, missed):
        """W channel: the beats of one length after the other. Returns whether there are any."""
        axi = self.axi
        length = data.View(self._length, lengths.r_data)
        # Has a reset, unlike what it is like: a burst that a reset cuts short must not go on.
        left = Signal.like(length.beats, reset_less=False)
        refused, record, failed, first, changed = (Signal(name=name) for name in (
            "refused", "record", "record_failed", "first", "changed"))
        move = Signal()
        tells = Signal()
        change = Signal()
        m.d.comb += [
            move.eq(beats.r_rdy & (left != 0) & (refused | ~axi.wvalid | axi.wready)),
            beats.r_en.eq(move),
            lengths.r_en.eq((left == 0) | (move & (left == 1))),
            tells.eq(beats.r_data[ERRORS] != 0),
            change.eq(Mux(first, record & failed & ~tells, changed)),
            missed.eq(move & first & record & ~tells & (failed | refused)),
            axi.wstrb.eq(~0),
        ]
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(move):
            m.d.sync += [left.eq(left - 1), first.eq(0), changed.eq(change)]
            with m.If(first & record):
                m.d.sync += told.eq(tells | failed | refused)
            with m.If(~refused):
                m.d.sync += [
                    axi.wvalid.eq(1),
                    axi.wdata.eq(Mux(change, Mux(first, FAILED, 0), beats.r_data)),
                    axi.wlast.eq(left == 1),
                ]
        with m.If(lengths.r_en & lengths.r_rdy):
            m.d.sync += [left.eq(length.beats), refused.eq(length.refused), first.eq(1),
                         record.eq(length.record), failed.eq(length.failed)]
        m.d.sync += self.beat.eq(axi.wvalid & axi.wready)
        return lengths.r_rdy | (left != 0)

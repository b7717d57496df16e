# SPDX-License-Identifier: Apache-2.0
"""AXI4 write DMA."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .axi import CACHE, INCR, AXI4Write
from .bursts import ADDRESS_WIDTH, BurstSplitter, request_layout, unclaimed_beats

__all__ = ["Writer"]

OUTSTANDING = 63        # most bursts without their write response


class Writer(wiring.Component):
    """Writes runs of beats over AXI4, all bytes of every beat.

    From the last beat of a burst to its address on the bus: 2 cycles, to its first beat: 4
    cycles. Sustains one beat per cycle, across requests too; all of them take as many cycles as
    they have beats, and the longest burst (at least 2), the memory's latency and 4.

    An address goes out only when the FIFO holds all data of its burst, so a slow producer never
    holds up the bus. Addresses, data and responses run independently: data of a burst may
    precede its address, and up to 63 bursts may wait for their response.

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat.
    burst : int
        Most beats of a burst, a power of two. The FIFO holds four times as many.

    Members
    -------
    req : stream
        Requests: ``address`` (of 32 bits, on a beat) and ``beats`` (of 20 bits, never 0).
    i : stream
        Beats: ``data``, in the order of the requests.
    idle : Out(1)
        All requests are worked off and answered, and no beat is left. Low from the cycle after
        one that accepts a request or a beat.
    error : Out(1)
        Strobe: a burst was answered with an error. Not later than the rise of ``idle``.
    beat : Out(1)
        Strobe in the cycle after a beat was put on the bus. Not later than the rise of ``idle``.
    axi : Out(AXI4Write)
        Write channels. Bursts rise, have id 0 and never cross a 4 KB border.

    Raises
    ------
    ValueError
        ``burst`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, burst: int = 16):
        self._bursts = BurstSplitter(config=config, burst=burst)
        self.depth = 4 * burst
        self._size = (config.axi_data_width // 8).bit_length() - 1
        super().__init__({
            "req": In(stream.Signature(request_layout())),
            "i": In(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
            "idle": Out(1),
            "error": Out(1),
            "beat": Out(1),
            "axi": Out(AXI4Write(ADDRESS_WIDTH, config.axi_data_width)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self._bursts
        wiring.connect(m, wiring.flipped(self.req), bursts.i)
        m.submodules.fifo = beats = fifo.SyncFIFOBuffered(
            width=len(self.i.payload.data), depth=self.depth + 1)
        # Beats of each burst that has its address; deep enough to bridge the FIFO's latency.
        m.submodules.lengths = lengths = fifo.SyncFIFO(width=len(bursts.o.p.beats), depth=8)
        # A register in front of the block RAM, which is far from those who write, and room for it.
        m.d.comb += self.i.ready.eq(beats.level < self.depth)
        m.d.sync += [
            beats.w_data.eq(self.i.p.data),
            beats.w_en.eq(self.i.valid & self.i.ready),
        ]
        issue = Signal()
        unclaimed = unclaimed_beats(m, self.depth, accepted=self.i.valid & self.i.ready,
                                    claimed=issue, beats=bursts.o.p.beats)
        outstanding = Signal(range(OUTSTANDING + 1))
        self._address(m, lengths, unclaimed, issue, outstanding)
        self._data(m, beats, lengths)
        m.d.comb += self.idle.eq(~bursts.busy & (unclaimed == 0) & (outstanding == 0))
        return m

    def _address(self, m, lengths, unclaimed, issue, outstanding):
        """AW and B channels; ``issue`` strobes with the address of a burst."""
        axi, bursts = self.axi, self._bursts
        answer = Signal()
        m.d.comb += [
            bursts.o.ready.eq((unclaimed >= bursts.o.p.beats) & (outstanding != OUTSTANDING)
                              & lengths.w_rdy & (~axi.awvalid | axi.awready)),
            issue.eq(bursts.o.valid & bursts.o.ready),
            lengths.w_en.eq(issue),
            lengths.w_data.eq(bursts.o.p.beats),
            axi.awsize.eq(self._size),
            axi.awburst.eq(INCR),
            axi.awcache.eq(CACHE),
            axi.bready.eq(1),
            answer.eq(axi.bvalid),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awaddr.eq(bursts.o.p.address),
                axi.awlen.eq(bursts.o.p.beats - 1),
            ]
        m.d.sync += [
            outstanding.eq(outstanding + issue - answer),
            self.error.eq(answer & axi.bresp[1]),
        ]

    def _data(self, m, beats, lengths):
        """W channel: the beats of one length after the other."""
        axi = self.axi
        # Has a reset, unlike what it is like: a burst that a reset cuts short must not go on.
        left = Signal.like(lengths.r_data, reset_less=False)
        move = Signal()
        m.d.comb += [
            move.eq(beats.r_rdy & (left != 0) & (~axi.wvalid | axi.wready)),
            beats.r_en.eq(move),
            lengths.r_en.eq((left == 0) | (move & (left == 1))),
            axi.wstrb.eq(~0),
        ]
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(move):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(beats.r_data),
                axi.wlast.eq(left == 1),
                left.eq(left - 1),
            ]
        with m.If(lengths.r_en & lengths.r_rdy):
            m.d.sync += left.eq(lengths.r_data)
        m.d.sync += self.beat.eq(axi.wvalid & axi.wready)

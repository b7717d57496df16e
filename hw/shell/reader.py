# SPDX-License-Identifier: Apache-2.0
"""AXI4 read DMA."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.registers import Cause

from .axi import AXI4Read, attributes
from .bursts import BurstSplitter, request_layout, windows_in
from .faults import fault_layout

__all__ = ["Reader", "read_beat_layout"]

MARKS = 16          # most bursts that wait for beats


def read_beat_layout(config: EngineConfig, tag_width: int) -> data.StructLayout:
    """A beat that was read: the tag of its request, if it is the last, if it met an error."""
    return data.StructLayout(
        {"data": config.axi_data_width, "tag": tag_width, "last": 1, "error": 1})


class Reader(wiring.Component):
    """Reads runs of beats over AXI4 and gives them back in order, marked with a tag.

    From a request to its first beat: the memory's latency and 4 cycles. Sustains one beat per
    cycle, across requests too, with a memory of up to ``depth - burst - 4`` cycles latency.

    Every beat that is asked for has its place in the FIFO beforehand (a credit), so ``rready``
    falls only where beats of a refused burst are put in their place, and a stalled consumer never
    holds up the bus::

        req -> BurstSplitter -+-> AR               R -> FIFO (block RAM) -> register -> o
                    credits --+-> marks --------^

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat and of an address.
    tag_width : int
        Bits of the tag of a request.
    burst : int
        Most beats of a burst, a power of two.
    depth : int
        Beats of the FIFO, a power of two of at least twice ``burst``; by default four times.

    Members
    -------
    req : stream
        Requests: ``address`` (on a beat), ``beats`` (of 20 bits, never 0), ``tag``.
    o : stream
        Beats: ``data``, ``tag``, ``last`` (the request's last beat) and ``error`` (the memory
        answered this beat with an error, or the request was refused).
    windows : In(windows_layout())
        Where it may read, see :class:`BurstSplitter`.
    stop : In(1)
        No further burst goes out.
    busy : Out(1)
        A burst is on the bus or waits for its beats.
    moved : Out(1)
        An address or a beat is taken in this cycle.
    fault : Out(fault_layout())
        Strobe: a beat was answered with an error, or a burst was refused.
    beat : Out(1)
        Strobe in the cycle after a beat was taken from the bus, when it shows at ``o`` at the
        earliest.
    axi : Out(AXI4Read)
        Read channels. Bursts rise, have id 0 and never cross a 4 KB border.

    Raises
    ------
    ValueError
        ``tag_width``, ``burst`` or ``depth`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, tag_width: int = 1, burst: int = 16,
                 depth: int | None = None):
        if not 1 <= tag_width <= 64:
            raise ValueError(f"tag_width must lie in 1..64, not {tag_width!r}")
        self._bursts = BurstSplitter(config=config, burst=burst, tag_width=tag_width)
        self.depth = 4 * burst if depth is None else depth
        if self.depth < 2 * burst or self.depth & (self.depth - 1):
            raise ValueError(f"depth must be a power of two of at least {2 * burst}, "
                             f"not {depth!r}")
        self._config, width = config, config.axi_address_width
        self._beat = read_beat_layout(config, tag_width)
        super().__init__({
            "req": In(stream.Signature(request_layout(tag_width, width))),
            "o": Out(stream.Signature(self._beat)),
            "windows": windows_in(width),
            "stop": In(1),
            "busy": Out(1),
            "moved": Out(1),
            "fault": Out(fault_layout(width)),
            "beat": Out(1),
            "axi": Out(AXI4Read(width, config.axi_data_width)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self._bursts
        wiring.connect(m, wiring.flipped(self.req), bursts.i)
        burst = bursts.o.p.shape()
        # One mark per burst in flight; each of their beats has a credit, so the FIFO of beats
        # never overflows.
        m.submodules.marks = marks = fifo.SyncFIFO(width=burst.size, depth=MARKS)
        m.submodules.fifo = beats = fifo.SyncFIFOBuffered(
            width=self._beat.size, depth=self.depth + 1)    # one is the FIFO's output register
        comes = Signal()
        past = Signal()
        pop = (beats.r_rdy & beats.r_en) | past
        self._issue(m, bursts, marks, pop)
        m.d.comb += bursts.windows.eq(self.windows)

        axi, mark, there = self.axi, data.View(burst, marks.r_data), marks.r_rdy
        incoming = data.View(self._beat, beats.w_data)
        taken = Signal()
        refused = Signal()
        last = Signal()
        count = Signal(range(bursts.burst))     # beats of the burst that have come
        m.d.comb += [
            refused.eq(there & mark.refused),
            axi.rready.eq(beats.w_rdy & ~refused),
            # What nobody has asked for is dropped.
            taken.eq(axi.rvalid & axi.rready & there),
            last.eq(count == mark.beats - 1),
            comes.eq(taken | refused),
            # Where nobody waits the queue is passed by.
            past.eq(comes & (beats.level == 0) & beats.r_en), beats.w_en.eq(comes & ~past),
            incoming.data.eq(axi.rdata),
            incoming.tag.eq(mark.tag),
            incoming.last.eq(mark.last & last),
            incoming.error.eq(refused | axi.rresp[1]),
            marks.r_en.eq(comes & last),
            self.busy.eq(axi.arvalid | there),
            self.moved.eq((axi.arvalid & axi.arready) | taken),
        ]
        with m.If(comes):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        fails = Signal()
        m.d.comb += fails.eq(refused | (taken & axi.rresp[1]))
        m.d.sync += [self.beat.eq(taken), self.fault.valid.eq(fails)]
        with m.If(fails):
            m.d.sync += [
                self.fault.cause.eq(Mux(refused, Cause.WINDOW, Cause.READ)),
                self.fault.response.eq(Mux(refused, 0, axi.rresp)),
                self.fault.job.eq(mark.job), self.fault.address.eq(mark.address),
            ]

        # A block RAM is slow to give its word, so the stream comes from registers.
        m.d.comb += beats.r_en.eq(~self.o.valid | self.o.ready)
        with m.If(beats.r_en):
            m.d.sync += self.o.valid.eq(beats.r_rdy | past)
            with m.If(beats.r_rdy | past):
                m.d.sync += self.o.payload.eq(Mux(past, beats.w_data, beats.r_data))
        return m

    def _issue(self, m, bursts, marks, pop):
        """AR channel: a burst goes out once the FIFO has room for a whole one."""
        axi, burst = self.axi, bursts.o.p
        credit = Signal(range(self.depth + 1), init=self.depth)
        issue = Signal()
        m.d.comb += [
            bursts.o.ready.eq((credit >= bursts.burst) & marks.w_rdy & ~self.stop
                              & (~axi.arvalid | axi.arready)),
            issue.eq(bursts.o.valid & bursts.o.ready),
            marks.w_en.eq(issue),
            marks.w_data.eq(burst),
            *attributes(axi, "ar", self._config),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                axi.arvalid.eq(~burst.refused),
                axi.araddr.eq(burst.address),
                axi.arlen.eq(burst.beats - 1),
                credit.eq(credit - burst.beats + pop),
            ]
        with m.Else():
            m.d.sync += credit.eq(credit + pop)

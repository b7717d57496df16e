# SPDX-License-Identifier: Apache-2.0
"""AXI4 read DMA."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .axi import CACHE, INCR, AXI4Read
from .bursts import ADDRESS_WIDTH, BurstSplitter, request_layout

__all__ = ["Reader", "read_beat_layout"]


def read_beat_layout(config: EngineConfig, tag_width: int) -> data.StructLayout:
    """A beat that was read: the tag of its request, if it is the last, if it met an error."""
    return data.StructLayout(
        {"data": config.axi_data_width, "tag": tag_width, "last": 1, "error": 1})


class Reader(wiring.Component):
    """Reads runs of beats over AXI4 and gives them back in order, marked with a tag.

    From a request to its first beat: the memory's latency and 6 cycles. Sustains one beat per
    cycle, across requests too, with a memory of up to ``depth - burst - 4`` cycles latency.

    Every beat that is asked for has its place in the FIFO beforehand (a credit), so ``rready``
    never falls and a stalled consumer never holds up the bus::

        req -> BurstSplitter -+-> AR               R -> FIFO (block RAM) -> register -> o
                    credits --+-> marks (tag, last) ----^

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat.
    tag_width : int
        Bits of the tag of a request.
    burst : int
        Most beats of a burst, a power of two.
    depth : int
        Beats of the FIFO, a power of two of at least twice ``burst``; by default four times.

    Members
    -------
    req : stream
        Requests: ``address`` (of 32 bits, on a beat), ``beats`` (of 20 bits, never 0), ``tag``.
    o : stream
        Beats: ``data``, ``tag``, ``last`` (the request's last beat) and ``error`` (the memory
        answered this beat with an error).
    beat : Out(1)
        Strobe in the cycle after a beat was taken from the bus; before the beat shows at ``o``.
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
        self._size = (config.axi_data_width // 8).bit_length() - 1
        self._beat = read_beat_layout(config, tag_width)
        super().__init__({
            "req": In(stream.Signature(request_layout(tag_width))),
            "o": Out(stream.Signature(self._beat)),
            "beat": Out(1),
            "axi": Out(AXI4Read(ADDRESS_WIDTH, config.axi_data_width)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self._bursts
        wiring.connect(m, wiring.flipped(self.req), bursts.i)
        # One mark per burst in flight; each of these has a credit, so neither FIFO overflows.
        m.submodules.marks = marks = fifo.SyncFIFO(
            width=len(bursts.o.p.tag) + 1, depth=self.depth)
        m.submodules.fifo = beats = fifo.SyncFIFOBuffered(
            width=self._beat.size, depth=self.depth + 1)    # one is the FIFO's output register
        pop = beats.r_rdy & beats.r_en
        self._issue(m, bursts, marks, pop)

        taken = self.axi.rvalid & self.axi.rready
        mark_last = marks.r_data[0]
        incoming = data.View(self._beat, beats.w_data)
        m.d.comb += [
            self.axi.rready.eq(beats.w_rdy),
            beats.w_en.eq(self.axi.rvalid),
            incoming.data.eq(self.axi.rdata),
            incoming.tag.eq(marks.r_data[1:]),
            incoming.last.eq(mark_last & self.axi.rlast),
            incoming.error.eq(self.axi.rresp[1]),
            marks.r_en.eq(taken & self.axi.rlast),
        ]
        m.d.sync += self.beat.eq(taken)

        # A block RAM is slow to give its word, so the stream comes from registers.
        m.d.comb += beats.r_en.eq(~self.o.valid | self.o.ready)
        with m.If(beats.r_en):
            m.d.sync += [self.o.valid.eq(beats.r_rdy), self.o.payload.eq(beats.r_data)]
        return m

    def _issue(self, m, bursts, marks, pop):
        """AR channel: a burst goes out once the FIFO has room for a whole one."""
        axi, burst = self.axi, bursts.o.p
        credit = Signal(range(self.depth + 1), init=self.depth)
        issue = Signal()
        m.d.comb += [
            bursts.o.ready.eq((credit >= bursts.burst) & (~axi.arvalid | axi.arready)),
            issue.eq(bursts.o.valid & bursts.o.ready),
            marks.w_en.eq(issue),
            marks.w_data.eq(Cat(burst.last, burst.tag)),
            axi.arsize.eq(self._size),
            axi.arburst.eq(INCR),
            axi.arcache.eq(CACHE),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.araddr.eq(burst.address),
                axi.arlen.eq(burst.beats - 1),
                credit.eq(credit - burst.beats + pop),
            ]
        with m.Else():
            m.d.sync += credit.eq(credit + pop)

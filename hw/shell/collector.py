# SPDX-License-Identifier: Apache-2.0
"""Keeps what a client writes until it is worth a burst."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .bursts import BurstSplitter, request_layout, unclaimed_beats, windows_in

__all__ = ["WriteCollector"]


class WriteCollector(wiring.Component):
    """Cuts write requests into bursts and passes each on once all its beats are there.

    From the last beat of a burst to its request: one cycle. One beat per cycle. A core asks for
    the whole plane of its outputs and fills it as fast as it computes; without this block the
    other cores would wait for it all the while.

    The FIFO holds two bursts, one that goes out while the other comes: 2 * ``burst`` words of a
    beat, for each client.

    Parameters
    ----------
    config : EngineConfig
        Gives the bits of a beat and of an address.
    burst : int
        Most beats of a burst, a power of two.

    Members
    -------
    req : In(stream)
        Requests: ``address`` (on a beat) and ``beats`` (never 0).
    i : In(stream)
        Beats: ``data``, in the order of the requests.
    burst, o : Out(streams)
        Requests within a burst, aligned to its size, and their beats.
    windows : In(windows_layout())
        Where it may write: here a request is still whole.
    idle : Out(1)
        No request and no beat is inside. Low from the cycle after one that accepts one.

    Raises
    ------
    ValueError
        ``burst`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, burst: int = 16):
        self._bursts = BurstSplitter(config=config, burst=burst)
        self.depth = 2 * burst
        width = config.axi_address_width
        request = stream.Signature(request_layout(address_width=width))
        beat = stream.Signature(data.StructLayout({"data": config.axi_data_width}))
        super().__init__({"req": In(request), "i": In(beat), "burst": Out(request),
                          "o": Out(beat), "idle": Out(1),
                          "windows": windows_in(width)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bursts = bursts = self._bursts
        wiring.connect(m, wiring.flipped(self.req), bursts.i)
        m.submodules.fifo = beats = fifo.SyncFIFOBuffered(
            width=len(self.i.payload.data), depth=self.depth)
        inside = Signal(range(self.depth + 2))
        accepted = Signal()
        moved = Signal()
        claimed = Signal()
        unclaimed = unclaimed_beats(m, self.depth, accepted=accepted, claimed=claimed,
                                    beats=bursts.o.payload.beats)
        m.d.comb += [
            self.i.ready.eq(beats.w_rdy),
            accepted.eq(self.i.valid & self.i.ready),
            beats.w_en.eq(accepted), beats.w_data.eq(self.i.payload.data),
            self.burst.valid.eq(bursts.o.valid & (unclaimed >= bursts.o.payload.beats)),
            *(self.burst.payload[name].eq(bursts.o.payload[name])
              for name in ("address", "beats", "job", "record", "refused")),
            bursts.windows.eq(self.windows),
            claimed.eq(self.burst.valid & self.burst.ready),
            bursts.o.ready.eq(claimed),
            moved.eq(self.o.valid & self.o.ready),
            self.idle.eq(~bursts.busy & (inside == 0)),
        ]
        m.d.sync += inside.eq(inside + accepted - moved)

        # A block RAM is slow to give its word, so the stream comes from registers.
        m.d.comb += beats.r_en.eq(~self.o.valid | self.o.ready)
        with m.If(beats.r_en):
            m.d.sync += [self.o.valid.eq(beats.r_rdy), self.o.payload.data.eq(beats.r_data)]
        return m

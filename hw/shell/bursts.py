# SPDX-License-Identifier: Apache-2.0
"""Cuts DMA requests into AXI4 bursts."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.registers import INDEX_BITS, WINDOW_BYTES

__all__ = ["ADDRESS_WIDTH", "BEATS_WIDTH", "WINDOW_LOW", "BurstSplitter", "burst_layout",
           "request_layout", "unclaimed_beats", "windows_in", "windows_layout"]

ADDRESS_WIDTH = 32      # bits of an address, unless a configuration has more
WINDOW_LOW = (WINDOW_BYTES - 1).bit_length()
BEATS_WIDTH = 20        # the longest plane has 4096 rows of at most 64 beats
PAGE = 4096             # no burst crosses a border of so many bytes


def request_layout(tag_width: int = 0, address_width: int = ADDRESS_WIDTH) -> data.StructLayout:
    """A DMA request: byte address on a beat, beats (never 0), and a tag if it has bits.

    ``job`` is the index of the job, ``record`` says that it is about a descriptor or a status
    record, and ``refused`` that it must not be made: reads give beats with an error, writes
    nothing.
    """
    fields = {"address": address_width, "beats": BEATS_WIDTH, "job": INDEX_BITS, "record": 1,
              "refused": 1}
    return data.StructLayout({**fields, "tag": tag_width} if tag_width else fields)


def burst_layout(burst: int, tag_width: int = 0,
                 address_width: int = ADDRESS_WIDTH) -> data.StructLayout:
    """A part of a request, of at most ``burst`` beats."""
    fields = {"address": address_width, "beats": range(burst + 1), "last": 1,
              "job": INDEX_BITS, "record": 1, "refused": 1}
    return data.StructLayout({**fields, "tag": tag_width} if tag_width else fields)


def windows_layout(address_width: int = ADDRESS_WIDTH) -> data.ArrayLayout:
    """Where requests may go, those for planes and those for records: from the ``WINDOW_BYTES``
    numbered ``base`` to those numbered ``limit``."""
    number = address_width - WINDOW_LOW
    return data.ArrayLayout(data.StructLayout({"base": number, "limit": number}), 2)


def windows_in(address_width: int = ADDRESS_WIDTH) -> wiring.Member:
    """A member for windows that are open for all, unless something drives it."""
    everything = {"base": 0, "limit": (1 << address_width - WINDOW_LOW) - 1}
    return In(windows_layout(address_width), init=[everything, everything])


def unclaimed_beats(m, depth: int, *, accepted, claimed, beats) -> Signal:
    """Beats in a FIFO of ``depth`` words that belong to no burst yet.

    ``accepted`` strobes with a beat that comes in, ``claimed`` with a burst that takes ``beats``.
    """
    unclaimed = Signal(range(depth + 2))
    m.d.sync += unclaimed.eq(unclaimed + accepted - Mux(claimed, beats, 0))
    return unclaimed


class BurstSplitter(wiring.Component):
    """Cuts requests into bursts that end at multiples of the burst size, or with the request.

    Two cycles latency, one burst per cycle, no gap between requests.

    Ending at such multiples keeps every burst within a 4 KB page without looking at the page:
    the next burst's address needs only an increment, and all comparisons are with registers.

    All bursts of a request that does not lie in its window, or goes on at address 0, are marked as
    refused; what lies behind its end is known when it is taken and stays, as the address grows.

    Parameters
    ----------
    config : EngineConfig
        Gives the bytes of a beat and the bits of an address.
    burst : int
        Most beats of a burst, a power of two; at most 256 and at most 4 KB.
    tag_width : int
        Bits of the tag that travels with a request; with 0 there is none.

    Members
    -------
    i : stream of request_layout(tag_width)
        Requests. The address lies on a beat, ``beats`` is not 0.
    o : stream
        Bursts: ``address``, ``beats`` (1..burst), ``last`` (ends its request), ``job``,
        ``record``, ``refused`` and ``tag``.
    windows : In(windows_layout())
        Does not change while there is a request.
    busy : Out(1)
        A request or a burst is inside.

    Raises
    ------
    ValueError
        ``burst`` or ``tag_width`` is out of range.
    """

    def __init__(self, *, config: EngineConfig, burst: int = 16, tag_width: int = 0):
        self.unit = (config.axi_data_width // 8).bit_length() - 1
        most = min(256, PAGE >> self.unit)
        if burst not in [1 << n for n in range(most.bit_length())]:
            raise ValueError(f"burst must be a power of two in 1..{most}, not {burst!r}")
        if not 0 <= tag_width <= 64:
            raise ValueError(f"tag_width must lie in 0..64, not {tag_width!r}")
        self.burst = burst
        self._width = width = config.axi_address_width
        request = request_layout(tag_width, width)
        super().__init__({
            "i": In(stream.Signature(request)),
            "o": Out(stream.Signature(burst_layout(burst, tag_width, width))),
            "windows": windows_in(width),
            "busy": Out(1),
        })
        self._request = request
        self._tagged = tag_width > 0

    def elaborate(self, platform):
        m = Module()
        low = self.burst.bit_length() - 1

        active = Signal()
        request = Signal(self._request)
        index = request.address[self.unit:]         # counts beats; its low bits within a burst
        room = Signal(range(self.burst + 1))
        last = Signal()
        step = Signal()
        m.d.comb += [
            room.eq(self.burst - index[:low]),
            last.eq(request.beats <= room),
            step.eq(active & (~self.o.valid | self.o.ready)),
            self.i.ready.eq(~active | (step & last)),
            self.busy.eq(active | self.o.valid),
        ]
        refused = self._refused(m, request, step)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(step):
            # After a burst that is not the last, the address is a multiple of the burst size.
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.address.eq(request.address),
                self.o.p.beats.eq(room),
                self.o.p.last.eq(last),
                self.o.p.job.eq(request.job),
                self.o.p.record.eq(request.record),
                self.o.p.refused.eq(refused),
                index[:low].eq(0),
                index[low:].eq(index[low:] + 1),
                request.beats.eq(request.beats - room),
            ]
            with m.If(last):
                m.d.sync += self.o.p.beats.eq(request.beats)
            if self._tagged:
                m.d.sync += self.o.p.tag.eq(request.tag)
        with m.If(self.i.ready):
            m.d.sync += [active.eq(self.i.valid), request.eq(self.i.payload)]
        return m

    def _refused(self, m, request, step):
        """Whether a request must not be made, once any of its bursts must not."""
        numbers = self._width - self.unit
        behind = Signal(numbers + 1)            # number of the first beat behind it
        refused = Signal()
        beyond = Signal()
        window = self.windows[request.record]
        first = request.address[WINDOW_LOW:]
        inside = window.limit + 1               # number of what lies behind the window
        m.d.comb += refused.eq(
            request.refused | beyond | (first < window.base)
            | (behind > Cat(C(0, WINDOW_LOW - self.unit), inside)))
        with m.If(step):
            m.d.sync += beyond.eq(refused)
        with m.If(self.i.ready):
            i = self.i.payload
            m.d.sync += [behind.eq(i.address[self.unit:] + i.beats), beyond.eq(0)]
        return refused

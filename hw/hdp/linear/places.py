# SPDX-License-Identifier: Apache-2.0
"""Where the words of a linear job go: its loops again, and its view of Y."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import WORD
from prunus.golden.hdp.linear.sizes import MOST_TILE
from prunus.hw.hdp.linear.layouts import LENGTH, job_layout

__all__ = ["LinearPlaces", "place_layout"]

SUMS = 4                # of a wide one
BITS = 16               # of rows and dimensions of Y


def place_layout() -> data.StructLayout:
    """Row and first dimension of Y of a lane of a word. ``head_ends``: the last ones of a run."""
    return data.StructLayout({"row": BITS, "inner": BITS, "head_ends": 1})


class LinearPlaces(wiring.Component):
    """A place for each word of each lane that there is, in the order in which LinearIssue makes
    them.

    Two places in 3 cycles at most. Row (a, b, c) begins in row ``a * a_row + c * c_row`` and
    dimension ``b * b_inner`` of Y; channel (p, q) adds ``p * p_row`` and ``p * p_inner + q``.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    start, job : In
        Strobe: begin with the job, which stays until ``over``.
    over : Out(1)
        All places have been taken. From reset on, too.
    o : Out(stream of place_layout)
    """

    def __init__(self, *, config: HdpConfig):
        super().__init__({"start": In(1), "job": In(job_layout(config)), "over": Out(1),
                          "o": Out(stream.Signature(place_layout()))})

    def elaborate(self, platform):
        m = Module()
        job, place = self.job, self.o.payload
        tracker = data.StructLayout(dict.fromkeys(("a_row", "c_row", "inner", "b", "c"), BITS))
        first, second, strip_row = (Signal(tracker, name=name)
                                    for name in ("first", "second", "strip_row"))
        channel_layout = data.StructLayout(dict.fromkeys(("p_row", "p_inner", "q"), BITS))
        channel, tile_channel = (Signal(channel_layout, name=name)
                                 for name in ("channel", "tile_channel"))
        rows_left, channels_left, strip_rows, rows = (
            Signal(LENGTH, name=name)
            for name in ("rows_left", "channels_left", "strip_rows", "rows"))
        tile_columns = Signal(range(MOST_TILE + 1))
        columns = Signal(range(MOST_TILE + 1))
        advances = Signal()         # the second row, not the first
        after = Signal(tracker)
        self._advance(m, Mux(advances, second, first), after, tracker)
        step = Mux(job.wide, SUMS, WORD)
        run_ends = channel.q + step >= job.run
        lane = Signal()
        row = Signal(tracker)
        m.d.comb += row.eq(Mux(lane & ~job.transposed, second, first))
        across = lane & job.transposed
        m.d.comb += [
            place.row.eq(row.a_row + row.c_row + channel.p_row + Mux(across, job.p_row, 0)),
            place.inner.eq(row.inner + channel.p_inner + channel.q
                           + Mux(across, job.p_inner, 0)),
            place.head_ends.eq(run_ends),
        ]

        def next_channels():
            with m.If(job.transposed):
                m.d.sync += [channel.p_row.eq(channel.p_row + (job.p_row << 1)),
                             channel.p_inner.eq(channel.p_inner + (job.p_inner << 1))]
            with m.Elif(run_ends):
                m.d.sync += [channel.q.eq(0), channel.p_row.eq(channel.p_row + job.p_row),
                             channel.p_inner.eq(channel.p_inner + job.p_inner)]
            with m.Else():
                m.d.sync += channel.q.eq(channel.q + step)

        with m.FSM():
            with m.State("OVER"):
                m.d.comb += self.over.eq(1)
                m.d.sync += [first.eq(0), rows_left.eq(job.m)]
                with m.If(self.start):
                    m.next = "STRIP"
            with m.State("STRIP"):
                m.d.sync += [
                    strip_row.eq(first), channel.eq(0), channels_left.eq(job.channels),
                    strip_rows.eq(Mux(rows_left < job.strip, rows_left, job.strip))]
                m.next = "TILE"
            with m.State("TILE"):
                left = Mux(channels_left < job.tile, channels_left, job.tile)
                m.d.sync += [
                    tile_channel.eq(channel), first.eq(strip_row), rows.eq(strip_rows),
                    tile_columns.eq(left), columns.eq(left)]
                m.next = "PAIR"
            with m.State("PAIR"):       # of rows, or if transposed of channels
                m.d.sync += second.eq(after)
                with m.If(job.transposed):
                    m.d.sync += [first.eq(strip_row), rows.eq(strip_rows)]
                with m.Else():
                    m.d.sync += [channel.eq(tile_channel), columns.eq(tile_columns)]
                m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "SECOND"
                    with m.If(~job.transposed & (rows == 1)):
                        m.next = "NEXT"
            with m.State("SECOND"):
                m.d.comb += [self.o.valid.eq(1), lane.eq(1)]
                with m.If(self.o.ready):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.next = "FIRST"
                m.d.comb += advances.eq(~job.transposed)
                with m.If(job.transposed):
                    m.d.sync += [first.eq(after), rows.eq(rows - WORD)]
                    with m.If(rows <= WORD):
                        next_channels()
                        m.d.sync += columns.eq(columns - 2)
                        m.next = "PAIR"
                        with m.If(columns <= 2):
                            m.next = "TILE_END"
                with m.Else():
                    next_channels()
                    m.d.sync += columns.eq(columns - step)
                    with m.If(columns <= step):
                        m.d.sync += [first.eq(after), rows.eq(rows - 2)]
                        m.next = "PAIR"
                        with m.If(rows <= 2):
                            m.next = "TILE_END"
            with m.State("TILE_END"):
                m.d.sync += channels_left.eq(channels_left - job.tile)
                m.next = "TILE"
                with m.If(channels_left <= job.tile):
                    m.d.sync += rows_left.eq(rows_left - job.strip)
                    m.next = "STRIP"
                    with m.If(rows_left <= job.strip):
                        m.next = "OVER"
        return m

    def _advance(self, m, at, after, tracker):
        """The row behind, or if transposed the one behind 16: then there is one c."""
        job = self.job
        at = data.View(tracker, at)
        size = Mux(job.transposed, WORD, 1)
        m.d.comb += [after.eq(at), after.c.eq(at.c + 1), after.c_row.eq(at.c_row + job.c_row)]
        with m.If(at.c + 1 == job.middle):
            m.d.comb += [after.c.eq(0), after.c_row.eq(0), after.b.eq(at.b + size),
                         after.inner.eq(at.inner + Mux(job.transposed, WORD, job.b_inner))]
            with m.If(at.b + size == job.inner):
                m.d.comb += [after.b.eq(0), after.inner.eq(0),
                             after.a_row.eq(at.a_row + job.a_row)]

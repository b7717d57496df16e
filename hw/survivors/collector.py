# SPDX-License-Identifier: Apache-2.0
"""Survivors wait for the end of their row, and for the largest score."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.survivors import SurvivorConfig
from prunus.hw.survivors.layouts import (
    FrontEnd,
    entry_layout,
    ring_depth,
    scored_row_layout,
    survivor_layout,
)

__all__ = ["WAITING", "RowCollector"]

WAITING = 16        # rows that are complete and have not begun


class RowCollector(wiring.Component):
    """A ring of survivors between the front end and the back end, which work on different rows.

    One survivor per cycle; a row's end takes a cycle, too, and the row is at ``row`` in the next.
    The ring has room for two of the longest rows, so that one comes in while the one before it
    goes out; short rows lie one behind the other, up to ``WAITING`` of them.

    Parameters
    ----------
    config : SurvivorConfig
    front : FrontEnd

    Members
    -------
    i : In(stream of survivor_layout)
        The survivors of a row, then its end.
    row : Out(stream of scored_row_layout)
        Rows that are complete, in order; entries of each follow those of the one before.
    address : In
    entry : Out(entry_layout)
        Of the ring, a cycle after its address and ``freed``; held until the next.
    freed : In(1)
        Strobe: the entry at ``address`` is read, the oldest is not needed any more.
    """

    def __init__(self, *, config: SurvivorConfig, front: FrontEnd):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(survivor_layout(config, front))),
            "row": Out(stream.Signature(scored_row_layout(config))),
            "address": In(range(ring_depth(config))),
            "entry": Out(entry_layout(config)),
            "freed": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, survivor = self._config, self.i.payload
        depth = ring_depth(config)
        m.submodules.ring = ring = memory.Memory(
            shape=entry_layout(config), depth=depth, init=[])
        m.submodules.rows = rows = fifo.SyncFIFO(
            width=scored_row_layout(config).size, depth=WAITING)
        write = ring.write_port()
        read = ring.read_port()
        level = Signal(range(depth + 1))
        at = Signal(range(depth))
        top = Signal.like(survivor.score)
        first = Signal(init=1)
        room = Signal()
        m.d.comb += [
            room.eq(level != depth),
            self.i.ready.eq(Mux(survivor.end, rows.w_rdy, room)),
            write.en.eq(self.i.valid & ~survivor.end & room),
            write.addr.eq(at), write.data.key.eq(survivor.key),
            write.data.score.eq(survivor.score),
            read.addr.eq(self.address), read.en.eq(self.freed), self.entry.eq(read.data),
            rows.w_en.eq(self.i.valid & survivor.end),
            rows.r_en.eq(self.row.ready),
            self.row.valid.eq(rows.r_rdy), self.row.payload.eq(rows.r_data),
        ]
        token = Signal(scored_row_layout(config))
        m.d.comb += [token.count.eq(survivor.survivors), token.top.eq(top),
                     token.tag.eq(survivor.tag), rows.w_data.eq(token)]
        m.d.sync += level.eq(level + write.en - self.freed)
        with m.If(write.en):
            m.d.sync += [at.eq(at + 1), first.eq(0)]
            with m.If(first | (survivor.score > top)):
                m.d.sync += top.eq(survivor.score)
        with m.If(rows.w_en & rows.w_rdy):
            m.d.sync += first.eq(1)
        return m

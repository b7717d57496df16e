# SPDX-License-Identifier: Apache-2.0
"""Says what linear jobs want to read, strip by strip and tile by tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.sizes import RECORD_BYTES, TABLE_BYTES, Sizes
from prunus.hw.hdp.linear.layouts import (
    LENGTH,
    Plane,
    command_layout,
    granule_bits,
    job_layout,
)

__all__ = ["LinearFetch"]


class LinearFetch(wiring.Component):
    """Commands for X, the table, parameters and weights, as soon as there is room.

    For each strip X, unless it is held; then for each tile of channels their parameters and
    weights, before the first one the table. Room for a strip is claimed in the order of strips,
    also for one that is held.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    valid, job : In
        A job, until ``taken``.
    bank : In(1)
        Its slot.
    taken : Out(1)
        Strobe: all is asked for.
    command : Out(stream of command_layout)
    room : In
        Granules of X that are free.
    claim, claimed : Out
        Strobe: so many of them are not any more.
    base : Out
        Where the next strip begins.
    halves : In(2)
        Halves of the buffer of W that are free.
    claim_tile : Out(2)
        So many of them are not any more.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "valid": In(1), "job": In(job_layout(config)), "bank": In(1), "taken": Out(1),
            "command": Out(stream.Signature(command_layout(config))),
            "room": In(granule_bits(config)), "claim": Out(1), "claimed": Out(granule_bits(config)),
            "base": Out(granule_bits(config) - 1),
            "halves": In(2), "claim_tile": Out(2),
        })

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        sizes, beat = Sizes(config), config.axi_data_width // 8
        width = config.axi_address_width + 1        # beyond the last address nothing is read
        command = self.command.payload
        base = self.base                            # wraps
        slot = Signal()
        rows_left, channels_left, rows, channels = (
            Signal(LENGTH, name=name) for name in
            ("rows_left", "channels_left", "rows", "channels"))
        x_at, w_at, c_at = (Signal(width, name=f"{name}_at") for name in "xwc")
        row_beats = Signal(10)
        w_beats = Signal(10)
        size = Signal(LENGTH + granule_bits(config))
        beats = Signal(20)
        tile_beats = Signal(20)
        with_table = Signal()
        # Of heads: where the next one begins, and its first dimension.
        head_at = Signal(width)
        first = Signal(LENGTH)
        plane_bytes = Signal(width)
        m.d.comb += [
            command.bank.eq(self.bank), command.index.eq(job.index), command.slot.eq(slot),
            self.claimed.eq(size),
        ]
        row_end = rows_left <= job.strip
        tile_end = channels_left <= job.tile
        needed = Mux(job.half, 1, 2)

        def ask(plane, address, count, **others):
            m.d.comb += [
                command.plane.eq(plane), command.address.eq(address),
                command.refused.eq(address[-1]), command.beats.eq(count),
                *(command[name].eq(value) for name, value in others.items())]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    rows_left.eq(job.m), x_at.eq(job.x),
                    row_beats.eq(Mux(job.words, job.x_run >> 2, job.dims >> 3)),
                    plane_bytes.eq((job.m * job.x_run) << 1),
                    w_beats.eq(Mux(job.narrow, (job.k + 15) >> 4, job.k >> 3)),
                    with_table.eq(job.activation == 2),
                ]
                with m.If(self.valid & (job.error != 0)):
                    m.d.comb += self.taken.eq(1)
                with m.Elif(self.valid):
                    m.next = "STRIP"
            with m.State("STRIP"):
                m.d.sync += [
                    rows.eq(Mux(row_end, rows_left, job.strip)), channels_left.eq(job.channels),
                    w_at.eq(job.w), c_at.eq(job.c + Mux(job.activation == 2, TABLE_BYTES, 0)),
                ]
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += [size.eq(((rows + 1) >> 1) * job.x_granules),
                             beats.eq(rows * row_beats)]
                m.d.sync += [head_at.eq(x_at), first.eq(0)]
                m.next = "X"
            with m.State("X"):
                last = ~job.words | (first + job.x_run >= job.dims)
                ask(Mux(job.words, Plane.WORDS, Plane.X), head_at, beats, row_beats=row_beats,
                    base=base, stride=job.x_granules, first=first >> 4, ends=last)
                fits = size <= self.room
                m.d.comb += self.command.valid.eq(fits & ~job.held_x)
                with m.If(fits & (job.held_x | self.command.ready)):
                    m.d.sync += [head_at.eq(head_at + plane_bytes), first.eq(first + job.x_run)]
                    with m.If(last):
                        m.d.comb += self.claim.eq(1)
                        m.d.sync += [base.eq(base + size), x_at.eq(x_at + beats * beat)]
                        m.next = "TILE"
            with m.State("TILE"):
                m.d.sync += channels.eq(Mux(tile_end, channels_left, job.tile))
                with m.If(self.halves >= needed):
                    m.d.comb += self.claim_tile.eq(needed)
                    m.next = "TABLE"
            with m.State("TABLE"):
                m.d.sync += tile_beats.eq(channels * w_beats)
                ask(Plane.TABLE, c_at - TABLE_BYTES, TABLE_BYTES // beat)
                m.d.comb += self.command.valid.eq(with_table)
                with m.If(~with_table | self.command.ready):
                    m.d.sync += with_table.eq(0)
                    m.next = "CHANNELS"
            with m.State("CHANNELS"):
                ask(Plane.CHANNELS, c_at, channels)
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.d.sync += c_at.eq(c_at + channels * RECORD_BYTES)
                    m.next = "W"
            with m.State("W"):
                ask(Mux(job.narrow, Plane.W4, Plane.W8), w_at, tile_beats, row_beats=w_beats,
                    base=Mux(job.half & slot, sizes.ring // 2, 0), stride=job.w_granules)
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.d.sync += [slot.eq(~slot), w_at.eq(w_at + tile_beats * beat),
                                 channels_left.eq(channels_left - job.tile)]
                    m.next = "TILE"
                    with m.If(tile_end):
                        m.d.sync += rows_left.eq(rows_left - job.strip)
                        m.next = "STRIP"
                        with m.If(row_end):
                            m.d.comb += self.taken.eq(1)
                            m.next = "IDLE"
        return m

# SPDX-License-Identifier: Apache-2.0
"""Codes that are added to results: asked for word by word, handed out code by code."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import WORD
from prunus.golden.hdp.linear.sizes import MOST_TILE
from prunus.hw.hdp.linear.layouts import LENGTH, Plane, command_layout, job_layout

__all__ = ["LinearResidual"]

LANES = 2
WORDS = 8               # of each lane that are under way or wait, at most


class LinearResidual(wiring.Component):
    """Commands for the words of plane r in the order in which results come, and their codes.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    valid, job, bank, taken : as of LinearFetch
    command : Out(stream of command_layout)
    beat : In
        As the loader gives it.
    there : Out(1)
        What the word needs that begins now is there.
    word : In(1)
        Strobe: the last operation of a word of a job with a residual goes out.
    take, end : In(1)
        A code of each lane is used, the last one of a word.
    single : In(1)
        Beside ``end``: the second lane has none.
    o : Out(2 x 8 signed)
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "valid": In(1), "job": In(job_layout(config)), "bank": In(1), "taken": Out(1),
            "command": Out(stream.Signature(command_layout(config))),
            "beat": In(data.StructLayout({"en": 1, "last": 1, "lane": 1, "ends": 1,
                                          "data": config.axi_data_width})),
            "there": Out(1), "word": In(1),
            "take": In(1), "end": In(1), "single": In(1),
            "o": Out(data.ArrayLayout(signed(8), LANES)),
        })

    def elaborate(self, platform):
        m = Module()
        self._ask(m)
        self._hand_out(m)
        return m

    def _ask(self, m):
        config, job, command = self._config, self.job, self.command.payload
        width = config.axi_address_width + 1
        waiting = Signal(range(WORDS + 1))          # words of both lanes
        rows_left, channels_left, strip_rows, rows = (
            Signal(LENGTH, name=name)
            for name in ("rows_left", "channels_left", "strip_rows", "rows"))
        tile_columns = Signal(range(MOST_TILE + 1))
        columns = Signal(range(MOST_TILE + 1))
        # Of the strip, the tile in the strip, the pair of rows, the word.
        strip_at, tile_at, row_at, at = (Signal(width, name=f"{name}_at")
                                         for name in ("strip", "tile", "row", "word"))
        lane = Signal()
        single = rows == 1
        going = Signal()
        m.d.comb += [
            command.plane.eq(Plane.RESIDUAL), command.bank.eq(self.bank), command.slot.eq(lane),
            command.index.eq(job.index),
            command.beats.eq(Mux(columns > WORD // 2, 2, 1)),
            command.ends.eq(lane | single),
        ]
        there = Signal(width)
        m.d.comb += [there.eq(at + Mux(lane, job.channels, 0)), command.address.eq(there),
                     command.refused.eq(there[-1])]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [rows_left.eq(job.m), strip_at.eq(job.r)]
                with m.If(self.valid):
                    with m.If(job.residual & (job.error == 0)):
                        m.next = "STRIP"
                    with m.Else():
                        m.d.comb += self.taken.eq(1)
            with m.State("STRIP"):
                m.d.sync += [tile_at.eq(strip_at), channels_left.eq(job.channels),
                             strip_rows.eq(Mux(rows_left < job.strip, rows_left, job.strip))]
                m.next = "TILE"
            with m.State("TILE"):
                left = Mux(channels_left < job.tile, channels_left, job.tile)
                m.d.sync += [row_at.eq(tile_at), rows.eq(strip_rows), tile_columns.eq(left)]
                m.next = "PAIR"
            with m.State("PAIR"):
                m.d.sync += [at.eq(row_at), columns.eq(tile_columns), lane.eq(0)]
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.command.valid.eq(lane | (waiting != WORDS))
                with m.If(self.command.valid & self.command.ready):
                    m.d.sync += lane.eq(~(lane | single))
                    with m.If(lane | single):
                        m.d.comb += going.eq(1)
                        m.d.sync += [at.eq(at + WORD), columns.eq(columns - WORD)]
                        with m.If(columns <= WORD):
                            m.d.sync += [rows.eq(rows - 2),
                                         row_at.eq(row_at + (job.channels << 1))]
                            m.next = "PAIR"
                            with m.If(rows <= 2):
                                m.next = "TILE_END"
            with m.State("TILE_END"):
                m.d.sync += [channels_left.eq(channels_left - job.tile),
                             tile_at.eq(tile_at + job.tile)]
                m.next = "TILE"
                with m.If(channels_left <= job.tile):
                    # Rows stand behind the last one of the strip, in its last tile.
                    m.d.sync += [rows_left.eq(rows_left - job.strip),
                                 strip_at.eq(strip_at + job.strip * job.channels)]
                    m.next = "STRIP"
                    with m.If(rows_left <= job.strip):
                        m.d.comb += self.taken.eq(1)
                        m.next = "IDLE"
        m.d.sync += waiting.eq(waiting + going - (self.take & self.end))

    def _hand_out(self, m):
        beat = self.beat
        index = Signal(range(WORD))
        held = Signal(self._config.axi_data_width)
        second = Signal()
        ready = Signal(range(WORDS + 1))
        with m.If(beat.en):
            m.d.sync += [held.eq(beat.data), second.eq(~beat.last)]
        with m.If(self.take):
            m.d.sync += index.eq(Mux(self.end, 0, index + 1))
        complete = beat.en & beat.last
        for lane in range(LANES):
            m.submodules[f"lane_{lane}"] = queue = fifo.SyncFIFO(width=128, depth=WORDS)
            m.d.comb += [
                queue.w_en.eq(complete & (beat.lane == lane)),
                queue.w_data.eq(Mux(second, Cat(held, beat.data), beat.data)),
                queue.r_en.eq(self.take & self.end & ~(self.single & (lane == 1))),
                self.o[lane].eq(queue.r_data.word_select(index, 8).as_signed()),
            ]
        m.d.sync += ready.eq(ready + (complete & beat.ends) - self.word)
        m.d.comb += self.there.eq(ready != 0)

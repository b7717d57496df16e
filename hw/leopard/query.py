# SPDX-License-Identifier: Apache-2.0
"""Queries on their way to the dot-product units, and what is computed of them once per row."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.banks import bank_words, copy_counts, region_words, unit_of
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import (
    firsts_layout,
    place_layout,
    query_layout,
    row_layout,
    row_numbers,
    slot_layout,
    stride_of,
    tap_layout,
)
from prunus.hw.parts.repeated import Repeated
from prunus.hw.survivors.layouts import PIECE, chunk_count

__all__ = ["QueryStore", "RowLoader", "piece_layout"]


def piece_layout(config: LeopardConfig) -> data.StructLayout:
    """A piece of a query on its way to its lane, one of a chunk's; behind the ``last`` one of a
    query the chunk is zero."""
    return data.StructLayout({
        "en": 1, "last": 1, "place": place_layout(config),
        "lane": range(max(2, config.taps // PIECE)),
        "taps": data.ArrayLayout(tap_layout(config), PIECE),
    })


class QueryStore(Repeated):
    """The queries of ``config.rows`` rows for one dot-product unit, in distributed RAM.

    Units go on to the next row each at its own time, and keys of several rows are under way in
    one unit, so each cycle has a query of its own. Latency of a read 1; a piece is written at
    the end of its cycle.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    write : In(piece_layout)
    place : In(place_layout)
    query : Out(taps x tap_layout)
    """

    latency = 1

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            "write": In(piece_layout(config)),
            "place": In(place_layout(config)),
            "query": Out(data.ArrayLayout(tap_layout(config), config.taps)),
        }, config=config)

    def build(self):
        m = Module()
        taps = self.write.taps.as_value()
        depth = 1 << len(self.place.as_value())
        read_taps = Signal(self.query.shape(), reset_less=True)
        m.d.comb += self.query.eq(read_taps)
        for lane in range(self._config.taps // PIECE):
            # Behind it: whether the piece is one of the query. That is the reset of what is read,
            # which takes no gates, while zeros to be written would take some for every bit.
            mem = memory.Memory(shape=len(taps) + 1, depth=depth, init=[])
            m.submodules[f"lane_{lane}"] = mem
            write = mem.write_port()
            read = mem.read_port(domain="comb")
            mine = self.write.lane == lane
            beyond = self.write.last & (self.write.lane < lane) if lane else 0
            m.d.comb += [
                write.en.eq(self.write.en & (mine | beyond)),
                write.addr.eq(self.write.place.as_value()),
                write.data.eq(Cat(taps, mine)),
                read.addr.eq(self.place.as_value()),
            ]
            query = read_taps.as_value()[lane * len(taps) : (lane + 1) * len(taps)]
            m.d.sync += query.eq(Mux(read.data[-1], read.data[:-1], 0))
        return m


class RowLoader(wiring.Component):
    """Takes rows and their queries and starts them, up to ``config.rows`` at a time.

    A row takes a cycle per ``PIECE`` of its dimensions, while the rows before it are computed. The
    row is ``loaded`` ``latency`` cycles after its last piece. By then its ``start`` is known::

        M_0 = (2**(W-1) - 1) * Q+ + 2**(W-1) * Q- = 2**(W-1) * sum |q_j| - Q+
        start = M_0 - T_int

    Without ``config.pruning`` the threshold is the lowest one, whatever the row says.

    Parameters
    ----------
    config : LeopardConfig
    tag_width : int

    Members
    -------
    row : In(stream of row_layout)
        Taken with the last piece of its query.
    query : In(stream of query_layout)
        d / 8 pieces of each row.
    write : Out(piece_layout)
        To the query stores.
    slots, thresholds, tags : Out
        Of the rows under way, row n in slot n mod ``config.rows``.
    firsts : Out(N_QK x firsts_layout)
        The first key of each unit, there a cycle before the row is loaded at the latest.
    loaded : Out
        Rows that were loaded, as ``row_numbers``.
    freed : In
        Rows that have ended, as many.
    """

    latency = 5

    def __init__(self, *, config: LeopardConfig, tag_width: int):
        self._config = config
        super().__init__({
            "row": In(stream.Signature(row_layout(config, tag_width))),
            "query": In(stream.Signature(query_layout(config))),
            "write": Out(piece_layout(config)),
            "slots": Out(data.ArrayLayout(slot_layout(config), config.rows)),
            "thresholds": Out(data.ArrayLayout(signed(config.threshold_width), config.rows)),
            "tags": Out(data.ArrayLayout(tag_width, config.rows)),
            "firsts": Out(data.ArrayLayout(firsts_layout(config), config.dpus)),
            "loaded": Out(row_numbers(config)),
            "freed": In(row_numbers(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config, row = self._config, self.row.payload
        lanes = config.taps // PIECE
        taken = Signal(row_numbers(config))     # rows whose pieces have come
        count = Signal(range(lanes * config.chunks))
        lane = Signal(range(max(2, lanes)))
        chunk = Signal(range(max(2, config.chunks)))
        step, last, lane_last, room = (
            Signal(name=name) for name in ("step", "last", "lane_last", "room"))
        slot = taken[:-1]
        m.d.comb += [
            room.eq((taken - self.freed)[: len(taken)] != config.rows),
            self.query.ready.eq(self.row.valid & room),
            step.eq(self.query.valid & self.query.ready),
            lane_last.eq(lane == lanes - 1),
            last.eq(count + 1 == row.d8),
            self.row.ready.eq(step & last),
        ]
        first = Signal(init=1)
        with m.If(step):
            m.d.sync += [count.eq(count + 1), lane.eq(lane + 1), first.eq(last)]
            with m.If(lane_last):
                m.d.sync += [lane.eq(0), chunk.eq(chunk + 1)]
            with m.If(last):
                m.d.sync += [count.eq(0), lane.eq(0), chunk.eq(0), taken.eq(taken + 1)]
                self._keep(m, slot, taken)
        write = self.write
        m.d.sync += [write.en.eq(step), write.last.eq(last), write.lane.eq(lane),
                     write.place.slot.eq(slot), write.place.chunk.eq(chunk)]
        for tap, code in zip(write.taps, self.query.payload, strict=True):
            m.d.sync += [tap.mag.eq(Mux(code < 0, -code, code)), tap.positive.eq(code > 0)]
        self._sum(m, slot, Cat(step & first, step & last))
        return m

    def _keep(self, m, slot, taken):
        """What the row says itself; nobody looks before it is loaded. Rows take copies in turn."""
        config, row = self._config, self.row.payload
        region = Signal(range(bank_words(config)))
        with m.Switch(row.copies):
            for index, count in enumerate(copy_counts(config)):
                with m.Case(index), m.Switch(taken[:index]):
                    for copy in range(count):
                        with m.Case(copy):
                            m.d.comb += region.eq(copy * region_words(config, count))
                            m.d.sync += [
                                self.firsts[unit_of(config, key, count, copy)][slot].eq(key)
                                for key in range(config.dpus)]
        low = -(1 << config.threshold_width - 1)
        kept, chunks = self.slots[slot], chunk_count(config, row.d8)
        m.d.sync += [
            kept.keys.eq(row.keys), kept.base.eq(Mux(row.bank, bank_words(config), 0) + region),
            kept.stride.eq(stride_of(config, row.d8)), kept.last_chunk.eq(chunks - 1),
            self.thresholds[slot].eq(row.threshold if config.pruning else low),
            self.tags[slot].eq(row.tag),
        ]

    def _sum(self, m, slot, ends):
        """``start``, four cycles after the last piece is on its way."""
        config = self._config
        total = config.width + (config.d_max - 1).bit_length()
        stages = [Signal(data.StructLayout({"first": 1, "last": 1, "slot": slot.shape()}),
                         name=f"stage_{n}") for n in range(4)]
        m.d.sync += [Cat(stages[0].first, stages[0].last).eq(ends), stages[0].slot.eq(slot)]
        m.d.sync += [after.eq(before) for before, after in zip(stages, stages[1:], strict=False)]
        taps = self.write.taps
        names = ("all", "plus")
        piece = [Signal(config.width + 3, name=f"piece_{name}") for name in names]
        sums = [Signal(total, name=f"sum_{name}") for name in names]
        moving = Signal()               # a piece is in ``piece``
        m.d.sync += [
            moving.eq(self.write.en),
            piece[0].eq(_halving([tap.mag for tap in taps])),
            piece[1].eq(_halving([Mux(tap.positive, tap.mag, 0) for tap in taps])),
        ]
        with m.If(moving):
            m.d.sync += [s.eq(Mux(stages[1].first, 0, s) + p)
                         for s, p in zip(sums, piece, strict=True)]
        bound = Signal(signed(config.score_width))
        m.d.sync += bound.eq((sums[0] << config.width - 1) - sums[1])
        done = stages[3]
        with m.If(done.last):
            m.d.sync += [self.slots[done.slot].start.eq(bound - self.thresholds[done.slot]),
                         self.loaded.eq(self.loaded + 1)]


def _halving(terms):
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]

# SPDX-License-Identifier: Apache-2.0
"""Fetches the planes of a head and writes them into the banks and buffers."""

from amaranth.hdl import Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.planes import LeopardLayout
from prunus.hw.leopard.keys import KeyWriter, write_layout
from prunus.hw.leopard.layouts import copies_index, copies_range
from prunus.hw.survivors.layouts import SLOTS, chunk_count
from prunus.hw.survivors.loader import Plane, PlaneLoader

__all__ = ["Loader"]


class Loader(PlaneLoader):
    """A beat per cycle from memory to the buffers; of keys as :class:`KeyWriter` takes them.

    A plane of keys takes a cycle more than one of codes.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    keys : Out(write_layout)
        To the banks of keys.
    command, req, beats, write, codes, done, done_tag, beat, beat_tag, error
        See :class:`prunus.hw.survivors.loader.PlaneLoader`.
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__(config=config, codes="qv", others={"keys": Out(write_layout(config))})

    def elaborate(self, platform):
        self._copies = Signal(data.ArrayLayout(copies_range(self._config), SLOTS), name="copies")
        return super().elaborate(platform)

    def _row_beats(self, m, command):
        config, layout = self._config, LeopardLayout(self._config)
        beats = Signal(range(layout.row_beats("k", config.d_max) + 1))
        counts = [layout.row_beats("k", (n + 1) * config.taps) for n in range(config.chunks)]
        with m.Switch(chunk_count(config, command.d8)):
            for n, count in enumerate(counts, 1):
                with m.Case(n):
                    m.d.comb += beats.eq(count)
        code_beats, most = super()._row_beats(m, command)
        return Mux(command.plane == Plane.K, beats, code_beats), max(*counts, most)

    def _count(self, m, command, rows):
        with m.If(command.plane == Plane.K):
            m.d.sync += self._copies[command.slot].eq(
                copies_index(self._config, rows, command.d8))

    def _taken(self, m, tag, d8):
        beat = self.beats.payload
        m.submodules.keys = keys = KeyWriter(config=self._config)
        of_key = Signal()
        begun = Signal()
        take = Signal()
        m.d.comb += [
            of_key.eq(tag.plane == Plane.K),
            keys.start.eq(self.beats.valid & of_key & ~begun),
            keys.bank.eq(tag.bank), keys.d8.eq(d8[tag.slot]),
            keys.copies.eq(self._copies[tag.slot]),
            keys.beats.valid.eq(self.beats.valid & of_key & begun),
            keys.beats.payload.eq(beat.data), self.keys.eq(keys.write),
            self.beats.ready.eq(~of_key | (begun & keys.beats.ready)),
            take.eq(self.beats.valid & self.beats.ready),
        ]
        with m.If(keys.start):
            m.d.sync += begun.eq(1)
        with m.If(take & beat.last):
            m.d.sync += begun.eq(0)
        return take, take & ~of_key

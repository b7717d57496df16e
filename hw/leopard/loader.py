# SPDX-License-Identifier: Apache-2.0
"""Fetches the planes of a head and writes them into the banks and buffers."""

from amaranth.hdl import C, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.leopard.config import LeopardConfig
from golden.leopard.planes import LeopardLayout
from hw.leopard.keys import KeyWriter, write_layout
from hw.leopard.layouts import copies_index, copies_range
from hw.shell.bursts import request_layout
from hw.shell.reader import read_beat_layout
from hw.survivors.layouts import PIECE, SLOTS, chunk_count

__all__ = ["Loader", "Plane", "beat_dims", "command_layout", "tag_layout"]


class Plane(enum.Enum, shape=2):
    K = 0
    V = 1
    Q = 2


def tag_layout() -> data.StructLayout:
    """What marks the beats of a plane: of which job's slot they are, and to which bank they go."""
    return data.StructLayout({"plane": Plane, "slot": range(SLOTS), "bank": 1})


def command_layout(config: LeopardConfig) -> data.StructLayout:
    """Fetch ``rows`` rows (not 0) of a plane of the job in a slot into a bank."""
    return data.StructLayout({
        "plane": Plane, "slot": range(SLOTS), "bank": 1, "address": 32,
        "rows": config.length_width, "d8": 5})


def beat_dims(config: LeopardConfig) -> int:
    """Codes in a beat of Q and V; of a very wide beat only as many as a row has at most."""
    layout = LeopardLayout(config)
    return min(layout.row_dims, config.axi_data_width // layout.v_bits)


class Loader(wiring.Component):
    """A beat per cycle from memory to the buffers; of keys as :class:`KeyWriter` takes them.

    A request comes two cycles after its command, one in three cycles at most; a beat is written in
    the cycle after it came. A plane of keys takes a cycle more.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    command : In(stream of command_layout)
        All planes of a slot have the same d until the last beat of the last one.
    req : Out(stream)
        To the read DMA.
    beats : In(stream of read_beat_layout)
        From it.
    keys : Out(write_layout)
        To the banks of keys.
    write : Out
        Strobes for q and v, and the place: bank, row, beat in the row.
    codes : Out
        The beat of whichever of the two it is.
    done : Out(1)
        Strobe: the last beat of ``done_tag``'s plane is being written.
    beat, beat_tag, error : Out
        Strobe for every beat, its tag, and whether memory answered it with an error.
    """

    def __init__(self, *, config: LeopardConfig):
        self._config = config
        tag, layout = tag_layout(), LeopardLayout(config)
        super().__init__({
            "command": In(stream.Signature(command_layout(config))),
            "req": Out(stream.Signature(request_layout(tag.size))),
            "beats": In(stream.Signature(read_beat_layout(config, tag.size))),
            "keys": Out(write_layout(config)),
            "write": Out(data.StructLayout({
                "q": 1, "v": 1, "bank": 1, "row": range(config.l_max),
                "beat": range(max(2, layout.row_beats("v", config.d_max)))})),
            "codes": Out(data.ArrayLayout(signed(config.width), beat_dims(config))),
            "done": Out(1),
            "done_tag": Out(tag),
            "beat": Out(1),
            "beat_tag": Out(tag),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        d8 = Signal(data.ArrayLayout(5, SLOTS))
        copies = Signal(data.ArrayLayout(copies_range(self._config), SLOTS))
        self._request(m, d8, copies)
        self._take(m, d8, copies)
        return m

    def _code_beats(self, d8):
        """Beats of a row of Q or V."""
        dims = beat_dims(self._config)
        if dims <= PIECE:
            return d8 * (PIECE // dims)
        return sum((d8 > n * dims // PIECE for n in range(1, -(-self._config.d_max // dims))),
                   C(1))

    def _key_beats(self, d8):
        """Beats of a key."""
        config, layout = self._config, LeopardLayout(self._config)
        beats = Signal(range(layout.row_beats("k", config.d_max) + 1))
        counts = [layout.row_beats("k", (n + 1) * config.taps) for n in range(config.chunks)]
        return beats, counts, chunk_count(config, d8)

    def _request(self, m, d8, copies):
        """A request for each command."""
        command = self.command.payload
        key_beats, counts, chunks = self._key_beats(command.d8)
        with m.Switch(chunks):
            for n, count in enumerate(counts, 1):
                with m.Case(n):
                    m.d.comb += key_beats.eq(count)
        code_beats = self._code_beats(command.d8)
        row_beats = Signal(range(max(max(counts), LeopardLayout(self._config).row_beats(
            "v", self._config.d_max)) + 1))
        rows = Signal.like(command.rows)
        tag = data.View(tag_layout(), self.req.payload.tag)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    row_beats.eq(Mux(command.plane == Plane.K, key_beats, code_beats)),
                    rows.eq(command.rows),
                ]
                with m.If(self.command.valid):
                    m.d.sync += d8[command.slot].eq(command.d8)
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [
                    self.req.payload.address.eq(command.address),
                    self.req.payload.beats.eq(rows * row_beats),
                    tag.plane.eq(command.plane), tag.slot.eq(command.slot),
                    tag.bank.eq(command.bank),
                    self.req.valid.eq(1),
                ]
                with m.If(command.plane == Plane.K):
                    m.d.sync += copies[command.slot].eq(
                        copies_index(self._config, rows, command.d8))
                m.next = "REQUEST"
            with m.State("REQUEST"):
                with m.If(self.req.ready):
                    m.d.sync += self.req.valid.eq(0)
                    m.d.comb += self.command.ready.eq(1)
                    m.next = "IDLE"

    def _take(self, m, d8, copies):
        """Beats to where they belong."""
        config, write, beat = self._config, self.write, self.beats.payload
        tag = data.View(tag_layout(), beat.tag)
        m.submodules.keys = keys = KeyWriter(config=config)
        of_key, begun, take = Signal(), Signal(), Signal()
        m.d.comb += [
            of_key.eq(tag.plane == Plane.K),
            keys.start.eq(self.beats.valid & of_key & ~begun),
            keys.bank.eq(tag.bank), keys.d8.eq(d8[tag.slot]),
            keys.copies.eq(copies[tag.slot]),
            keys.beats.valid.eq(self.beats.valid & of_key & begun),
            keys.beats.payload.eq(beat.data), self.keys.eq(keys.write),
            self.beats.ready.eq(~of_key | (begun & keys.beats.ready)),
            take.eq(self.beats.valid & self.beats.ready),
        ]
        with m.If(keys.start):
            m.d.sync += begun.eq(1)
        with m.If(take & beat.last):
            m.d.sync += begun.eq(0)

        row, index = Signal(range(config.l_max)), Signal(write.beat.shape())
        with m.If(take & ~of_key):
            m.d.sync += index.eq(index + 1)
            with m.If(index == self._code_beats(d8[tag.slot]) - 1):
                m.d.sync += [index.eq(0), row.eq(row + 1)]
            with m.If(beat.last):
                m.d.sync += [index.eq(0), row.eq(0)]
        m.d.sync += [
            write.q.eq(take & (tag.plane == Plane.Q)), write.v.eq(take & (tag.plane == Plane.V)),
            write.bank.eq(tag.bank),
            write.row.eq(row), write.beat.eq(index),
            self.done.eq(take & beat.last), self.done_tag.eq(tag),
            self.beat.eq(take), self.beat_tag.eq(tag), self.error.eq(beat.error),
        ]
        size = LeopardLayout(config).v_bits
        m.d.sync += [code.eq(beat.data[n * size : n * size + config.width])
                     for n, code in enumerate(self.codes)]

# SPDX-License-Identifier: Apache-2.0
"""Fetches the planes of a head and writes them into buffers."""

from amaranth.hdl import C, Module, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.layout import Layout
from prunus.golden.registers import INDEX_BITS
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.reader import read_beat_layout
from prunus.hw.survivors.layouts import PIECE, SLOTS

__all__ = ["Plane", "PlaneLoader", "beat_dims", "command_layout", "tag_layout"]


class Plane(enum.Enum, shape=2):
    K = 0
    V = 1
    Q = 2


def tag_layout() -> data.StructLayout:
    """What marks the beats of a plane: of which job's slot they are, and to which bank they go."""
    return data.StructLayout({"plane": Plane, "slot": range(SLOTS), "bank": 1})


def command_layout(config: SurvivorConfig) -> data.StructLayout:
    """Fetch ``rows`` rows (not 0) of a plane of the job in a slot into a bank."""
    return data.StructLayout({
        "plane": Plane, "slot": range(SLOTS), "bank": 1, "address": config.axi_address_width,
        "rows": config.length_width, "d8": 5, "job": INDEX_BITS})


def beat_dims(config: SurvivorConfig) -> int:
    """Codes in a beat of a plane; of a very wide beat only as many as a row has at most."""
    layout = Layout(config)
    return min(layout.row_dims, config.axi_data_width // layout.v_bits)


class PlaneLoader(wiring.Component):
    """A beat per cycle from memory to the buffers of codes.

    A request comes two cycles after its command, one in three cycles at most; a beat is written in
    the cycle after it came. Planes are rows of codes; a subclass may have others among them.

    Parameters
    ----------
    config : SurvivorConfig
    codes : str
        The planes that are codes, a letter each.
    others : mapping or None
        Members for what becomes of other planes.

    Members
    -------
    command : In(stream of command_layout)
        All planes of a slot have the same d until the last beat of the last one.
    req : Out(stream)
        To the read DMA.
    beats : In(stream of read_beat_layout)
        From it.
    write : Out
        Strobes for planes of codes, and the place: bank, row, beat in the row.
    codes : Out
        The beat of whichever of them it is.
    done : Out(1)
        Strobe: the last beat of ``done_tag``'s plane is being written.
    beat, beat_tag, error : Out
        Strobe for every beat, its tag, and whether memory answered it with an error.
    """

    def __init__(self, *, config: SurvivorConfig, codes: str = "qkv", others=None):
        self._config, self._planes = config, codes
        tag, layout = tag_layout(), Layout(config)
        super().__init__({
            "command": In(stream.Signature(command_layout(config))),
            "req": Out(stream.Signature(request_layout(
                tag.size, config.axi_address_width))),
            "beats": In(stream.Signature(read_beat_layout(config, tag.size))),
            **(others or {}),
            "write": Out(data.StructLayout({
                **dict.fromkeys(codes, 1), "bank": 1, "row": range(config.l_max),
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
        self._request(m, d8)
        self._take(m, d8)
        return m

    # -- what a subclass adds for other planes ------------------------------------------------
    def _row_beats(self, m, command) -> tuple:
        """Beats of a row of a command's plane, and the most there can be."""
        layout = Layout(self._config)
        return self._code_beats(command.d8), layout.row_beats("v", self._config.d_max)

    def _count(self, m, command, rows):
        """In the cycle before a request."""

    def _taken(self, m, tag, d8) -> tuple:
        """Whether a beat is taken in this cycle, and one of codes; others are dealt with."""
        m.d.comb += self.beats.ready.eq(1)
        return self.beats.valid, self.beats.valid

    # -----------------------------------------------------------------------------------------
    def _code_beats(self, d8):
        """Beats of a row of codes."""
        dims = beat_dims(self._config)
        if dims <= PIECE:
            return d8 * (PIECE // dims)
        return sum((d8 > n * dims // PIECE for n in range(1, -(-self._config.d_max // dims))),
                   C(1))

    def _request(self, m, d8):
        """A request for each command."""
        command = self.command.payload
        beats, most = self._row_beats(m, command)
        row_beats = Signal(range(most + 1))
        rows = Signal.like(command.rows)
        tag = data.View(tag_layout(), self.req.payload.tag)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [row_beats.eq(beats), rows.eq(command.rows)]
                with m.If(self.command.valid):
                    m.d.sync += d8[command.slot].eq(command.d8)
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [
                    self.req.payload.address.eq(command.address),
                    self.req.payload.beats.eq(rows * row_beats),
                    self.req.payload.job.eq(command.job),
                    tag.plane.eq(command.plane), tag.slot.eq(command.slot),
                    tag.bank.eq(command.bank),
                    self.req.valid.eq(1),
                ]
                self._count(m, command, rows)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                with m.If(self.req.ready):
                    m.d.sync += self.req.valid.eq(0)
                    m.d.comb += self.command.ready.eq(1)
                    m.next = "IDLE"

    def _take(self, m, d8):
        """Beats to where they belong."""
        config, write, beat = self._config, self.write, self.beats.payload
        tag = data.View(tag_layout(), beat.tag)
        take, take_codes = self._taken(m, tag, d8)

        row = Signal(range(config.l_max))
        index = Signal(write.beat.shape())
        with m.If(take_codes):
            m.d.sync += index.eq(index + 1)
            with m.If(index == self._code_beats(d8[tag.slot]) - 1):
                m.d.sync += [index.eq(0), row.eq(row + 1)]
            with m.If(beat.last):
                m.d.sync += [index.eq(0), row.eq(0)]
        m.d.sync += [
            *(write[name].eq(take & (tag.plane == Plane[name.upper()])) for name in self._planes),
            write.bank.eq(tag.bank),
            write.row.eq(row), write.beat.eq(index),
            self.done.eq(take & beat.last), self.done_tag.eq(tag),
            self.beat.eq(take), self.beat_tag.eq(tag), self.error.eq(beat.error),
        ]
        size = Layout(config).v_bits
        m.d.sync += [code.eq(beat.data[n * size : n * size + config.width])
                     for n, code in enumerate(self.codes)]

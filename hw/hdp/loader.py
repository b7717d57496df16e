# SPDX-License-Identifier: Apache-2.0
"""Fetches the planes of a head and unpacks them into the operand buffers."""

from amaranth.hdl import C, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.registers import INDEX_BITS
from prunus.hw.hdp.integer_pass import chunks
from prunus.hw.hdp.layouts import fraction_layout, integer_layout, value_layout
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.reader import read_beat_layout

__all__ = ["Loader", "Plane", "beat_dims", "command_layout", "row_beats", "tag_layout"]


class Plane(enum.Enum, shape=3):
    Q_I = 0
    K_I = 1
    Q_F = 2
    K_F = 3
    V = 4


def tag_layout() -> data.StructLayout:
    """What marks the beats of a plane on their way back from memory: of which head they are, and
    where K and V go."""
    return data.StructLayout({"plane": Plane, "bank": 1, "kv": 1})


def command_layout(config: HdpConfig) -> data.StructLayout:
    """Fetch ``rows`` rows (not 0) of a plane of the head in a bank; K and V go to bank ``kv``."""
    return data.StructLayout({
        "plane": Plane, "bank": 1, "kv": 1, "address": config.axi_address_width,
        "rows": config.held_width, "d8": 5, "job": INDEX_BITS, "refused": 1,
    })


def beat_dims(config: HdpConfig) -> tuple[int, int, int]:
    """Dimensions in a beat of the integer, fraction and value planes.

    Of a beat that is wider than the longest row only the part that a row can fill.
    """
    layout = HdpLayout(config)
    return tuple(min(layout.row_dims, config.axi_data_width // bits)
                 for bits in (layout.i_bits, layout.f_bits, layout.v_bits))


def row_beats(config: HdpConfig, kind: str, d8):
    """Beats of sign bits and, after them, of elements in a row of plane ``i``, ``f`` or ``v``."""
    layout = HdpLayout(config)
    elements = chunks(d8, beat_dims(config)["ifv".index(kind)])
    if kind != layout.signed_kind or layout.signs_beside:
        return C(0, 1), elements
    return chunks(d8, config.axi_data_width), elements


class Loader(wiring.Component):
    """A beat per cycle from memory to the buffers, in sign-magnitude.

    A request comes two cycles after its command, one in three cycles at most; a beat is written in
    the cycle after it came.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    command : In(stream of command_layout)
        All planes of a bank have the same d until the last beat of the last one.
    req : Out(stream)
        To the read DMA.
    beats : In(stream of read_beat_layout)
        From it; always ready.
    write : Out
        A strobe per plane, and the place: bank or, for K and V, kv, row, and beat of elements in
        the row.
    i, f, v : Out
        Elements of the beat, of whichever plane it is.
    v_codes : Out
        The beat of V in two's complement.
    done : Out(1)
        Strobe: the last beat of ``done_tag``'s plane is being written.
    beat, beat_tag, error : Out
        Strobe for every beat, its tag, and whether memory answered it with an error; beats of
        sign bits, which are not written, count as well.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        self._i_dims, self._f_dims, self._v_dims = beat_dims(config)
        tag = tag_layout()
        layout = HdpLayout(config)
        super().__init__({
            "command": In(stream.Signature(command_layout(config))),
            "req": Out(stream.Signature(request_layout(
                tag.size, config.axi_address_width))),
            "beats": In(stream.Signature(read_beat_layout(config, tag.size))),
            "write": Out(data.StructLayout({
                "q_i": 1, "k_i": 1, "q_f": 1, "k_f": 1, "v": 1,
                "bank": 1, "kv": 1, "row": range(config.held_rows),
                "beat": range(max(2, layout.row_beats("v", config.d_max),
                                  layout.row_beats("f", config.d_max))),
            })),
            "i": Out(data.ArrayLayout(integer_layout(config), self._i_dims)),
            "f": Out(data.ArrayLayout(fraction_layout(config), self._f_dims)),
            "v": Out(data.ArrayLayout(value_layout(config), self._v_dims)),
            "v_codes": Out(data.ArrayLayout(signed(config.width), self._v_dims)),
            "done": Out(1),
            "done_tag": Out(tag),
            "beat": Out(1),
            "beat_tag": Out(tag),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        d8 = Signal(data.ArrayLayout(5, 2))      # per bank
        self._request(m, d8)
        self._unpack(m, d8)
        return m

    def _row_beats(self, plane, d8):
        """Beats of sign bits and, after them, of elements in a row of a plane."""
        layout = HdpLayout(self._config)
        is_i = (plane == Plane.Q_I) | (plane == Plane.K_I)
        is_f = (plane == Plane.Q_F) | (plane == Plane.K_F)
        (i_signs, i), (f_signs, f), (_, v) = (row_beats(self._config, kind, d8) for kind in "ifv")
        signs = i_signs if layout.signed_kind == "i" else f_signs
        if layout.signs_apart:
            signs = Mux(is_i if layout.signed_kind == "i" else is_f, signs, 0)
        return signs, Mux(is_i, i, Mux(is_f, f, v))

    def _request(self, m, d8):
        """A request for each command."""
        command = self.command.payload
        row_beats = Signal(6)
        rows = Signal.like(command.rows)
        tag = data.View(tag_layout(), self.req.payload.tag)
        with m.FSM():
            with m.State("IDLE"):
                signs, elements = self._row_beats(command.plane, command.d8)
                m.d.sync += [row_beats.eq(signs + elements), rows.eq(command.rows)]
                with m.If(self.command.valid):
                    m.d.sync += d8[command.bank].eq(command.d8)
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [
                    self.req.payload.address.eq(command.address),
                    self.req.payload.beats.eq(rows * row_beats),
                    self.req.payload.job.eq(command.job),
                    self.req.payload.refused.eq(command.refused),
                    tag.plane.eq(command.plane), tag.bank.eq(command.bank), tag.kv.eq(command.kv),
                    self.req.valid.eq(1),
                ]
                m.next = "REQUEST"
            with m.State("REQUEST"):
                with m.If(self.req.ready):
                    m.d.sync += self.req.valid.eq(0)
                    m.d.comb += self.command.ready.eq(1)
                    m.next = "IDLE"

    def _unpack(self, m, d8):
        write = self.write
        beat = self.beats.payload
        tag = data.View(tag_layout(), beat.tag)
        row = Signal(range(self._config.held_rows))
        index = Signal(write.beat.shape())
        signs, last_index = self._row_counts(m, d8, tag, index)
        is_sign = index < signs if HdpLayout(self._config).signs_apart else C(0, 1)
        take = self.beats.valid
        with m.If(take):
            m.d.sync += index.eq(index + 1)
            with m.If(index == last_index):
                m.d.sync += [index.eq(0), row.eq(row + 1)]
            with m.If(beat.last):
                m.d.sync += [index.eq(0), row.eq(0)]
        store = take & ~is_sign
        m.d.comb += self.beats.ready.eq(1)
        m.d.sync += [
            write.q_i.eq(store & (tag.plane == Plane.Q_I)),
            write.k_i.eq(store & (tag.plane == Plane.K_I)),
            write.q_f.eq(store & (tag.plane == Plane.Q_F)),
            write.k_f.eq(store & (tag.plane == Plane.K_F)),
            write.v.eq(store & (tag.plane == Plane.V)),
            self.done.eq(take & beat.last), self.beat.eq(take),
        ]
        with m.If(take):
            m.d.sync += [
                write.bank.eq(tag.bank), write.kv.eq(tag.kv),
                write.row.eq(row), write.beat.eq(index - signs),
                self.done_tag.eq(tag), self.beat_tag.eq(tag), self.error.eq(beat.error),
            ]
        self._convert(m, beat.data, tag.plane, take, is_sign, index)

    def _row_counts(self, m, d8, tag, index):
        """Beats of sign bits in a row of a plane, and the index of its last beat.

        Those of both banks lie ready: d is known long before the first beat comes.
        """
        signed_kind = HdpLayout(self._config).signed_kind
        signs = Signal(data.ArrayLayout(index.shape(), 2))
        last = Signal(data.ArrayLayout(data.ArrayLayout(index.shape(), 3), 2))
        for bank in range(2):
            for n, kind in enumerate("ifv"):
                before, elements = row_beats(self._config, kind, d8[bank])
                m.d.sync += last[bank][n].eq(before + elements - 1)
                if kind == signed_kind:
                    m.d.sync += signs[bank].eq(before)
        of_i, of_f, of_v = last[tag.bank]
        is_i = (tag.plane == Plane.Q_I) | (tag.plane == Plane.K_I)
        is_f = (tag.plane == Plane.Q_F) | (tag.plane == Plane.K_F)
        is_signed = {"i": is_i, "f": is_f, "": C(0, 1)}[signed_kind]
        return (Mux(is_signed, signs[tag.bank], 0), Mux(is_i, of_i, Mux(is_f, of_f, of_v)))

    def _signs(self, m, bits, take, is_sign, index, dims):
        """Sign bits of a row, those of the ``dims`` elements that come now at the low end."""
        sign_beats = -(-self._config.d_max // self._config.axi_data_width)
        sign_bits = min(self._config.axi_data_width, HdpLayout(self._config).row_dims)
        signs = Signal(sign_beats * sign_bits)
        with m.If(take):
            with m.If(is_sign):
                m.d.sync += signs.word_select(index[: max(1, (sign_beats - 1).bit_length())],
                                              sign_bits).eq(bits)
            with m.Else():
                m.d.sync += signs.eq(signs >> dims)
        return signs

    def _convert(self, m, bits, plane, take, is_sign, index):
        config = self._config
        layout = HdpLayout(config)
        kind = layout.signed_kind
        mags = bits
        if layout.signs_beside:
            signs, mags = bits[: layout.row_dims], bits[layout.row_dims :]
        elif layout.signs_apart:
            dims = self._i_dims if kind == "i" else self._f_dims
            signs = self._signs(m, bits, take, is_sign, index, dims)

        def elements(dims, container, width, bits=bits):
            return [bits[n * container : n * container + width] for n in range(dims)]

        def sign_magnitude(target, code):
            m.d.sync += [target.sign.eq(code[-1]),
                         target.mag.eq(Mux(code[-1], -code.as_signed(), code))]

        is_v = plane == Plane.V
        is_i = (plane == Plane.Q_I) | (plane == Plane.K_I)
        of_kind = {"i": take & is_i, "f": take & ~is_i & ~is_v}
        for name, target, dims, container, whole in (
                ("i", self.i, self._i_dims, layout.i_bits, config.int_width),
                ("f", self.f, self._f_dims, layout.f_bits, config.frac)):
            with m.If(of_kind[name]):
                if name == kind:
                    for n, mag in enumerate(elements(dims, container, len(target[0].mag), mags)):
                        m.d.sync += [target[n].mag.eq(mag), target[n].sign.eq(signs[n])]
                else:
                    for n, code in enumerate(elements(dims, container, whole)):
                        sign_magnitude(target[n], code)
        with m.If(take & is_v):
            for n, code in enumerate(elements(self._v_dims, layout.v_bits, config.width)):
                sign_magnitude(self.v[n], code)
                m.d.sync += self.v_codes[n].eq(code)

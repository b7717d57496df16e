# SPDX-License-Identifier: Apache-2.0
"""Job descriptors: from the beats of memory to checked fields."""

from functools import reduce
from operator import or_

from amaranth.hdl import C, Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import softmax
from prunus.golden.engine import EngineConfig, JobKind
from prunus.golden.engines import engine_of
from prunus.golden.records import STATUS_BYTES, Error, Record
from prunus.golden.registers import INDEX_BITS

from .records import number, record_layout

__all__ = ["DescriptorDecoder", "descriptor_layout"]

RESULTS = ("out", "status")


def out_of_range(value, low: int, high: int):
    """Whether a value lies outside ``low``..``high``, as cheap as it can be told; None if it
    cannot."""
    least, most = _range(value.shape())
    if (low, high) == (least, most):
        return None
    if (low, high) == (least + 1, most):
        return value == least
    for bits in range(1, len(value)):
        if (low, high) == _range(Shape(bits, value.shape().signed)):
            kept = value[:bits]
            return value != (kept.as_signed() if value.shape().signed else kept)
    return (value < low) | (value > high)


def _range(shape: Shape) -> tuple[int, int]:
    low = -(1 << shape.width - 1) if shape.signed else 0
    return low, low + (1 << shape.width) - 1


def _kept_shape(low: int, high: int) -> Shape:
    """The least shape that holds a range; two's complement if it has negative values."""
    if low < 0:
        return signed(max(high.bit_length(), (-1 - low).bit_length()) + 1)
    return unsigned(max(1, high.bit_length()))


def _any(conditions: list):
    """Whether one of them holds; never, if there are none."""
    return reduce(or_, conditions) if conditions else C(0)


def descriptor_layout(config: EngineConfig, *, heads: bool = False) -> data.StructLayout:
    """A decoded descriptor; ``error`` is a code of ``prunus.golden.records.Error``.

    With an error only ``status`` can be used, and with ``Error.BUS`` not even that. ``d8`` is
    d / 8, and ``index`` the job's in its table. An engine with several kinds of job has the fields
    of all, as wide as they are in a descriptor but for those of heads, and ``kind`` says which one
    it is; or it has those of ``heads`` alone.
    """
    length, (head, *others) = config.length_width, engine_of(config).kinds_of(config)
    pruning = {name: _kept_shape(*limits) for name, limits in head.limits(config).items()}
    more = {} if heads else {
        field.name: config.axi_address_width if field.name in kind.addresses else field.width
        for kind in others for field in kind.descriptor
        if field.name not in ("opcode", *RESULTS)}
    several = {"kind": range(1 + len(others))} if others and not heads else {}
    return data.StructLayout({
        "causal": 1, "same_kv": 1,
        "l_q": length, "l_kv": length, "valid_q": length, "valid_kv": length,
        "d8": 5, "shift": 6, "mant": 16, **pruning,
        **dict.fromkeys(head.addresses, config.axi_address_width),
        **more, **several,
        "error": 8, "index": INDEX_BITS,
    })


class DescriptorDecoder(wiring.Component):
    """Gathers the beats of descriptors and checks every field.

    3 cycles from a descriptor's last beat to its fields; one descriptor per read of one and
    4 cycles.

    The error is the first that applies in the order of ``prunus.golden.records.Error``, but a beat
    with a
    bus error makes it ``BUS`` whatever the fields say, as they cannot be trusted then. The scale's
    shift is bits 31:16 of its word, so that a stray upper half counts as out of range.

    Parameters
    ----------
    config : EngineConfig
        Gives the engine and the limits that the fields are checked against.

    Members
    -------
    i : stream
        Beats: ``data``, ``error`` (the memory answered with an error) and ``last``, which ends
        the descriptor; all of it, from the first word on.
    o : stream of descriptor_layout(config)
        Decoded descriptors, stable while valid. ``index`` is for others to fill in.
    lost : Out(1)
        Beside ``o``: the job has no status record. Its descriptor could not be read, or says
        nothing of one: its opcode is 0, or the address is not a multiple of 64.
    """

    def __init__(self, *, config: EngineConfig):
        self._config = config
        self._kinds = engine_of(config).kinds_of(config)
        self._records = [kind.descriptor_of(config) for kind in self._kinds]
        super().__init__({
            "i": In(stream.Signature(data.StructLayout(
                {"data": config.axi_data_width, "error": 1, "last": 1}))),
            "o": Out(stream.Signature(descriptor_layout(config))),
            "lost": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        raws = self._raw()
        raw = raws[0]           # what all kinds have lies where it lies in the first
        bus_error = Signal()
        stray = Signal()
        failed = Signal(len(Error))             # by error code
        error = Signal(Error)

        with m.FSM():
            with m.State("GATHER"):
                self._gather(m, raws, bus_error, stray)
            with m.State("CHECK"):
                for code, condition in self._conditions(raws, stray):
                    m.d.sync += failed[code].eq(condition)
                m.d.sync += [
                    failed[Error.BUS].eq(bus_error),
                    self.lost.eq(bus_error | (raw.opcode == 0)
                                 | (number(raw, self._records[0], "status")
                                    [:STATUS_BYTES.bit_length() - 1] != 0)),
                ]
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.d.sync += error.eq(Error.NONE)
                for code in sorted(Error, reverse=True):        # the last assignment wins
                    if code not in (Error.NONE, Error.BUS):
                        with m.If(failed[code]):
                            m.d.sync += error.eq(code)
                with m.If(failed[Error.BUS]):
                    m.d.sync += error.eq(Error.BUS)
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [bus_error.eq(0), stray.eq(0)]
                    m.next = "GATHER"

        self._fields(m, raws)
        m.d.comb += [self.o.p.d8.eq(raw.d[3:]), self.o.p.error.eq(error)]
        return m

    def _raw(self) -> list:
        """The words that were gathered, as each kind of job has them."""
        layouts = [record_layout(record) for record in self._records]
        if len(layouts) == 1:
            return [Signal(layouts[0], name="raw")]
        words = Signal(max(layout.size for layout in layouts), name="raw")
        return [data.View(layout, words[: layout.size]) for layout in layouts]

    def _fields(self, m, raws):
        """Fields of the job; what a trimmed one loses is checked."""
        fields = self.o.p
        names = [name for name, _ in fields.shape()]
        # Numbers that are put together come last.
        for name in sorted(names, key=lambda name: max(
                len(record.pieces(name)) for record in self._records) > 1):
            if name == "kind":
                for n, (kind, raw) in enumerate(zip(self._kinds, raws, strict=True)):
                    with m.If(raw.opcode == kind.opcode):
                        m.d.comb += fields.kind.eq(n)
                continue
            values = [(raw.opcode == kind.opcode, number(raw, record, name))
                      for kind, record, raw in zip(self._kinds, self._records, raws, strict=True)
                      if name in record.names]
            # An unknown opcode is read as the first kind, for the place of the record.
            m.d.comb += [fields[name].eq(value) for _, value in values[:1]]
            for mine, value in values[1:]:
                with m.If(mine):
                    m.d.comb += fields[name].eq(value)

    def _gather(self, m, raws, bus_error, stray):
        """Words of the descriptor; ``stray`` tells of bits behind the last that is kept."""
        width = self._config.axi_data_width
        beats = self._config.descriptor_bytes * 8 // width
        beat = Signal(range(beats))
        words = max((raw.as_value() for raw in raws), key=len)
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.sync += [beat.eq(beat + 1), bus_error.eq(bus_error | self.i.p.error)]
            for n in range(beats):
                with m.If(beat == n):
                    m.d.sync += words[n * width : (n + 1) * width].eq(self.i.p.data)
                    behind = max(0, len(words) - n * width)
                    if behind < width:
                        m.d.sync += stray.eq(stray | self.i.p.data[behind:].any())
            with m.If(self.i.p.last):
                m.d.sync += beat.eq(0)
                m.next = "CHECK"

    def _conditions(self, raws, stray):
        """Pairs of an error code and when it applies."""
        config, raw = self._config, raws[0]

        def bad_length(length):
            return (length == 0) | (length > config.l_max)

        head = self._kinds[0]
        words = max((raw.as_value() for raw in raws), key=len)
        # Another kind may have fields behind the last one of a kind.
        strays = [stray | words[its.shape().size :].any() if len(words) > its.shape().size
                  else stray for its in raws]
        mine = {
            Error.OPCODE: self._unnamed(head, raw) | strays[0],
            Error.DIMENSION: (raw.d[:3] != 0) | (raw.d == 0) | (raw.d > config.d_max),
            Error.LENGTH: bad_length(raw.l_q) | bad_length(raw.l_kv),
            Error.VALID: (raw.valid_q > raw.l_q) | (raw.valid_kv > raw.l_kv),
            Error.PRUNING: self._prunes_badly(head, raw)
            | (raw.shift < softmax.SCALE_SHIFT_MIN) | (raw.shift > softmax.SCALE_SHIFT_MAX),
            Error.ALIGNMENT: self._misaligned(head, self._records[0], raw),
        }
        for kind, record, its, beyond in zip(self._kinds[1:], self._records[1:], raws[1:],
                                             strays[1:], strict=True):
            values = {name: number(its, record, name) for name in record.names}
            unnamed = self._unnamed(kind, its) | beyond
            theirs = {Error.OPCODE: unnamed, **{
                code: condition | (unnamed if code == Error.OPCODE else 0)
                for code, condition in kind.checks(values, config).items()},
                Error.ALIGNMENT: self._misaligned(kind, record, its)}
            # Conditions of the kind whose opcode it is; unknown ones are those of no kind.
            mine = {code: Mux(its.opcode == kind.opcode, theirs.get(code, 0), condition)
                    for code, condition in mine.items()}
        return list(mine.items())

    @staticmethod
    def _unnamed(kind: JobKind, raw):
        """Whether the opcode is another one, or a bit without a field is set."""
        reserved = [raw[name] != 0 for name, _ in raw.shape()
                    if name.startswith(("reserved", "unused"))]
        return (raw.opcode != kind.opcode) | _any(reserved)

    def _prunes_badly(self, kind: JobKind, raw):
        """Whether what says how to prune is out of range."""
        ranges = (out_of_range(number(raw, self._records[0], name), *limits)
                  for name, limits in kind.limits(self._config).items())
        return _any([beyond for beyond in ranges if beyond is not None])

    def _misaligned(self, kind: JobKind, record: Record, raw):
        """Whether an address is not on a beat, or the record's not on 64 bytes."""
        low = (self._config.axi_data_width // 8).bit_length() - 1
        misaligned = number(raw, record, "status")[: STATUS_BYTES.bit_length() - 1] != 0
        for name in kind.addresses:
            misaligned = misaligned | (number(raw, record, name)[:low] != 0)
        return misaligned

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


def descriptor_layout(config: EngineConfig) -> data.StructLayout:
    """A decoded descriptor; ``error`` is a code of ``prunus.golden.records.Error``.

    With an error only ``status`` can be used, and with ``Error.BUS`` not even that. ``d8`` is
    d / 8, and ``index`` the job's in its table. An engine with several kinds of job has the fields
    of all, and ``kind`` says which one it is.
    """
    length, kinds = config.length_width, engine_of(config).kinds
    ranges: dict[str, tuple[int, int]] = {}
    for kind in kinds:
        for name, (low, high) in kind.limits(config).items():
            least, most = ranges.get(name, (low, high))
            ranges[name] = min(least, low), max(most, high)
    pruning = {name: _kept_shape(*limits) for name, limits in ranges.items()}
    several = {"kind": range(len(kinds))} if len(kinds) > 1 else {}
    return data.StructLayout({
        "causal": 1, "same_kv": 1,
        "l_q": length, "l_kv": length, "valid_q": length, "valid_kv": length,
        "d8": 5, "shift": 6, "mant": 16, **pruning,
        **dict.fromkeys(_addresses(config), config.axi_address_width),
        **several,
        "error": 8, "index": INDEX_BITS,
    })


def _addresses(config: EngineConfig) -> list[str]:
    """Names of all addresses."""
    planes = [plane.name for kind in engine_of(config).kinds for plane in kind.planes]
    return [*dict.fromkeys(planes), *RESULTS]


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
        self._kinds = engine_of(config).kinds
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
            if len(values) == 1:
                m.d.comb += fields[name].eq(values[0][1])
            for mine, value in values if len(values) > 1 else ():
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

        kinds = [self._kind_conditions(kind, record, raw)
                 for kind, record, raw in zip(self._kinds, self._records, raws, strict=True)]
        unknown, reserved, pruning, misaligned = kinds[0]
        for other in kinds[1:]:     # those of the kind whose opcode it is
            reserved, pruning, misaligned = (Mux(unknown, theirs, mine) for theirs, mine in zip(
                other[1:], (reserved, pruning, misaligned), strict=True))
            unknown = unknown & other[0]
        return [
            (Error.OPCODE, unknown | reserved | stray),
            (Error.DIMENSION,
             (raw.d[:3] != 0) | (raw.d == 0) | (raw.d > config.d_max)),
            (Error.LENGTH, bad_length(raw.l_q) | bad_length(raw.l_kv)),
            (Error.VALID, (raw.valid_q > raw.l_q) | (raw.valid_kv > raw.l_kv)),
            (Error.PRUNING, pruning | (raw.shift < softmax.SCALE_SHIFT_MIN)
             | (raw.shift > softmax.SCALE_SHIFT_MAX)),
            (Error.ALIGNMENT, misaligned),
        ]

    def _kind_conditions(self, kind: JobKind, record: Record, raw):
        """Whether the opcode is another one, a bit without a field is set, what says how to prune
        is out of range, an address is not on a beat or the record's not on 64 bytes."""
        config = self._config
        low = (config.axi_data_width // 8).bit_length() - 1
        status_low = STATUS_BYTES.bit_length() - 1
        misaligned = number(raw, record, "status")[:status_low] != 0
        for name in kind.addresses:
            misaligned = misaligned | (number(raw, record, name)[:low] != 0)
        reserved = [raw[name] != 0 for name, _ in raw.shape()
                    if name.startswith(("reserved", "unused"))]
        ranges = (out_of_range(number(raw, record, name), *limits)
                  for name, limits in kind.limits(config).items())
        pruning = [beyond for beyond in ranges if beyond is not None]
        return raw.opcode != kind.opcode, _any(reserved), _any(pruning), misaligned

# SPDX-License-Identifier: Apache-2.0
"""Job descriptors: from the beats of memory to checked fields."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import softmax
from golden.engine import EngineConfig
from golden.hdp.planes import DESCRIPTOR_BYTES, STATUS_BYTES, Error, Opcode

__all__ = ["DescriptorDecoder", "descriptor_layout"]

ADDRESSES = {"hdp": ("q_i", "q_f", "k_i", "k_f", "v", "out", "status"),
             "leopard": ("q", "k", "v", "out", "status")}

# Words 0 to 12 as in golden.hdp.planes.descriptor; the rest means nothing.
RAW = data.StructLayout({
    "opcode": 8, "causal": 1, "exact": 1, "dense": 1, "drop": 1, "same_kv": 1, "reserved": 19,
    "l_q": 16, "l_kv": 16,
    "valid_q": 16, "valid_kv": 16,
    "d": 8, "rho": signed(8), "shift": 16,
    "tau_head": 32,
    "mant": 16, "unused": 16,
    **dict.fromkeys(ADDRESSES["hdp"], 32),
})
# The same words of golden.leopard.planes.descriptor.
LEOPARD_RAW = data.StructLayout({
    "opcode": 8, "causal": 1, "reserved": 3, "same_kv": 1, "reserved_too": 19,
    "l_q": 16, "l_kv": 16,
    "valid_q": 16, "valid_kv": 16,
    "d": 8, "unused": 8, "shift": 16,
    "threshold_low": 32,
    "mant": 16, "threshold_high": signed(16),
    "q": 32, "unused_q": 32, "k": 32, "unused_k": 32, "v": 32, "out": 32, "status": 32,
})


def descriptor_layout(config: EngineConfig) -> data.StructLayout:
    """A decoded descriptor; ``error`` is a code of ``golden.hdp.planes.Error``.

    With an error only ``status`` can be used, and with ``Error.BUS`` not even that. ``d8`` is
    d / 8.
    """
    length = config.length_width
    pruning = {"threshold": signed(config.threshold_width)} if config.engine == "leopard" else {
        "exact": 1, "dense": 1, "drop": 1, "rho": signed(8), "tau_head": 32}
    return data.StructLayout({
        "causal": 1, "same_kv": 1,
        "l_q": length, "l_kv": length, "valid_q": length, "valid_kv": length,
        "d8": 5, "shift": 6, "mant": 16, **pruning,
        **dict.fromkeys(ADDRESSES[config.engine], 32),
        "error": 8,
    })


class DescriptorDecoder(wiring.Component):
    """Gathers the beats of descriptors and checks every field.

    3 cycles from a descriptor's last beat to its fields; one descriptor per 64-byte read and
    4 cycles.

    The error is the first that applies in the order of ``golden.hdp.planes.Error``, but a beat
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
        the descriptor; 64 bytes, from the first word on.
    o : stream of descriptor_layout(config)
        Decoded descriptors, stable while valid.
    """

    def __init__(self, *, config: EngineConfig):
        self._config = config
        self._addresses = ADDRESSES[config.engine]
        super().__init__({
            "i": In(stream.Signature(data.StructLayout(
                {"data": config.axi_data_width, "error": 1, "last": 1}))),
            "o": Out(stream.Signature(descriptor_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        raw = Signal(LEOPARD_RAW if self._config.engine == "leopard" else RAW)
        bus_error = Signal()
        failed = Signal(len(Error))             # by error code
        error = Signal(Error)

        with m.FSM():
            with m.State("GATHER"):
                self._gather(m, raw, bus_error)
            with m.State("CHECK"):
                for code, condition in self._conditions(raw):
                    m.d.sync += failed[code].eq(condition)
                m.d.sync += failed[Error.BUS].eq(bus_error)
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
                    m.d.sync += bus_error.eq(0)
                    m.next = "GATHER"

        fields = self.o.p
        for name, _ in fields.shape():
            if name not in ("d8", "error", "threshold"):
                m.d.comb += fields[name].eq(raw[name])      # what a trimmed field loses is checked
        if self._config.engine == "leopard":
            m.d.comb += fields.threshold.eq(self._threshold(raw))
        m.d.comb += [fields.d8.eq(raw.d[3:]), fields.error.eq(error)]
        return m

    def _gather(self, m, raw, bus_error):
        width = self._config.axi_data_width
        beats = DESCRIPTOR_BYTES * 8 // width
        beat = Signal(range(beats))
        words = raw.as_value()
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.sync += [beat.eq(beat + 1), bus_error.eq(bus_error | self.i.p.error)]
            for n in range(beats):
                with m.If(beat == n):
                    m.d.sync += words[n * width : (n + 1) * width].eq(self.i.p.data)
            with m.If(self.i.p.last):
                m.d.sync += beat.eq(0)
                m.next = "CHECK"

    def _conditions(self, raw):
        """Pairs of an error code and when it applies."""
        config = self._config
        low = (config.axi_data_width // 8).bit_length() - 1
        status_low = STATUS_BYTES.bit_length() - 1

        def bad_length(length):
            return (length == 0) | (length > config.l_max)

        misaligned = raw.status[:status_low] != 0
        for name in self._addresses:
            misaligned = misaligned | (raw[name][:low] != 0)
        opcode, reserved, pruning = self._pruning(raw)
        return [
            (Error.OPCODE, (raw.opcode != opcode) | reserved),
            (Error.DIMENSION,
             (raw.d[:3] != 0) | (raw.d == 0) | (raw.d > config.d_max)),
            (Error.LENGTH, bad_length(raw.l_q) | bad_length(raw.l_kv)),
            (Error.VALID, (raw.valid_q > raw.l_q) | (raw.valid_kv > raw.l_kv)),
            (Error.PRUNING, pruning | (raw.shift < softmax.SCALE_SHIFT_MIN)
             | (raw.shift > softmax.SCALE_SHIFT_MAX)),
            (Error.ALIGNMENT, misaligned),
        ]

    def _pruning(self, raw):
        """The opcode, whether a flag is set that must not, and whether what says how to prune is
        out of range."""
        if self._config.engine == "hdp":
            return Opcode.HDP, raw.reserved != 0, raw.rho == -128
        reserved = (raw.reserved != 0) | (raw.reserved_too != 0)
        threshold = self._threshold(raw)
        low = threshold[: self._config.threshold_width].as_signed()
        return Opcode.LEOPARD, reserved, threshold != low

    @staticmethod
    def _threshold(raw):
        return Cat(raw.threshold_low, raw.threshold_high).as_signed()

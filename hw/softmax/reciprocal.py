# SPDX-License-Identifier: Apache-2.0
"""The reciprocal of a denominator."""

from amaranth.hdl import Array, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.golden.softmax import DEN_BITS, RECIP_BITS, reciprocal_table
from prunus.hw.parts.pipeline import delayed

__all__ = ["Reciprocal"]


class Reciprocal(wiring.Component):
    """``r * 2**-17 ~ 2**p / den``, bit for bit ``prunus.golden.softmax.reciprocal``.

    ``latency`` cycles, one reciprocal per cycle: find the leading one, shift it out, look up the
    segment, multiply, subtract. One 13x12-bit multiplier.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    valid : In
        There is a denominator.
    den : In
        0, or at least ``2**DEN_BITS``: a row's weights include one of nearly 1.0.
    r : Out
        Below ``2**RECIP_BITS``, so that its top bit is always 0.
    p : Out
        Place of the leading one, ``DEN_BITS`` or more.
    empty : Out
        ``den`` was 0; ``r`` and ``p`` mean nothing.
    """

    latency = 5

    def __init__(self, *, config: EngineConfig):
        super().__init__({
            "valid": In(1),
            "den": In(config.denominator_width),
            "r": Out(RECIP_BITS + 1),
            "p": Out(5),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        places = len(self.den) - DEN_BITS          # where the leading one can be
        octave = Signal(range(places), reset_less=True)
        empty = Signal(reset_less=True)
        den = Signal.like(self.den, reset_less=True)
        valid = delayed(m, self.valid, self.latency - 1, name="valid", reset_less=False)
        with m.If(valid[0]):
            m.d.sync += den.eq(self.den), empty.eq(~self.den[DEN_BITS:].any())
            for n in range(places):
                with m.If(self.den[DEN_BITS + n]):
                    m.d.sync += octave.eq(n)           # the last one wins
        octaves = delayed(m, octave, 3, name="octave", valid=valid[1:])
        empties = delayed(m, empty, 3, name="empty", valid=valid[1:])

        # The 16 bits below the leading one: 4 choose the segment, 12 interpolate in it.
        f = Signal(16, reset_less=True)
        with m.If(valid[1]):
            m.d.sync += f.eq((den << 1) >> octave)

        table = reciprocal_table()
        value_width = max(value for value, _ in table).bit_length()
        drop_width = max(drop for _, drop in table).bit_length()
        value = Signal(value_width, reset_less=True)
        drop = Signal(drop_width, reset_less=True)
        rest = Signal(12, reset_less=True)
        with m.If(valid[2]):
            m.d.sync += [
                value.eq(Array(Const(v, value_width) for v, _ in table)[f[12:]]),
                drop.eq(Array(Const(d, drop_width) for _, d in table)[f[12:]]),
                rest.eq(f[:12]),
            ]

        product = Signal(len(drop) + len(rest), reset_less=True)
        values = delayed(m, value, 1, name="value", valid=valid[3:])
        with m.If(valid[3]):
            m.d.sync += product.eq(drop * rest)
        with m.If(valid[4]):
            m.d.sync += [
                self.r.eq(values[1] - (product >> 12)),
                self.p.eq(DEN_BITS + octaves[3]),
                self.empty.eq(empties[3]),
            ]
        return m

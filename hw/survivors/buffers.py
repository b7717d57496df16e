# SPDX-License-Identifier: Apache-2.0
"""On-chip memory of the queries and values of two heads."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.parts.two_banks import two_banks

__all__ = ["CodeBuffer"]


class CodeBuffer(wiring.Component):
    """Rows of codes of two heads, written a beat and read ``read`` dimensions of a row at a time.

    A read takes ``latency`` cycles, one read and one write per cycle; what is not asked for with
    ``en`` is not read, and ``data`` stays. A word holds ``max(beat, read)`` dimensions, or a whole
    row where that is no multiple by a power of two of both; each beat of a word is a block RAM
    of its own, so that it is written whole without byte enables. What of a row's last word lies
    beyond d is whatever was there before.

    Parameters
    ----------
    width : int
        Bits of a code.
    beat, read : int
        Dimensions of a beat and of a read.
    rows, d_max : int
        Rows of a head and dimensions of a row.
    single_port : bool
        As of :func:`prunus.hw.parts.two_banks.two_banks`.

    Members
    -------
    write_en, write_bank, write_row, write_beat, write_data : In
        ``write_beat`` counts beats within the row.
    en, bank, row, chunk : In
        ``chunk`` counts reads within the row.
    data : Out
        What leaves a block RAM is late in its cycle and gets a register.
    """

    latency = 2

    def __init__(self, *, width: int, beat: int, read: int, rows: int, d_max: int,
                 single_port: bool = False):
        self._slices, self._parts = -(-d_max // beat), -(-d_max // read)    # of a word
        self._words, self._single_port = 1, single_port
        ratio = max(beat, read) / min(beat, read)
        if ratio in [1 << n for n in range(7)]:
            self._slices, self._parts = max(1, read // beat), max(1, beat // read)
            self._words = -(-d_max // max(beat, read))
        codes = data.ArrayLayout(signed(width), beat)
        super().__init__({
            "write_en": In(1), "write_bank": In(1), "write_row": In(range(max(2, rows))),
            "write_beat": In(range(max(2, -(-d_max // beat)))), "write_data": In(codes),
            "en": In(1), "bank": In(1), "row": In(range(max(2, rows))),
            "chunk": In(range(max(2, -(-d_max // read)))),
            "data": Out(data.ArrayLayout(signed(width), read)),
        })

    def _address(self, bank, row, word):
        """Banks over rows over words."""
        bits = (self._words - 1).bit_length()
        return Cat(word[:bits], *([0] * (bits - len(word[:bits]))), row, bank)

    def elaborate(self, platform):
        m = Module()
        slices, parts = self._slices, self._parts
        bank = 1 << (self._words - 1).bit_length() + len(self.row)
        beat_word, place = self._split(self.write_beat, slices)
        read_word, part = self._split(self.chunk, parts)
        words = []
        for n in range(slices):
            words.append(two_banks(
                m, f"slice_{n}", words=bank, write_en=self.write_en & (place == n),
                write_address=self._address(self.write_bank, self.write_row, beat_word),
                write_data=self.write_data.as_value(), read_en=self.en,
                read_address=self._address(self.bank, self.row, read_word),
                single_port=self._single_port))
        asked = Signal()
        which = Signal(range(max(2, parts)))
        m.d.sync += [asked.eq(self.en), which.eq(part)]
        with m.If(asked):
            width = len(self.data.as_value())
            with m.Switch(which):
                for n in range(parts):
                    with m.Case(n):
                        m.d.sync += self.data.eq(Cat(*words)[n * width : (n + 1) * width])
        return m

    def _split(self, index, count: int):
        """The word of a piece and its place in it, where a word has ``count``."""
        bits = (count - 1).bit_length()
        return (index[:0], index) if self._words == 1 else (index[bits:], index[:bits])

# SPDX-License-Identifier: Apache-2.0
"""On-chip buffer of one plane of operands."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.copies import kept_copy

__all__ = ["PlaneBuffer"]


class PlaneBuffer(wiring.Component):
    """Two heads of a plane: written a beat of one row, read a word of a pair of rows, or of
    ``pairs`` adjacent ones, at a time.

    A read takes ``latency`` cycles, one read and one write per cycle. A word holds ``word``
    dimensions of the rows, ``word = max(beat, read)``; each row of a read and each beat of a word
    is a block RAM of its own, so that a beat is written whole without byte enables. The
    first beat of a word also clears the rest of it: dimensions beyond d in a row's last word read
    as zero, as they do in its last beat in memory.

    Parameters
    ----------
    shape : ShapeLike
        An element.
    beat, read : int
        Dimensions of a beat and of a read, powers of two.
    rows, d_max : int
        Rows of a head and dimensions of a row.
    pairs : int
        Pairs of rows that are read together, a power of two.

    Members
    -------
    write_en, write_bank, write_row, write_beat, write_data : In
        ``write_beat`` counts beats within the row. Can be read from two cycles later on: block
        RAMs lie all over a chip, so each row of a read holds its addresses in registers of its
        own.
    read_bank, read_pair, read_chunk : In
        Which of the pairs of rows, or ``pairs`` of them, and chunk of ``read`` dimensions.
    read_data : Out
        2 x ``pairs`` rows of ``read`` elements, ``latency`` cycles later: the address has a
        register as well, and what leaves a block RAM is late in its cycle and gets another.
    """

    latency = 3

    def __init__(self, *, shape, beat: int, read: int, rows: int, d_max: int, pairs: int = 1):
        self._shape, self._beat, self._read = shape, beat, read
        self._word = max(beat, read)
        self._words = -(-d_max // self._word)
        self._rows = 2 * pairs          # of a read
        self._reads = -(-rows // self._rows)
        row = data.ArrayLayout(shape, read)
        super().__init__({
            "write_en": In(1),
            "write_bank": In(1),
            "write_row": In(range(rows)),
            "write_beat": In(range(max(2, -(-d_max // beat)))),
            "write_data": In(data.ArrayLayout(shape, beat)),
            "read_bank": In(1),
            "read_pair": In(range(max(2, self._reads))),
            "read_chunk": In(range(max(2, -(-d_max // read)))),
            "read_data": Out(data.ArrayLayout(row, self._rows)),
        })

    def elaborate(self, platform):
        m = Module()
        word_bits = (self._words - 1).bit_length()
        pair_bits = max(1, (self._reads - 1).bit_length())
        depth = 1 << (word_bits + pair_bits + 1)

        def address(bank, pair, part, parts_log2):
            """Banks over pairs over words; ``part`` counts parts of a word."""
            word = Cat(part)[parts_log2 : parts_log2 + word_bits]
            padding = word_bits - len(word)
            return Cat(word, *([0] * padding), Cat(pair)[:pair_bits], bank)

        slices = self._word // self._beat
        slice_log2 = (slices - 1).bit_length()
        place_bits = (self._rows - 1).bit_length()
        chunk = kept_copy(m, self.read_chunk, "chunk")
        write_data = kept_copy(m, self.write_data, "held_data")
        wanted = address(self.read_bank, self.read_pair, self.read_chunk,
                         (self._word // self._read - 1).bit_length())
        words = []
        for place in range(self._rows):
            read_address = kept_copy(m, wanted, f"row_{place}_read_address")
            en, bank, row, beat = (
                kept_copy(m, getattr(self, f"write_{name}"), f"row_{place}_{name}")
                for name in ("en", "bank", "row", "beat"))
            write_address = address(bank, row >> place_bits, beat, slice_log2)
            slice_index = beat[:slice_log2]
            for n in range(slices):
                mem = memory.Memory(shape=len(Cat(self.write_data)), depth=depth, init=[])
                m.submodules[f"row_{place}_slice_{n}"] = mem
                write, read = mem.write_port(), mem.read_port()
                mine = slice_index == n
                m.d.comb += [
                    write.addr.eq(write_address),
                    write.data.eq(Mux(mine, write_data, 0)),
                    write.en.eq(en & (row[:place_bits] == place) & (mine | (slice_index == 0))),
                    read.addr.eq(read_address),
                    read.en.eq(1),
                ]
                words.append(read.data)

        parts = self._word // self._read
        part = Signal(range(max(2, parts)))
        m.d.sync += part.eq(chunk[: (parts - 1).bit_length()])
        rows = [Cat(*words[n : n + slices]) for n in range(0, len(words), slices)]
        m.d.sync += self.read_data.as_value().eq(
            Cat(*(row.word_select(part, len(row) // parts) for row in rows)))
        return m

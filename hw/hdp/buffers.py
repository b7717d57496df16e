# SPDX-License-Identifier: Apache-2.0
"""On-chip buffer of one plane of operands."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.parts.copies import kept_copy

__all__ = ["PlaneBuffer"]


class PlaneBuffer(wiring.Component):
    """Two heads of a plane: written a beat of one row, read a word of a pair of rows, or of
    ``pairs`` adjacent ones, at a time.

    A read takes ``latency`` cycles, one read and one write per cycle. It is of ``read`` dimensions,
    or of fewer: of ``step``, ``2 * step`` and so on, from a multiple of their number on. Those
    asked for come first, so nobody behind the buffer needs to look for them.

    A word holds ``word`` dimensions of the rows, ``word = max(beat, read)``; each row of a read and
    each beat of a word is a block RAM of its own, so that a beat is written whole without byte
    enables. The first beat of a word also clears the rest of it: dimensions beyond d in a row's
    last word read as zero, as they do in its last beat in memory.

    Parameters
    ----------
    shape : ShapeLike
        An element.
    beat, read : int
        Dimensions of a beat and of a read, powers of two.
    step : int
        Dimensions of the smallest read, a power of two up to ``read``.
    rows, d_max : int
        Rows of a head and dimensions of a row.
    pairs : int
        Pairs of rows that are read together, a power of two.
    keeps : bool
        Whether a beat can leave the rest of its word alone.

    Members
    -------
    write_en, write_bank, write_row, write_beat, write_data : In
        ``write_beat`` counts beats within the row. Can be read from two cycles later on: block
        RAMs lie all over a chip, so each row of a read holds its addresses in registers of its
        own.
    write_keep : In(1)
        Only if it ``keeps``: the first beat of a word does not clear the rest.
    read_bank, read_pair, read_chunk : In
        Which of the pairs of rows, or ``pairs`` of them, and the first chunk of ``step``
        dimensions.
    read_data : Out
        2 x ``pairs`` rows of ``read`` elements, from the first of that chunk on, ``latency`` cycles
        later: the address has a register as well, and what leaves a block RAM is late in its cycle
        and gets another. Element n is there if n is less than the largest read that may begin with
        that chunk, and means nothing else.
    """

    latency = 3

    def __init__(self, *, shape, beat: int, read: int, step: int, rows: int, d_max: int,
                 pairs: int = 1, keeps: bool = False):
        self._shape, self._beat, self._read, self._step = shape, beat, read, step
        self._word = max(beat, read)
        self._words = -(-d_max // self._word)
        self._rows = 2 * pairs          # of a read
        self._reads = -(-rows // self._rows)
        self._keeps = keeps
        row = data.ArrayLayout(shape, read)
        super().__init__({
            **({"write_keep": In(1)} if keeps else {}),
            "write_en": In(1),
            "write_bank": In(1),
            "write_row": In(range(rows)),
            "write_beat": In(range(max(2, -(-d_max // beat)))),
            "write_data": In(data.ArrayLayout(shape, beat)),
            "read_bank": In(1),
            "read_pair": In(range(max(2, self._reads))),
            "read_chunk": In(range(max(2, -(-d_max // step)))),
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
        # Which slice of a word a beat goes to; what the others get is there to be cleared.
        slice_index = self.write_beat[:slice_log2]
        written = [kept_copy(m, Mux(slice_index == n, self.write_data, 0) if n else self.write_data,
                             f"slice_{n}_data") for n in range(slices)]
        part_bits = (self._word // self._step - 1).bit_length()
        wanted = address(self.read_bank, self.read_pair, self.read_chunk, part_bits)
        for place in range(self._rows):
            beats = []
            read_address = kept_copy(m, wanted, f"row_{place}_read_address")
            write_address = kept_copy(
                m, address(self.write_bank, self.write_row >> place_bits, self.write_beat,
                           slice_log2), f"row_{place}_write_address")
            mine = self.write_en & (self.write_row[:place_bits] == place)
            for n in range(slices):
                clears = slice_index == 0
                if self._keeps:
                    clears = clears & ~self.write_keep
                en = kept_copy(m, mine & ((slice_index == n) | clears),
                               f"row_{place}_slice_{n}_en", reset_less=False)
                mem = memory.Memory(shape=len(Cat(self.write_data)), depth=depth, init=[])
                m.submodules[f"row_{place}_slice_{n}"] = mem
                write = mem.write_port()
                read = mem.read_port()
                m.d.comb += [
                    write.addr.eq(write_address), write.data.eq(written[n]), write.en.eq(en),
                    read.addr.eq(read_address),
                    read.en.eq(1),
                ]
                beats.append(read.data)
            part = kept_copy(m, chunk[:part_bits], f"row_{place}_part") if part_bits else C(0)
            row = Signal(len(self.read_data[place].as_value()), name=f"row_{place}_data",
                         reset_less=True)
            m.d.sync += row.eq(self._aligned(Cat(*beats), part))
            m.d.comb += self.read_data[place].as_value().eq(row)
        return m

    def _aligned(self, word, part):
        """The elements of a read that begins ``part`` steps into ``word``."""
        bits, aligned = len(word) // self._word, []
        for n in range(self._read):
            size = max(self._step, 1 << n.bit_length())     # of the smallest read that has it
            mine = Cat(*(word[bits * at : bits * (at + 1)]
                         for at in range(n, self._word, size)))
            aligned.append(mine.word_select(part >> (size // self._step).bit_length() - 1, bits))
        return Cat(*aligned)

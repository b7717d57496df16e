# SPDX-License-Identifier: Apache-2.0
"""On-chip buffer of one plane of operands."""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed
from prunus.hw.parts.two_banks import two_banks

__all__ = ["PlaneBuffer"]


class PlaneBuffer(wiring.Component):
    """Two heads of a plane: written a beat of one row, read a word of a pair of rows, or of
    ``pairs`` adjacent ones, at a time.

    A read takes ``latency`` cycles, one read and one write per cycle; memories rest in cycles
    without. It is of ``read`` dimensions,
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
    single_port : bool
        Each bank is a memory of its own with one port. The bank that is written is then not read
        in the same cycle.
    columns : bool
        A word is cut into columns of a beat or a read, whichever is less, and those that are not
        wanted rest. Not with ``streams``.
    streams : int
        Readers whose pair of rows is held in registers, word by word as it is read, until they read
        another pair or its bank is written: what they read again rests in the memory. 0: none.

    Members
    -------
    write_en, write_bank, write_row, write_beat, write_data : In
        ``write_beat`` counts beats within the row. Can be read from two cycles later on: block
        RAMs lie all over a chip, so each row of a read holds its addresses in registers of its
        own.
    write_keep : In(1)
        Only if it ``keeps``: the first beat of a word does not clear the rest.
    read_en, read_bank, read_pair, read_chunk : In
        Strobe; which of the pairs of rows, or ``pairs`` of them, and the first chunk of ``step``
        dimensions.
    read_size : In
        Only with ``columns`` if a read may want several: it is of ``step << read_size`` dimensions.
    read_stream : In
        Only with ``streams`` of two or more: which of them reads.
    reads : Signal
        Whether the memories are read, in the cycle after ``read_en``.
    read_data : Out
        2 x ``pairs`` rows of ``read`` elements, from the first of that chunk on, ``latency`` cycles
        later: the address has a register as well, and what leaves a block RAM is late in its cycle
        and gets another. Element n is there if n is less than the largest read that may begin with
        that chunk, and means nothing else. Stays until what is read next is there.
    """

    latency = 3

    def __init__(self, *, shape, beat: int, read: int, step: int, rows: int, d_max: int,
                 pairs: int = 1, keeps: bool = False, single_port: bool = False,
                 columns: bool = False, streams: int = 0):
        self._shape, self._beat, self._read, self._step = shape, beat, read, step
        self._word = max(beat, read)
        self._words = -(-d_max // self._word)
        self._rows = 2 * pairs          # of a read
        self._reads = -(-rows // self._rows)
        self._keeps, self._single_port, self._streams = keeps, single_port, streams
        self._column = min(beat, read) if columns else beat         # dimensions of it
        self._columns, self._sized = columns, columns and read > max(beat, step)
        row = data.ArrayLayout(shape, read)
        super().__init__({
            **({"write_keep": In(1)} if keeps else {}),
            "write_en": In(1),
            "write_bank": In(1),
            "write_row": In(range(rows)),
            "write_beat": In(range(max(2, -(-d_max // beat)))),
            "write_data": In(data.ArrayLayout(shape, beat)),
            "read_en": In(1),
            "read_bank": In(1),
            "read_pair": In(range(max(2, self._reads))),
            "read_chunk": In(range(max(2, -(-d_max // step)))),
            **({"read_size": In(range((read // step).bit_length()))} if self._sized else {}),
            **({"read_stream": In(range(streams))} if streams > 1 else {}),
            "read_data": Out(data.ArrayLayout(row, self._rows)),
        })

    def elaborate(self, platform):
        m = Module()
        word_bits = (self._words - 1).bit_length()
        pair_bits = max(1, (self._reads - 1).bit_length())

        def address(bank, pair, part, parts_log2):
            """Banks over pairs over words; ``part`` counts parts of a word."""
            word = Cat(part)[parts_log2 : parts_log2 + word_bits]
            padding = word_bits - len(word)
            return Cat(word, *([0] * padding), Cat(pair)[:pair_bits], bank)

        slices = self._word // self._beat
        slice_log2 = (slices - 1).bit_length()
        place_bits = (self._rows - 1).bit_length()
        # Which slice of a word a beat goes to; what the others get is there to be cleared.
        slice_index = self.write_beat[:slice_log2]
        written = [kept_copy(m, Mux(slice_index == n, self.write_data, 0) if n else self.write_data,
                             f"slice_{n}_data", en=self.write_en) for n in range(slices)]
        column_bits = len(self.write_data.as_value()) * self._column // self._beat
        part_bits = (self._word // self._step - 1).bit_length()
        wanted = address(self.read_bank, self.read_pair, self.read_chunk, part_bits)
        # Until the memory answers.
        there = delayed(m, self.read_en, 2, name="there", reset_less=False)[-1]
        chunk = kept_copy(m, self.read_chunk, "chunk", en=self.read_en)
        held, reads = self._hold(m, wanted[:word_bits])
        rests = self._rests(Cat(self.read_chunk)[:part_bits])
        for place in range(self._rows):
            beats = []
            read_address = kept_copy(m, wanted, f"row_{place}_read_address", en=self.read_en)
            read_en = [kept_copy(m, reads & ~rest, f"row_{place}_read_en_{n}", reset_less=False)
                       for n, rest in enumerate(rests)]
            self.reads = Cat(read_en)
            write_address = kept_copy(
                m, address(self.write_bank, self.write_row >> place_bits, self.write_beat,
                           slice_log2), f"row_{place}_write_address", en=self.write_en)
            mine = self.write_en & (self.write_row[:place_bits] == place)
            for n in range(slices):
                clears = slice_index == 0
                if self._keeps:
                    clears = clears & ~self.write_keep
                en = kept_copy(m, mine & ((slice_index == n) | clears),
                               f"row_{place}_slice_{n}_en", reset_less=False)
                per_beat = self._beat // self._column
                for k in range(per_beat):
                    name = f"row_{place}_slice_{n}" + (f"_{k}" if per_beat > 1 else "")
                    beats.append(two_banks(
                        m, name, words=1 << len(wanted) - 1, write_en=en,
                        write_address=write_address,
                        write_data=written[n].word_select(k, column_bits),
                        read_en=read_en[(n * per_beat + k) % len(read_en)],
                        read_address=read_address, single_port=self._single_port))
            part = (kept_copy(m, chunk[:part_bits], f"row_{place}_part") if part_bits else C(0))
            row = Signal(len(self.read_data[place].as_value()), name=f"row_{place}_data",
                         reset_less=True)
            word = held(place, Cat(*beats))
            with m.If(there):
                m.d.sync += row.eq(self._aligned(word, part))
            m.d.comb += self.read_data[place].as_value().eq(row)
        return m

    def _rests(self, part) -> list:
        """Of each column of a word, or of all of them, whether a read from ``part`` on leaves it
        alone."""
        columns = self._word // self._column
        if not self._columns or columns == 1 or not len(part):
            return [C(0)]
        # The part that a column begins with, and a read's; equal above the size of the larger one.
        each = max(1, self._column // self._step)
        rests = []
        for n in range(columns):
            other = part ^ C(n * self._column // self._step, len(part))
            sizes = (1 << k for k in range((self._read // self._step).bit_length()))
            by_size = [(other >> max(size, each).bit_length() - 1).any() for size in sizes]
            rests.append(Array(by_size)[self.read_size] if self._sized else by_size[0])
        return rests

    def _hold(self, m, word):
        """What the word of a row is, given what the memory answers; and whether that is read."""
        if not self._streams:
            return (lambda _, answer: answer), self.read_en
        streams = range(self._streams)
        stream = self.read_stream if len(streams) > 1 else C(0, 0)
        pair = Cat(self.read_pair, self.read_bank)
        hits = Signal()
        for n in streams:
            mine = self.read_en & (stream == n)
            of = Signal(len(pair), name=f"holds_{n}", reset_less=True)
            valid = Signal(self._words, name=f"holds_words_{n}")
            is_held = Signal(name=f"is_held_{n}")
            m.d.comb += is_held.eq(mine & (of == pair) & (valid >> word)[0])
            with m.If(self.write_en & (self.write_bank == Mux(mine, self.read_bank, of[-1]))):
                m.d.sync += valid.eq(0)
            with m.Elif(mine):
                m.d.sync += valid.eq(Mux(of == pair, valid, 0) | (1 << word))
            with m.If(mine):
                m.d.sync += of.eq(pair)
            with m.If(is_held):
                m.d.comb += hits.eq(1)
        # With the answer of the memory.
        at = delayed(m, Cat(word, stream), 2, name="held_at")[-1]
        hit = delayed(m, hits, 2, name="held")[-1]
        answered = delayed(m, self.read_en & ~hits, 2, name="answered", reset_less=False)[-1]

        def of_row(place, answer):
            copies = []
            for n in range(len(streams) << len(word)):
                if n & (1 << len(word)) - 1 >= self._words:
                    copies.append(C(0, len(answer)))
                    continue
                copies.append(Signal(len(answer), name=f"row_{place}_held_{n}", reset_less=True))
                with m.If(answered & (at == n)):
                    m.d.sync += copies[-1].eq(answer)
            return Mux(hit, Array(copies)[at] if len(at) else copies[0], answer)

        return of_row, self.read_en & ~hits

    def _aligned(self, word, part):
        """The elements of a read that begins ``part`` steps into ``word``."""
        bits, aligned = len(word) // self._word, []
        for n in range(self._read):
            size = max(self._step, 1 << n.bit_length())     # of the smallest read that has it
            mine = Cat(*(word[bits * at : bits * (at + 1)]
                         for at in range(n, self._word, size)))
            aligned.append(mine.word_select(part >> (size // self._step).bit_length() - 1, bits))
        return Cat(*aligned)

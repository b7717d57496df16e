# SPDX-License-Identifier: Apache-2.0
"""On-chip memory of keys: digits of many dimensions, one bank per dot-product unit."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.banks import abreast, bank_words, copy_counts, region_words, turn
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import address_width, copies_range, stride_of, stride_range
from prunus.hw.parts.repeated import Repeated
from prunus.hw.parts.two_banks import two_banks
from prunus.hw.survivors.layouts import PIECE

__all__ = ["KeyBank", "KeyWriter", "beat_words", "part_width", "word_beats", "word_width",
           "write_layout"]


def word_width(config: LeopardConfig) -> int:
    """Bits of a word: a digit of ``taps`` dimensions of a key."""
    return config.taps * config.digit


def part_width(config: LeopardConfig) -> int:
    """Bits that are written at a time: a word or two, or the part of one that comes in a beat."""
    return min(config.axi_data_width, abreast(config) * word_width(config))


def word_beats(config: LeopardConfig) -> int:
    """Parts of a word."""
    return -(-word_width(config) // part_width(config))


def beat_words(config: LeopardConfig) -> int:
    """Whole words in a beat; 1 if a word takes several beats."""
    return max(1, config.axi_data_width // word_width(config))


def write_layout(config: LeopardConfig) -> data.StructLayout:
    """A part of a word, or two words, on the way to a bank, or copies to several.

    ``en`` has a bit and ``address`` an entry for each bank.
    """
    return data.StructLayout({
        "en": config.dpus, "address": data.ArrayLayout(address_width(config), config.dpus),
        "part": range(max(2, word_beats(config))), "data": part_width(config),
    })


class KeyBank(Repeated):
    """The keys of two heads that one dot-product unit reads.

    A read takes ``latency`` cycles, one read and one write per cycle; what is not asked for with
    ``en`` is not read, and ``data`` stays. Each part of a word is a block RAM of its own. Where two
    words are written together, to an even address and the odd one behind it, those with even
    addresses are in one and those with odd ones in another.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    write_en, write_address, write_part, write_data : In
    en, address : In
    data : Out
        What leaves a block RAM is late in its cycle and gets a register.
    """

    latency = 2

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            "write_en": In(1),
            "write_address": In(address_width(config)),
            "write_part": In(range(max(2, word_beats(config)))),
            "write_data": In(part_width(config)),
            "en": In(1),
            "address": In(address_width(config)),
            "data": Out(word_width(config)),
        }, config=config)

    def build(self):
        m = Module()
        config = self._config
        asked = Signal()
        odd = Signal()
        side = abreast(config).bit_length() - 1         # low bits of an address that tell which
        left, words = word_width(config), []
        for n in range(word_beats(config) << side):
            width = min(left, part_width(config) >> side)
            left -= 0 if side else width
            written = self.write_data[width * n :] if side else self.write_data
            words.append(two_banks(
                m, f"part_{n}", words=bank_words(config) >> side,
                write_en=self.write_en & (1 if side else self.write_part == n),
                write_address=self.write_address[side:], write_data=written[:width],
                read_en=self.en & (self.address[0] == n if side else 1),
                read_address=self.address[side:], single_port=config.memories == "macro"))
        word = Signal.like(self.data, reset_less=True)
        m.d.sync += [asked.eq(self.en), odd.eq(self.address[0])]
        with m.If(asked):
            m.d.sync += word.eq(Mux(odd, words[1], words[0]) if side else Cat(*words))
        m.d.comb += self.data.eq(word)
        return m


class KeyWriter(wiring.Component):
    """Puts the keys of a head into the banks, a cycle after their beat.

    A part of a word per cycle, or a word, or two: see :func:`prunus.golden.leopard.banks.abreast`.
    Keys come one after the other; of each its digits, the top one (sign-extended) first; of each
    digit chunks of ``taps`` dimensions. A chunk is a word, B bits a dimension, the first dimension
    lowest; dimensions beyond d may be anything. A word takes a beat, or several; beats
    that have room for two words or more carry as many words of one key as fit. A key begins with a
    beat of its own. Key j goes to bank ``j mod N_QK``, behind those before it, and its copies to
    other banks in the same cycle, as :mod:`prunus.golden.leopard.banks` has it.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    beats : In(stream)
        Taken every cycle, or every n or n / 2 cycles if a beat has n words, odd or even.
    start : In(1)
        Strobe before a head's first beat.
    bank, d8, copies : In
        Which half of the banks, d / 8, and the copies as ``copies_index`` has them; held while its
        beats come.
    write : Out(write_layout)
    """

    def __init__(self, *, config: LeopardConfig):
        self._config = config
        super().__init__({
            "beats": In(stream.Signature(config.axi_data_width)),
            "start": In(1),
            "bank": In(1),
            "d8": In(range(config.d_max // PIECE + 1)),
            "copies": In(copies_range(config)),
            "write": Out(write_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config, beat = self._config, self.beats.payload
        step, per_word, width = abreast(config), word_beats(config), part_width(config)
        per_beat = beat_words(config) // step
        place = Signal(range(max(2, per_beat)))
        part = Signal(range(max(2, per_word)))
        word = Signal(stride_range(config))
        last_word = Signal.like(word)
        unit = Signal(config.dpus, init=1)
        base, address = (Signal(address_width(config), name=name) for name in ("base", "address"))
        word_done = Signal()
        key_done = Signal()
        round_done = Signal()
        stride = Signal(stride_range(config))
        first = Signal(address_width(config))
        m.d.comb += [
            stride.eq(stride_of(config, self.d8)),
            first.eq(Mux(self.bank, bank_words(config), 0)),
            last_word.eq(stride - step),
            word_done.eq(self.beats.valid & (part == per_word - 1)),
            key_done.eq(word_done & (word == last_word)),
            round_done.eq(key_done & unit[-1]),
            self.beats.ready.eq((place == per_beat - 1) | (word == last_word)),
        ]
        m.d.sync += [
            self.write.part.eq(part),
            self.write.data.eq(beat.word_select(place, width) if per_beat > 1 else beat),
        ]
        self._banks(m, unit, address)
        with m.If(self.beats.valid):
            m.d.sync += part.eq(Mux(word_done, 0, part + 1))
        with m.If(word_done):
            m.d.sync += [word.eq(word + step), address.eq(address + step),
                         place.eq(Mux(self.beats.ready, 0, place + 1))]
        with m.If(key_done):
            m.d.sync += [word.eq(0), address.eq(base), unit.eq(Cat(unit[-1], unit[:-1]))]
        with m.If(round_done):
            m.d.sync += [base.eq(base + stride), address.eq(base + stride)]
        with m.If(self.start):
            m.d.sync += [base.eq(first), address.eq(first), unit.eq(1), word.eq(0),
                         part.eq(0), place.eq(0)]
        return m

    def _banks(self, m, unit, address):
        """The banks that a key and its copies go to, and where, in the cycle after."""
        config = self._config
        en = Signal(config.dpus)
        offsets = [Signal(range(bank_words(config)), name=f"offset_{n}")
                   for n in range(config.dpus)]
        with m.Switch(self.copies):
            for index, count in enumerate(copy_counts(config)):
                with m.Case(index):
                    for bank, offset in enumerate(offsets):
                        mine = [unit[(bank - turn(config, count, copy)) % config.dpus]
                                for copy in range(count)]
                        parts = [Mux(bit, copy * region_words(config, count), 0)
                                 for copy, bit in enumerate(mine)]
                        m.d.comb += [en[bank].eq(Cat(mine).any()),
                                     offset.eq(reduce(or_, parts))]
        m.d.sync += self.write.en.eq(Mux(self.beats.valid, en, 0))
        m.d.sync += [to.eq(address + offset)
                     for to, offset in zip(self.write.address, offsets, strict=True)]

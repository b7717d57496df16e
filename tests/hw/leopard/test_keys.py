# SPDX-License-Identifier: Apache-2.0
"""Beats to banks and back."""

from itertools import product
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.leopard.banks import (
    abreast,
    bank_words,
    copies,
    copy_counts,
    key_stride,
    region_words,
    turn,
)
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.keys import KeyBank, KeyWriter, beat_words, word_beats, word_width
from prunus.hw.leopard.layouts import address_width, copies_range
from tests.hw.helpers import send, simulate
from tests.hw.leopard.heads import codes, copies_number, key_beats, key_words


def config_of(**fields):
    return LeopardConfig(name="k", **{"width": 8, "d_max": 32, "l_max": 20} | fields)


# (beats of a word, words of a beat): a word in several beats, one, with bits to spare, and several.
CONFIGS = [(config_of(dpus=3, digit=4, d_max=64), 4, 1), (config_of(dpus=2), 1, 1),
           (config_of(dpus=5, digit=3, d_max=24), 2, 1), (config_of(dpus=1, taps=16), 1, 2),
           (config_of(dpus=4, taps=8, axi_data_width=128), 1, 8),
           (config_of(dpus=3, taps=24, axi_data_width=128), 1, 2),
           (config_of(dpus=3, digit=3, d_max=24, taps=8), 1, 2),
           (config_of(dpus=2, taps=8, digit=2, axi_data_width=64), 1, 4),
           (config_of(dpus=2, taps=24, axi_data_width=256), 1, 5)]


class Banks(wiring.Component):
    """All banks behind the writer, read at the same address."""

    def __init__(self, *, config):
        self.config = config
        super().__init__({
            "beats": In(stream.Signature(config.axi_data_width)),
            "head": In(data.StructLayout({"start": 1, "bank": 1, "d8": 5,
                                          "copies": copies_range(config)})),
            "en": In(config.dpus),
            "address": In(address_width(config)),
            "data": Out(data.ArrayLayout(word_width(config), config.dpus)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.writer = writer = KeyWriter(config=self.config)
        connect(m, flipped(self.beats), writer.beats)
        m.d.comb += [writer.start.eq(self.head.start), writer.bank.eq(self.head.bank),
                     writer.d8.eq(self.head.d8), writer.copies.eq(self.head.copies)]
        for n in range(self.config.dpus):
            m.submodules[f"bank_{n}"] = bank = KeyBank(config=self.config)
            m.d.comb += [bank.write_en.eq(writer.write.en[n]),
                         bank.write_address.eq(writer.write.address[n]),
                         bank.write_part.eq(writer.write.part),
                         bank.write_data.eq(writer.write.data),
                         bank.en.eq(self.en[n]), bank.address.eq(self.address),
                         self.data[n].eq(bank.data)]
        return m


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config, beats, words", CONFIGS)
def test_heads(config, beats, words, stall):
    """Two heads side by side, then others over them, each with a d and copies of its own."""
    assert (word_beats(config), beat_words(config)) == (beats, words)
    rng, random = np.random.default_rng(beats + words), Random(1)
    dut = Banks(config=config)
    held, seen = {}, set()                              # (unit, address): word

    async def bench(ctx):
        for n, (d, count) in enumerate([(config.d_max, config.l_max), (16, 7), (8, config.l_max),
                                        (config.d_max, 5), (8, 2), (config.d_max, 1)]):
            keys = codes(rng, config, count, d)
            ctx.set(dut.head, {"start": 1, "bank": n % 2, "d8": d // 8,
                               "copies": copies_number(config, count, d)})
            await ctx.tick()
            ctx.set(dut.head.start, 0)
            sent = key_beats(keys, config)
            cycles = await send(ctx, dut.beats, sent, random, stall)
            if not stall:       # a part of a word per cycle, or two words
                assert cycles == count * beats * -(-len(key_words(keys[0], config))
                                                   // abreast(config))
            await ctx.tick().repeat(2)
            number = copies(config, count, d)
            seen.add(number)
            for (j, key), copy in product(enumerate(keys), range(number)):
                own = key_words(key, config)
                own += [0] * (-len(own) % abreast(config))      # what the last beat has there
                first = (n % 2 * bank_words(config) + copy * region_words(config, number)
                         + j // config.dpus * key_stride(config, d))
                bank = (j + turn(config, number, copy)) % config.dpus
                held.update({(bank, first + i): word for i, word in enumerate(own)})
            for (unit, address), word in held.items():
                ctx.set(dut.en, 1 << unit)
                ctx.set(dut.address, address)
                await ctx.tick()
                ctx.set(dut.en, 0)
                ctx.set(dut.address, random.randrange(bank_words(config)))
                for _ in range(KeyBank.latency - 1):
                    await ctx.tick()
                assert ctx.get(dut.data[unit]) == word
                await ctx.tick()                        # what is not asked for is not read
                assert ctx.get(dut.data[unit]) == word

    simulate(dut, bench)
    assert seen == set(copy_counts(config))


def test_what_is_written_without_its_strobe_is_not():
    config = config_of(dpus=2)
    dut = KeyBank(config=config)

    async def bench(ctx):
        for en, value in ((1, 5), (0, 9)):
            ctx.set(dut.write_en, en)
            ctx.set(dut.write_address, 4)
            ctx.set(dut.write_data, value)
            await ctx.tick()
        ctx.set(dut.en, 1)
        ctx.set(dut.address, 4)
        await ctx.tick().repeat(KeyBank.latency)
        assert ctx.get(dut.data) == 5

    simulate(dut, bench)

# SPDX-License-Identifier: Apache-2.0
"""One unit between a memory of words and a merger."""

from random import Random

import numpy as np
import pytest

from prunus.golden.leopard import digits
from prunus.golden.leopard.banks import key_stride, region_words, turn, unit_of
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.dpu import DotProductUnit
from prunus.hw.leopard.keys import KeyBank
from tests.hw.helpers import simulate
from tests.hw.leopard.heads import Row, codes, key_words
from tests.hw.leopard.test_query import expected_slot


def config_of(**fields):
    return LeopardConfig(name="u", **{"width": 8, "d_max": 16, "l_max": 64, "dpus": 3} | fields)


class Unit:
    """The unit with its rows, all in their slots from the beginning."""

    def __init__(self, config, rows, index, rng=None, stall=0.0):
        self.config, self.rows, self.index = config, rows, index
        self.rng, self.stall = rng or Random(0), stall
        self.count = rows[0].copies(config)
        self.words = self._bank()
        self.asked, self.got, self.ended_at = [], [], []
        self.dut = DotProductUnit(config=config)
        simulate(self.dut, self._merge, background=[self._memory])

    def _bank(self):
        """Words of all copies by address."""
        words, config = {}, self.config
        for copy in range(self.count):
            at = copy * region_words(config, self.count)
            for key in self._own(len(self.rows[0].k), copy):
                codes = self.rows[0].k[key]
                words |= dict(enumerate(key_words(codes, config), at))
                at += key_stride(config, len(codes))
        return words

    def _own(self, keys, row):
        """The unit's keys of the first ``keys``."""
        return [key for key in range(keys)
                if unit_of(self.config, key, self.count, row) == self.index]

    async def _memory(self, ctx):
        """Answers as a bank does; what was not asked for gives noise."""
        answers = [None] * (KeyBank.latency - 1)
        while True:
            _, _, en, address = await ctx.tick().sample(self.dut.en, self.dut.address)
            self.asked.append(address if en else None)
            answers.append(self.words[address] if en else self.rng.getrandbits(8))
            ctx.set(self.dut.data, answers.pop(0) or 0)

    async def _merge(self, ctx):
        dut, config = self.dut, self.config
        for n, row in enumerate(self.rows):
            ctx.set(dut.slots[n], expected_slot(row, config, n)[0])
            ctx.set(dut.firsts[n], (self.index - turn(config, self.count, n)) % config.dpus)
            for piece in range(len(row.q) // 8):
                q = row.q[8 * piece : 8 * piece + 8].tolist()
                ctx.set(dut.write, {
                    "en": 1, "place": {"slot": n, "chunk": 8 * piece // config.taps},
                    "lane": 8 * piece % config.taps // 8,
                    "taps": [{"mag": abs(x), "positive": int(x > 0)} for x in q]})
                await ctx.tick()
        ctx.set(dut.write.en, 0)
        ctx.set(dut.loaded, len(self.rows))
        self.start = len(self.asked)
        for row in self.rows:
            got = []
            while True:
                ctx.set(dut.advance, 0)
                offer = ctx.get(dut.offer)
                mine = offer.valid and not offer.ahead
                take = mine and self.rng.random() >= self.stall
                ctx.set(dut.take, int(take))
                if take:
                    score = (offer.excess + row.threshold) % (1 << config.score_width)
                    got.append((offer.key, score))
                if ctx.get(dut.ended) and not mine:
                    break
                await ctx.tick()
            self.got.append((got, ctx.get(dut.digits)))
            self.ended_at.append(len(self.asked) - self.start)
            ctx.set(dut.advance, 1)
            await ctx.tick()
        ctx.set(dut.advance, 0)
        await ctx.tick().repeat(20)

    def check(self):
        config, count = self.config, -(-len(self.rows[0].q) // self.config.taps)
        asked = []
        for n, (row, (got, total)) in enumerate(zip(self.rows, self.got, strict=True)):
            base = n % self.count * region_words(config, self.count)
            survivors, taken = row.decided(config)
            assert got == [(key, score % (1 << config.score_width)) for key, score in survivors
                           if key in self._own(row.keys, n)]
            own = taken[self._own(row.keys, n)]
            assert total == own.sum()
            asked += [base + key * key_stride(config, len(row.q)) + word
                      for key, digits_of_key in enumerate(own)
                      for word in range(digits_of_key * count)]
        # Just the words that decide, each once a row.
        assert sorted(x for x in self.asked if x is not None) == sorted(asked)
        return self


def make_rows(config, rng, d, l_kv, limits):
    k = codes(rng, config, l_kv, d)
    rows = []
    for n, keys in enumerate(limits):
        q = codes(rng, config, d)
        rows.append(Row(q=q, k=k, keys=keys, tag=n,
                        threshold=int(np.quantile(k @ q, 0.6, method="nearest"))))
    return rows


@pytest.mark.parametrize("stall", [0.0, 0.8])
@pytest.mark.parametrize("keys, copies", [(40, 1), (31, 2)])
@pytest.mark.parametrize("config, d", [
    (config_of(), 16), (config_of(), 8), (config_of(digit=3, width=10), 16),
    (config_of(taps=8), 16), (config_of(digit=8), 16), (config_of(digit=8, taps=8), 16),
    (config_of(dpus=1, digit=1, width=6), 16)])
def test_rows(config, d, keys, copies, stall):
    """Rows of different turns, where there are copies, one after the other."""
    rng = np.random.default_rng(config.digit + d)
    for index in {0, config.dpus - 1}:
        rows = make_rows(config, rng, d, keys, [keys, 2, 1, keys - 3])
        unit = Unit(config, rows, index, Random(7), stall).check()
        assert unit.count == min(copies, config.dpus) or d < config.d_max


def test_no_cycle_between_words():
    """A word in every cycle as long as there are keys, across rows, whatever is decided."""
    config = config_of(dpus=1)
    unit = Unit(config, make_rows(config, np.random.default_rng(3), 16, 64, [64, 50, 64]), 0)
    unit.check()
    asked = [x is not None for x in unit.asked]
    first = asked.index(True)
    keys_at = [n for n, address in enumerate(unit.asked)
               if address is not None and address % config.digits == 0]
    assert all(asked[first : keys_at[-1]])


@pytest.mark.parametrize("taps, latency", [(8, 6), (16, 6), (24, 7), (64, 7), (128, 8)])
def test_latency(taps, latency):
    """The second digit of a key is asked for ``latency`` cycles after the first."""
    config = config_of(taps=taps, d_max=taps, dpus=1)
    q = np.ones(taps, int)
    row = Row(q=q, k=np.full((1, taps), 5), keys=1, threshold=0)
    unit = Unit(config, [row], 0).check()
    at = [n for n, address in enumerate(unit.asked) if address is not None]
    assert unit.dut.latency == latency
    assert np.diff(at).tolist() == [latency] * (digits.count(8, 2) - 1)

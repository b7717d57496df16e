# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import PENDING
from prunus.hw.leopard.reorder import Reorder
from tests.hw.helpers import simulate

CONFIG = LeopardConfig(name="r", width=8, dpus=3, d_max=16, l_max=128)


class Model:
    """Rows of decisions: begun in order, decided in any order. The unit's first key is another one
    in each row that is ``turning``."""

    def __init__(self, rng, index, lengths, turning):
        self.rng, self.lengths = rng, lengths
        self.firsts = [rng.randrange(CONFIG.dpus) if turning else index for _ in lengths]
        self.keys = []                  # (row, key)
        self.decisions = []
        for row, length in enumerate(lengths):
            for key in range(self.firsts[row], length, CONFIG.dpus):
                self.keys.append((row, key))
                self.decisions.append({"kept": rng.randrange(2), "digit": rng.randrange(4),
                                       "excess": rng.getrandbits(CONFIG.score_width)})

    def survivors(self, row):
        return [(key, x["excess"]) for (r, key), x in zip(self.keys, self.decisions, strict=True)
                if r == row and x["kept"]]

    def digits(self, row):
        return sum(x["digit"] + 1 for (r, _), x in zip(self.keys, self.decisions, strict=True)
                   if r == row)


@pytest.mark.parametrize("index, turning", [(0, False), (1, False), (2, False), (0, True),
                                            (1, True)])
@pytest.mark.parametrize("slow_begin, slow_take", [(0, 0), (0.5, 0), (0, 0.7), (0.3, 0.9)])
def test_order(index, turning, slow_begin, slow_take):
    rng = Random(f"{index}{slow_begin}{slow_take}")
    model = Model(rng, index, [60, 0, 1, 2, 3, 90, 0, 0, 40, 4, 77], turning)
    dut = Reorder(config=CONFIG)
    under_way = {}                                      # place: number of the key
    merged = [0]                                        # the row
    full = [0]

    async def unit(ctx):
        begun = 0
        ctx.set(dut.first, model.firsts[0])
        await ctx.tick()
        while merged[0] < len(model.lengths):
            loaded = min(len(model.lengths), merged[0] + CONFIG.rows)
            ctx.set(dut.loaded, loaded % (2 * CONFIG.rows))
            # The rows that the unit may be at are merged[0] and the two after it.
            row, opens = (next(r for r in range(merged[0], merged[0] + CONFIG.rows + 1)
                               if r % (2 * CONFIG.rows) == ctx.get(port))
                          for port in (dut.row, dut.opens))
            assert opens == row + (row != loaded)
            ctx.set(dut.first, model.firsts[opens] if opens < len(model.lengths) else 0)
            ctx.set(dut.keys, model.lengths[row] if row < len(model.lengths) else 0)
            room = ctx.get(dut.room)
            assert not room or len(under_way) < PENDING
            full[0] += not room
            begin = (begun < len(model.keys) and model.keys[begun][0] < loaded and room
                     and rng.random() >= slow_begin)
            ctx.set(dut.begin, begin)
            if begin:
                assert ctx.get(dut.place) not in under_way
            ctx.set(dut.decide, 0)
            if under_way and rng.random() < 0.8:
                place = rng.choice(list(under_way))
                ctx.set(dut.decide, 1)
                ctx.set(dut.decided, place)
                ctx.set(dut.decision, model.decisions[under_way.pop(place)])
            if begin:
                under_way[ctx.get(dut.place)] = begun
                begun += 1
            await ctx.tick()
        assert begun == len(model.keys)

    async def merge(ctx):
        for row in range(len(model.lengths)):
            got = []
            while True:
                ctx.set(dut.advance, 0)
                offer = ctx.get(dut.offer)
                mine = offer.valid and not offer.ahead
                take = mine and rng.random() >= slow_take
                ctx.set(dut.take, int(take))
                if take:
                    got.append((offer.key, offer.excess))
                if ctx.get(dut.ended) and not mine and rng.random() < 0.3:
                    break
                await ctx.tick()
            assert got == model.survivors(row)
            assert ctx.get(dut.digits) == model.digits(row)
            ctx.set(dut.advance, 1)
            await ctx.tick()
            merged[0] += 1
        ctx.set(dut.advance, 0)
        assert not ctx.get(dut.offer.valid)

    simulate(dut, unit, merge)
    assert full[0] or slow_take < 0.9


def test_latency():
    """Decision to offer: two cycles; a cycle per dropped key."""
    dut = Reorder(config=CONFIG)

    async def bench(ctx):
        ctx.set(dut.loaded, 1)
        ctx.set(dut.keys, 100)
        ctx.set(dut.begin, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.begin, 0)
        ctx.set(dut.decide, 1)
        for place in (2, 1, 0):
            ctx.set(dut.decided, place)
            ctx.set(dut.decision, {"kept": int(place == 2), "digit": 1, "excess": 7})
            await ctx.tick()
        ctx.set(dut.decide, 0)
        # The first two are dropped, so the third is offered three cycles after the last decision.
        seen = []
        for _ in range(4):
            seen.append(ctx.get(dut.offer.valid))
            await ctx.tick()
        assert seen == [0, 0, 0, 1] and ctx.get(dut.offer.key) == 2 * CONFIG.dpus

    simulate(dut, bench)

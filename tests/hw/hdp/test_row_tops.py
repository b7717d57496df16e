# SPDX-License-Identifier: Apache-2.0
"""Largest scores of rows in tiles against those of whole rows."""

from random import Random

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import data

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.layouts import row_tag_layout
from prunus.hw.hdp.row_tops import RowTops
from prunus.hw.hdp.tiler import Phase
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIG = HdpConfig(name="tiles", d_max=8, l_max=40, tile=16, multipliers=8)


class _Bench(Elaboratable):
    """The block and the tiles of two banks."""

    def __init__(self):
        self.dut = RowTops(config=CONFIG)
        self.tiles = Signal(data.ArrayLayout(data.StructLayout({"phase": Phase, "first": 1}), 2))

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        m.d.comb += [dut.phase.eq(self.tiles[dut.bank].phase),
                     dut.first.eq(self.tiles[dut.bank].first)]
        return m


def _token(rng, bank, row, last, n):
    """A token of a tile; sometimes nothing is kept, and ``top`` anything."""
    tag = {"bank": bank, "row": row, "limit": [16, 16], "last": last}
    return {"tag": row_tag_layout(CONFIG).const(tag).as_bits(), "row": row, "base": n % 8,
            "count": rng.randrange(9), "some": [rng.random() < 0.6 for _ in range(2)],
            "hides": [rng.random() < 0.3 for _ in range(2)], "mant": n,
            "top": [rng.randrange(-(1 << 18), 1 << 18) for _ in range(2)]}


def _gathered(tokens, q):
    """Of all tiles of a row."""
    tops = [token["top"][q] for token in tokens if token["some"][q]]
    return (max(tops, default=None), int(bool(tops)), int(any(t["hides"][q] for t in tokens)))


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_strips(stall_in, stall_out):
    rng = Random(f"{stall_in}{stall_out}")
    bench = _Bench()
    dut, strips = bench.dut, []
    for _ in range(12):
        tiles, rows = rng.choice([1, 2, 4]), rng.choice([1, 1, 2, 8])
        strips.append((tiles, rows, rng.random() < 0.3))

    async def source(ctx):
        bank = n = 0
        for tiles, rows, whole in strips:
            gathered = [[] for _ in range(rows)]
            for phase in [Phase.WHOLE] if whole else [Phase.TOP, Phase.VALUE]:
                for tile in range(1 if whole else tiles):
                    ctx.set(bench.tiles[bank], {"phase": phase, "first": tile == 0})
                    for row in range(rows):
                        token = _token(rng, bank, row, row == rows - 1, n := n + 1)
                        if phase == Phase.TOP:
                            gathered[row].append(token)
                        else:
                            passing.append((token, None if whole else gathered[row], tile > 0))
                        await send(ctx, dut.i, [token], rng, stall_in)
                    bank ^= 1

    async def sink(ctx):
        while len(checked) < sum(rows * (1 if whole else tiles) for tiles, rows, whole in strips):
            [got] = await receive(ctx, dut.o, 1, rng, stall_out)
            token, gathered, resumes = passing.pop(0)
            assert (got.tag, got.count, got.mant) == (token["tag"], token["count"], token["mant"])
            assert got.resumes == resumes
            for q in range(2):
                top, some, hides = _gathered(gathered or [token], q)
                assert (got.some[q], got.hides[q]) == (some, hides)
                assert got.top[q] == top or not some
            checked.append(token)

    async def strobes(ctx):
        while True:
            _, _, *now = await ctx.tick().sample(dut.gathered, dut.ended)
            for n, strobe in enumerate(now):
                counts[n] += strobe

    passing, checked, counts = [], [], [0, 0]
    simulate(bench, source, sink, background=[strobes])
    cut = [(tiles, rows) for tiles, rows, whole in strips if not whole]
    assert counts == [sum(tiles * rows for tiles, rows in cut), sum(tiles for tiles, _ in cut)]


def test_a_gathered_token_waits_for_softmax():
    """Taken early it would free scores that softmax still reads."""
    bench = _Bench()
    dut = bench.dut

    async def testbench(ctx):
        for n in range(2):
            ctx.set(bench.tiles[n], {"phase": Phase.TOP, "first": 1})
        ctx.set(dut.i.payload, _token(Random(1), 0, 0, 1, 1))
        ctx.set(dut.i.valid, 1)
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.o.valid)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready) and ctx.get(dut.ended) and not ctx.get(dut.o.valid)

    simulate(bench, testbench)

# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.merge import Merger
from tests.hw.helpers import receive, simulate, stall_cases

TAG = 6


class Bench:
    """Units that offer random survivors of a few rows."""

    def __init__(self, dpus, rng, lengths):
        self.config = LeopardConfig(name="m", dpus=dpus, rows=2 if dpus == 2 else 4, d_max=16,
                                    l_max=64, width=8)
        self.rng, self.dut = rng, Merger(config=self.config, tag_width=TAG)
        # A row: offers of each unit, their digits, threshold, tag.
        self.rows = [([[rng.getrandbits(self.config.score_width - 2) for _ in range(
            rng.randrange(length + 1))] for _ in range(dpus)],
            [rng.randrange(60) for _ in range(dpus)], rng.randrange(-999, 999), n)
            for n, length in enumerate(lengths)]

    async def unit(self, ctx, n, stall):
        dut, at, row, ended, offered = self.dut, 0, 0, False, None
        left = list(self.rows[0][0][n])
        while at < len(self.rows):
            if offered is None and left and self.rng.random() >= stall:
                offered = left.pop(0)
                ctx.set(dut.offers[n], {"valid": 1, "ahead": int(row > at),
                                        "key": n, "excess": offered})
            # One row may be ended before the merger has got to its end.
            if not left and row == at and not ended and self.rng.random() >= stall:
                ended = True
                ctx.set(dut.digits[n], self.rows[row][1][n])
                ctx.set(dut.ended[n], 1)
                row += 1
                left = list(self.rows[row][0][n]) if row < len(self.rows) else []
            _, _, take, advance = await ctx.tick().sample(dut.take[n], dut.advance)
            if take:
                offered = None
                ctx.set(dut.offers[n].valid, 0)
            if advance:
                assert ended and (offered is None or row > at)
                ended = False
                ctx.set(dut.ended[n], 0)
                ctx.set(dut.offers[n].ahead, 0)
                at += 1

    async def slots(self, ctx):
        """Thresholds and tags change once a row has been merged."""
        slots = self.config.rows
        for n in range(len(self.rows)):
            while n >= slots and (ctx.get(self.dut.row) - (n - slots)) % (2 * slots) == 0:
                await ctx.tick()
            ctx.set(self.dut.thresholds[n % slots], self.rows[n][2])
            ctx.set(self.dut.tags[n % slots], self.rows[n][3])


@pytest.mark.parametrize("dpus", [1, 2, 5, 8])
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(dpus, stall_in, stall_out):
    rng = Random(f"{dpus}{stall_in}{stall_out}")
    bench = Bench(dpus, rng, [4, 0, 3, 0, 6, 1, 9])
    width = bench.config.score_width

    async def sink(ctx):
        for offers, digits, threshold, tag in bench.rows:
            count = sum(map(len, offers))
            got = await receive(ctx, bench.dut.o, count + 1, rng, stall_out)
            assert [item.end for item in got] == [0] * count + [1]
            for n, own in enumerate(offers):
                assert [item.score % (1 << width) for item in got[:-1] if item.key == n] == [
                    (excess + threshold) % (1 << width) for excess in own]
            assert (got[-1].survivors, got[-1].digits, got[-1].tag) == (count, sum(digits), tag)

    def unit(n):
        async def run(ctx):
            await bench.unit(ctx, n, stall_in)
        return run

    simulate(bench.dut, sink, bench.slots, *(unit(n) for n in range(dpus)))


def test_a_survivor_per_cycle_and_everyone_in_turn():
    config = LeopardConfig(name="m", dpus=3, d_max=16, l_max=64, width=8)
    dut = Merger(config=config, tag_width=TAG)

    async def bench(ctx):
        for n in range(3):
            ctx.set(dut.offers[n], {"valid": 1, "key": n})
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        keys = []
        for _ in range(9):
            assert ctx.get(dut.o.valid)
            keys.append(ctx.get(dut.o.payload.key))
            await ctx.tick()
        assert keys == [*keys[:3]] * 3 and sorted(keys[:3]) == [0, 1, 2]

    simulate(dut, bench)

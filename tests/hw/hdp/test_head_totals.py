# SPDX-License-Identifier: Apache-2.0
from collections import Counter
from random import Random

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.head_totals import HeadTotals, tile_counts_layout
from prunus.hw.hdp.tiler import Phase
from tests.hw.helpers import simulate

CONFIG = HdpConfig(name="tiles", d_max=8, l_max=40, tile=8, multipliers=8)
FIELDS = [name for name, _ in tile_counts_layout(CONFIG)]
COUNTS = {Phase.STATS: {"theta_head", "blocks_total"}, Phase.TOP: {"blocks_kept"},
          Phase.VALUE: set()}


def test_heads():
    """Each phase counts what it is the first to know."""
    rng, dut = Random(1), HeadTotals(config=CONFIG)

    async def testbench(ctx):
        for n in range(40):
            dense, want = n % 2, Counter()
            for _ in range(rng.randint(1, 12)):
                phase = rng.choice([Phase.TOP, Phase.VALUE] if dense else list(COUNTS))
                counted = COUNTS[phase] | ({"blocks_total"} if dense and phase == Phase.TOP
                                           else set())
                tile = {"theta_head": rng.randrange(9000), "blocks_kept": rng.randrange(17),
                        "blocks_total": rng.randrange(17), "read_beats": rng.randrange(1000),
                        "bus_error": rng.random() < 0.05}
                add = rng.random() < 0.8
                for name, value in (("phase", phase), ("dense", dense), ("tile", tile),
                                    ("add", add)):
                    ctx.set(getattr(dut, name), value)
                if add:
                    want.update({name: tile[name] for name in counted | {"read_beats"}})
                    want["bus_error"] |= tile["bus_error"]
                await ctx.tick()
            ctx.set(dut.add, rng.random() < 0.5)
            ctx.set(dut.clear, 1)
            total = ctx.get(dut.total)
            assert {name: getattr(total, name) for name in FIELDS} == {
                name: want[name] for name in FIELDS}
            await ctx.tick()
            ctx.set(dut.clear, 0)

    simulate(dut, testbench)

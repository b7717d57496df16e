# SPDX-License-Identifier: Apache-2.0
"""Every cycle belongs to one counter."""

from random import Random

from prunus.golden.hdp import OCCUPANCY
from prunus.hw.hdp.layouts import Mode
from prunus.hw.hdp.occupancy import Occupancy
from tests.hw.helpers import simulate

BUSY = {"values_busy": "idle_softmax", "fetch_busy": "idle_operand", "loading": "idle_dma",
        "integer_busy": "idle_threshold", "sparsity_busy": "idle_threshold"}
SLOTS = {Mode.INTEGER: "integer_slots", Mode.FRACTION: "score_slots", Mode.FULL: "score_slots",
         Mode.VALUE: "value_slots"}


def test_random_cycles():
    """An operation before the causes, and these in their order."""
    dut, rng = Occupancy(), Random(1)
    seen = set()

    async def testbench(ctx):
        rows = 0
        for _ in range(2000):
            en, mode = rng.random() < 0.3, rng.choice(list(Mode))
            busy = {name: rng.random() < 0.25 for name in BUSY}
            announced = rows < 8 and rng.random() < 0.2
            weighted = rows > 0 and rng.random() < 0.3
            for name, value in {"en": en, "mode": mode, "announced": announced,
                                "weighted": weighted, **busy}.items():
                ctx.set(getattr(dut, name), value)
            expected = SLOTS[mode] if en else "idle_softmax" if rows else next(
                (BUSY[name] for name in BUSY if busy[name]), "idle_drain")
            rows += announced - weighted
            await ctx.tick()
            assert ctx.get(dut.counts) == 1 << OCCUPANCY.index(expected)
            seen.add(expected)

    simulate(dut, testbench)
    assert seen == set(OCCUPANCY)

# SPDX-License-Identifier: Apache-2.0
"""Every cycle belongs to one counter."""

from random import Random

import pytest

from prunus.golden.hdp import OCCUPANCY
from prunus.hw.hdp.layouts import Mode
from prunus.hw.hdp.occupancy import Occupancy
from tests.hw.helpers import simulate

BUSY = {"values_busy": "idle_softmax", "fetch_busy": "idle_operand", "loading": "idle_dma",
        "integer_busy": "idle_threshold", "sparsity_busy": "idle_threshold"}
SLOTS = {Mode.INTEGER: "integer_slots", Mode.FRACTION: "score_slots", Mode.FULL: "score_slots",
         Mode.VALUE: "value_slots"}


@pytest.mark.parametrize("own_values", [False, True])
def test_random_cycles(own_values):
    """An operation before the causes, and these in their order; P.V apart if its array is."""
    dut, rng = Occupancy(own_values=own_values), Random(1)
    modes = [mode for mode in Mode if not (own_values and mode == Mode.VALUE)]
    seen = set()

    async def testbench(ctx):
        rows = 0
        for _ in range(2000):
            en, mode = rng.random() < 0.3, rng.choice(modes)
            beside = own_values and rng.random() < 0.3
            busy = {name: rng.random() < 0.25 for name in BUSY}
            announced = rows < 8 and rng.random() < 0.2
            weighted = rows > 0 and rng.random() < 0.3
            for name, value in {"en": en, "mode": mode, "announced": announced,
                                "weighted": weighted, **busy,
                                **({"value_en": beside} if own_values else {})}.items():
                ctx.set(getattr(dut, name), value)
            expected = SLOTS[mode] if en else "idle_softmax" if rows else next(
                (BUSY[name] for name in BUSY if busy[name]), "idle_drain")
            rows += announced - weighted
            await ctx.tick()
            names = [expected] + ["value_slots"] * beside
            assert ctx.get(dut.counts) == sum(1 << OCCUPANCY.index(name) for name in names)
            seen.update(names)

    simulate(dut, testbench)
    assert seen == set(OCCUPANCY)

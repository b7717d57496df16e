# SPDX-License-Identifier: Apache-2.0
"""Places of words against NumPy's reshape and transpose."""

from random import Random

import numpy as np
import pytest

from prunus.hw.hdp.linear.places import LinearPlaces
from tests.hw.hdp.linear.layers import TINY, fields_of, layer, positions, words_of
from tests.hw.helpers import receive, simulate

SPLIT, MERGE, HEADS = ({"arrangement": name} for name in ("split", "merge", "heads"))
# Rows, channels, the view, strips and tiles if not those of golden.
CASES = [
    (7, 40, {}, {}), (1, 8, {}, {}), (33, 72, {}, {"strip": 8, "tile": 16}),
    (6, 24, {"target": "wide"}, {}), (5, 72, {"target": "wide"}, {"strip": 2, "tile": 48}),
    (12, 64, {**SPLIT, "run": 16, "inner": 2, "middle": 3}, {}),
    (12, 64, {**SPLIT, "run": 32, "inner": 3, "middle": 2}, {"strip": 4, "tile": 16}),
    (12, 64, {**SPLIT, "run": 64, "inner": 4}, {"tile": 48}),
    (30, 32, {**SPLIT, "run": 16, "middle": 15}, {"strip": 8, "tile": 16}),
    (9, 96, {**MERGE, "run": 32, "inner": 3}, {"strip": 4, "tile": 16}),
    (8, 64, {**MERGE, "run": 16, "inner": 8}, {}), (5, 48, {**MERGE, "run": 16}, {}),
    (7, 96, {**HEADS, "run": 32}, {"strip": 4, "tile": 32}), (6, 64, {**HEADS, "run": 16}, {}),
    (7, 96, {**HEADS, "run": 48, "target": "digits"}, {}),
    (48, 24, {**MERGE, "run": 1, "inner": 16}, {}),
    (64, 40, {**MERGE, "run": 1, "inner": 32}, {"strip": 32, "tile": 16}),
    (96, 40, {**SPLIT, "run": 1, "inner": 32}, {"strip": 48, "tile": 16}),
    (32, 8, {**SPLIT, "run": 1, "inner": 16}, {"strip": 16}),
    (64, 72, {**MERGE, "run": 1, "inner": 64}, {"strip": 16, "tile": 64})]


def expected(job, fields):
    """Of each lane of each word: row, first dimension, whether the run ends."""
    where, places = positions(job), []
    for word in words_of(job, fields):
        for lane in word:
            found = np.array([where[place] for place in lane])
            # The results of a word lie side by side.
            assert (found == found[0] + np.arange(len(lane))[:, None] * [0, 1]).all()
            channel = lane[-1][1]
            ends = job.transposed or (channel + 1) % job.run == 0
            places.append((*found[0].tolist(), ends))
    return places


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_views(stall):
    """One job after the other through the same block."""
    rng, jobs = np.random.default_rng(2), []
    for m, n, view, more in CASES:
        job = layer(rng, m, 8, n, **view)
        jobs.append((job, fields_of(job, TINY, **more)))
    dut = LinearPlaces(config=TINY)

    async def body(ctx):
        assert ctx.get(dut.over)
        for job, fields in jobs:
            ctx.set(dut.job, fields)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            wanted = expected(job, fields)
            got = await receive(ctx, dut.o, len(wanted), Random(3), stall)
            said = [(place.row, place.inner, bool(place.head_ends)) for place in got]
            if job.transposed:      # of no use there
                said = [(*place[:2], True) for place in said]
            assert said == wanted
            await ctx.tick().repeat(4)
            assert ctx.get(dut.over) and not ctx.get(dut.o.valid)

    simulate(dut, body, limit=60_000)


def test_two_places_in_three_cycles():
    job = layer(np.random.default_rng(1), 2, 8, 64)
    dut, times = LinearPlaces(config=TINY), []

    async def body(ctx):
        ctx.set(dut.job, fields_of(job, TINY))
        ctx.set(dut.start, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(30):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            ctx.set(dut.start, 0)
            times.extend([cycle] * valid)
        assert ctx.get(dut.over)

    simulate(dut, body)
    assert len(times) == 8 and times[-1] - times[0] == 3 * 3 + 1

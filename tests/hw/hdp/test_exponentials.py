# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.sim import Simulator

from prunus.golden.softmax import encode_scale, exp2_neg, exponent
from prunus.hw.hdp.exponentials import RowExponentials
from tests.hw.softmax.bench import config_like
from tests.hw.softmax.rows import Row


def expected_items(row, lanes):
    """(first, last, background, phase, column, seen, e) per cycle; e is None where not seen."""
    zero = row.e0 > 0
    top = np.where(row.keep, row.scores, row.scores.min()).max(axis=1)
    top = np.where(zero, np.maximum(np.where(row.keep.any(axis=1), top, 0), 0), top)
    visible = np.arange(row.scores.shape[1]) < np.asarray(row.limits)[:, None]
    places = [(0, zero.repeat(2), np.zeros(4, np.int64))]
    for c in row.columns:
        columns = slice(2 * c, 2 * c + 2)
        places.append((int(c), visible[:, columns].ravel(), row.scores[:, columns].ravel()))
    items = []
    for n, (column, seen, scores) in enumerate(places):
        diff = top.repeat(2) - scores
        e = exp2_neg(exponent(np.maximum(diff, 0), *row.scale))
        for phase in range(4 // lanes):
            lane = slice(phase * lanes, (phase + 1) * lanes)
            items.append((n == 0 and phase == 0,
                          n == len(places) - 1 and phase == 4 // lanes - 1, n == 0, phase,
                          column if n else None,
                          [(bool(s), int(x) if s else None)
                           for s, x in zip(seen[lane], e[lane], strict=True)]))
    return items


@pytest.mark.parametrize("chance", [1.0, 0.6])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_items(lanes, chance):
    config = config_like(softmax_lanes=lanes)
    rng = np.random.default_rng(13)
    rows = [Row(scores=rng.integers(-500, 500, (2, 32)), limits=rng.integers(2, 33, 2),
                columns=np.sort(rng.choice(16, n, replace=False)), drop=bool(n % 2),
                scale=encode_scale(0.01)) for n in (3, 0, 1, 16, 5)]
    dut = RowExponentials(config=config, tag_width=3)
    items, firsts, starts = [], [], []

    async def testbench(ctx):
        taken, words = 0, [0] * 40
        latest, expected_first = None, None
        for _ in range(800):
            en = rng.random() < chance
            ctx.set(dut.en, int(en))
            ctx.set(dut.i.valid, int(taken < len(rows)))
            if taken < len(rows):
                ctx.set(dut.i.payload, rows[taken].token(5 * taken, taken))
            item = ctx.get(dut.item)
            if expected_first is not None:
                assert item.first == expected_first
            expected_first = ctx.get(dut.first_next) if en else item.first
            if en and item.valid:
                items.append((item, ctx.get(dut.e)))
            if item.first and en:
                firsts.append(ctx.get(dut.row))
            if ctx.get(dut.i.ready) and taken < len(rows):
                assert en
                latest = [0] * 5 * taken + rows[taken].buffer(config)
                taken += 1
            read, address = ctx.get(dut.score_en), ctx.get(dut.score_addr)
            await ctx.tick()
            if read:
                ctx.set(dut.score_data.as_value(), words[address])
            if latest is not None:
                words, latest = latest + [0] * (40 - len(latest)), None
        starts.append(taken)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert starts == [len(rows)]
    for n, (row, first) in enumerate(zip(rows, firsts, strict=True)):
        assert (first.count, first.tag) == (len(row.columns), n)
        assert [first.limit[0], first.limit[1]] == list(row.limits)
    expected = [item for row in rows for item in expected_items(row, lanes)]
    simulated = [
        (bool(item.first), bool(item.last), bool(item.background), item.phase,
         None if item.background else item.column,
         [(bool(item.seen[n]), e[n] if item.seen[n] else None) for n in range(lanes)])
        for item, e in items]
    assert simulated == expected

# SPDX-License-Identifier: Apache-2.0
"""The sparsity engine on rows whose statistics come in tiles."""

from copy import copy

import numpy as np
import pytest

from prunus.golden.hdp.compute import distance_mask, magnitude_mask
from prunus.hw.hdp.sparsity import SparsityEngine
from prunus.hw.hdp.tiler import Phase
from tests.hw.hdp.heads import small_config
from tests.hw.hdp.test_sparsity import elements
from tests.hw.helpers import simulate

TILE, STRIPS = 8, 4         # queries and keys of a tile; strips of queries
BLOCKS = TILE // 2


def _tiles(visible):
    """(strip, first block column, its columns per row) of the tiles with visible blocks."""
    for strip in range(len(visible) // BLOCKS):
        for first in range(0, visible.shape[1], BLOCKS):
            rows = slice(strip * BLOCKS, (strip + 1) * BLOCKS)
            columns = visible[rows, first : first + BLOCKS].sum(axis=1)
            if columns.any():
                yield strip, first, columns


class _Engine:
    """Gives the engine a row at a time, or all rows of a tile as fast as it may."""

    def __init__(self, config, scores, **job):
        """``scores`` are (block rows, block columns, 4), ``job`` fields that the engine takes."""
        self.dut, self.scores, self.group = SparsityEngine(config=config), scores, config.group
        self.job = job

    async def tile(self, ctx, phase, strip, first, columns, bank):
        """Mask bits of the tile's rows, by row, and what the engine has counted."""
        dut = self.dut
        ctx.set(dut.clear, 1)
        ctx.set(dut.clear_bank, bank)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for name, value in (("phase", phase), ("strip", strip), ("first", first == 0)):
            ctx.set(getattr(dut, name), value)
        rows = np.flatnonzero(columns)
        groups, masks, done = [], {}, 0
        begun = 0
        while done < len(rows):
            ctx.set(dut.begin, 0)
            if begun < len(rows) and begun - done < 2 and not groups:
                row, count = int(rows[begun]), int(columns[rows[begun]])
                ctx.set(dut.begin, 1)
                ctx.set(dut.row, {"bank": bank, "row": row, "columns": count,
                                  "last": int(row == rows[-1])})
                blocks = self.scores[strip * BLOCKS + row, first : first + count].tolist()
                groups = [blocks[n : n + self.group] for n in range(0, count, self.group)]
                begun += 1
            elif groups:
                blocks = groups.pop(0)
                ctx.set(dut.valid, 1)
                ctx.set(dut.score, blocks + [[99] * 4] * (self.group - len(blocks)))
                ctx.set(dut.tag, {"visible": (1 << 4 * len(blocks)) - 1, "last": not groups,
                                  "distance": self.job.get("distance", 0)})
            if ctx.get(dut.mask_en):
                bits = ctx.get(dut.mask_bits)
                masks.setdefault(ctx.get(dut.mask_row), []).extend(
                    bits >> n & 1 for n in range(self.group))
            if ctx.get(dut.masked):
                row = int(rows[done])
                assert (ctx.get(dut.mask_row), ctx.get(dut.masked_columns)) == (row, columns[row])
                assert ctx.get(dut.end_head) == (row == rows[-1])
                assert phase == Phase.STATS or ctx.get(dut.masked_some) == any(masks[row])
                done += 1
            await ctx.tick()
            ctx.set(dut.valid, 0)
        await ctx.tick()
        head = ctx.get(dut.heads[bank])
        return masks, (head.theta, head.kept, head.total)


def run(engine, visible, mask, mask_of):
    """All phases; ``mask`` is that of the whole rows, ``mask_of`` gives that of a tile alone."""
    plan = list(_tiles(visible))
    theta = np.abs(engine.scores).sum(axis=2)
    before = copy(engine)
    before.scores = np.full((*visible.shape, 4), 4000) * visible[..., None]

    async def testbench(ctx):
        for name, value in engine.job.items():
            ctx.set(getattr(engine.dut, name), value)
        # A head before, whose statistics are beyond those of this one.
        for n, (strip, first, columns) in enumerate(plan):
            await before.tile(ctx, Phase.STATS, strip, first, columns, n % 2)
        for phase in (Phase.STATS, Phase.TOP, Phase.VALUE, Phase.WHOLE):
            for n, (strip, first, columns) in enumerate(plan):
                masks, counted = await engine.tile(ctx, phase, strip, first, columns, n % 2)
                tile = np.s_[strip * BLOCKS : (strip + 1) * BLOCKS, first : first + BLOCKS]
                want = {Phase.STATS: mask & False, Phase.WHOLE: None}.get(phase, mask)
                want = mask_of(tile) if want is None else want[tile]
                assert counted == (theta[tile].sum(), want.sum(), columns.sum())
                assert bool(masks) == (phase != Phase.STATS)
                for row, bits in masks.items():
                    assert bits[: columns[row]] == want[row, : columns[row]].tolist()

    simulate(engine.dut, testbench)
    kept = [mask[strip * BLOCKS + row, first : first + BLOCKS].any()
            for strip, first, columns in plan for row in np.flatnonzero(columns)]
    assert not all(kept)


def seen(causal):
    shape = BLOCKS * STRIPS, BLOCKS * STRIPS
    visible = np.tri(*shape, dtype=bool) if causal else np.ones(shape, bool)
    visible[-1] = visible[:, -1] = False        # or the thetas of STATS would fill whole rings
    return visible


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rho", [0, 100, 127, -64])
@pytest.mark.parametrize("multipliers", [8, 128])
def test_the_threshold_is_that_of_the_whole_row(multipliers, rho, causal):
    config = small_config(l_max=TILE * STRIPS, tile=TILE, multipliers=multipliers)
    rng = np.random.default_rng(abs(rho))
    visible = seen(causal)
    theta = rng.integers(0, 2000, visible.shape) * rng.integers(0, 2, (1, 16))
    theta[:, BLOCKS : 2 * BLOCKS] //= 50            # a tile of which little is kept
    theta *= visible
    engine = _Engine(config, theta[..., None] * (1, 0, 0, 0), rho=rho)
    run(engine, visible, magnitude_mask(theta, visible, rho),
        lambda tile: magnitude_mask(theta[tile], visible[tile], rho))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("delta", [0, 300, 1500])
@pytest.mark.parametrize("multipliers", [8, 128])
def test_the_tops_are_those_of_the_whole_row(multipliers, delta, causal):
    config = small_config(l_max=TILE * STRIPS, tile=TILE, multipliers=multipliers)
    rng = np.random.default_rng(delta)
    visible = seen(causal)
    scores = rng.integers(-2000, 2000, (*visible.shape, 4)) * visible[..., None]
    scores[:, BLOCKS : 2 * BLOCKS] -= 1900          # a tile of which little is kept
    scores *= visible[..., None]
    engine = _Engine(config, scores, distance=1, delta=delta)

    def mask_of(tile):
        whole = np.ones(4, int) * visible[tile][..., None]
        return distance_mask(elements(scores[tile]), elements(whole) != 0, delta)

    run(engine, visible, mask_of(np.s_[:, :]), mask_of)

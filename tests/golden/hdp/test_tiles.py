# SPDX-License-Identifier: Apache-2.0
"""The tiles of long heads against who sees whom."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.bounds import Work
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.hdp.planes import HdpLayout, held_planes
from prunus.golden.hdp.tiles import Phase, is_tiled, passes, planes_of, tiles
from prunus.golden.jobs import visible_limits
from prunus.sim.engines.hdp import Recipe, build, random_jobs

CONFIG = load_config("hdp_tiles")
ROWS = CONFIG.tile
SHAPES = [(64, 64, False), (17, 1, False), (1, 17, False), (33, 50, True), (50, 33, True),
          (64, 3, True), (3, 64, True), (16, 17, True)]


def _job(l_q, l_kv, causal=False, **fields):
    recipe = {"valid_q": l_q, "valid_kv": l_kv, "d": 16, "patterns": ("normal",) * 3, "rho": 25,
              "scale": (40000, 24), "tau": "zero", "causal": causal, "drop": False,
              "exact": False, "dense": False, "seed": 1, **fields}
    return build(Recipe(l_q=l_q, l_kv=l_kv, **recipe), CONFIG)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dense", [False, True])
def test_each_phase_covers_what_is_seen_once(shape, dense):
    job = _job(*shape, dense=dense)
    visible = np.arange(job.l_kv) < visible_limits(job)[:, None]
    plan = list(tiles(job, CONFIG, kept=True))
    phases = [Phase.TOP, Phase.VALUE] if dense else [Phase.STATS, Phase.TOP, Phase.VALUE]
    assert sorted({tile.phase for tile in plan}) == phases
    for phase in phases:
        times = np.zeros(visible.shape, int)
        for tile in plan:
            if tile.phase == phase:
                assert tile.query % ROWS == tile.key % ROWS == 0
                assert tile.queries <= ROWS and tile.keys <= ROWS
                rows = slice(tile.query, tile.query + tile.queries)
                columns = slice(tile.key, tile.key + tile.keys)
                times[rows, columns] += 1
                assert visible[rows, columns].any() or not tile.keys
        assert (times[visible] == 1).all() and times.max() == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_strips_begin_and_end(shape):
    """STATS of all strips, then TOP and VALUE of each; every strip of VALUE ends once."""
    job = _job(*shape)
    plan = list(tiles(job, CONFIG, kept=True))
    assert plan == sorted(plan, key=lambda t: (t.phase != Phase.STATS, t.query, t.phase, t.key))
    strips = [(tile.phase, tile.query) for tile in plan]
    for tile, before, after in zip(plan, [None, *strips], [*strips[1:], None], strict=False):
        assert tile.first == (before != (tile.phase, tile.query))
        assert tile.last == (after != (tile.phase, tile.query))
    assert [tile.query for tile in plan if tile.phase == Phase.VALUE and tile.last] == list(
        range(0, job.l_q, ROWS))


def test_a_pruned_head_has_statistics_only():
    job = _job(40, 40, tau="above")
    assert not head(job, CONFIG).head_kept
    assert {tile.phase for tile in tiles(job, CONFIG, kept=False)} == {Phase.STATS}
    assert passes(job, CONFIG, False) == (1, 0)
    status = HdpKind().record(job, head(job, CONFIG), CONFIG)
    assert (status.blocks_kept, status.blocks_total) == (0, 400)


@pytest.mark.parametrize("l_q, l_kv, tiled", [(16, 16, False), (17, 1, True), (1, 17, True)])
def test_what_fits_is_not_cut(l_q, l_kv, tiled):
    job = _job(l_q, l_kv)
    assert is_tiled(job, CONFIG) == tiled
    assert not is_tiled(job, load_config("hdp_tiny"))
    assert not is_tiled(replace(job, valid_q=min(l_q, 16), valid_kv=min(l_kv, 16)), CONFIG)
    assert not is_tiled(replace(job, valid_kv=0), CONFIG)


@pytest.mark.parametrize("dense, kept, want", [
    (False, True, (3, 2)), (False, False, (1, 0)), (True, True, (0, 2))])
def test_passes(dense, kept, want):
    """As often as there are phases with integer scores, and with kept ones."""
    job = _job(20, 20, dense=dense)
    plan = {tile.phase for tile in tiles(job, CONFIG, kept)}
    assert passes(job, CONFIG, kept) == want
    assert want == (0 if dense else len(plan), len(plan - {Phase.STATS}))
    if kept:
        once, often = (Work.of(job, head(job, CONFIG), config)
                       for config in (load_config("hdp_tiny"), CONFIG))
        assert often.integer == want[0] * once.integer
        assert (often.fraction, often.full) == (2 * once.fraction, 2 * once.full)
        assert often.value == once.value > 0


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("l_q, l_kv", [(40, 40), (40, 9), (3, 40)])
def test_bytes(causal, l_q, l_kv):
    """Every tile reads its planes; keys that fit are read once unless causal."""
    job, layout = _job(l_q, l_kv, causal), HdpLayout(CONFIG)
    want, once = 64, l_kv <= ROWS and not causal
    seen = set()
    for tile in tiles(job, CONFIG, True):
        for plane in planes_of(tile.phase) if tile.keys else ():
            rows = tile.queries if plane[0] == "q" else tile.keys
            if plane[0] == "q" or not (once and plane in seen):
                want += rows * layout.row_bytes(plane[-1], job.d)
            seen.add(plane)
    assert layout.read_bytes(job, True) == want


def test_nothing_is_held_from_or_for_a_head_in_tiles():
    short, long = _job(8, 8), _job(40, 8)
    same = [replace(job, k=short.k, v=short.v, same_kv=True) for job in (short, long, short, short)]
    jobs = [short, *same]
    results = [head(job, CONFIG) for job in jobs]
    assert all(result.head_kept for result in results)
    assert held_planes(jobs, results, CONFIG) == [
        set(), {"k_i", "k_f", "v"}, set(), set(), {"k_i", "k_f", "v"}]


def test_random_jobs_are_in_tiles_often_enough():
    jobs = random_jobs(CONFIG, 200, 5)
    assert 60 < sum(is_tiled(job, CONFIG) for job in jobs) < 180

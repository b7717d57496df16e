# SPDX-License-Identifier: Apache-2.0
from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import DELTA_MAX, distance_mask, magnitude_mask
from prunus.hw.hdp.ring import ROWS
from prunus.hw.hdp.sparsity import SparsityEngine
from tests.hw.hdp.heads import BlockRow, block_rows, random_shape, small_config
from tests.hw.helpers import simulate

TAU_MAX = 0xFFFFFFFF
RHOS = [0, 25, -25, 64, -64, 127, -127, 1, -1]


def limit_score(config):
    """The largest |integer score|."""
    return config.d_max << 2 * config.int_width - 2


def scores_of(pattern, rng, config, shape):
    """Integer scores of a pattern."""
    top = limit_score(config)
    match pattern:
        case "uniform":
            return rng.integers(-top, top + 1, shape)
        case "ties":
            return rng.integers(-1, 2, shape) * rng.integers(1, 3)
        case "extreme":
            return rng.choice([top, -top + 1, 0, -1], shape)
        case "largest":
            return np.full(shape, top)
        case "zero":
            return np.zeros(shape, np.int64)
    raise ValueError(pattern)


PATTERNS = ["uniform", "ties", "extreme", "largest", "zero"]


def elements(blocks):
    """(rows, columns, 2*query + key) of blocks as (2*rows, 2*columns) of queries and keys."""
    rows, columns, _ = blocks.shape
    return blocks.reshape(rows, columns, 2, 2).swapaxes(1, 2).reshape(2 * rows, 2 * columns)


@dataclass(kw_only=True, eq=False)
class Head:
    """A head's integer scores, (rows, columns, 4), and what golden makes of them."""

    bank: int
    rows: list[BlockRow]
    scores: np.ndarray
    rho: int = 0
    delta: int | None = None        # of a head whose importance is distance
    tau: int = 0
    expected: list = field(init=False)
    status: tuple[int, int, int] = field(init=False)

    def __post_init__(self):
        shape = self.scores.shape
        bits = np.array([row.visible + (0,) * (shape[1] - row.columns) for row in self.rows])
        seen = (bits[..., None] >> np.arange(4)) & 1
        theta = (np.abs(self.scores) * seen).sum(axis=2)
        mask = (magnitude_mask(theta, bits != 0, self.rho) if self.delta is None
                else distance_mask(elements(self.scores), elements(seen) != 0, self.delta))
        self.status = (int(theta.sum()), int(mask.sum()), int((bits != 0).sum()))
        self.expected = []
        so_far = 0
        for n, row in enumerate(self.rows):
            so_far += int(theta[n].sum())
            self.expected.append((so_far, [int(x) for x in mask[n, : row.columns]]))


def make_head(config, rng, bank, shape, pattern, rho=0, tau="zero", delta=None):
    rows = [row for row in block_rows(*shape) if row.columns]
    scores = scores_of(pattern, rng, config, (len(rows), max(r.columns for r in rows), 4))
    head = Head(bank=bank, rows=rows, scores=scores, rho=rho, delta=delta)
    theta = head.status[0]
    head.tau = min(TAU_MAX, {"zero": 0, "equal": theta, "above": theta + 1, "half": theta // 2,
                             "largest": TAU_MAX}[tau])
    return head


class Bench:
    """Plays the integer pass and the array, and expects the events of ``heads`` in order.

    Parameters
    ----------
    stall : float
        Chance per cycle that no block comes.
    ahead : int
        Rows that may be begun before the oldest one is masked, as far as the ring holds them.
    """

    def __init__(self, config, heads, *, stall=0.0, ahead=ROWS, seed=0):
        self.heads, self.stall, self.ahead = heads, stall, ahead
        self.dut = SparsityEngine(config=config)
        self.rng = Random(seed)
        self.rows = [(head, n) for head in heads for n in range(len(head.rows))]
        self.begun = self.masked = 0
        self.capacity = 2 * -(-config.blocks // config.group)
        self.group = config.group
        self.width = config.int_score_width
        self.groups = deque()       # of begun rows: (column, visible, last, scores)
        self.events = []
        self.cleared = {}           # bank: head
        self.heads_done = 0
        self.ended = None           # head whose last row was masked in the previous cycle
        self.at = []                # cycles of (last block, masked) per row
        self.cycle = 0

    def _drive(self, ctx):
        dut, rng = self.dut, self.rng
        ctx.set(dut.clear, 0)
        for head in self.heads[self.heads_done : self.heads_done + 2]:
            if head.bank not in self.cleared:
                ctx.set(dut.clear, 1)
                ctx.set(dut.clear_bank, head.bank)
                self.cleared[head.bank] = head
                break
        group = self.groups and rng.random() >= self.stall
        ctx.set(dut.valid, bool(group))
        if group:
            column, visible, last, scores, distance = self.groups.popleft()
            ctx.set(dut.score, scores)
            ctx.set(dut.tag, {"column": column, "visible": visible, "last": last,
                              "distance": distance})
            if last:
                self.at.append([self.cycle])
        # A row begins while the last scores of the previous one are still in the array.
        ctx.set(dut.begin, 0)
        if (self.begun < len(self.rows) and self.begun - self.masked < self.ahead
                and len(self.groups) <= 3):
            head, n = self.rows[self.begun]
            held = sum(-(-head.rows[n].columns // self.group)
                       for head, n in self.rows[self.masked : self.begun + 1])
            if self.cleared.get(head.bank) is head and held <= self.capacity:
                self._begin(ctx, head, n)

    def _begin(self, ctx, head, n):
        row = head.rows[n]
        ctx.set(self.dut.begin, 1)
        ctx.set(self.dut.row, {"bank": head.bank, "row": row.row, "columns": row.columns,
                               "last": row.last})
        self.begun += 1
        so_far, bits = head.expected[n]
        starts = range(0, row.columns, self.group)
        for first in starts:
            visible = row.visible[first : first + self.group]
            scores = head.scores[n, first : first + len(visible)].tolist()
            # What comes of blocks beyond the row means nothing.
            limit = 1 << self.width - 1
            scores += [[self.rng.randrange(-limit, limit) for _ in range(4)]
                       for _ in range(self.group - len(visible))]
            self.groups.append((first, sum(bit << 4 * b for b, bit in enumerate(visible)),
                                first == starts[-1], scores, head.delta is not None))
        if so_far >= head.tau:
            self.events.append(("reached", head.bank))
        for index, first in enumerate(starts):
            word = sum(bit << b for b, bit in enumerate(bits[first : first + self.group]))
            last = first == starts[-1]
            self.events.append(("mask", head.bank, row.row, index, word, last, last and row.last))

    def _check(self, ctx):
        dut = self.dut
        bank = ctx.get(dut.bank)
        job = self.cleared.get(bank)
        if job:
            ctx.set(dut.rho, job.rho)
            ctx.set(dut.distance, job.delta is not None)
            ctx.set(dut.delta, job.delta or 0)
            ctx.set(dut.tau, job.tau)
        if self.ended:
            o = ctx.get(dut.heads[self.ended.bank])
            assert (o.theta, o.kept, o.total) == self.ended.status
            del self.cleared[self.ended.bank]
            self.ended = None
            self.heads_done += 1
        if ctx.get(dut.reached):
            assert self.events.pop(0) == ("reached", bank)
        if ctx.get(dut.mask_en):
            masked, end = ctx.get(dut.masked), ctx.get(dut.end_head)
            assert self.events.pop(0) == ("mask", bank, ctx.get(dut.mask_row),
                                          ctx.get(dut.mask_group), ctx.get(dut.mask_bits),
                                          masked, end)
            if masked:
                head, n = self.rows[self.masked]
                assert ctx.get(dut.masked_columns) == head.rows[n].columns
                self.at[self.masked].append(self.cycle)
                self.masked += 1
            if end:
                self.ended = job
        else:
            assert not ctx.get(dut.masked) and not ctx.get(dut.end_head)

    def run(self):
        async def testbench(ctx):
            while self.heads_done < len(self.heads):
                self._drive(ctx)
                self._check(ctx)
                await ctx.tick()
                self.cycle += 1
            assert not self.events and self.masked == len(self.rows)

        simulate(self.dut, testbench)
        return self


def random_heads(config, count, seed):
    rng, shapes = np.random.default_rng(seed), Random(seed)
    return [make_head(config, rng, n % 2, random_shape(shapes, config.l_max),
                      shapes.choice(PATTERNS[:3]), shapes.choice(RHOS),
                      shapes.choice(["zero", "equal", "above", "half", "largest"]),
                      shapes.choice([None, random_delta(config, shapes)]))
            for n in range(count)]


def random_delta(config, rng):
    """Small ones, such as real scores have, and now and then the largest differences."""
    most = 2 * limit_score(config)
    return rng.choice([0, 1, 2, rng.randrange(most // 8), rng.randrange(most + 1), most, DELTA_MAX])


@pytest.mark.parametrize("stall, ahead", [(0.0, ROWS), (0.0, 1), (0.6, ROWS), (0.9, 2)])
@pytest.mark.parametrize("multipliers", [8, 128, 256])
def test_random_heads(multipliers, stall, ahead):
    config = small_config(multipliers=multipliers)
    Bench(config, random_heads(config, 16, 3), stall=stall, ahead=ahead).run()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_rho(pattern):
    """Every rho that is special, and some more, on rows with half-visible blocks."""
    config = small_config(d_max=8)
    rng = np.random.default_rng(4)
    rhos = [*RHOS, *(int(x) for x in rng.integers(-127, 128, 6))]
    Bench(config, [make_head(config, rng, n % 2, (5, 7, n % 3 == 1), pattern, rho)
                   for n, rho in enumerate(rhos)]).run()


def test_blocks_at_the_threshold():
    """A row whose threshold is a whole number, met, missed by one and exceeded by one."""
    config = small_config(d_max=8)
    # n = 4, sum = 256 and max = 96 put the threshold of rho = 64/128 at (96 + 64) / 2 = 80;
    # min = 32 puts that of rho = -64/128 at (32 + 64) / 2 = 48.
    rows = block_rows(2, 8, 0)
    for rho, thetas, kept in ((64, (96, 80, 48, 32), (1, 1, 0, 0)),
                              (64, (96, 79, 49, 32), (1, 0, 0, 0)),
                              (-64, (96, 80, 48, 32), (1, 1, 1, 0)),
                              (-64, (96, 81, 47, 32), (1, 1, 0, 0))):
        scores = np.zeros((1, 4, 4), np.int64)
        scores[0, :, 0] = thetas
        scores[0, 1, :2] = (-1, thetas[1] - 1)
        head = Head(bank=0, rows=rows, scores=scores, rho=rho)
        assert head.expected == [(256, list(kept))]
        Bench(config, [head]).run()


@pytest.mark.parametrize("multipliers", [8, 128])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_delta(pattern, multipliers):
    """Deltas that are special, and some more, on rows with half-visible blocks."""
    config = small_config(d_max=8, multipliers=multipliers)
    rng, chance = np.random.default_rng(4), Random(5)
    deltas = [0, 1, 2 * limit_score(config), 2 * limit_score(config) - 1, DELTA_MAX,
              *(random_delta(config, chance) for _ in range(8))]
    Bench(config, [make_head(config, rng, n % 2, (5, 7, n % 3 == 1), pattern, delta=delta)
                   for n, delta in enumerate(deltas)]).run()


@pytest.mark.parametrize("query", [0, 1])
def test_blocks_at_a_distance(query):
    """Of one query or the other: delta itself is kept, one more is not; the other query is far."""
    config = small_config(d_max=8)
    rows = block_rows(2, 8, 0)
    for top, delta, kept in ((40, 30, (1, 1, 0, 0)), (40, 31, (1, 1, 1, 0)), (40, 29, (1, 0, 0, 0)),
                             (-10, 30, (1, 1, 0, 0)), (10, 0, (1, 0, 0, 0))):
        scores = np.full((1, 4, 4), -200)
        scores[0, 0] = (50, -200, 50, -200)         # the largest of both
        scores[0, 1:, 2 * query + 1] = (top - 30, top - 31, top - 100)
        scores[0, 0, 2 * query] = top
        head = Head(bank=0, rows=rows, scores=scores, delta=delta)
        assert head.expected[0][1] == list(kept)
        Bench(config, [head]).run()


def test_a_query_that_sees_nothing_keeps_nothing():
    """Whatever the delta; scores of what it does not see are the largest."""
    config = small_config()
    rows = block_rows(1, 5, 0)
    scores = np.full((1, 3, 4), 100)
    scores[0, :, 0] = -90, -100, -80
    for delta, mask in ((9, [0, 0, 1]), (10, [1, 0, 1]), (DELTA_MAX, [1, 1, 1])):
        scores[0, 0, 1] = scores[0, 1, 1] = -100
        head = Head(bank=1, rows=rows, scores=scores, delta=delta)
        assert head.expected[0][1] == mask
        Bench(config, [head]).run()


def test_scores_that_are_not_visible_do_not_count():
    config = small_config()
    # The second query is padding, and of the last block only one key exists.
    rows = block_rows(1, 5, 0)
    assert rows[0].visible == (0b0011, 0b0011, 0b0001)
    scores = np.full((1, 3, 4), -7)
    scores[0, 2, 0] = 1
    head = Head(bank=1, rows=rows, scores=scores, rho=0, tau=29)
    assert head.status == (29, 2, 3)
    Bench(config, [head]).run()


@pytest.mark.parametrize("changes", [
    {"l_max": 2, "d_max": 8},
    {"l_max": 6, "frac": 7},                                    # I is one bit
    {"l_max": 64, "d_max": 128, "width": 12, "frac": 8},
    {"l_max": 64, "d_max": 128, "width": 12, "frac": 4},        # the widest I
    {"l_max": 64, "d_max": 128, "width": 12, "frac": 4, "multipliers": 256},
    {"l_max": 2, "d_max": 8, "multipliers": 256},               # less than a group
    {"l_max": 6, "multipliers": 128},
])
def test_widths(changes):
    config = small_config(**changes)
    length = config.l_max
    rng = np.random.default_rng(6)
    shapes = [(length, length, 0), (length - 1, length, 1), (2, length - 1, 0), (1, 1, 0)]
    heads = [make_head(config, rng, n % 2, shapes[n % 4], PATTERNS[n % 4], rho, "equal")
             for n, rho in enumerate((127, -127, 0, 127, 64))]
    top = limit_score(config)
    heads += [make_head(config, rng, (n + 1) % 2, shapes[n % 4], PATTERNS[n % 4], delta=delta)
              for n, delta in enumerate((0, 2 * top, top, DELTA_MAX, 2 * top - 1))]
    Bench(config, heads).run()


@pytest.mark.parametrize("preset", ["hdp_edge", "hdp_w12"])
def test_presets(preset):
    config = load_config(preset)
    rng = np.random.default_rng(7)
    length = config.l_max
    Bench(config, [make_head(config, rng, 0, (3, length, 0), "uniform", 25, "half"),
                   make_head(config, rng, 1, (2, length - 1, 0), "largest", 127, "above"),
                   make_head(config, rng, 0, (2, length, 0), "largest", -127, "equal"),
                   make_head(config, rng, 1, (3, length, 0), "uniform", delta=900)]).run()


@pytest.mark.parametrize("multipliers", [64, 128, 256])
def test_timing(multipliers):
    """A row's mask is complete n + latency cycles after its last group, a waiting row's n + 6
    later, whatever the importance."""
    config = small_config(l_max=32, multipliers=multipliers)
    rng = np.random.default_rng(8)
    heads = [make_head(config, rng, 0, (16, 2 * n, 0), "uniform", 25, delta=delta)
             for n in (16, 5, 1) for delta in (None, 99)]
    single = Bench(config, heads, ahead=1).run()
    assert single.dut.latency == (8 if multipliers == 64 else 9)
    assert [masked - sent for sent, masked in single.at] == [
        -(-head.rows[n].columns // config.group) + single.dut.latency for head, n in single.rows]
    for head in heads[:2]:
        double = Bench(config, [head]).run()
        masked = [cycle for _, cycle in double.at]
        assert np.diff(masked).tolist() == [16 // config.group + 6] * 7

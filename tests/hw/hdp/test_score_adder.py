# SPDX-License-Identifier: Apache-2.0
"""The score adder on rows of golden heads, with the score buffer read back."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp import compute as hdp
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import LOOKAHEAD
from prunus.hw.hdp.ring import entry_width
from prunus.hw.hdp.score_adder import ScoreAdder
from prunus.sim.engines.hdp import Recipe, build
from tests.hw.helpers import receive, simulate, stall_cases

TINY = load_config("hdp_tiny")
WIDE = HdpConfig(name="wide", width=12, frac=8, d_max=16, l_max=12, multipliers=32,
              softmax_lanes=4, axi_data_width=128)
PAIRS = HdpConfig(name="pairs", d_max=16, l_max=22, multipliers=128, axi_data_width=128)
FINE = load_config("hdp_fine_tiny")
FINE_FULL = FINE.model_copy(update={"name": "fine_full", "keep_integer_scores": False})
FOURS = HdpConfig(name="fours", d_max=16, l_max=26, multipliers=256, axi_data_width=128)


def _blocks(scores, row, column):
    """Scores of a block in the order 2*query + key, zero where there is no element."""
    padded = np.pad(scores, ((0, 1), (0, 1)))
    return padded[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()


@dataclass(eq=False)
class _Row:
    """A row of blocks of a job; its integer scores lie from ``base`` on, or there are none."""

    config: HdpConfig
    job: hdp.HdpJob
    result: hdp.HdpResult
    index: int
    bank: int
    base: int | None

    def __post_init__(self):
        limits = np.append(hdp.visible_limits(self.job), 0)
        self.limits = limits[2 * self.index : 2 * self.index + 2].tolist()
        self.columns = np.flatnonzero(self.result.mask[self.index]).tolist()
        (iq, fq), (ik, fk) = (self.config.format.split(x) for x in (self.job.q, self.job.k))
        self.integer = iq @ ik.T
        self.fraction = fq @ ik.T + iq @ fk.T

    @property
    def visible(self):
        """Blocks that the row sees."""
        return -(-max(self.limits) // 2)

    @property
    def announcement(self):
        last = 2 * self.index + 2 >= self.job.valid_q
        return {"tag": {"bank": self.bank, "row": self.index, "limit": self.limits,
                        "last": int(last)},
                "columns": self.visible, "drop": int(self.job.drop),
                "mant": self.job.scale[0], "shift": self.job.scale[1]}

    def _tag(self, column, last):
        seen = [2 * column + key < limit for limit in self.limits for key in range(2)]
        return {"column": column, "visible": sum(bit << n for n, bit in enumerate(seen)),
                "last": int(last), "integer": int(self.base is not None),
                "entry": ((self.base or 0) + column) % (1 << entry_width(self.config))}

    @property
    def entries_taken(self):
        """Entries of the integer score buffer, in whole groups."""
        return -(-self.visible // self.config.group) * self.config.group

    def integer_ops(self):
        """All visible blocks, by groups; what lies beyond them means nothing."""
        size = self.config.group
        ops = []
        for first in range(0, self.visible, size):
            scores = [_blocks(self.integer, self.index, c) if c < self.visible else [-1] * 4
                      for c in range(first, first + size)]
            ops.append(("integer", scores, self._tag(first, first + size >= self.visible)))
        return ops

    def score_ops(self):
        """The kept blocks, as the array gives them."""
        lift = self.config.lift
        scores = (self.fraction << lift if self.base is not None
                  else self.result.scores << 2 * lift)
        return [("score", _blocks(scores, self.index, c), self._tag(c, c == self.columns[-1]))
                for c in self.columns]

    def entries(self):
        return [(c, _blocks(self.result.scores, self.index, c)) for c in self.columns]

    def kept_scores(self, query):
        """Scores of a query's kept visible keys."""
        keys = [2 * c + k for c in self.columns for k in range(2)]
        return [int(self.result.scores[2 * self.index + query, j])
                for j in keys if j < self.limits[query]]

    def check_token(self, token):
        tag = token.tag
        announced = self.announcement
        bits = self.config.length_width
        assert tag & 1 == self.bank
        assert tag >> 1 & (1 << self.config.block_width) - 1 == self.index
        limits = tag >> 1 + self.config.block_width
        assert [limits & (1 << bits) - 1, limits >> bits & (1 << bits) - 1] == self.limits
        assert limits >> 2 * bits == announced["tag"]["last"]
        assert token.count == len(self.columns)
        assert (token.drop, token.mant, token.shift) == (announced["drop"], *self.job.scale)
        for q in range(2):
            scores = self.kept_scores(q)
            assert token.limit[q] == self.limits[q]
            assert token.some[q] == (len(scores) > 0)
            assert token.hides[q] == (len(scores) < self.limits[q])
            if scores:
                assert token.top[q] == max(scores)


def _rows(config, rng, count):
    """Rows of random heads; some have integer scores, one behind the other."""
    rows, base = [], 0
    for bank in range(count):
        l_q, l_kv = rng.randint(1, config.l_max), rng.randint(1, config.l_max)
        causal = rng.random() < 0.5
        if bank == 0:       # its first queries see nothing
            l_q, l_kv, causal = config.l_max, 4, True
        exact = rng.random() < 0.2
        job = build(Recipe(
            l_q=l_q, l_kv=l_kv, valid_q=l_q - rng.randint(0, l_q // 4),
            valid_kv=rng.randint(1, l_kv),
            d=config.d_max, rho=rng.choice([0, 64, -127]), causal=causal,
            drop=rng.random() < 0.5, exact=exact, scale=(rng.getrandbits(16), rng.randint(12, 63)),
            patterns=(rng.choice(["normal", "uniform", "extreme", "minimum"]),
                      rng.choice(["uniform", "extreme", "minimum"]), "zero"),
            seed=rng.getrandbits(32)), config)
        result = hdp.head(job, config)
        for index in range(-(-job.valid_q // 2)):
            row = _Row(config, job, result, index, bank & 1, None)
            if (config.keep_integer_scores and not exact and row.columns
                    and rng.random() < 0.7):
                row.base = base
                base += row.entries_taken
            rows.append(row)
    return rows


class _Source:
    """The array and fetch upon mask: integer scores ahead as far as they fit, scores in order.

    A row is announced once all scores of the one before are on their way.
    """

    def __init__(self, dut, config, rows, rng, stall):
        self.dut, self.config, self.rows, self.rng, self.stall = dut, config, rows, rng, stall
        self.with_integer = [row for row in rows if row.base is not None]
        self.scored = self.written = self.announced = 0     # rows
        self.free = 2 * -(-config.blocks // config.group) * config.group
        self.integer_ops, self.score_ops = [], []
        self.integer_left = list(self.with_integer)

    def _noise(self, integer):
        """A tag and scores of a group that mean nothing."""
        rng, half = self.rng, 1 << self.config.int_score_width - 1
        tag = {"column": rng.randrange(self.config.blocks), "visible": rng.getrandbits(4),
               "last": 1, "integer": integer, "entry": rng.randrange(2 * self.config.blocks)}
        scores = [[rng.randrange(-half, half) for _ in range(4)] for _ in range(self.config.group)]
        return scores, tag

    def _choose(self):
        """What the array puts out ``LOOKAHEAD`` cycles from now, or None."""
        if (not self.integer_ops and self.integer_left
                and self.integer_left[0].entries_taken <= self.free):
            self.free -= self.integer_left[0].entries_taken
            self.integer_ops = self.integer_left.pop(0).integer_ops()
        if self.rng.random() < self.stall:
            return None
        if self.integer_ops and (not self.score_ops or self.rng.random() < 0.5):
            return self.integer_ops.pop(0)
        if self.score_ops:
            return self.score_ops.pop(0)
        if self.rng.random() < self.stall:
            return ("integer", *self._noise(0))         # of a row that keeps no integer scores
        return None

    def _scored(self, strobe, columns):
        if strobe:
            assert columns == self.with_integer[self.scored].visible
            self.free += self.with_integer[self.scored].entries_taken
            self.scored += 1

    def _may_announce(self):
        row = self.rows[self.announced]
        return row.base is None or self.with_integer.index(row) < self.written

    async def run(self, ctx):
        dut = self.dut
        planned = [None] * LOOKAHEAD
        while self.announced < len(self.rows) or self.score_ops or any(planned):
            planned.append(self._choose())
            kind, scores, tag = planned.pop(0) or (None, *self._noise(1))
            ctx.set(dut.integer_valid, kind == "integer")
            ctx.set(dut.score_valid, kind == "score")
            ctx.set(dut.integer, self._noise(1)[0] if kind == "score" else scores)
            ctx.set(dut.score, scores if kind == "score" else self._noise(1)[0][0])
            ctx.set(dut.tag, tag)
            ctx.set(dut.early, planned[-1][2] if planned[-1] else self._noise(1)[1])
            ctx.set(dut.early_valid, bool(planned[-1]) and planned[-1][0] == "score")
            valid = ctx.get(dut.row.valid)
            if not valid and self.announced < len(self.rows) and self._may_announce() \
                    and not self.score_ops and self.rng.random() >= self.stall:
                valid = True
                ctx.set(dut.row.payload, self.rows[self.announced].announcement)
                ctx.set(dut.row.valid, 1)
            _, _, ready, scored, columns = await ctx.tick().sample(
                dut.row.ready, dut.row_scored, dut.scored_columns)
            self._scored(scored, columns)
            self.written += kind == "integer" and tag["integer"] and tag["last"]
            if valid and ready:
                self.score_ops = self.rows[self.announced].score_ops()
                self.announced += 1
                ctx.set(dut.row.valid, 0)
        ctx.set(dut.score_valid, 0)
        ctx.set(dut.integer_valid, 0)
        while self.scored < len(self.with_integer):
            _, _, *scored = await ctx.tick().sample(dut.row_scored, dut.scored_columns)
            self._scored(*scored)


async def _read_row(ctx, dut, base, count):
    """``count`` entries of the score buffer, one per cycle."""
    entries = []
    for index in range(base, base + count):
        ctx.set(dut.score_en, 1)
        ctx.set(dut.score_addr, index % (1 << len(dut.score_addr)))
        await ctx.tick()
        ctx.set(dut.score_en, 0)
        ctx.set(dut.score_addr, 0)
        await ctx.tick()                # what was read stays
        entry = ctx.get(dut.score_data)
        entries.append((entry.column, [entry.score[n] for n in range(4)]))
    return entries


@pytest.mark.parametrize("config", [TINY, WIDE, PAIRS, FOURS, FINE, FINE_FULL],
                         ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(config, stall_in, stall_out):
    rng = Random(f"{config.name}{stall_in}{stall_out}")
    rows = _rows(config, rng, 6)
    assert any(not row.columns for row in rows)
    assert any(row.base is not None for row in rows) == config.keep_integer_scores
    dut = ScoreAdder(config=config)
    source = _Source(dut, config, rows, rng, stall_in)

    async def sink(ctx):
        for row in rows:
            [token] = await receive(ctx, dut.token, 1, rng, stall_out)
            row.check_token(token)
            for _ in range(rng.choice([0, 9, 60])):     # the next rows' scores come meanwhile
                await ctx.tick()
            assert await _read_row(ctx, dut, token.base, token.count) == row.entries()
        for _ in range(10):
            await ctx.tick()
            assert not ctx.get(dut.token.valid)
        assert source.scored == len(source.with_integer)

    simulate(dut, source.run, sink)


def test_latency():
    """Block to buffer, and last block to token; a block per cycle."""
    dut = ScoreAdder(config=TINY)
    columns = [3, 4, 9]
    tag = {"visible": 15, "integer": 0, "entry": 0}
    token_at = []

    async def bench(ctx):
        ctx.set(dut.score_en, 1)
        ctx.set(dut.row.payload, {"tag": {"limit": [32, 32]}, "columns": 16})
        ctx.set(dut.row.valid, 1)
        await ctx.tick()
        ctx.set(dut.row.valid, 0)
        ctx.set(dut.score_valid, 1)
        for cycle in range(10):
            if cycle < len(columns):
                ctx.set(dut.tag, {**tag, "column": columns[cycle], "last": int(cycle == 2)})
                ctx.set(dut.score, [cycle] * 4)
            else:
                ctx.set(dut.score_valid, 0)
            token_at.append(ctx.get(dut.token.valid))
            await ctx.tick()
            # Written at the end of cycle 1, so read in cycle 2 and there in cycle 3.
            assert ctx.get(dut.score_data.column) == (3 if cycle + 1 >= 3 else 0)
        assert token_at.index(1) == 2 + 4
        assert await _read_row(ctx, dut, 0, 3) == [(c, [n] * 4) for n, c in enumerate(columns)]

    simulate(dut, bench)


def test_empty_row_takes_two_cycles():
    dut = ScoreAdder(config=TINY)

    async def bench(ctx):
        ctx.set(dut.token.ready, 1)
        for cycle in range(9):
            ctx.set(dut.row.payload, {"columns": 0, "mant": cycle})
            ctx.set(dut.row.valid, 1)
            _, _, ready, valid, token = await ctx.tick().sample(
                dut.row.ready, dut.token.valid, dut.token.payload)
            assert (ready, valid) == (1, cycle >= 2)
            if valid:
                assert (token.mant, token.count) == (cycle - 2, 0)

    simulate(dut, bench)


def test_rows_wait_for_room():
    """Two of the longest rows fit, and the first is given back with the third row's token."""
    dut = ScoreAdder(config=TINY)
    tag = {"visible": 15, "integer": 0, "entry": 0, "last": 1}

    async def bench(ctx):
        async def row(columns):
            ctx.set(dut.row.payload, {"columns": columns})
            ctx.set(dut.row.valid, 1)
            _, _, ready = await ctx.tick().sample(dut.row.ready)
            ctx.set(dut.row.valid, 0)
            if ready:
                ctx.set(dut.tag, tag)
                ctx.set(dut.score_valid, 1)
                await ctx.tick()
                ctx.set(dut.score_valid, 0)
                await ctx.tick().repeat(6)
            return ready

        assert [await row(n) for n in (16, 16, 1)] == [1, 1, 0]
        await receive(ctx, dut.token, 1)
        assert not await row(1)                 # the softmax unit still reads the first
        await receive(ctx, dut.token, 1)
        assert [await row(n) for n in (8, 8, 1)] == [1, 1, 0]
        await receive(ctx, dut.token, 2)
        assert [await row(n) for n in (4, 4, 4, 4, 4)] == [1, 1, 1, 1, 0]

    simulate(dut, bench)

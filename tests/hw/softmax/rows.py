# SPDX-License-Identifier: Apache-2.0
"""Block rows for the softmax unit, with what golden makes of them, and a bench to run them."""

from dataclasses import dataclass

import numpy as np
from amaranth.sim import Simulator

from prunus.golden.hdp.compute import HdpJob, weights
from prunus.golden.softmax import SHIFT_STEP, encode_scale, reciprocal
from prunus.hw.hdp.softmax_layouts import (
    score_index_width,
    weight_entry_layout,
    weight_index_width,
)

__all__ = ["Row", "UnitBench", "random_row", "special_rows"]


@dataclass(kw_only=True, eq=False)
class Row:
    """A block row: scores (2, l_max), limits (2,), and which block columns are kept."""

    scores: np.ndarray
    limits: np.ndarray
    columns: np.ndarray
    drop: bool
    scale: tuple[int, int]

    def __post_init__(self):
        l_max = self.scores.shape[1]
        visible = np.arange(l_max) < np.asarray(self.limits)[:, None]
        kept = np.zeros(l_max, bool)
        for column in self.columns:
            kept[2 * column:2 * column + 2] = True
        self.keep = visible & kept
        zeros = np.zeros((l_max, 8), np.int64)
        job = HdpJob(q=zeros[:2], k=zeros, v=zeros, scale=self.scale, drop=self.drop)
        self.weights, self.e0, self.den = weights(job, self.scores, self.keep, visible)

    def token(self, base: int, tag: int) -> dict:
        lowest = self.scores.min() - 1
        top = np.where(self.keep, self.scores, lowest).max(axis=1)
        has_kept = self.keep.any(axis=1)
        # Anything where nothing is kept: sometimes the largest score, sometimes the smallest.
        top = np.where(has_kept, top, self.scores.max() if tag % 2 else self.scores.min())
        return {
            "base": base, "count": len(self.columns), "limit": [int(x) for x in self.limits],
            "some": [int(x) for x in has_kept],
            "hides": [int(x) for x in self.keep.sum(axis=1) < self.limits],
            "top": top.tolist(), "drop": int(self.drop),
            "mant": self.scale[0], "shift": self.scale[1], "tag": tag,
        }

    def result(self, base: int, tag: int) -> list:
        """(field, value) of the result; r and p only where they mean something."""
        fields = [("base", base), ("count", len(self.columns)), ("tag", tag)]
        for n in range(2):
            fields += [(f"e0[{n}]", int(self.e0[n])), (f"empty[{n}]", int(self.den[n] == 0))]
            if self.den[n]:
                r, p = reciprocal(self.den[n])
                fields += [(f"r[{n}]", int(r)), (f"p[{n}]", int(p))]
        return fields

    def entries(self) -> list:
        """Column and four weights of each entry."""
        return [(int(c), *self.weights[:, 2 * c:2 * c + 2].ravel().tolist()) for c in self.columns]

    def buffer(self, config) -> list[int]:
        """The score buffer's words."""
        mask = (1 << config.score_width) - 1
        words = []
        for c in self.columns:
            word = int(c)
            for n, score in enumerate(self.scores[:, 2 * c:2 * c + 2].ravel().tolist()):
                word |= (score & mask) << (config.block_width + n * config.score_width)
            words.append(word)
        return words


def special_rows(config) -> list[Row]:
    """Corners, each with ``drop`` and without."""
    l_max, half = config.l_max, 1 << config.score_width - 1
    scale = encode_scale(8 / half)
    rng = np.random.default_rng(7)
    some = rng.integers(-half, half, (2, l_max))
    every, one, none = np.arange(config.blocks), np.array([config.blocks // 2]), np.array([], int)
    full = np.array([l_max, l_max])
    extremes = np.where(rng.integers(0, 2, (2, l_max)), half - 1, -half)
    cases = [
        (some, full, every), (some, full, one), (some, full, none), (some, 0 * full, none),
        (some, np.array([0, 1]), np.array([0])), (some, np.array([1, 2]), np.array([0])),
        (some, np.array([l_max - 1, l_max]), every[-1:]), (some, np.array([3, l_max - 3]), every),
        (some, np.array([2, 5]), one), (0 * some, full, every[::2]), (0 * some - 5, full, every),
        (0 * some - 5, full, every[1:]), (0 * some + 5, full, every[:-1]),
        (extremes, full, every), (extremes, full, every[1::2]),
        (0 * some - half, full, every[1:]), (0 * some + half - 1, full, every[1:]),
    ]
    rows = [Row(scores=s, limits=li, columns=c, drop=drop, scale=scale)
            for s, li, c in cases for drop in (False, True)]
    widest = [(0xFFFF, 12), (1, 63), (0, 12), (0xFFFF, 63)]
    return rows + [Row(scores=some, limits=full, columns=every[1:5], drop=False, scale=scale)
                   for scale in widest]


def random_row(config, rng, most=None) -> Row:
    """A row with up to ``most`` entries in ascending or any order."""
    l_max, half = config.l_max, 1 << config.score_width - 1
    spread = half >> int(rng.integers(0, config.score_width - 4))
    scores = rng.integers(-spread, spread, (2, l_max))
    most = min(most or config.blocks, config.blocks)
    columns = rng.choice(config.blocks, int(rng.integers(0, most + 1)), replace=False)
    if rng.integers(0, 4):
        columns.sort()
    limits = rng.integers(0, l_max + 1, 2) if rng.integers(0, 2) else np.full(2, l_max)
    scale = encode_scale(float(2.0 ** rng.uniform(-1, 6)) / spread)
    return Row(scores=scores, limits=limits, columns=columns, drop=bool(rng.integers(0, 3) == 0),
               scale=scale)


class UnitBench:
    """Runs rows through a SoftmaxUnit and compares everything that it writes with golden.

    The producer overwrites a row's scores as soon as the unit takes the next token. The consumer
    looks at a row's weights when it takes the result, and needs them until it says that it has read
    them, some time later.

    Members
    -------
    taken, given : list of int
        Cycle of every token taken and of every result taken.
    """

    POISON = (1 << 200) - 1

    def __init__(self, dut, config, rows, *, stalls=None, tags=1 << 5):
        self.dut, self.config, self.rows, self.tags = dut, config, rows, tags
        self.stalls = stalls
        self.scores = [self.POISON] * (1 << score_index_width(config))
        ends = np.cumsum([0, *(len(row.columns) for row in rows)]) + 3
        self.places = [np.arange(*ends[n : n + 2]) % len(self.scores) for n in range(len(rows))]
        self.size = 1 << weight_index_width(config)
        self.starts = (ends - ends[0]) % self.size
        self.weights = {}               # that are needed, by their places
        self.read = 0                   # rows
        self.taken, self.given = [], []
        self.layout = weight_entry_layout(config)

    def run(self):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._testbench)
        simulator.run()
        return self

    def _tag(self, n):
        return (n * 11 + 3) % self.tags

    async def _testbench(self, ctx):
        dut = self.dut
        score_data = dut.score_data.as_value()
        mask = (1 << len(score_data)) - 1
        limit = 300 + sum(8 * len(row.columns) + 80 for row in self.rows)
        limit *= 8 if self.stalls else 1
        for cycle in range(limit):
            if len(self.given) == len(self.rows):
                break
            self._drive(ctx, cycle)
            sample = ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready, dut.score_en, dut.score_addr,
                dut.weight_en, dut.weight_addr, dut.weight_data, dut.o.payload)
            _, _, taken, given, read, index, en, place, w_data, result = await sample
            if read:
                ctx.set(score_data, self.scores[index] & mask)
            if en:
                assert place not in self.weights, "a weight was written over one that is needed"
                self.weights[place] = self._decode(w_data)
            if given:
                self._check(result)
                self.given.append(cycle)
            if taken:
                self.taken.append(cycle)
        assert len(self.given) == len(self.rows), "results are missing"
        for _ in range(60):
            await ctx.tick()
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.weight_en)

    def _drive(self, ctx, cycle):
        dut, n = self.dut, len(self.taken)
        if len(self.taken) > 1:                    # the row before the last one taken
            for place in self.places[n - 2]:
                self.scores[place] = self.POISON
        valid = n < len(self.rows) and not self._stalls("i")
        valid = valid or (ctx.get(dut.i.valid) and not (self.taken and self.taken[-1] == cycle - 1))
        ctx.set(dut.i.valid, int(bool(valid)))
        if valid:
            row = self.rows[n]
            for place, word in zip(self.places[n], row.buffer(self.config), strict=True):
                self.scores[place] = word
            ctx.set(dut.i.payload, row.token((3 + sum(len(row.columns) for row in self.rows[:n]))
                                             % len(self.scores), self._tag(n)))
        ctx.set(dut.o.ready, int(not self._stalls("o")))
        reads = self.read < len(self.given) and not self._stalls("o")
        ctx.set(dut.row_read, int(reads))
        if reads:
            ctx.set(dut.read_entries, len(self.rows[self.read].columns))
            for place in self._places(self.read):
                del self.weights[place]
            self.read += 1

    def _places(self, n):
        """Of the weights of a row."""
        return [(int(self.starts[n]) + k) % self.size for k in range(len(self.rows[n].columns))]

    def _stalls(self, port):
        if self.stalls is None:
            return False
        rng, chance = self.stalls
        return rng.random() < chance[port]

    def _check(self, result):
        n = len(self.given)
        row = self.rows[n]
        for field, expected in row.result(int(self.starts[n]), self._tag(n)):
            name, _, place = field.partition("[")
            value = result[name][int(place[0])] if place else result[name]
            assert value == expected, f"row {n}: {field} is {value}, not {expected}"
        weights = [self.weights.get(place) for place in self._places(n)]
        assert weights == row.entries(), f"row {n}"

    def _decode(self, data):
        weights = []
        for pair in (data.row[0], data.row[1]):
            for key in range(2):
                mag, sign = pair.mant[key].mag, pair.mant[key].sign
                assert not (sign and mag == 0)
                weights.append((-mag if sign else mag) << (SHIFT_STEP * pair.shift))
        return (data.column, *weights)

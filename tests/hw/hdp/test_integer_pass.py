# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field
from random import Random

import pytest
from amaranth.hdl import Signal
from amaranth.lib import data

from prunus.hw.hdp.integer_pass import IntegerPass, chunks, visibility
from prunus.hw.hdp.layouts import Mode
from prunus.hw.hdp.ring import ROWS, entry_width
from tests.hw.hdp.heads import block_rows, random_shape, small_config
from tests.hw.helpers import evaluate, simulate


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 64, 128])
def test_chunks(size):
    d8 = Signal(5)
    assert all(o == -(-8 * x // size) for x, o in evaluate(chunks(d8, size), d8))


def test_visibility():
    column, limit = Signal(2), Signal(data.ArrayLayout(4, 2))
    for value, limits, o in evaluate(visibility(column, limit), column, limit.as_value()):
        seen = [2 * value + key < limits >> 4 * query & 15 for query in range(2)
                for key in range(2)]
        assert o == sum(bit << n for n, bit in enumerate(seen))


@dataclass(kw_only=True)
class Head:
    """``keep_from``: from which row on the head is known to be kept, None for never."""

    bank: int
    shape: tuple[int, int, int]
    d8: int
    keep_from: int | None = None
    rows: list = field(init=False)

    def __post_init__(self):
        self.rows = [row for row in block_rows(*self.shape) if row.columns]


class Bench:
    """Plays array and sparsity engine and expects the operations of ``heads``."""

    def __init__(self, config, heads, *, stall=0.0, delay=0, seed=0):
        self.config, self.heads, self.stall, self.delay = config, heads, stall, delay
        self.dut = IntegerPass(config=config)
        self.rng = Random(seed)
        self.issued = []            # issued rows that are not masked yet: (columns, kept)
        self.finished = None        # the row that was issued in this cycle
        self.scorable = []          # columns of kept rows that are masked
        self.kept = []              # columns of begun rows whose integer scores are still needed
        self.begun = []             # columns of begun rows that are not masked yet
        self.most = [0, 0]          # rows that were begun, that were kept at a time
        self.entry = 0
        self.cycles = 0

    def _credits(self, ctx):
        """Give back the credits of finished rows now and then."""
        dut = self.dut
        masked = bool(self.issued) and self.rng.random() * self.delay < 1
        scored = bool(self.scorable) and self.rng.random() * self.delay < 1
        ctx.set(dut.row_masked, masked)
        ctx.set(dut.masked_columns, self.begun[0] if masked else self.rng.randrange(2))
        ctx.set(dut.row_scored, scored)
        ctx.set(dut.scored_columns, self.kept[0] if scored else self.rng.randrange(2))
        if scored:
            self.scorable.pop(0)
            self.kept.pop(0)
        if masked:
            self.begun.pop(0)
            columns, kept = self.issued.pop(0)
            self.scorable += [columns] * kept

    def _begin(self, ctx, head, row):
        dut = self.dut
        keep = ctx.get(dut.keep)
        assert ctx.get(dut.kept_row) == keep
        o = ctx.get(dut.row)
        assert (o.bank, o.row, o.columns, o.last) == (
            head.bank, row.row, row.columns, row.last)
        self.begun.append(row.columns)
        self.kept += [row.columns] * keep
        assert len(self.begun) <= ROWS
        assert max(map(self._groups, (self.begun, self.kept))) <= 2 * self._groups(
            [self.config.blocks])
        self.most = [max(self.most[0], len(self.begun)), max(self.most[1], len(self.kept))]
        return self._ops(head, row, keep), (row.columns, keep)

    def _groups(self, rows):
        """Groups that rows of so many columns make."""
        return sum(-(-columns // self.config.group) for columns in rows)

    def _ops(self, head, row, keep):
        size = self.config.group
        count = -(-8 * head.d8 * size // (4 * self.config.taps))
        base, ring = self.entry, 1 << entry_width(self.config)
        groups = self._groups([row.columns])
        self.entry += groups * size * keep
        ops = []
        for first in range(0, row.columns, size):
            visible = sum(bits << 4 * n for n, bits in enumerate(row.visible[first : first + size]))
            ops += [{"bank": head.bank, "row": row.row, "column": first, "chunk": chunk,
                     "first": chunk == 0, "last": chunk == count - 1,
                     "tag": {"integer": keep, "column": first, "visible": visible,
                             "entry": (base + first) % ring if keep else None,
                             "last": first == (groups - 1) * size}} for chunk in range(count)]
        return ops

    @staticmethod
    def _plain(op):
        fields = {name: getattr(op, name) for name in (
            "bank", "row", "column", "chunk", "first", "last")}
        tag = {name: getattr(op.tag, name) for name in ("integer", "column", "visible", "last")}
        return {**fields, "tag": {**tag, "entry": op.tag.entry if op.tag.integer else None}}

    async def _head(self, ctx, head):
        dut = self.dut
        for name, value in zip(("valid_q", "valid_kv", "causal", "d8", "bank"),
                               (*head.shape, head.d8, head.bank), strict=True):
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.offset, head.shape[1] - head.shape[0])
        assert not ctx.get(dut.busy)
        ctx.set(dut.start, 1)
        await self._tick(ctx)
        ctx.set(dut.start, 0)
        rows, ops, begun, offered = list(head.rows), [], None, None
        while rows or ops:
            assert ctx.get(dut.busy)
            keeps = head.keep_from is not None and not (rows and rows[0].row < head.keep_from)
            ctx.set(dut.keep, keeps)
            ready = self.rng.random() >= self.stall
            ctx.set(dut.op.ready, ready)
            if ctx.get(dut.begin):
                assert not ops, "a row begins before the previous one is issued"
                ops, begun = self._begin(ctx, head, rows.pop(0))
                assert not ctx.get(dut.op.valid)
            elif ctx.get(dut.op.valid):
                assert ctx.get(dut.op.payload.mode) == Mode.INTEGER
                assert self._plain(ctx.get(dut.op.payload)) == ops[0]
                if ready:
                    ops.pop(0)
                offered = not ready
                if ready and not ops:
                    self.finished = begun
            else:
                assert not offered and not ops
            await self._tick(ctx)
        ctx.set(dut.keep, 0)

    async def _tick(self, ctx):
        self.cycles += 1
        await ctx.tick()
        self._credits(ctx)
        if self.finished is not None:
            self.issued.append(self.finished)
            self.finished = None

    def run(self):
        async def testbench(ctx):
            for head in self.heads:
                await self._head(ctx, head)
                for _ in range(self.rng.choice([0, 3])):
                    assert not ctx.get(self.dut.busy) and not ctx.get(self.dut.op.valid)
                    await self._tick(ctx)

        simulate(self.dut, testbench)
        return self


def random_heads(config, count, seed):
    rng = Random(seed)
    return [Head(bank=n % 2, shape=random_shape(rng, config.l_max),
                 d8=rng.randint(1, config.d_max // 8),
                 keep_from=rng.choice([None, 0, 0, rng.randint(0, config.blocks)]))
            for n in range(count)]


@pytest.mark.parametrize("stall, delay", [(0.0, 0), (0.4, 0), (0.0, 12), (0.5, 30)])
@pytest.mark.parametrize("multipliers", [8, 32, 128, 256])
def test_random_heads(multipliers, stall, delay):
    config = small_config(multipliers=multipliers)
    bench = Bench(config, random_heads(config, 12, multipliers), stall=stall, delay=delay).run()
    if delay == 30:
        assert min(bench.most) > 2


@pytest.mark.parametrize("multipliers", [8, 128, 256])
def test_the_smallest_configuration(multipliers):
    config = small_config(l_max=2, d_max=8, multipliers=multipliers)
    heads = [Head(bank=n % 2, shape=(q, kv, causal), d8=1, keep_from=0)
             for n, (q, kv, causal) in enumerate((q, kv, causal) for q in (1, 2) for kv in (1, 2)
                                                 for causal in (0, 1))]
    Bench(config, heads).run()


@pytest.mark.parametrize("multipliers", [64, 128, 256])
def test_long_rows(multipliers):
    config = small_config(l_max=64, d_max=128, multipliers=multipliers)
    Bench(config, [Head(bank=1, shape=(4, 64, 0), d8=16), Head(bank=0, shape=(64, 9, 1), d8=1),
                   Head(bank=1, shape=(7, 63, 1), d8=9, keep_from=1)]).run()


def test_one_cycle_between_rows():
    """With all credits at hand a row takes one cycle more than it has operations."""
    config = small_config()
    bench = Bench(config, [Head(bank=0, shape=(16, 16, 0), d8=4)]).run()
    assert bench.cycles == 8 * (8 * 4 + 1) + 4


@pytest.mark.parametrize("d8, chunks_of_group", [(1, 1), (8, 1), (9, 2)])
def test_groups(d8, chunks_of_group):
    """Nine blocks are three groups of up to four, each with up to 64 dimensions in a cycle."""
    config = small_config(multipliers=256, d_max=128, l_max=18)
    bench = Bench(config, [Head(bank=0, shape=(16, 17, 0), d8=d8)]).run()
    assert bench.cycles == 8 * (3 * chunks_of_group + 1) + 4


@pytest.mark.parametrize("kind", ["thetas", "scores"])
@pytest.mark.parametrize("valid_kv, rows", [(16, 2), (15, 2), (10, 3), (4, ROWS), (1, ROWS)])
def test_no_more_rows_than_room(kind, valid_kv, rows):
    """Two of the longest rows begin, or more shorter ones; then one for one that is through."""
    config = small_config()
    dut = IntegerPass(config=config)
    begun = []
    scores = kind == "scores"
    if scores:      # there may be as many as there is room for
        rows = min(2 * config.blocks // -(-valid_kv // 2), 8)

    async def testbench(ctx):
        for name, value in {"valid_q": 16, "valid_kv": valid_kv, "d8": 1, "keep": scores,
                            "masked_columns": -(-valid_kv // 2),
                            "scored_columns": -(-valid_kv // 2)}.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.op.ready, 1)
        ctx.set(dut.start, 1)
        for cycle in range(160):
            begin = ctx.get(dut.begin)
            begun.append(begin)
            if cycle == 120:
                assert sum(begun) == rows and not begin
            masked = begin if scores else cycle == 120
            ctx.set(dut.row_scored, scores and cycle == 120)
            await ctx.tick()
            ctx.set(dut.row_masked, masked)
            ctx.set(dut.start, 0)
        assert sum(begun) == min(rows + 1, 8)

    simulate(dut, testbench)


def test_rows_that_are_not_kept_need_no_room_for_scores():
    """The next head runs although the ring is full of the scores of the previous one."""
    dut = IntegerPass(config=small_config())
    begun = []

    async def testbench(ctx):
        for name, value in {"valid_q": 4, "valid_kv": 16, "d8": 1, "masked_columns": 8}.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.op.ready, 1)
        for keep in (1, 0, 1):
            ctx.set(dut.keep, keep)
            ctx.set(dut.start, 1)
            for _ in range(40):
                begin = ctx.get(dut.begin)
                begun.append(begin)
                await ctx.tick()
                ctx.set(dut.row_masked, begin)
                ctx.set(dut.start, 0)
        assert [sum(begun[n : n + 40]) for n in (0, 40, 80)] == [2, 2, 0]

    simulate(dut, testbench)

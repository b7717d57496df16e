# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field
from random import Random

import pytest

from prunus.hw.hdp.fetch import FetchUponMask, MaskScanner
from prunus.hw.hdp.layouts import Mode
from prunus.hw.hdp.ring import entry_width
from tests.hw.hdp.heads import BlockRow, block_rows, random_shape, small_config
from tests.hw.helpers import simulate

DENSITIES = [0.0, 0.1, 0.5, 0.9, 1.0]


def random_mask(rng, row_columns, columns, density):
    """Mask bits of a row, at least one of them set; those beyond ``row_columns`` are garbage."""
    bits = [rng.random() < density for _ in range(row_columns)]
    if row_columns and not any(bits):
        bits[rng.randrange(row_columns)] = True
    return bits + [rng.random() < 0.5 for _ in range(columns - row_columns)]


def mask_word(config, bits, group):
    """The mask bits of a group."""
    first = group * config.group
    return sum(bit << n for n, bit in enumerate(bits[first : first + config.group]))


class ScannerBench:
    """Expects the kept columns of ``rows``: (columns, mask bits, all).

    With ``ahead`` the next row is started as soon as the scanner is free.
    """

    def __init__(self, config, rows, *, stall=0.0, seed=0, ahead=False):
        self.config = config
        self.dut = MaskScanner(config=config)
        self.rows, self.stall, self.rng, self.ahead = rows, stall, Random(seed), ahead
        self.cycles = []            # per row, from its start to its last column
        self.starts = []
        self.expected = []
        self.cycle = 0
        self.offered = False

    async def _tick(self, ctx, bits):
        """Takes what comes; the mask answers in the next cycle."""
        dut = self.dut
        ready = self.rng.random() >= self.stall
        ctx.set(dut.o.ready, ready)
        valid = ctx.get(dut.o.valid)
        assert valid or not self.offered
        if valid:
            o = ctx.get(dut.o.payload)
            assert (o.column, o.last) == self.expected[0]
            if ready:
                self.expected.pop(0)
                if o.last:
                    self.cycles.append(self.cycle - self.starts[len(self.cycles)])
        self.offered = valid and not ready
        read, address = ctx.get(dut.mask_read), ctx.get(dut.mask_group)
        await ctx.tick()
        self.cycle += 1
        if read:
            ctx.set(dut.mask_bits, mask_word(self.config, bits, address))

    async def _row(self, ctx, columns, bits, keep_all):
        dut = self.dut
        ctx.set(dut.columns, columns)
        ctx.set(dut.all, keep_all)
        ctx.set(dut.start, 1)
        kept = [n for n in range(columns) if bits[n] or keep_all]
        self.expected += [(n, n == kept[-1]) for n in kept]
        self.starts.append(self.cycle)
        await self._tick(ctx, bits)
        ctx.set(dut.start, 0)
        assert ctx.get(dut.busy)
        while ctx.get(dut.busy) or (self.expected and not self.ahead):
            await self._tick(ctx, bits)
        # The last bits are looked at in the cycle after they were asked for.
        await self._tick(ctx, bits)
        for _ in range(0 if self.ahead else self.rng.choice([0, 0, 1, 6])):
            await self._tick(ctx, bits)

    def run(self):
        async def testbench(ctx):
            for row in self.rows:
                await self._row(ctx, *row)
            while self.expected:
                await self._tick(ctx, self.rows[-1][1])

        simulate(self.dut, testbench)
        return self


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("l_max", [2, 24, 32])
@pytest.mark.parametrize("multipliers", [8, 128, 256])
def test_scanner(multipliers, l_max, stall, ahead):
    config = small_config(l_max=l_max, multipliers=multipliers)
    rng = Random(l_max)
    rows = []
    for _ in range(30):
        columns = rng.choice([1, config.blocks, rng.randint(1, config.blocks)])
        rows.append((columns, random_mask(rng, columns, 4 << config.block_width,
                                          rng.choice(DENSITIES)), rng.random() < 0.2))
    ScannerBench(config, rows, stall=stall, seed=l_max, ahead=ahead).run()


def test_scanner_timing():
    """A bit per cycle, and the last column is out five cycles after its start or its bit."""
    config = small_config(l_max=32)
    one = [[n == m for n in range(16)] for m in range(16)]
    rows = [(16, [True] * 16, 0), (1, one[0], 0), (16, one[15], 0), (16, one[0], 0),
            (9, [False] * 16, 1)]
    assert ScannerBench(config, rows).run().cycles == [20, 5, 20, 20, 13]


@pytest.mark.parametrize("multipliers, cycles", [(128, [21, 6, 13, 13, 14, 13]),
                                                 (256, [21, 6, 9, 9, 14, 10])])
def test_scanner_timing_of_groups(multipliers, cycles):
    """A cycle per group or per kept column, whichever are more, and five to get through."""
    config = small_config(l_max=32, multipliers=multipliers)
    one = [[n == m for n in range(16)] for m in range(16)]
    first = [n < 4 or n == 15 for n in range(16)]
    rows = [(16, [True] * 16, 0), (1, one[0], 0), (16, one[15], 0), (16, one[0], 0),
            (9, [False] * 16, 1), (16, first, 0)]
    assert ScannerBench(config, rows).run().cycles == cycles


@dataclass(kw_only=True)
class Head:
    """``integer_from``: from which row on integer scores are there, None for never."""

    bank: int
    shape: tuple[int, int, int]
    d8: int
    density: float = 0.5
    exact: bool = False
    dense: bool = False
    drop: bool = False
    scale: tuple[int, int] = (40_000, 20)
    integer_from: int | None = 0
    seed: int = 0
    rows: list[BlockRow] = field(init=False)
    masks: list[list[bool]] = field(init=False)

    def __post_init__(self):
        rng = Random(self.seed)
        self.rows = block_rows(*self.shape)
        self.masks = [random_mask(rng, row.columns, 16, self.density) for row in self.rows]

    def kept(self, row):
        return [n for n in range(row.columns) if self.dense or self.masks[row.row][n]]


class Bench:
    """Plays mask, scheduler and score adder, and expects the rows and operations of ``heads``.

    Parameters
    ----------
    stall : float
        Chance per cycle that the array does something else.
    late : float
        Chance per cycle that neither the mask nor the score adder gets on. When it is 0 the mask
        waits until the rows without columns have been taken.
    """

    def __init__(self, config, heads, *, stall=0.0, late=0.0, seed=0):
        self.config, self.heads, self.stall, self.late = config, heads, stall, late
        self.dut = FetchUponMask(config=config)
        self.rng = Random(seed)
        self.entry = 0
        self.masked = 0             # rows of the head whose mask is complete
        self.scans = []             # rows of the head that are still to be taken
        self.rows = []              # (head, row) to be announced
        self.ops = []
        self.room = 0
        self.times = []             # per row: cycle of its announcement and of its operations
        self.cycle = 0

    def _ops(self, head, row):
        fraction = (not head.exact and not head.dense and head.integer_from is not None
                    and row.row >= head.integer_from)
        size = (2 if fraction else 1) * self.config.taps
        count = -(-8 * head.d8 // size)
        kept = head.kept(row)
        ops = [{"mode": Mode.FRACTION if fraction else Mode.FULL, "bank": head.bank,
                "exact": head.exact or head.dense, "row": row.row, "column": column,
                "chunk": chunk, "first": chunk == 0, "last": chunk == count - 1,
                "tag": {"column": column, "visible": row.visible[column],
                        "last": column == kept[-1], "integer": fraction,
                        "entry": (self.entry + column) % (1 << entry_width(self.config))}}
               for column in kept for chunk in range(count)]
        group = self.config.group
        self.entry += fraction * -(-row.columns // group) * group
        return ops

    @staticmethod
    def _plain(op):
        tag = {name: getattr(op.tag, name)
               for name in ("column", "visible", "last", "integer", "entry")}
        return {name: getattr(op, name) for name in (
            "mode", "bank", "exact", "row", "column", "chunk", "first", "last")} | {"tag": tag}

    def _check_row(self, ctx, head, row):
        o = ctx.get(self.dut.row.payload)
        assert (o.tag.bank, o.tag.row, (o.tag.limit[0], o.tag.limit[1]), o.tag.last, o.columns,
                o.drop, (o.mant, o.shift)) == (head.bank, row.row, row.limit, row.last,
                                               row.columns, head.drop, head.scale)

    def _advance(self, ctx, head):
        """Another row of the mask is complete; integer scores are known as late as can be."""
        if not self.late and self.scans and not self.scans[0].columns:
            return
        if not head.dense and self.masked < len(head.rows) and self.rng.random() >= self.late:
            self.masked += 1
        if self.masked and head.rows[self.masked - 1].columns:
            ctx.set(self.dut.masked_rows, self.masked)
            known = head.integer_from is not None and self.masked > head.integer_from
            ctx.set(self.dut.integer_rows, known)
            ctx.set(self.dut.integer_from, head.integer_from if known else 0)

    def _take(self, ctx):
        """Checks and takes what is offered in this cycle."""
        dut, rng = self.dut, self.rng
        ready, row_ready = rng.random() >= self.stall, self.room == 0
        ctx.set(dut.op.ready, ready)
        ctx.set(dut.row.ready, row_ready)
        self.room = max(0, self.room - 1)
        if ctx.get(dut.row.valid):
            assert not ctx.get(dut.op.valid) and not self.ops
            head, row = self.rows[0]
            self._check_row(ctx, head, row)
            if row_ready:
                self.ops = self._ops(head, row)
                self.rows.pop(0)
                self.times.append([self.cycle])
                self.room = rng.randrange(20) if rng.random() < self.late else 0
        elif ctx.get(dut.op.valid):
            assert self._plain(ctx.get(dut.op.payload)) == self.ops[0]
            if ready:
                self.ops.pop(0)
                self.times[-1].append(self.cycle)

    async def _tick(self, ctx, head):
        dut = self.dut
        self._take(ctx)
        if ctx.get(dut.columns_en):
            row = self.scans.pop(0)
            # The engine knows nothing of a row without columns.
            assert head.dense or row.columns == 0 or self.masked > row.row
            assert ctx.get(dut.columns) == row.columns
        read, row, group = (ctx.get(signal) for signal in (dut.mask_read, dut.mask_row,
                                                           dut.mask_group))
        await ctx.tick()
        self.cycle += 1
        if read:
            ctx.set(dut.mask_bits, mask_word(self.config, head.masks[row], group))

    async def _head(self, ctx, head):
        dut = self.dut
        for name, value in zip(("valid_q", "valid_kv", "causal", "mant", "shift"),
                               (*head.shape, *head.scale), strict=True):
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.offset, head.shape[1] - head.shape[0])
        for name in ("bank", "d8", "exact", "dense", "drop"):
            ctx.set(getattr(dut, name), getattr(head, name))
        for name in ("masked_rows", "integer_rows", "integer_from"):
            ctx.set(getattr(dut, name), 0)
        self.masked = 0
        self.scans = list(head.rows)
        self.rows += [(head, row) for row in head.rows]
        assert not ctx.get(dut.busy)
        ctx.set(dut.start, 1)
        await self._tick(ctx, head)
        ctx.set(dut.start, 0)
        assert ctx.get(dut.busy)
        while ctx.get(dut.busy):
            self._advance(ctx, head)
            await self._tick(ctx, head)
        assert not self.scans
        # The last bits are looked at in the cycle after they were asked for.
        await self._tick(ctx, head)

    def run(self):
        async def testbench(ctx):
            for head in self.heads:
                await self._head(ctx, head)
                for _ in range(self.rng.choice([0, 8])):
                    await self._tick(ctx, head)
            while self.rows or self.ops:
                await self._tick(ctx, head)
            for _ in range(8):
                assert not any(ctx.get(x) for x in (self.dut.busy, self.dut.op.valid,
                                                    self.dut.row.valid))
                await self._tick(ctx, head)

        simulate(self.dut, testbench)
        return self


def random_heads(config, count, seed):
    rng = Random(seed)
    return [Head(bank=n % 2, shape=random_shape(rng, config.l_max),
                 d8=rng.randint(1, config.d_max // 8), density=rng.choice(DENSITIES),
                 exact=rng.random() < 0.2, dense=rng.random() < 0.2, drop=rng.random() < 0.5,
                 scale=(rng.randrange(1 << 16), rng.randrange(12, 64)),
                 integer_from=rng.choice([None, 0, 0, rng.randint(0, config.blocks)]), seed=n)
            for n in range(count)]


@pytest.mark.parametrize("stall, late", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.9), (0.5, 0.8)])
@pytest.mark.parametrize("multipliers", [8, 64, 128, 256])
def test_random_heads(multipliers, stall, late):
    config = small_config(multipliers=multipliers, l_max=12)
    Bench(config, random_heads(config, 12, multipliers), stall=stall, late=late).run()


@pytest.mark.parametrize("choices", [
    {}, {"integer_from": None}, {"integer_from": 2}, {"exact": True}, {"dense": True},
    {"dense": True, "integer_from": None}, {"exact": True, "dense": True},
])
@pytest.mark.parametrize("density", [0.0, 1.0])
def test_modes(choices, density):
    """Causal with more queries than keys: rows without columns come first."""
    config = small_config()
    shape = (12, 5, 1)
    assert [row.columns for row in block_rows(*shape)] == [0, 0, 0, 1, 2, 3]
    heads = [Head(bank=bank, shape=shape, d8=3, density=density, **choices) for bank in (1, 0)]
    Bench(config, heads).run()


@pytest.mark.parametrize("multipliers", [8, 128, 256])
def test_the_smallest_configuration(multipliers):
    config = small_config(l_max=2, d_max=8, multipliers=multipliers)
    heads = [Head(bank=n % 2, shape=(q, kv, causal), d8=1, integer_from=n % 3 or None)
             for n, (q, kv, causal) in enumerate((q, kv, causal) for q in (1, 2) for kv in (1, 2)
                                                 for causal in (0, 1))]
    Bench(config, heads).run()


@pytest.mark.parametrize("multipliers", [8, 256])
def test_long_dimensions(multipliers):
    config = small_config(d_max=128, multipliers=multipliers)
    Bench(config, [Head(bank=0, shape=(4, 6, 0), d8=16, integer_from=1),
                   Head(bank=1, shape=(3, 6, 0), d8=13)]).run()


def test_timing():
    """A row of n columns every n + 2 cycles where each is one operation, else without a gap."""
    config = small_config(multipliers=64)
    shapes = (0, (6, 16, 0)), (1, (2, 16, 0))
    times = Bench(config, [Head(bank=bank, shape=shape, d8=2, density=1.0)
                           for bank, shape in shapes]).run().times
    assert [cycle - times[0][0] for cycle in times[0][1:]] == list(range(5, 5 + 8))
    for before, after in zip(times[:2], times[1:3], strict=True):
        assert [cycle - before[-1] for cycle in after] == [1, *range(3, 3 + 8)]
    # With two operations a block the mask is read ahead, in the next head as well.
    times = Bench(config, [Head(bank=bank, shape=shape, d8=4, density=1.0, integer_from=None)
                           for bank, shape in shapes]).run().times
    for before, after in zip(times[:2], times[1:3], strict=True):
        assert [cycle - before[-1] for cycle in after] == list(range(1, 2 + 16))
    assert times[3][0] <= times[2][-1] + 2

# SPDX-License-Identifier: Apache-2.0
"""The value pass: every operation of every chunk, and the pairs of keys of causal rows."""

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import data

from prunus.golden.hdp.compute import HdpJob, visible_limits
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.layouts import row_tag_layout
from prunus.hw.hdp.row_output import CHUNKS
from prunus.hw.hdp.softmax_layouts import weight_index_width
from prunus.hw.hdp.value_pass import ValuePass
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [HdpConfig(name="tiny", width=8, frac=4, d_max=16, l_max=16, multipliers=8),
           HdpConfig(name="ragged", width=12, frac=8, d_max=24, l_max=10, multipliers=64,
                  softmax_lanes=4, axi_data_width=128)]


@dataclass(frozen=True, eq=False)
class _Head:
    """What the scheduler knows of a head."""

    valid_q: int
    valid_kv: int
    causal: int
    background: int
    d8: int
    kv: int = 0

    @property
    def offset(self):
        return self.valid_kv - self.valid_q

    @property
    def base(self):
        """Keys in the column sums before the first row."""
        if not self.causal:
            return self.valid_kv
        return min(max((self.valid_kv - self.valid_q + 1) // 2 * 2, 0), self.valid_kv)


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of blocks: its result and its weights."""

    head: _Head
    bank: int
    index: int
    limits: list
    result: dict
    entries: list       # {"column", "row"}


def _weight(rng):
    sign_mag = [{"sign": rng.getrandbits(1), "mag": rng.getrandbits(8)} for _ in range(2)]
    return {"shift": rng.randrange(6), "mant": sign_mag}


def _tag(config, bank, row, limit, last):
    """Bits of a row's tag."""
    fields = {"bank": bank, "row": row, "limit": limit, "last": last}
    return row_tag_layout(config).const(fields).as_bits()


def _rows(config, rng, count):
    """Rows of heads in alternating banks, weights in a ring; some without a kept block."""
    rows, base = [], 3
    for n in range(count):
        valid_q, valid_kv = (rng.randint(1, config.l_max) for _ in range(2))
        if n == 0:      # keys before the first edge, and an odd number of them
            valid_q, valid_kv = 5, config.l_max - 1
        head = _Head(valid_q, valid_kv, int(n in (0, 3) or rng.random() < 0.6),
                     int(n == 0 or rng.random() < 0.7), rng.randint(1, config.d_max // 8),
                     n % 3 % 2)
        job = HdpJob(q=np.zeros((valid_q, 8)), k=np.zeros((valid_kv, 8)), v=None, scale=(1, 12),
                  causal=bool(head.causal))
        limits = [*visible_limits(job).tolist(), 0]
        for index in range(-(-valid_q // 2)):
            limit = limits[2 * index : 2 * index + 2]
            visible = -(-max(limit) // 2)
            columns = [c for c in range(visible) if rng.random() < 0.6]
            tag = _tag(config, n & 1, index, limit, int(2 * index + 2 >= valid_q))
            result = {"base": base, "count": len(columns), "tag": tag,
                      "e0": [rng.getrandbits(16) for _ in range(2)],
                      "r": [rng.getrandbits(18) for _ in range(2)],
                      "p": [rng.getrandbits(5) for _ in range(2)],
                      "empty": [rng.getrandbits(1) for _ in range(2)]}
            base = (base + len(columns)) % (1 << weight_index_width(config))
            rows.append(_Row(head, n & 1, index, limit, result,
                             [{"column": c, "row": [_weight(rng), _weight(rng)]}
                              for c in columns]))
    return rows


class _Bench(Elaboratable):
    """The value pass and the jobs of two banks."""

    FIELDS = ("loaded", "kv", "offset", "valid_kv", "causal", "background", "d8")

    def __init__(self, config):
        self.dut = ValuePass(config=config)
        self.jobs = Signal(data.ArrayLayout(data.StructLayout(
            {name: getattr(self.dut, name).shape() for name in self.FIELDS}), 2))

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        job = self.jobs[dut.bank]
        m.d.comb += [getattr(dut, name).eq(job[name]) for name in self.FIELDS]
        return m

    def load(self, ctx, bank, head, loaded):
        fields = {name: getattr(head, name) for name in self.FIELDS[2:]}
        ctx.set(self.jobs[bank], {**fields, "loaded": loaded, "kv": head.kv})


def _plain(const):
    """A payload as nested lists and dicts."""
    if not isinstance(const, data.Const):
        return const
    layout = const.shape()
    if isinstance(layout, data.ArrayLayout):
        return [_plain(const[n]) for n in range(layout.length)]
    return {name: _plain(const[name]) for name, _ in layout}


class _Check:
    """Compares operations and announcements as they come."""

    def __init__(self, config, rows):
        self.config, self.rows = config, rows
        self.fetches = []       # of announced rows
        self.have = set()       # keys in the column sums

    def announcement(self, row, payload):
        got = _plain(payload)
        assert (got["bank"], got["d8"]) == (row.bank, row.head.d8)
        assert got["last"] == (2 * row.index + 2 >= row.head.valid_q)
        for name in ("e0", "r", "p", "empty"):
            assert got[name] == row.result[name]
        assert got["kv"] == row.head.kv
        fetched = self.fetches[len(self.fetches) - row.index :] if row.index else []
        assert got["running"] == any(fetched)
        self.fetches.append(got["fetches"])
        if not (row.head.causal and row.head.background):
            assert not got["fetches"]
            return None
        return got["sees"]

    def pair(self, row, sees, column):
        """Column sums and the pair of keys (None: no pair) are what each query sees."""
        if row.index == 0:
            self.have = set(range(row.head.base))
        pair = [] if column is None else [2 * column, 2 * column + 1]
        for q in range(2):
            if 2 * row.index + q < row.head.valid_q:
                seen = {key for k, key in enumerate(pair) if sees[2 * q + k]}
                assert not seen & self.have
                assert self.have | seen == set(range(row.limits[q]))
        self.have |= {key for key in pair if key < row.head.valid_kv}

    def operations(self, row, ops, fetches):
        """Of a row, in order; the column of the pair or None."""
        chunks = -(-8 * row.head.d8 // self.config.taps)
        per_chunk = max(1, len(row.entries)) + fetches
        assert len(ops) == chunks * per_chunk
        column = None
        for n, op in enumerate(map(_plain, ops)):
            chunk, place = divmod(n, per_chunk)
            assert (op["bank"], op["chunk"]) == (row.bank, chunk)
            assert op["background"] == (fetches and place == 0)
            if op["background"]:
                assert column in (None, op["column"])
                column = op["column"]
                continue
            place -= fetches
            assert op["first"] == (place == 0)
            assert op["last"] == (place == max(1, len(row.entries)) - 1)
            if row.entries:
                assert op["column"] == row.entries[place]["column"]
                assert op["w"] == row.entries[place]["row"]
            else:
                nothing = {"shift": 0, "mant": [{"sign": 0, "mag": 0}] * 2}
                assert op["w"] == [nothing, nothing]
        return column


def _run(config, rows, seed, stall_in, stall_out):
    rng = Random(seed)
    bench = _Bench(config)
    dut = bench.dut
    check = _Check(config, rows)
    finished, taken = [0], [0]        # chunks
    announced, read = [], []
    offered, op_cycles = [], []

    async def results(ctx):
        """Softmax: a row's weights once the result of the row before is taken."""
        for n, row in enumerate(rows):
            if row.index == 0:
                bench.load(ctx, row.bank, row.head, stall_in == 0)
            for index, entry in enumerate(row.entries):
                ctx.set(dut.weight_addr,
                        (row.result["base"] + index) % (1 << weight_index_width(config)))
                ctx.set(dut.weight_data, entry)
                ctx.set(dut.weight_en, 1)
                await ctx.tick()
            ctx.set(dut.weight_en, 0)
            offered.append(cycle[0] + 1)      # not counted yet
            await send(ctx, dut.result, [row.result], rng, stall_in)
            assert len(announced) >= n      # each row in its turn

    async def load(ctx):
        """V is complete some time after the first row of a head could be announced."""
        while True:
            await ctx.tick()
            for bank in range(2):
                if rng.random() < 0.05:
                    ctx.set(bench.jobs[bank].loaded, 1)

    async def announcements(ctx):
        for row in rows:
            [payload] = await receive(ctx, dut.row, 1, rng, stall_out)
            assert ctx.get(bench.jobs[row.bank].loaded)
            announced.append(check.announcement(row, payload))

    async def operations(ctx):
        for n, row in enumerate(rows):
            while len(announced) <= n:
                await ctx.tick()
                assert not ctx.get(dut.op.valid), "an operation before its announcement"
            chunks = -(-8 * row.head.d8 // config.taps)
            ops = []
            for _ in range(chunks):
                for _ in range(max(1, len(row.entries)) + check.fetches[n]):
                    ops += await receive(ctx, dut.op, 1, rng, stall_out)
                    op_cycles.append(cycle[0])
                finished[0] += 1
            column = check.operations(row, ops, check.fetches[n])
            if announced[n]:
                check.pair(row, announced[n], column)

    cycle = [0]

    async def output(ctx):
        """Works off finished chunks, some time later."""
        while True:
            strobe = finished[0] > taken[0] and rng.random() < (0.15 if stall_out else 1)
            ctx.set(dut.chunk_taken, strobe)
            _, _, row_read, entries = await ctx.tick().sample(dut.row_read, dut.read_entries)
            read.extend([entries] * row_read)
            taken[0] += strobe
            cycle[0] += 1

    simulate(bench, results, announcements, operations, background=[load, output])
    assert read == [len(row.entries) for row in rows]
    return offered, op_cycles


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(config, stall_in, stall_out):
    rng = Random(f"{config.name}{stall_in}{stall_out}")
    rows = _rows(config, rng, 8)
    assert any(not row.entries for row in rows)
    _run(config, rows, 0, stall_in, stall_out)


def test_an_operation_per_cycle():
    """In a row whose chunks are worked off at once, its pair included."""
    config = CONFIGS[0]
    rng = Random(5)
    head = _Head(4, 16, 1, 1, 2)
    row = _Row(head, 0, 0, [13, 14],
               {"base": 0, "count": 7, "tag": _tag(config, 0, 0, [13, 14], 0), "e0": [0, 0],
                "r": [0, 0], "p": [0, 0], "empty": [0, 0]},
               [{"column": c, "row": [_weight(rng), _weight(rng)]} for c in range(7)])
    (offered,), cycles = _run(config, [row], 0, 0.0, 0.0)
    assert cycles[0] == offered + 5
    assert len(cycles) == 8 * 8
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


def test_chunks_wait_for_the_output():
    """Without a chunk worked off, CHUNKS chunks come and no more."""
    config = CONFIGS[0].model_copy(update={"d_max": 32})     # 16 chunks
    bench = _Bench(config)
    dut = bench.dut

    async def body(ctx):
        bench.load(ctx, 0, _Head(4, 4, 0, 1, 4), 1)
        ctx.set(dut.row.ready, 1)
        ctx.set(dut.op.ready, 1)
        await send(ctx, dut.result, [{"count": 2}])
        for taken in range(3):
            ops = 0
            for _ in range(30):
                _, _, valid, first = await ctx.tick().sample(dut.op.valid, dut.op.payload.first)
                ops += valid and first
            assert ops == (CHUNKS if taken == 0 else 1)
            ctx.set(dut.chunk_taken, 1)
            await ctx.tick()
            ctx.set(dut.chunk_taken, 0)

    simulate(bench, body)

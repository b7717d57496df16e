# SPDX-License-Identifier: Apache-2.0
"""Scores of a row to weights and the reciprocal of their sum, against the specification."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden import softmax
from prunus.golden.jobs import exponentials
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.survivors.layouts import (
    entry_layout,
    ring_depth,
    row_result_layout,
    scored_row_layout,
    weight_layout,
)
from prunus.hw.survivors.weights import ROWS_UNDER_WAY, WEIGHTS, RowWeights
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIG = LeopardConfig(name="weights", width=8, dpus=2, d_max=8, l_max=32)
SCALES = [(47274, 30), (40000, 20), (0, 63), (65535, 12), (32768, 24)]


class Bench(wiring.Component):
    """Scales by tag, as the jobs of a core."""

    def __init__(self):
        self.weights = RowWeights(config=CONFIG)
        scale = data.StructLayout({"mant": 16, "shift": 6})
        super().__init__({
            "row": In(stream.Signature(scored_row_layout(CONFIG))),
            "scales": In(data.ArrayLayout(scale, len(SCALES))),
            "address": Out(range(ring_depth(CONFIG))), "entry": In(entry_layout(CONFIG)),
            "freed": Out(1),
            "o": Out(stream.Signature(weight_layout(CONFIG))),
            "result": Out(stream.Signature(row_result_layout())),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.weights = weights = self.weights
        connect(m, flipped(self.row), weights.row)
        connect(m, weights.o, flipped(self.o))
        connect(m, weights.result, flipped(self.result))
        scale = self.scales[self.row.payload.tag]
        m.d.comb += [weights.mant.eq(scale.mant), weights.shift.eq(scale.shift),
                     self.address.eq(weights.address), weights.entry.eq(self.entry),
                     self.freed.eq(weights.freed)]
        return m


class Ring:
    """Entries of rows one behind the other; it shows what its address said a cycle before."""

    def __init__(self, dut, rows):
        self.dut, self.freed = dut, 0
        self.entries = [entry for row in rows for entry in row]

    async def serve(self, ctx):
        dut = self.dut
        while True:
            _, _, address, freed = await ctx.tick().sample(dut.address, dut.freed)
            if freed:
                assert address == self.freed % ring_depth(CONFIG)
                key, score = self.entries[self.freed]
                ctx.set(dut.entry, {"key": key, "score": score})
                self.freed += 1
            else:
                ctx.set(dut.entry, {"key": 31, "score": -1})        # of no row


def random_rows(rng, count):
    """Rows of (key, score) near each other and far away, at both ends of the scores."""
    low = 1 << CONFIG.score_width - 2
    rows = []
    for _ in range(count):
        span = low >> rng.randrange(CONFIG.score_width - 3)
        rows.append([(rng.randrange(32), rng.choice([-low, low]) if rng.random() < 0.05 else
                      rng.randint(-span, span)) for _ in range(rng.choice([0, 1, 1, 3, 9, 32]))])
    return rows


def tokens(rows):
    return [{"count": len(row), "top": max((score for _, score in row), default=-7),
             "tag": n % len(SCALES)} for n, row in enumerate(rows)]


def expected(n, row):
    """Weights as (key, magnitude, shift) and what normalises them."""
    if not row:
        return [(None, 0, 0)], None
    scores = np.array([[score for _, score in row]])
    e = exponentials(scores, np.ones_like(scores, bool), scores.max(axis=1),
                     SCALES[n % len(SCALES)])
    mant, shift = softmax.quantise_pair(e[..., None])
    r, p = softmax.reciprocal((mant[..., 0] << shift).sum(axis=1))
    return [(key, int(mag), int(by) // softmax.SHIFT_STEP) for (key, _), mag, by in zip(
        row, mant[0, :, 0], shift[0], strict=True)], (int(r[0]), int(p[0]))


async def set_scales(ctx, dut):
    for n, (mant, shift) in enumerate(SCALES):
        ctx.set(dut.scales[n], {"mant": mant, "shift": shift})


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(stall_in, stall_out):
    rng = Random(5)
    rows = random_rows(rng, 80)
    dut = Bench()
    ring = Ring(dut, rows)
    wanted = [expected(n, row) for n, row in enumerate(rows)]

    async def give(ctx):
        await set_scales(ctx, dut)
        await send(ctx, dut.row, tokens(rows), rng, stall_in)

    async def take(ctx):
        for n, (weights, _) in enumerate(wanted):
            got = await receive(ctx, dut.o, len(weights), rng, stall_out)
            ends = [(weight.first, weight.last, weight.none, weight.tag) for weight in got]
            last = len(weights) - 1
            assert ends == [(k == 0, k == last, not rows[n], n % len(SCALES))
                            for k in range(len(weights))]
            if rows[n]:
                assert [(weight.key, weight.mag, weight.shift) for weight in got] == weights
            else:
                assert got[0].mag == 0

    async def normaliser(ctx):
        for n, (_, scale) in enumerate(wanted):
            result, = await receive(ctx, dut.result, 1, rng, stall_out)
            assert (result.empty, result.tag) == (scale is None, n % len(SCALES))
            assert scale is None or (result.r, result.p) == scale

    simulate(dut, give, take, normaliser, background=[ring.serve])
    assert ring.freed == len(ring.entries)


@pytest.mark.parametrize("count, begun", [(32, WEIGHTS), (1, ROWS_UNDER_WAY)])
def test_nothing_is_begun_without_a_place(count, begun):
    """Weights or results are not taken: as many are read as there is room for, and no more."""
    rng = Random(count)
    rows = [[(k, rng.randrange(-99, 99)) for k in range(count)] for _ in range(40)]
    dut = Bench()
    ring = Ring(dut, rows)

    async def give(ctx):
        await set_scales(ctx, dut)
        ctx.set(dut.row.payload, tokens(rows)[0])
        ctx.set(dut.row.valid, 1)
        if count == 1:
            ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(150)
        assert ring.freed == begun

    simulate(dut, give, background=[ring.serve])


def test_latency():
    """A weight is there so many cycles after its address, a row's result 7 cycles later."""
    dut, times = Bench(), {}
    ring = Ring(dut, [[(3, 5)]])

    async def watch(ctx):
        cycle = 0
        while True:
            _, _, *seen = await ctx.tick().sample(dut.freed, dut.o.valid, dut.result.valid)
            for name, there in zip(("address", "weight", "result"), seen, strict=True):
                if there:
                    times.setdefault(name, cycle)
            cycle += 1

    async def give(ctx):
        await set_scales(ctx, dut)
        await send(ctx, dut.row, tokens([ring.entries]))
        await ctx.tick().repeat(60)

    simulate(dut, give, background=[ring.serve, watch])
    assert times["weight"] - times["address"] == dut.weights.latency
    assert times["result"] - times["weight"] == 7

# SPDX-License-Identifier: Apache-2.0
"""Accumulated rows to beats of output words, against the specification."""

from random import Random

import numpy as np
import pytest

from prunus.golden import softmax
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.survivors.row_output import BEATS, RowOutput
from tests.hw.helpers import receive, send, simulate, stall_cases

CONFIGS = [LeopardConfig(name=name, l_max=16, **fields) for name, fields in {
    "one": {"width": 8, "d_max": 32, "axi_data_width": 64},
    "wide": {"width": 12, "d_max": 24, "taps": 8, "axi_data_width": 256},
    "row": {"width": 16, "d_max": 16, "taps": 16, "axi_data_width": 512}}.items()]


class Rows:
    """Random sums and denominators of rows of ``d`` dimensions."""

    def __init__(self, config, rng, d, count):
        self.config, self.d = config, d
        one = 1 << softmax.EXP_FRAC
        limit = 1 << config.accumulator_width - 1
        self.den = rng.choice([0, one, one + 1, 16 * one, 7 * one + 5], count)
        span = limit >> rng.integers(0, config.accumulator_width, (count, 1))
        self.num = np.where(rng.random((count, d)) < 0.1, rng.choice([-limit, limit - 1]),
                            rng.integers(-span, span))
        self.out = softmax.normalise(self.num, self.den, width=config.width,
                                     out_frac=config.out_frac)

    @property
    def results(self):
        r, p = softmax.reciprocal(np.where(self.den == 0, 1 << softmax.EXP_FRAC, self.den))
        return [{"r": int(a), "p": int(b), "empty": int(den == 0), "tag": 0}
                for a, b, den in zip(r, p, self.den, strict=True)]

    @property
    def chunks(self):
        """What of the last one lies beyond d is anything."""
        taps = self.config.taps
        padded = np.pad(self.num, ((0, 0), (0, -self.d % taps)), constant_values=-77)
        return padded.reshape(-1, taps).tolist()

    @property
    def beats(self):
        """As they are in memory; zeros behind the end of a row."""
        width = self.config.out_width
        words = self.config.axi_data_width // width
        padded = np.pad(self.out, ((0, 0), (0, -self.d % words))).reshape(-1, words)
        return [sum((int(word) & (1 << width) - 1) << n * width for n, word in enumerate(beat))
                for beat in padded]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(config, stall_in, stall_out):
    rng, random = np.random.default_rng(config.width), Random(config.name)
    heads = [Rows(config, rng, d, 12) for d in (config.d_max, 8, config.d_max)]
    dut, got = RowOutput(config=config), []

    async def values(ctx):
        await send(ctx, dut.values, [c for head in heads for c in head.chunks], random, stall_in)

    async def results(ctx):
        for head in heads:
            for result in head.results:         # d is that of the row whose result it is
                ctx.set(dut.d8, head.d // 8)
                await send(ctx, dut.result, [result], random, stall_in)

    async def take(ctx):
        for head in heads:
            got.extend(await receive(ctx, dut.o, len(head.beats), random, stall_out))

    simulate(dut, values, results, take)
    assert got == [beat for head in heads for beat in head.beats]


def feed(dut, rows):
    """What offers rows of one head, each as soon as it is taken."""
    async def values(ctx):
        ctx.set(dut.d8, rows.d // 8)
        await send(ctx, dut.values, rows.chunks)

    async def results(ctx):
        await send(ctx, dut.result, rows.results)

    return values, results


def test_no_gap_and_no_beat_lost():
    """Four dimensions per cycle from row to row; when beats are not taken, it waits."""
    config = CONFIGS[0]
    rows = Rows(config, np.random.default_rng(9), 8, 30)
    dut, times, got = RowOutput(config=config), [], []

    async def take(ctx):
        await ctx.tick().repeat(60)             # all places are taken
        assert not ctx.get(dut.values.ready)
        got.extend(await receive(ctx, dut.o, 2 * BEATS))
        cycle = 0
        while len(got) < len(rows.beats):
            ctx.set(dut.o.ready, 1)
            _, _, valid, beat = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            cycle += 1
            if valid:
                got.append(beat)
                times.append(cycle)

    simulate(dut, *feed(dut, rows), take)
    assert got == rows.beats
    assert times == list(range(1, len(times) + 1))


def test_rows_shorter_than_a_beat():
    """Each has a place of its own: none is lost when no beat is taken for long."""
    rows = Rows(CONFIGS[2], np.random.default_rng(3), 8, 3 * BEATS)
    assert len(rows.beats) == 3 * BEATS
    dut, got = RowOutput(config=CONFIGS[2]), []

    async def take(ctx):
        await ctx.tick().repeat(8 * BEATS)
        assert not ctx.get(dut.values.ready)
        got.extend(await receive(ctx, dut.o, len(rows.beats)))

    simulate(dut, *feed(dut, rows), take)
    assert got == rows.beats

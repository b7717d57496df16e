# SPDX-License-Identifier: Apache-2.0
"""Survivors through collector, weights, value unit and output, against the specification."""

from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden import softmax
from prunus.golden.jobs import exponentials, matmul, row_tops
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import front_end
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.collector import RowCollector
from prunus.hw.survivors.layouts import survivor_layout
from prunus.hw.survivors.row_output import RowOutput
from prunus.hw.survivors.value_unit import ValueUnit
from prunus.hw.survivors.weights import RowWeights
from tests.hw.helpers import receive, send, simulate, stall_cases
from tests.hw.leopard.heads import codes


class Bench(wiring.Component):
    """The back end of two heads, which the tag tells apart."""

    def __init__(self, *, config: LeopardConfig):
        self.config = config
        head = data.StructLayout({"d8": 5, "mant": 16, "shift": 6})
        self.values = CodeBuffer(width=config.width, beat=8, read=config.taps, rows=config.l_max,
                                 d_max=config.d_max)
        super().__init__({
            "i": In(stream.Signature(survivor_layout(config, front_end(config)))),
            "heads": In(data.ArrayLayout(head, 2)),
            "o": Out(stream.Signature(config.axi_data_width)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.collector = collector = RowCollector(
            config=self.config, front=front_end(self.config))
        m.submodules.weights = weights = RowWeights(config=self.config)
        m.submodules.value_unit = unit = ValueUnit(config=self.config)
        m.submodules.values = values = self.values
        m.submodules.output = output = RowOutput(config=self.config)
        connect(m, flipped(self.i), collector.i)
        connect(m, collector.row, weights.row)
        connect(m, weights.o, unit.i)
        connect(m, weights.result, output.result)
        connect(m, unit.o, output.values)
        connect(m, output.o, flipped(self.o))
        head = self.heads[weights.row.payload.tag]
        m.d.comb += [
            collector.address.eq(weights.address), weights.entry.eq(collector.entry),
            collector.freed.eq(weights.freed),
            weights.mant.eq(head.mant), weights.shift.eq(head.shift),
            unit.d8.eq(self.heads[unit.i.payload.tag].d8), unit.bank.eq(unit.i.payload.tag),
            values.en.eq(unit.en), values.bank.eq(unit.row_bank), values.row.eq(unit.row),
            values.chunk.eq(unit.chunk), unit.data.eq(values.data),
            output.d8.eq(self.heads[output.result.payload.tag].d8),
        ]
        return m


class Head:
    """Random scores and survivors of a head, and what comes out."""

    def __init__(self, config, rng, d, counts, scale):
        self.d, self.scale, self.counts = d, scale, counts
        low = 1 << config.score_width - 2
        shape = (len(counts), config.l_max)
        span = low >> rng.integers(0, config.score_width - 3, (len(counts), 1))
        self.scores = np.where(rng.random(shape) < 0.05, rng.choice([-low, low], shape),
                               rng.integers(-span, span + 1, shape))
        self.mask = np.zeros(shape, bool)
        for row, count in zip(self.mask, counts, strict=True):
            row[rng.choice(config.l_max, count, replace=False)] = True
        self.v = codes(rng, config, config.l_max, d)
        self.order = [rng.permutation(np.flatnonzero(row)) for row in self.mask]
        e = exponentials(self.scores, self.mask, row_tops(self.scores, self.mask), scale)
        mant, shift = softmax.quantise_pair(e[..., None])
        weights = mant[..., 0] << shift
        self.out = softmax.normalise(matmul(weights, self.v), weights.sum(axis=1),
                                     width=config.width, out_frac=config.out_frac)

    def items(self, tag):
        for row, order in enumerate(self.order):
            for key in order:
                yield {"end": 0, "key": int(key), "score": int(self.scores[row, key])}
            yield {"end": 1, "survivors": len(order), "tag": tag}

    def beats(self, config):
        """The rows as they are in memory."""
        per_beat = config.axi_data_width // config.out_width
        padded = np.pad(self.out, ((0, 0), (0, -self.d % per_beat))).reshape(-1, per_beat)
        mask = (1 << config.out_width) - 1
        return [sum((int(word) & mask) << n * config.out_width for n, word in enumerate(beat))
                for beat in padded]


def run(config, heads, rng=None, stall_in=0.0, stall_out=0.0):
    """All beats, and when the last one of each row came."""
    dut = Bench(config=config)
    got, times = [], []

    async def load(ctx):
        for bank, head in enumerate(heads):
            ctx.set(dut.heads[bank], {"d8": head.d // 8, "mant": head.scale[0],
                                      "shift": head.scale[1]})
            for row, values in enumerate(head.v):
                for n in range(head.d // 8):
                    ctx.set(dut.values.write_en, 1)
                    ctx.set(dut.values.write_bank, bank)
                    ctx.set(dut.values.write_row, row)
                    ctx.set(dut.values.write_beat, n)
                    ctx.set(dut.values.write_data, values[8 * n : 8 * n + 8].tolist())
                    await ctx.tick()
        ctx.set(dut.values.write_en, 0)
        await send(ctx, dut.i, [item for tag, head in enumerate(heads)
                                for item in head.items(tag)], rng, stall_in)

    count = [0]

    async def clock(ctx):
        while True:
            await ctx.tick()
            count[0] += 1

    async def timed(ctx):
        for head in heads:
            row_beats = len(head.beats(config)) // len(head.counts)
            for _ in head.counts:
                got.extend(await receive(ctx, dut.o, row_beats, rng, stall_out))
                times.append(count[0])

    simulate(dut, load, timed, background=[clock], limit=60_000)
    return got, times


def config_of(name, **fields):
    return LeopardConfig(name=name, **{"l_max": 32, "d_max": 16, "width": 8} | fields)


CONFIGS = [
    config_of("tiny"),
    config_of("wide", width=12, axi_data_width=128, d_max=24),
    config_of("chunks", width=12, taps=16, d_max=40),
    config_of("beats", axi_data_width=256, d_max=32),
    config_of("eights", taps=8, d_max=32, width=12, axi_data_width=512),
    config_of("w16", width=16, d_max=16, l_max=24),
]
by_name = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


@by_name
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_rows(config, stall_in, stall_out):
    rng = np.random.default_rng(config.width + config.taps)
    counts = [3, 0, 1, 1, 1, config.l_max, config.l_max, config.l_max, 0, 0, 5, 1, 0, 7, 2]
    heads = [Head(config, rng, config.d_max, counts, (47274, 30)),
             Head(config, rng, 8, [1] * 20 + counts, (40000, 22))]
    got, _ = run(config, heads, Random(config.name), stall_in, stall_out)
    assert got == [beat for head in heads for beat in head.beats(config)]


@pytest.mark.parametrize("scale", [(0, 63), (65535, 12), (65535, 63), (32768, 20)])
def test_scales(scale):
    config = config_of("scales", width=12, d_max=8)
    head = Head(config, np.random.default_rng(5), 8, [4, 32, 1, 0, 32, 9], scale)
    got, _ = run(config, [head])
    assert got == head.beats(config)


@pytest.mark.parametrize("count", [32, 17, 7])
def test_a_survivor_per_cycle(count):
    """Rows take a cycle per survivor and one for their end on the way in, and no more."""
    config = config_of("rate", d_max=16)
    assert config.d_max // config.output_lanes <= 7
    head = Head(config, np.random.default_rng(count), 16, [count] * 30, (47274, 24))
    got, times = run(config, [head])
    assert got == head.beats(config)
    assert times[-1] - times[9] == 20 * (count + 1)


def test_chunks_take_a_cycle_each():
    config = config_of("two", d_max=16, taps=8)
    head = Head(config, np.random.default_rng(1), 16, [20] * 20, (47274, 24))
    got, times = run(config, [head])
    assert got == head.beats(config)
    assert times[-1] - times[9] == 10 * 40

# SPDX-License-Identifier: Apache-2.0
"""The column sums against NumPy, looked at in every cycle."""

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.column_sum import ColumnSum
from prunus.hw.hdp.loader import beat_dims
from tests.hw.helpers import simulate

CONFIGS = [load_config("hdp_tiny"),
           HdpConfig(name="wide", width=12, frac=8, d_max=32, l_max=16, axi_data_width=128),
           HdpConfig(name="ragged", width=8, frac=3, d_max=24, l_max=6, axi_data_width=128),
           HdpConfig(name="narrow", width=12, frac=5, d_max=8, l_max=2, axi_data_width=64,
                  output_lanes=1),
           HdpConfig(name="beat", width=8, frac=4, d_max=8, l_max=10, axi_data_width=128,
                  output_lanes=4),
           HdpConfig(name="widest", width=8, frac=4, d_max=24, l_max=10, axi_data_width=512)]


class _Model:
    """Loaded sums per bank, then running ones; a beat is added a cycle after it was given."""

    def __init__(self, dut, config):
        self.dut = dut
        self.lanes = beat_dims(config)[2]
        self.group = config.output_lanes
        self.sums = np.zeros((4, -(-config.d_max // self.lanes) * self.lanes), np.int64)
        self.waiting = None

    async def cycle(self, ctx, rng, config, load=None, add=None):
        """A cycle with a beat ``(bank, row, place, codes, base)`` and sums
        ``(bank, dimension, sums)`` or without."""
        dut, group = self.dut, self.group
        bank, dimension = int(rng.integers(4)), group * int(rng.integers(config.d_max // group))
        ctx.set(dut.bank, bank & 1)
        ctx.set(dut.running, bank >> 1)
        ctx.set(dut.dimension, dimension)
        ctx.set(dut.load_en, load is not None)
        if load:
            for name, value in zip(("bank", "row", "beat", "data"), load, strict=False):
                ctx.set(getattr(dut, f"load_{name}"), value)
            ctx.set(dut.base, load[4])
        else:       # nothing of it counts
            ctx.set(dut.load_row, 0)
            ctx.set(dut.base, config.l_max)
        ctx.set(dut.add_en, add is not None)
        if add:
            for name, value in zip(("bank", "dimension", "sum"), add, strict=True):
                ctx.set(getattr(dut, f"add_{name}"), value)
        assert _sums(ctx, dut) == self.sums[bank, dimension : dimension + group].tolist()
        await ctx.tick()
        if add:
            self.sums[2 + add[0], add[1] : add[1] + group] = add[2]
        if self.waiting:
            where, row, place, codes, base = self.waiting
            part = self.sums[where, place * self.lanes : (place + 1) * self.lanes]
            part[:] = part * (row != 0) + np.array(codes) * (row < base)
        self.waiting = load


def _sums(ctx, dut):
    return [ctx.get(dut.sum[n]) for n in range(len(dut.sum))]


def _replacement(config, rng):
    """A dimension and sums from there on, the lowest one often among them."""
    group, half = config.output_lanes, 1 << config.column_sum_width - 1
    sums = rng.integers(-half, half, group)
    sums[rng.random(group) < 0.3] = -half
    return group * int(rng.integers(config.d_max // group)), sums.tolist()


def _plane(config, rng):
    """Codes of rows, padded to whole beats."""
    lanes = beat_dims(config)[2]
    d = 8 * int(rng.integers(1, config.d_max // 8 + 1))
    low, high = config.format.min_code, config.format.max_code
    shape = (int(rng.integers(1, config.l_max + 1)), d)
    kind = rng.integers(4)
    v = (rng.integers(low, high + 1, shape) if kind < 2
         else np.full(shape, low if kind == 2 else high))
    return np.pad(v, ((0, 0), (0, -d % lanes)))


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_load_and_add(config, stall):
    """Planes into alternating banks, with running sums replaced meanwhile."""
    rng = np.random.default_rng(3)
    dut = ColumnSum(config=config)
    model = _Model(dut, config)

    async def bench(ctx):
        for head in range(6):
            v = _plane(config, rng)
            base = int(rng.choice([0, len(v), config.l_max, rng.integers(len(v) + 1)]))
            beats = [(head & 1, row, place, codes.tolist(), base)
                     for row, whole in enumerate(v)
                     for place, codes in enumerate(np.split(whole, len(whole) // model.lanes))]
            while beats:
                load = beats.pop(0) if rng.random() >= stall else None
                add = (int(rng.integers(2)), *_replacement(config, rng))
                await model.cycle(ctx, rng, config, load, add if rng.random() < 0.5 else None)
            # Whatever the model says: these are the sums of the plane.
            await model.cycle(ctx, rng, config)
            ctx.set(dut.bank, head & 1)
            ctx.set(dut.running, 0)
            for dimension in range(0, min(v.shape[1], config.d_max), model.group):
                ctx.set(dut.dimension, dimension)
                assert _sums(ctx, dut) == v[:base].sum(axis=0)[
                    dimension : dimension + model.group].tolist()

    simulate(dut, bench)

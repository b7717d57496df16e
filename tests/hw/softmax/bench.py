# SPDX-License-Identifier: Apache-2.0
"""Runs a fixed-latency block on arrays of inputs."""

import numpy as np
from amaranth.sim import Simulator

from prunus.golden.engines import load_config

__all__ = ["PRESETS", "config_like", "run_pipeline"]

GAPS = 0.1
PRESETS = ["hdp_tiny", "hdp_edge", "hdp_w12"]


def config_like(preset="hdp_tiny", **changes):
    """A preset with some fields changed."""
    config = load_config(preset)
    return type(config)(**{**config.model_dump(), **changes})


def run_pipeline(dut, get_outputs, *, gaps=GAPS, **inputs):
    """Feeds one element of each input per cycle; (n, outputs) sampled ``dut.latency`` later.

    ``gaps`` of them are followed by a cycle with noise and without ``valid``.
    """
    columns = {name: np.asarray(values).tolist() for name, values in inputs.items()}
    (n,) = {len(values) for values in columns.values()}
    results = []
    rng = np.random.default_rng(n)
    fed = [k for k in range(n) for k in [k] + [None] * (rng.random() < gaps)]

    async def testbench(ctx):
        for cycle in range(len(fed) + dut.latency):
            if cycle >= dut.latency and fed[cycle - dut.latency] is not None:
                results.append(get_outputs(ctx))
            if cycle < len(fed):
                at = fed[cycle]
                ctx.set(dut.valid, at is not None)
                for name, values in columns.items():
                    ctx.set(getattr(dut, name),
                            values[rng.integers(n) if at is None else at])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return np.array(results, np.int64)

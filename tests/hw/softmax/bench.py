# SPDX-License-Identifier: Apache-2.0
"""Runs a fixed-latency block on arrays of inputs."""

import numpy as np
from amaranth.sim import Simulator

from prunus.golden.engines import load_config

__all__ = ["PRESETS", "config_like", "run_pipeline"]

PRESETS = ["hdp_tiny", "hdp_edge", "hdp_w12"]


def config_like(preset="hdp_tiny", **changes):
    """A preset with some fields changed."""
    config = load_config(preset)
    return type(config)(**{**config.model_dump(), **changes})


def run_pipeline(dut, get_outputs, **inputs):
    """Feeds one element of each input per cycle; (n, outputs) sampled ``dut.latency`` later."""
    columns = {name: np.asarray(values).tolist() for name, values in inputs.items()}
    (n,) = {len(values) for values in columns.values()}
    results = []

    async def testbench(ctx):
        for cycle in range(n + dut.latency):
            if cycle >= dut.latency:
                results.append(get_outputs(ctx))
            if cycle < n:
                for name, values in columns.items():
                    ctx.set(getattr(dut, name), values[cycle])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return np.array(results, np.int64)

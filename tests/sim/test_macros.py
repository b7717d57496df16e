# SPDX-License-Identifier: Apache-2.0
"""Memories for SRAM macros: the same results in the same cycles, through the ports of the RTL.

A bank with one port that were read in a cycle in which it is written would give the word of
another address, and a result that is wrong.
"""

import pytest

from prunus.golden.engines import load_config
from prunus.sim.compare import check
from prunus.sim.engines import random_jobs
from prunus.sim.simulate import simulate_batches

PRESETS = ("hdp_tiny", "hdp_own_tiny", "leopard_tiny", "topk_tiny")


@pytest.mark.parametrize("preset", PRESETS)
def test_results_and_cycles(preset):
    config = load_config(preset)
    jobs = random_jobs(config, 120, 9)
    batches = [jobs[:1], jobs[1:4], jobs[4:30], jobs[30:]]
    for stall in (0.0, 0.3):
        found = simulate_batches(batches, config.of_macros(), stall=stall, seed=3)
        for batch, simulation in zip(batches, found, strict=True):
            check(simulation, batch, config.of_macros())
        if not stall:
            plain = simulate_batches(batches, config, seed=3)
            assert [one.registers["cycles"] for one in found] == [
                one.registers["cycles"] for one in plain]


def test_linear_jobs():
    """Their buffers keep two ports: X and W are written while others of them are read."""
    config = load_config("heat_tiny").of_macros()
    jobs = random_jobs(config, 60, 4)
    batches = [jobs[:20], jobs[20:]]
    for batch, simulation in zip(batches, simulate_batches(batches, config, stall=0.2, seed=5),
                                 strict=True):
        check(simulation, batch, config)

# SPDX-License-Identifier: Apache-2.0
"""Random hostile descriptors between good ones: nothing outside the windows, and no harm done."""

from dataclasses import replace
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.golden.records import Error
from prunus.sim.engines import BENCHES
from prunus.sim.exchange import Faults
from prunus.sim.hostile import hostile
from prunus.sim.simulate import simulate_batches
from tests.sim.wide import widened

TABLES, JOBS = 12, 16
TINY = [load_config(BENCHES[engine].preset) for engine in sorted(BENCHES)]


@pytest.fixture(params=[*TINY, *(widened(config, width) for config, width in zip(
    TINY, (40, 48, 64), strict=True))], ids=lambda config: config.name)
def config(request):
    return request.param


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_hostile_descriptors(config, stall):
    """Every second job is one; what each window does not hold stays as it is."""
    rng = Random(f"{config.name}{stall}")
    tables = [hostile(config, JOBS, rng) for _ in range(TABLES)]
    batches = [replace(table.batch, faults=Faults(fences=table.fences)) for table in tables]
    runs = simulate_batches(batches, config, stall=stall)
    for table, run in zip(tables, runs, strict=True):
        assert {response for _, response, _ in run.accesses["before"]} == {0}
        table.check(run, config)
    seen = {error for table in tables for error in table.errors}
    assert seen >= {Error.NONE, Error.OPCODE, Error.BUS, Error.WRITE}

# SPDX-License-Identifier: Apache-2.0
"""The tables that tell faults from the original: the original passes them, and a difference in any
part of what they give is seen."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.sim.compare import check
from prunus.sim.engines import BENCHES
from prunus.sim.simulate import simulate_batches
from prunus.sim.trials import TRIALS, difference, limited, slower


@pytest.mark.parametrize("preset", [bench.preset for bench in BENCHES.values()])
def test_the_original_passes(preset):
    """What golden says anything of is held against it, and watchdogs that know the time hold."""
    config = load_config(preset)
    batches = TRIALS[0].batches(config, 1)
    runs = simulate_batches(batches, config)
    for batch, run in zip(batches, runs, strict=True):
        if (batch.image is None or batch.places) and not batch.reset:
            check(run, batch.jobs, config)
    again = simulate_batches(limited(batches, runs), config)
    for run, other in zip(again, runs, strict=True):
        assert difference(run, other, config) == slower(run, other, config) == ""


def test_differences_are_seen():
    config = load_config("topk_tiny")
    batch = TRIALS[0].batches(config, 1)[1]
    run, = simulate_batches([batch], config)
    out, status = run.results[0]
    changes = {
        "job 0: another output": {"results": [(np.bitwise_xor(out, 1), status), *run.results[1:]]},
        "job 0: another status record": {"results": [(out, None), *run.results[1:]]},
        "another survivors": {"registers": {**run.registers, "survivors": -1}},
        "other bytes read": {"bus_read_bytes": run.bus_read_bytes + 8},
        "other answers of registers": {"accesses": {**run.accesses, "during": []}},
    }
    for text, change in changes.items():
        assert difference(replace(run, **change), run, config) == text
    late = replace(run, registers={**run.registers, "cycles": 1})
    assert difference(late, run, config) == ""
    assert slower(late, run, config).startswith("cycles 1, not ")

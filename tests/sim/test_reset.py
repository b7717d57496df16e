# SPDX-License-Identifier: Apache-2.0
"""Resets in the middle of tables: the next table knows nothing of the one that was cut off."""

from functools import partial
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.sim.compare import check
from prunus.sim.engines import hdp, leopard, topk
from prunus.sim.simulate import Access, Batch, SimulationError, simulate_batches

from .loopback import loopback

RESETS = 100                # of an engine without stalls, and as many with them
LENGTHS = (1, 1, 1, 2, 3)   # cycles of a reset; one is the hardest


HDP, LEOPARD, TOPK = map(load_config, ("hdp_tiny", "leopard_tiny", "topk_tiny"))


def _short_rows(seed):
    """Rows without survivors end every six cycles: one is often on its way when a reset comes."""
    return [leopard.build(leopard.Recipe(
        l_q=32, l_kv=2, valid_q=32, valid_kv=2, d=8, threshold="highest", seed=seed + n),
        LEOPARD) for n in range(3)]


TABLES = {
    "hdp_tiny": [hdp.random_jobs(HDP, 3, seed) for seed in range(6)],
    "leopard_tiny": [table for seed in range(3) for table in (
        _short_rows(10 * seed), leopard.random_jobs(LEOPARD, 3, seed))],
    "topk_tiny": [topk.random_jobs(TOPK, 3, seed) for seed in range(6)],
}


@pytest.mark.parametrize("lengths", [LENGTHS, (0,)], ids=["reset", "abort"])
@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("config", [HDP, LEOPARD, TOPK], ids=lambda config: config.name)
def test_the_table_after_a_reset(config, stall, lengths):
    """Resets or aborts at random cycles of tables, each followed by another table."""
    tables, rng = TABLES[config.name], Random(config.name)
    whole = simulate_batches(tables, config, stall=stall)
    cycles = [run.registers["cycles"] for run in whole]
    batches = []
    for n in range(RESETS):
        at = n % len(tables)
        # Pauses are others each time, and a table is over sooner with fewer of them.
        after = rng.randrange(int((0.7 if stall else 0.98) * cycles[at]))
        batches += [Batch(tables[at], reset=(after, rng.choice(lengths))),
                    Batch(tables[(at + 1 + n // len(tables)) % len(tables)])]
    runs = simulate_batches(batches, config, stall=stall, seed=1)
    for n, (batch, run) in enumerate(zip(batches, runs, strict=True)):
        if batch.reset:
            assert run.aborted
            assert run.results == []
            continue
        try:
            check(run, batch.jobs, config)
        except AssertionError as err:
            after, length = batches[n - 1].reset
            raise AssertionError(f"behind a reset of {length} at {after}: {err}") from None


def test_a_reset_must_come_in_time():
    table = TABLES["hdp_tiny"][0]
    with pytest.raises(SimulationError, match=r"batch 1: the table was worked off \d+ cycles"):
        simulate_batches([table, Batch(table, reset=(20_000, 1))], HDP)


@pytest.mark.parametrize("fault, text", [(6, "m_axi_wlast came on beat 7 of 8"),
                                         (9, "m_axi_awvalid fell before it was taken")])
def test_the_rules_of_the_bus_hold_after_a_reset(fault, text):
    """But not for what the reset cuts short."""
    table = TABLES["hdp_tiny"][0]
    resets = [Batch(table, reset=(cycles, 1)) for cycles in range(40)]
    faulty = Batch(table, before=[Access(0xFC, fault, write=True)])
    run = partial(simulate_batches, config=HDP, verilog=loopback(HDP), stall=0.8)
    assert not run([*resets, table])[-1].aborted
    with pytest.raises(SimulationError, match=text):
        run([*resets, faulty])

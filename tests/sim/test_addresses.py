# SPDX-License-Identifier: Apache-2.0
"""Images anywhere in all bits of addresses, and a memory that answers writes late."""

from dataclasses import replace

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.sim.compare import check
from prunus.sim.engines import BENCHES, hdp_sizes, random_jobs
from prunus.sim.scatter import scatter
from prunus.sim.simulate import Batch, SimulationError, simulate_batches
from tests.sim.wide import widened

TABLES, JOBS = 6, 5


TINY = [load_config(BENCHES[engine].preset) for engine in sorted(BENCHES)]
# Heads in tiles, which go on from one tile to the next, and cores that share the bus.
TILES = hdp_sizes.OTHERS[1].model_copy(update={"name": "tiles_48", "axi_address_width": 48})


@pytest.fixture(params=[*TINY, *map(widened, TINY), TILES], ids=lambda config: config.name)
def config(request):
    return request.param


def _tables(config):
    return [scatter(random_jobs(config, JOBS, seed), config, seed) for seed in range(TABLES)]


def test_every_bit_of_an_address_moves_and_carries(config):
    """Of what the tests below run: each bit is 0 somewhere and 1 elsewhere, and pieces lie across
    multiples of high powers of two."""
    places = [place for batch in _tables(config) for place in batch.places]
    starts = np.array([address for _, _, address in places], object)
    ends = np.array([address + size - 1 for _, size, address in places], object)
    every = (1 << config.axi_address_width) - 1
    assert np.bitwise_or.reduce(starts) == every & ~(config.axi_data_width // 8 - 1)
    assert np.bitwise_or.reduce(~starts & every) == every
    crossed = int(np.bitwise_or.reduce(starts ^ ends))
    assert crossed.bit_length() >= config.axi_address_width - 2 and ends.max() <= every


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_planes_at_random_addresses(config, stall):
    batches = _tables(config)
    for batch, run in zip(batches, simulate_batches(batches, config, stall=stall, seed=5),
                          strict=True):
        check(run, batch.jobs, config)


def test_a_write_beside_the_pieces_is_seen(config):
    """The plane of the output is not there: the memory answers with an error and tells of it."""
    batch = scatter(random_jobs(config, 1, 0), config, 0)
    (_, _, address), = (place for place in batch.places if place[0] == batch.image.out[0])
    batch.places = [place for place in batch.places if place[0] != batch.image.out[0]]
    with pytest.raises(SimulationError, match=f"wrote to {address:#x}, outside the memory"):
        simulate_batches([batch], config)


def test_write_responses_that_wait(config):
    """The most that may be on their way at a time, and fewer, change nothing but the time. Two
    cores may share a few jobs better where one waits a little."""
    # Of as much output as possible.
    jobs = sorted(random_jobs(config, 60, 8), key=lambda job: job.l_q * job.d)[-4:]
    jobs = [replace(job, same_kv=False) for job in jobs]
    batches = [Batch(jobs, hold=hold) for hold in (0, 3, 100)]
    runs = simulate_batches(batches, config)
    for run in runs:
        check(run, jobs, config)
    assert runs[0].cycles < runs[2].cycles
    assert config.cores > 1 or runs[0].cycles < runs[1].cycles < runs[2].cycles


@pytest.mark.parametrize("config", list(map(widened, TINY)), ids=lambda config: config.name)
def test_wide_tables_behind_an_abort(config):
    """Nothing is left of the addresses of the table before."""
    tables = _tables(config)
    lengths = [run.cycles for run in simulate_batches(tables, config)]
    batches = []
    for n in range(4 * TABLES):
        cut, whole = tables[n % TABLES], tables[(n + 1 + n // TABLES) % TABLES]
        after = (13 + 97 * n) % (lengths[n % TABLES] // 2)
        batches += [replace(cut, reset=(after, 0)), whole]
    runs = simulate_batches(batches, config)
    for batch, run in zip(batches, runs, strict=True):
        assert run.aborted == bool(batch.reset)
        if not run.aborted:
            check(run, batch.jobs, config)

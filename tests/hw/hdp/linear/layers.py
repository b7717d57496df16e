# SPDX-License-Identifier: Apache-2.0
"""Linear jobs for the tests of blocks, and the order in which their results come."""

from collections.abc import Iterator

import numpy as np

from prunus.golden.engines import load_config
from prunus.golden.hdp.linear import LinearJob, LinearKind, Sizes

__all__ = ["CONFIGS", "TINY", "fields_of", "layer", "positions", "strips", "tiles", "words_of"]

TINY = load_config("heat_tiny")
# Granules of two units, and rows of two granules.
CONFIGS = [TINY, load_config("hdp_edge").model_copy(update={"l_max": 32})]
KIND = LinearKind()



def layer(rng, m: int, k: int, n: int, bits: int = 8, groups: int = 1, **more) -> LinearJob:
    low = 1 << bits - 1
    return LinearJob(x=rng.integers(-128, 128, (m, groups * k)),
                     w=rng.integers(-low, low, (n, k)), bits=bits, groups=groups,
                     bias=rng.integers(-(1 << 20), 1 << 20, n),
                     multiplier=rng.integers(0, 1 << 16, n), shift=rng.integers(16, 40, n), **more)


def fields_of(job: LinearJob, config, *, index: int = 0, error: int = 0, **addresses) -> dict:
    """What the unit keeps of a job; ``addresses`` also takes the place of other fields."""
    sizes, values = Sizes(config), KIND.fields(job, config)
    granules = {name: -(-dims // sizes.granule)
                for name, dims in (("x_granules", job.x.shape[1]), ("w_granules", job.k))}
    fields = {**values, **granules, "index": index, "error": error, "channels": job.channels,
              "dims": job.x.shape[1], **addresses}
    fields["half"] = fields["tile"] // 2 * granules["w_granules"] <= sizes.ring // 2
    return {name: int(value) for name, value in fields.items()}


def strips(job: LinearJob, strip: int) -> Iterator[range]:
    yield from (range(at, min(at + strip, job.rows)) for at in range(0, job.rows, strip))


def tiles(job: LinearJob, tile: int) -> Iterator[range]:
    yield from (range(at, min(at + tile, job.channels)) for at in range(0, job.channels, tile))


def words_of(job: LinearJob, fields: dict) -> Iterator[list[list[tuple[int, int]]]]:
    """Words in the order in which they are made: (row, channel) of the results of each lane."""
    size = 4 if fields["wide"] else 16
    for strip in strips(job, fields["strip"]):
        for tile in tiles(job, fields["tile"]):
            if job.transposed:
                for channel in tile[::2]:
                    for at in range(0, len(strip), size):
                        yield [[(row, channel + lane) for row in strip[at : at + size]]
                               for lane in range(2)]
                continue
            for row in strip[::2]:
                for at in range(0, len(tile), size):
                    yield [[(row + lane, channel) for channel in tile[at : at + size]]
                           for lane in range(2) if row + lane in strip]


def positions(job: LinearJob) -> np.ndarray:
    """(m, channels, 2): row and dimension of Y of each result."""
    numbers = job.view(np.arange(job.rows * job.channels).reshape(job.rows, job.channels))
    found = np.zeros((job.rows * job.channels, 2), int)
    found[numbers.ravel()] = np.argwhere(numbers >= 0)
    return found.reshape(job.rows, job.channels, 2)

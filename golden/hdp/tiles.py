# SPDX-License-Identifier: Apache-2.0
"""Heads that are longer than what a core holds: the tiles it works them off in, and in which order.

A tile is up to ``HdpConfig.tile`` queries, a *strip*, by as many keys. A row's threshold needs the
statistics of all its blocks, and its exponentials the largest of all its kept scores, so a head
passes through the array three times, and what must be known of a row is all that is carried from
tile to tile::

    STATS   integer pass           -> sum, smallest, largest theta, blocks; of every row of blocks
    TOP     integer pass, scores   -> largest kept score, whether keys are kept and pruned
    VALUE   integer pass, scores, softmax, P.V -> denominator, sums of weights times V

STATS takes all strips, which decides about the head (dense heads need none); then each strip
has TOP and VALUE. Tiles that no query of the strip sees are left out. The numbers are those of
:func:`prunus.golden.hdp.compute.head`: all sums are exact, and a tile border never parts two keys
of a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from .compute import HdpJob
from .config import HdpConfig

__all__ = ["Phase", "Tile", "is_tiled", "passes", "planes_of", "tiles"]


class Phase(IntEnum):
    """What a core does with a tile, or with a head that needs no tiles."""

    WHOLE = 0
    STATS = 1
    TOP = 2
    VALUE = 3


@dataclass(frozen=True)
class Tile:
    """``queries`` rows of Q from ``query`` on by ``keys`` rows of K and V from ``key`` on.

    ``first`` and ``last`` tile of its strip in this phase. A strip that sees no key has one
    tile without keys, in the phase VALUE.
    """

    phase: Phase
    query: int
    queries: int
    key: int
    keys: int
    first: bool
    last: bool


def is_tiled(job: HdpJob, config: HdpConfig) -> bool:
    """The head has more queries or keys than a core holds."""
    return bool(job.valid_q and job.valid_kv) and max(job.valid_q, job.valid_kv) > config.held_rows


def passes(job: HdpJob, config: HdpConfig, kept: bool) -> tuple[int, int]:
    """How often the integer scores of visible blocks, and the scores of kept ones, are made."""
    if not is_tiled(job, config):
        return int(not job.dense), int(kept)
    return 0 if job.dense else 1 + 2 * kept, 2 * kept


def tiles(job: HdpJob, config: HdpConfig, kept: bool) -> Iterator[Tile]:
    """The tiles of a tiled head in their order; ``kept`` if it is not pruned."""
    strips = range(0, job.valid_q, config.held_rows)
    if not job.dense:
        for query in strips:
            yield from _strip(job, config, Phase.STATS, query)
    if kept:
        for query in strips:
            yield from _strip(job, config, Phase.TOP, query)
            yield from _strip(job, config, Phase.VALUE, query)


def _strip(job: HdpJob, config: HdpConfig, phase: Phase, query: int) -> Iterator[Tile]:
    rows = config.held_rows
    queries = min(rows, job.valid_q - query)
    seen = job.valid_kv             # by the last query
    if job.causal:
        seen = max(0, min(seen, query + queries + job.valid_kv - job.valid_q))
    if not seen and phase == Phase.VALUE:
        yield Tile(phase, query, queries, 0, 0, True, True)
    for key in range(0, seen, rows):
        yield Tile(phase, query, queries, key, min(rows, job.valid_kv - key),
                   key == 0, key + rows >= seen)


def planes_of(phase: Phase) -> tuple[str, ...]:
    """Planes that a tile needs."""
    return {Phase.STATS: ("q_i", "k_i"), Phase.TOP: ("q_i", "k_i", "q_f", "k_f"),
            Phase.VALUE: ("q_i", "k_i", "q_f", "k_f", "v")}[phase]

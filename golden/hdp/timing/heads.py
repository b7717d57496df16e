# SPDX-License-Identifier: Apache-2.0
"""Heads and their rows of blocks on the way through the stages of a core."""

import numpy as np

from ..compute import HdpJob, HdpOutcome
from ..config import HdpConfig
from ..planes import PLANES, HdpLayout
from ..tiles import Phase, Tile, is_tiled, planes_of, tiles

__all__ = ["Head", "Row", "parts_of"]


class Row:
    """A row of blocks on its way.

    Members
    -------
    columns, groups : int
        Blocks that it sees, and the groups of them that integer operations cover.
    kept : ndarray
        Columns of the blocks that its mask keeps.
    fetches : bool
        It is causal and P.V reads the pair of keys at its end, too.
    fraction : bool
        Its integer scores are kept; the fraction products are all that is missing.
    theta : int
        Of its blocks, together; counts only where they are all in one tile.
    time : int
        When the stage before was through with it.
    beats : (int, int) or None
        The first and last cycle in which beats of an output row come, once this is known.
    """

    def __init__(self, head: "Head", number: int, columns: int, group: int, fetches: bool,
                 mask: np.ndarray):
        self.head, self.number, self.columns, self.fetches = head, number, columns, fetches
        self.groups = -(-columns // group)
        row, first = head.tile.query // 2 + number, head.tile.key // 2
        self.theta = int(head.result.row_thetas[row])
        self.kept = np.flatnonzero(mask[row, first : first + columns])
        self.last = False
        self.fraction = False
        self.time = 0
        self.beats: tuple[int, int] | None = None


class Head:
    """A job or a tile of one, and how far it has come.

    Members
    -------
    tile : Tile
        Its queries and keys; all of them in the phase WHOLE.
    written : int
        Output rows to be written at its end.
    record : bool
        Its end is that of a job.
    idle : bool
        It has no queries or no keys.
    kept : bool
        It is not pruned, nor idle.
    tau : float
        Theta_head from which on it is known to be kept.
    planes : tuple of str
        What is loaded of it.
    beats : dict of str to int
        By plane.
    row_beats : int
        Of an output row.
    integer, fraction, full : int
        Cycles of a group in the integer pass, of a block in the others; P.V has as many chunks as
        a full product.
    seen : bool
        The scheduler may load it.
    decided, known_kept : bool
        Whether it is kept is known; it is.
    past_half : bool
        The integer pass is in the second half of its rows, or there is none.
    fetched : bool
        Fetch upon mask has begun it or passed it over.
    ended : bool
        The last row of a tile that writes nothing has.
    """

    def __init__(self, job: HdpJob, result: HdpOutcome, mask: np.ndarray, held: set[str],
                 config: HdpConfig, tile: Tile, written: int, record: bool):
        self.job, self.result, self.held = job, result, held
        self.tile, self.written, self.record = tile, written, record
        self.idle = not (tile.queries and tile.keys)
        whole, stats = tile.phase == Phase.WHOLE, tile.phase == Phase.STATS
        self.kept = result.head_kept and not self.idle and not stats
        self.tau = job.tau_head if whole else np.inf if stats else 0
        self.planes = planes_of(Phase.VALUE if whole else tile.phase)
        layout = HdpLayout(config)
        self.beats = {plane.name: (tile.queries if plane.of == "q" else tile.keys)
                      * layout.row_beats(plane.kind, job.d)
                      for plane in PLANES if plane.name in self.planes}
        self.row_beats = layout.row_beats("out", job.d)
        taps = config.taps
        self.integer, self.fraction, self.full = (
            -(-job.d // dims) for dims in (4 * taps // config.group, 2 * taps, taps))
        self.rows = [] if self.idle else self._rows(config.group, mask)
        self.seen = self.fetched = self.ended = False
        self.integer_loaded = self.fraction_loaded = self.v_loaded = False
        self.decided = self.known_kept = False
        self.past_half = record and (self.idle or job.dense)
        self.theta = self.masked_rows = 0

    def _rows(self, group: int, mask: np.ndarray) -> list[Row]:
        job, tile = self.job, self.tile
        offset = job.valid_kv - job.valid_q + tile.query - tile.key
        limits = np.full(tile.queries, tile.keys)
        if job.causal:
            limits = np.clip(np.arange(tile.queries) + 1 + offset, 0, tile.keys)
        limits = np.append(limits, [0] * (tile.queries % 2))
        columns = (limits.reshape(-1, 2).max(axis=1) + 1) // 2
        edge = np.arange(len(columns)) + (offset + 1) // 2
        fetches = (edge >= 0) & (2 * edge < tile.keys) & (job.causal and not job.drop)
        rows = [Row(self, n, int(columns[n]), group, bool(fetches[n]), mask)
                for n in range(len(columns))]
        rows[-1].last = True
        return rows

    def end(self) -> None:
        """Nothing is left to do: forget the rows."""
        self.rows = []

    def decide(self, kept: bool) -> None:
        """It is known whether the head is kept."""
        self.decided, self.known_kept = True, kept


def parts_of(job: HdpJob, result: HdpOutcome, held: set[str], config: HdpConfig) -> list[Head]:
    """What the stages see of a job: itself, or its tiles and a last part that ends it."""
    mask = result.mask
    if not is_tiled(job, config):
        return [Head(job, result, mask, held, config,
                     Tile(Phase.WHOLE, 0, job.valid_q, 0, job.valid_kv, True, True),
                     written=job.l_q, record=True)]
    parts: list[Head] = []
    for tile in tiles(job, config, result.head_kept):
        ends = tile.query + tile.queries == job.valid_q
        rows = job.l_q - tile.query if ends else tile.queries
        writes = tile.phase == Phase.VALUE and tile.last
        once = job.valid_kv <= config.held_rows and not job.causal
        planes = {plane for part in parts for plane in part.planes if plane[0] != "q"}
        parts.append(Head(job, result, mask, planes if once else set(), config, tile,
                          written=rows if writes else 0, record=False))
    end = Tile(Phase.WHOLE, 0, 0, 0, 0, True, True)
    return [*parts, Head(job, result, mask, set(), config, end,
                         written=0 if result.head_kept else job.l_q, record=True)]

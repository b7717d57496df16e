# SPDX-License-Identifier: Apache-2.0
"""Heads and their rows of blocks on the way through the stages of a core."""

import numpy as np

from .config import Config
from .hdp import HeadResult, Job, visible_limits
from .memory import Layout, planes_read

__all__ = ["Head", "Row"]


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
        Of its blocks, together.
    time : int
        When the stage before was through with it.
    beats : (int, int) or None
        The first and last cycle in which beats of an output row come, once this is known.
    """

    def __init__(self, head: "Head", number: int, columns: int, group: int, fetches: bool):
        self.head, self.number, self.columns, self.fetches = head, number, columns, fetches
        self.groups = -(-columns // group)
        self.theta = int(head.result.theta[number].sum())
        self.kept = np.flatnonzero(head.result.mask[number, :columns])
        self.last = False
        self.fraction = False
        self.time = 0
        self.beats: tuple[int, int] | None = None


class Head:
    """A job, and how far it has come.

    Members
    -------
    idle : bool
        It has no queries or no keys.
    kept : bool
        It is not pruned, nor idle.
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
    """

    def __init__(self, job: Job, result: HeadResult, held: set[str], config: Config):
        self.job, self.result, self.held = job, result, held
        self.idle = not (job.valid_q and job.valid_kv)
        self.kept = result.head_kept and not self.idle
        layout = Layout(config)
        self.beats = {plane: (job.valid_q if plane[0] == "q" else job.valid_kv)
                      * layout.row_beats(plane[-1], job.d) for plane in planes_read(job, True)}
        self.row_beats = layout.row_beats("out", job.d)
        taps = config.taps
        self.integer, self.fraction, self.full = (
            -(-job.d // dims) for dims in (4 * taps // config.group, 2 * taps, taps))
        self.rows = [] if self.idle else self._rows(config.group)
        self.seen = self.fetched = False
        self.integer_loaded = self.fraction_loaded = self.v_loaded = False
        self.decided = self.known_kept = False
        self.past_half = self.idle or job.dense
        self.theta = self.masked_rows = 0

    def _rows(self, group: int) -> list[Row]:
        job = self.job
        limits = np.append(visible_limits(job)[: job.valid_q], [0] * (job.valid_q % 2))
        columns = (limits.reshape(-1, 2).max(axis=1) + 1) // 2
        edge = np.arange(len(columns)) + (job.valid_kv - job.valid_q + 1) // 2
        fetches = (edge >= 0) & (2 * edge < job.valid_kv) & (job.causal and not job.drop)
        rows = [Row(self, n, int(columns[n]), group, bool(fetches[n]))
                for n in range(len(columns))]
        rows[-1].last = True
        return rows

    def decide(self, kept: bool) -> None:
        """It is known whether the head is kept."""
        self.decided, self.known_kept = True, kept

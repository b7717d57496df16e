# SPDX-License-Identifier: Apache-2.0
"""The stages of an HDP core as processes that hand rows of blocks to each other.

Each process follows the block of ``hw/hdp`` that it names, row by row: what a row waits for, how
long it takes, what it frees. Times are those of the cycle in which something can be seen.
"""

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from itertools import count

import numpy as np

from ...records import STATUS_BYTES
from ..config import HdpConfig
from ..tiles import Phase
from .events import Clock, Condition, Process, Room, Shared
from .heads import Head, Row
from .latency import Latency

__all__ = ["BANKS", "Core"]

# Sizes.
BANKS = 2                  # heads in a core (Scheduler)
ROWS = 4                   # rows of blocks between two stages (hw/hdp/ring.py)
KEPT_AHEAD = 8             # kept blocks found before the array takes them (MaskScanner)
CHUNKS = 8                 # chunks of P.V between array and normaliser (RowOutput)

# Cycles, as the docstrings of the blocks give them.
ACCEPTED = 2               # Scheduler: a job to its first command
COMMAND = 1                # Scheduler: from one command to the next, and past planes on the chip
REQUEST = 2                # Loader: command to request
LOADED = 2                 # Loader: a plane's last beat to the scheduler
START = 1                  # Scheduler: to start a stage
WALKER, WALKER_ROW = 4, 3  # RowWalker: start to first row, row to row
ROW = 1                    # IntegerPass, FetchUponMask: a row to its first operation
OPERANDS = 4               # Issue 1, PlaneBuffer 3: an operation to the array
REACHED, MASK = 3, 5       # SparsityEngine: statistics to theta; to mask, besides a cycle a group
SCAN = 2                   # MaskScanner: a row, besides its groups or kept blocks
TOKEN, SCORED = 4, 4       # ScoreAdder: a row's last block to its token; to its room being free
EMPTY_TOKEN = 3            # ScoreAdder: the announcement of a row without blocks to its token
TOKEN_NEXT = 3             # RowExponentials: cycles between two rows
SUMMED = 7, 9              # SoftmaxUnit: the same, for its sums; in tiles
SETTLED, WEIGHTS = 2, 3    # ValuePass: a result is taken, its weights come
RETURN = 3                 # ValuePass: a chunk is taken, the first operation of another
FIRST_BEAT = 3             # ResultWriter: a head or its first row to the first beat
RECORD = 2, 1              # ResultWriter: last row to request, request to record
TILE = 3                   # Tiler: from one tile to the next
GATHER = 3                 # SparsityEngine: a row whose statistics are only gathered
TOP = 2                    # RowTops: a token of the phase TOP

SCORES, INTEGER, VALUES = range(3)     # Issue: who goes first


class Core:
    """A core, from jobs to rows written.

    Parameters
    ----------
    clock : Clock
    config : HdpConfig
    reads, writes
        The two DMAs, see :mod:`prunus.golden.hdp.timing.cycles`.
    """

    def __init__(self, clock: Clock, config: HdpConfig, reads, writes):
        self._clock, self._config = clock, config
        self._reads, self._writes = reads, writes
        self._latency = Latency(config)
        self._array = Shared(clock)
        self._value_array = Shared(clock) if config.own_values else self._array
        self._heads: list[Head] = []
        self.jobs = 0
        # What lies between the stages.
        ring = 2 * -(-config.blocks // config.group)
        self._theta_rows, self._thetas, self._integer_scores = Room(ROWS), Room(ring), Room(ring)
        self._score_rows, self._scores = Room(ROWS), Room(2 * config.blocks)
        self._kept_rows = Room(ROWS)
        self._to_mask: deque[Row] = deque()
        self._to_issue: deque[Row] = deque()
        self._to_softmax: deque[Row] = deque()
        self._to_values: deque[Row] = deque()
        self._to_write: deque[Row] = deque()
        self._found = self._issued = 0          # kept blocks
        self._token = 0                         # when the last one comes
        self._weight_rows, self._weights = Room(ROWS), Room(2 * config.blocks)
        self._taken = deque([0] * CHUNKS, maxlen=CHUNKS)   # chunks, by the normaliser
        # With tiles: jobs that are not cut up yet, and how many of what that gives are at work.
        self._to_tile: deque[list[Head]] = deque()
        self._tiles = 0
        if config.tile:
            clock.start(self._tiler())
        for stage in (self._load, self._integer_pass, self._sparsity, self._fetch, self._issue,
                      self._softmax, self._value_pass, self._result_writer):
            clock.start(stage())

    @property
    def hungry(self) -> bool:
        """It has one job and can do with a second one, as an only core always can."""
        return 0 < self.jobs < BANKS and (
            self._config.cores == 1 or (bool(self._heads) and self._heads[-1].past_half))

    def accept(self, parts: list[Head]) -> None:
        self.jobs += 1
        if self._config.tile:
            self._to_tile.append(parts)
        else:
            self._begin(parts[0])

    def _begin(self, head: Head) -> None:
        self._tiles += 1
        self._heads.append(head)
        self._later(ACCEPTED, setattr, head, "seen", True)

    def _tiler(self) -> Process:
        """Tiler: the parts of a job one after the other, as long as there is a bank for them."""
        while True:
            yield lambda: self._to_tile
            parts = self._to_tile.popleft()
            yield 1
            for n, head in enumerate(parts):
                before = parts[n - 1].tile.phase if n else None
                if before == Phase.STATS != head.tile.phase and head.job.tau_head:
                    yield lambda: self._tiles == 0      # for the decision about the head
                yield lambda: self._tiles < BANKS
                self._begin(head)
                yield TILE

    def _later(self, cycles: int, action: Callable[..., None], *args: object) -> None:
        self._clock.at(self._clock.now + cycles, partial(action, *args))

    def _until(self, time: int) -> int:
        """Cycles to wait."""
        return max(0, time - self._clock.now)

    def _each_head(self, stage: Callable[[Head], Process]) -> Process:
        """Run a stage on head after head, as they come."""
        for n in count():
            yield partial(self._has_head, n)
            yield from stage(self._heads[n])

    def _has_head(self, n: int) -> bool:
        return n < len(self._heads)

    # -- operands ----------------------------------------------------------------------------------
    def _load(self) -> Process:
        """Scheduler and Loader: integer planes of one head, or the rest of an earlier one."""
        front = back = 0

        def rest_due() -> bool:
            return back < len(self._heads) and self._heads[back].decided

        def integer_due() -> bool:
            return front < len(self._heads) and self._heads[front].seen

        while True:
            yield lambda: rest_due() or integer_due()
            if rest_due():
                head, back = self._heads[back], back + 1
                planes = (("k_f", "q_f", "v") if "v" in head.planes else ("k_f", "q_f")) \
                    if head.known_kept and not head.idle else ()
                if not planes:
                    head.fraction_loaded = head.v_loaded = True
            else:
                head, front = self._heads[front], front + 1
                planes = ("k_i", "q_i") if not head.idle else ()
                head.integer_loaded = not planes
                if planes and (head.job.dense or head.tau == 0):
                    head.decide(True)
            yield COMMAND
            for plane in planes:
                if plane not in head.held:
                    yield REQUEST
                    end = yield from self._reads.request(head.beats[plane])
                    self._clock.at(end + LOADED, partial(self._loaded, head, plane))
                yield COMMAND

    @staticmethod
    def _loaded(head: Head, plane: str) -> None:
        """Planes come in the order in which they were asked for."""
        head.integer_loaded |= plane == "q_i"
        head.fraction_loaded |= plane == "q_f"
        head.v_loaded |= plane == "v" or (
            plane == "q_f" and ("v" in head.held or "v" not in head.planes))

    # -- the mask ----------------------------------------------------------------------------------
    def _integer_pass(self) -> Process:
        return self._each_head(self._integer_head)

    def _integer_head(self, head: Head) -> Process:
        yield lambda: head.integer_loaded
        yield START
        if head.idle:
            head.decide(False)
        if head.idle or head.job.dense:
            head.past_half = head.record
            return
        yield WALKER
        for row in head.rows:
            began = self._clock.now
            if row.columns:
                yield from self._integer_row(head, row)
            if not row.last:
                yield self._until(began + WALKER_ROW)

    def _integer_row(self, head: Head, row: Row) -> Process:
        def keeps() -> bool:
            return (self._config.keep_integer_scores and head.known_kept
                    and not head.job.exact)

        yield lambda: (self._theta_rows.fits() and self._thetas.fits(row.groups)
                       and (not keeps() or self._integer_scores.fits(row.groups)))
        self._theta_rows.take()
        self._thetas.take(row.groups)
        head.past_half |= head.record and row.number >= len(head.rows) // 2
        row.fraction = keeps()
        if row.fraction:
            self._integer_scores.take(row.groups)
        yield ROW
        yield from self._array.run(INTEGER, row.groups * head.integer)
        row.time = (self._clock.now - 1 + OPERANDS + self._latency.score
                    + self._latency.statistics)
        self._clock.at(row.time, partial(self._to_mask.append, row))

    def _sparsity(self) -> Process:
        while True:
            yield lambda: self._to_mask
            row = self._to_mask.popleft()
            head = row.head
            if head.tile.phase == Phase.STATS:
                yield GATHER
            else:
                reached = REACHED + bool(self._config.tile)
                yield reached
                head.theta += row.theta
                if head.theta >= head.tau:
                    head.decide(True)
                yield MASK - REACHED + row.groups + 1
            self._theta_rows.give()
            self._thetas.give(row.groups)
            head.masked_rows = row.number + 1
            if row.last and not head.decided:
                head.decide(False)

    # -- kept scores -------------------------------------------------------------------------------
    def _fetch(self) -> Process:
        """FetchUponMask: reads the mask, ahead of the operations."""
        return self._each_head(self._fetch_head)

    def _fetch_head(self, head: Head) -> Process:
        yield lambda: head.decided and head.fraction_loaded
        yield START
        head.fetched = True
        if not head.kept:
            return
        yield WALKER
        for row in head.rows:
            yield from self._scan_row(head, row)

    def _scan_row(self, head: Head, row: Row) -> Process:
        yield lambda: self._kept_rows.fits() and (
            head.job.dense or not row.columns or head.masked_rows > row.number)
        self._kept_rows.take()
        row.time = self._clock.now
        self._later(1, self._to_issue.append, row)
        groups = row.groups if len(row.kept) else 0
        yield max(max(groups, len(row.kept)) + SCAN, WALKER_ROW)
        self._found += len(row.kept)
        yield lambda: self._found - self._issued <= KEPT_AHEAD

    def _issue(self) -> Process:
        """FetchUponMask: announces rows and issues their blocks."""
        while True:
            yield lambda: self._to_issue
            row = self._to_issue.popleft()
            yield from self._issue_row(row.head, row)

    def _issue_row(self, head: Head, row: Row) -> Process:
        yield lambda: self._score_rows.fits() and self._scores.fits(row.columns)
        self._kept_rows.give()
        self._score_rows.take()
        self._scores.take(row.columns)
        if not len(row.kept):
            self._complete(row, self._clock.now + EMPTY_TOKEN)
            if row.fraction:
                self._integer_scores.give(row.groups)
            yield ROW
            return
        found = row.time + self._latency.mask_bit + self._found_at(row)
        begin = max(self._clock.now + ROW, int(found[0]))
        yield self._until(begin)
        block = head.fraction if row.fraction else head.full
        blocks = len(row.kept)
        end = int((found + np.arange(blocks, 0, -1) * block).max())
        cycles = max(end - begin, blocks * block)
        ahead = max(0, blocks - KEPT_AHEAD)
        for part in (ahead, blocks - ahead):
            if part:
                yield from self._array.run(SCORES, part * block, cycles * part // blocks)
                self._issued += part
        done = self._clock.now - 1 + OPERANDS + self._latency.score
        self._complete(row, done + TOKEN)
        if row.fraction:
            self._clock.at(done + SCORED, partial(self._integer_scores.give, row.groups))

    def _found_at(self, row: Row) -> np.ndarray:
        """MaskScanner: a group of mask bits and a kept block per cycle; a block goes on when the
        next one, or the end of the row, is found."""
        order = np.arange(len(row.kept))
        group = row.kept // self._config.group
        found = np.maximum.accumulate(group - order) + order
        return np.append(found[1:], max(row.groups, found[-1] + 1))

    def _complete(self, row: Row, time: int) -> None:
        """ScoreAdder: a row's token, after those of the rows before."""
        self._token = max(self._token + 1, time)
        self._clock.at(self._token, partial(self._to_softmax.append, row))

    # -- softmax and P.V ---------------------------------------------------------------------------
    def _softmax(self) -> Process:
        phases = 4 // self._config.softmax_lanes
        latency = self._latency
        held = summed = 0
        while True:
            yield lambda: self._to_softmax
            row = self._to_softmax.popleft()
            self._score_rows.give()
            self._scores.give(held)     # those of the row before
            held = row.columns
            if row.head.tile.phase == Phase.TOP:
                yield TOP
                row.head.ended |= row.last
                continue
            yield latency.exponential
            yield partial(self._weights_fit, len(row.kept))
            yield self._until(summed)
            first = self._clock.now
            self._weight_rows.take()
            self._weights.take(len(row.kept))
            cycles = (len(row.kept) + 1) * phases
            summed = first + cycles + SUMMED[bool(self._config.tile)]
            row.time = first + cycles + latency.reciprocal
            self._clock.at(row.time, partial(self._to_values.append, row))
            yield self._until(first + max(1, cycles + TOKEN_NEXT - latency.exponential))

    def _weights_fit(self, blocks: int) -> bool:
        return self._weight_rows.fits() and self._weights.fits(blocks)

    def _value_pass(self) -> Process:
        while True:
            yield lambda: self._to_values
            row = self._to_values.popleft()
            yield from self._value_row(row.head, row)

    def _value_row(self, head: Head, row: Row) -> Process:
        room = 2 * self._config.d_max // head.job.d
        writes = head.tile.last
        yield self._until(row.time + SETTLED)
        asked = self._clock.now
        yield lambda: head.v_loaded
        # The row before was read from the weights a little before it went through the array.
        read = self._clock.now - (WEIGHTS if self._clock.now == asked else 0)
        yield self._until(max(row.time + SETTLED, read) + WEIGHTS)
        chunk = max(1, len(row.kept)) + row.fetches
        cycles = -(-min(self._config.taps, head.job.d) // self._config.output_lanes)
        # Long chunks never wait for the way back from the normaliser.
        way = OPERANDS + self._latency.value + cycles + RETURN
        together = head.full if (CHUNKS - 1) * chunk >= way else 1
        first = 0
        for _ in range(0, head.full, together):
            yield self._until(self._taken[0] + RETURN)
            yield from self._value_array.run(VALUES, chunk * together)
            end = self._clock.now
            if writes:
                yield lambda: len(self._to_write) < room
            free = self._clock.now if self._clock.now > end else 0
            for n in reversed(range(together)):
                arrival = end - n * chunk - 1 + OPERANDS + self._latency.value
                self._taken.append(max(arrival, self._taken[-1], free) + cycles)
                first = first or self._taken[-1]
        self._weight_rows.give()
        self._weights.give(len(row.kept))
        if not writes:
            if row.last:
                self._clock.at(self._taken[-1] + self._latency.output,
                               partial(setattr, head, "ended", True))
            return
        beat = head.job.d // self._config.output_lanes // head.row_beats
        row.beats = first + beat + self._latency.output, self._taken[-1] + self._latency.output
        self._to_write.append(row)

    # -- results -----------------------------------------------------------------------------------
    def _result_writer(self) -> Process:
        return self._each_head(self._write_head)

    def _write_head(self, head: Head) -> Process:
        beats = head.row_beats
        yield lambda: head.fetched
        if not head.record and not head.written:
            yield lambda: head.v_loaded and (head.ended or not head.kept)
            head.end()
            self._tiles -= 1
            return
        rows = head.rows if head.kept else []
        if rows:
            yield 1
            first, _ = yield from self._beats_of(rows[0])
            yield self._until(first)
        yield FIRST_BEAT
        for row in rows:
            _, last = yield from self._beats_of(row)
            yield max(beats, self._until(last + 1))
            self._to_write.popleft()
            yield beats
        yield max(0, head.written - 2 * len(rows)) * beats
        if head.written:
            self._writes.beats(head.written * beats)
        yield RECORD[0]
        head.end()
        if not head.record:
            self._tiles -= 1
            return
        yield lambda: head.v_loaded
        record = STATUS_BYTES * 8 // self._config.axi_data_width
        yield RECORD[1] + record
        self._writes.beats(record, record=True)
        self._tiles -= 1
        self.jobs -= 1

    @staticmethod
    def _beats_of(row: Row) -> Generator[int | Condition, None, tuple[int, int]]:
        """Waits until they are known."""
        while row.beats is None:
            yield lambda: row.beats
        return row.beats

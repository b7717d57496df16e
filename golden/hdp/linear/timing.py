# SPDX-License-Identifier: Apache-2.0
"""Cycles of linear jobs, tile by tile, without the RTL.

Three things have times of their own: the bus, which brings strips of X and tiles of weights in the
order of their use; the array; and what writes words of results. A tile begins when its weights are
there and the tile before is through; weights are asked for when their half of the buffer is free,
X when there is room in its ring.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..config import HdpConfig
from .sizes import TABLE_BYTES, Sizes

__all__ = ["BLOCK_CYCLES", "Timed", "cycles_of"]

BLOCK_CYCLES = 2        # least of a block: results leave two at a time
# Cycles of a word of a lane on its way out, by where it goes.
WORD, HELD_WORD, DIGITS_WORD = 7, 4, 9
SIGNS = 2               # of digits, once in a row of a head
CODES, SUMS = 16, 4     # of a word of codes, of a wide one
SHORT = 1               # cycle less that a word of 8 codes takes
# What the RTL takes beside its work.
FETCHED = 18            # from a doorbell or a fence to the first request
LATENCY = 10            # of a read of which nothing was in flight
SEEN = 3                # from the last beat to the first operation
STRIP, TILE = 4, 3      # between strips, between tiles
FREED = 24              # from the last operation of a tile to the next request for its half
DRAIN = 20              # from the last operation to the last word
STATUS = 10             # between two status records, at least
RESIDUAL = 30           # the first one is waited for
END = 23                # of the last status record


class Timed(Protocol):
    """What of a job its time depends on, see :class:`.cost.Product`."""

    @property
    def rows(self) -> int: ...

    @property
    def k(self) -> int: ...

    @property
    def span(self) -> int: ...

    @property
    def groups(self) -> int: ...

    @property
    def bits(self) -> int: ...

    @property
    def held_x(self) -> bool: ...

    @property
    def held_y(self) -> bool: ...

    @property
    def wide(self) -> bool: ...

    @property
    def table(self) -> bool: ...

    @property
    def residual(self) -> bool: ...

    @property
    def digits(self) -> int: ...

    @property
    def transposed(self) -> bool: ...

    @property
    def fence(self) -> bool: ...

    @property
    def words(self) -> bool: ...


@dataclass(frozen=True)
class _Shape:
    """A job on a machine: its strips, its tiles and what they take."""

    job: Timed
    config: HdpConfig

    @property
    def channels(self) -> int:
        return self.job.groups * self.job.span

    @property
    def dims(self) -> int:
        return self.job.groups * self.job.k

    @property
    def beat(self) -> int:
        return self.config.axi_data_width // 8

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.config)

    @property
    def strip(self) -> int:
        """Rows. What is held is one strip."""
        job, sizes = self.job, self.sizes
        if job.held_x or job.held_y:
            return job.rows
        return sizes.strip(job.rows, self.dims, sizes.unit if job.transposed else 2)

    @property
    def tile(self) -> int:
        """Channels; of groups, those of a group."""
        job = self.job
        if job.groups > 1:
            return job.span
        return self.sizes.tile(job.span, job.k, job.digits or None)

    @property
    def halves(self) -> int:
        """Of the buffer of weights, that a tile takes."""
        sizes = self.sizes
        return 1 if (self.tile >> 1) * sizes.granules(self.job.k) <= sizes.ring // 2 else 2

    @property
    def channel_beats(self) -> int:
        """Weights and parameters of a channel."""
        return 1 + -(-self.job.k * self.job.bits // (8 * self.beat))

    @property
    def row_beats(self) -> int:
        """X of a row; output words of heads have twice as many bits as codes."""
        return (2 if self.job.words else 1) * -(-self.dims // self.beat)

    @property
    def block(self) -> int:
        """Of 2 rows x 2 channels."""
        dims = self.config.taps * (2 if self.job.bits == 4 else 1)
        return max(BLOCK_CYCLES, -(-self.job.k // dims))

    def _word(self, lanes: int) -> int:
        """Of a word of all lanes on its way out."""
        job = self.job
        if job.digits:
            return lanes * (DIGITS_WORD + SIGNS * CODES // job.digits)
        return lanes * (HELD_WORD if job.held_y else WORD)

    def _run_cycles(self, results: int, lanes: int) -> int:
        """Of so many results side by side, in each lane."""
        size, word = SUMS if self.job.wide else CODES, self._word(lanes)
        whole, rest = divmod(results, size)
        short = word - (0 if self.job.held_y or self.job.digits or rest > CODES // 2
                        else lanes * SHORT)
        return (whole * max(size // 2 * self.block, word)
                + (max(rest // 2 * self.block, short) if rest else 0))

    def tile_cycles(self, rows: int, channels: int) -> int:
        """A lane is a row, or if transposed a channel."""
        if self.job.transposed:
            return channels // 2 * self._run_cycles(rows, 2)
        return (rows // 2 * self._run_cycles(channels, 2)
                + rows % 2 * self._run_cycles(channels, 1))


class _Machine:
    """When the bus, the array and each job are through."""

    def __init__(self, config: HdpConfig):
        self._config = config
        self._ring = Sizes(config).ring
        self._bus = self._array = self._asked = self._room_at = self._used = 0
        self._halves = [0, 0]
        self._strips: deque[tuple[int, int]] = deque()     # when their granules are free, how many
        self._over = [0, 0]                                 # of the two jobs before, and all before

    def run(self, job: Timed) -> None:
        shape = _Shape(job, self._config)
        if job.fence or len(self._over) == 2:
            self._asked = max(self._asked, self._over[-1] + FETCHED)
        self._asked = max(self._asked, self._over[-2])      # two jobs are in work
        waits = RESIDUAL if job.residual else 0
        table = TABLE_BYTES // shape.beat if job.table else 0
        for first in range(0, job.rows, shape.strip):
            rows = min(shape.strip, job.rows - first)
            there = self._bring(shape, rows)
            self._array = max(self._array, there + SEEN) + STRIP
            for channel in range(0, shape.channels, shape.tile):
                self._tile(shape, rows, min(shape.tile, shape.channels - channel), table, waits)
                table = waits = 0
            self._strips.append((self._array, self._granules(shape, rows)))
        drained = self._array + DRAIN + 2 * WORD
        self._over.append(max(drained, self._over[-1] + STATUS))

    def _granules(self, shape: _Shape, rows: int) -> int:
        return shape.sizes.pairs(rows, shape.dims)

    def _bring(self, shape: _Shape, rows: int) -> int:
        """X of a strip: when it is there."""
        size = self._granules(shape, rows)
        while self._used + size > self._ring and self._strips:
            free, granules = self._strips.popleft()
            self._used -= granules
            self._room_at = max(self._room_at, free)
        self._used += size
        self._asked = max(self._asked, self._room_at)
        if shape.job.held_x:
            return self._over[-1]
        self._bus = max(self._bus, self._asked + LATENCY) + rows * shape.row_beats
        return self._bus

    def _tile(self, shape: _Shape, rows: int, channels: int, table: int, waits: int) -> None:
        halves, self._halves = self._halves[: shape.halves], self._halves[shape.halves :]
        self._asked = max(self._asked, *halves)
        self._bus = (max(self._bus, self._asked + LATENCY) + table
                     + channels * shape.channel_beats)
        there = self._bus
        if shape.job.residual:
            self._bus += rows * channels // shape.beat
        self._array = (max(self._array, there + SEEN) + TILE + waits
                       + shape.tile_cycles(rows, channels))
        self._halves += [self._array + FREED] * shape.halves

    @property
    def cycles(self) -> int:
        return self._over[-1] + END


def cycles_of(jobs: Sequence[Timed], config: HdpConfig) -> int:
    """From the doorbell to the last write response."""
    machine = _Machine(config)
    for job in jobs:
        machine.run(job)
    return machine.cycles if jobs else 0

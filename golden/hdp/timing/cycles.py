# SPDX-License-Identifier: Apache-2.0
"""Cycles that a coprocessor takes for a table of jobs."""

from collections.abc import Iterable, Sequence
from functools import partial

from ..compute import HdpJob, HdpOutcome
from ..config import HdpConfig
from ..planes import held_planes
from .events import Asking, Clock, Process, Room
from .heads import Head, parts_of
from .stages import BANKS, Core

__all__ = ["predict_cycles"]

BURST = 16                 # most beats of a burst
READ_AHEAD = 5 * BURST     # Reader: beats of a request still to come when the next one is taken

MEMORY = 2                 # memory of the bench: address to first beat, last beat to response
READER = 4                 # Reader: request to first beat, besides the memory's
WRITER = 4                 # Writer: a burst's last beat to its first one on the bus
ANSWERED = 3               # Writer: the last response to the first beat of a record
DECODER = 4                # DescriptorDecoder 3, Dispatcher 1: last beat to job
# With several cores:
ARBITER = 1                # ReadArbiter: a core's request to that of all
QUEUE = 2                  # Dispatcher: a beat to the decoder
COLLECTOR = 4              # WriteCollector, WriteArbiter: a burst's last beat to its first one


class _Reads:
    """The read DMA: requests in the order in which they come, a beat per cycle."""

    def __init__(self, clock: Clock, cores: int):
        self._clock = clock
        self._latency = READER + MEMORY + (ARBITER if cores > 1 else 0)
        self._free = 0         # when the next request is taken
        self._end = 0          # last beat of the one before

    def request(self, beats: int) -> Asking:
        """Returns when it is taken; with the time of its last beat."""
        while self._clock.now < self._free:
            yield self._free - self._clock.now
        first = max(self._clock.now + self._latency, self._end + 1)
        self._end = first + beats - 1
        self._free = max(self._clock.now + -(-beats // BURST), self._end - READ_AHEAD)
        return self._end


class _Writes:
    """The write DMA: bursts go out when they are whole, a beat per cycle.

    Those of several cores are gathered once more before.
    """

    def __init__(self, clock: Clock, cores: int):
        self._clock = clock
        self._gathers = cores > 1
        self._end = 0          # when the bus is free again

    def beats(self, beats: int, record: bool = False) -> None:
        """The last of so many was given in the cycle before; a record waits for the responses to
        all before it."""
        last = (beats - 1) % BURST + 1
        begin = self._clock.now - 1 + WRITER + (COLLECTOR + last if self._gathers else 0)
        if record:
            begin = max(begin, self.idle + ANSWERED)
        if beats > BURST:
            self._end = max(self._end, begin - last + BURST)
        self._end = max(self._end, begin) + last

    @property
    def idle(self) -> int:
        """When everything that was given is answered."""
        return self._end + MEMORY


class _Dispatcher:
    """Dispatcher and JobRouter: descriptors ahead of the cores, and which core gets a job."""

    def __init__(self, clock: Clock, heads: Iterable[list[Head]], count: int,
                 cores: Sequence[Core], reads: _Reads, config: HdpConfig):
        self._clock, self._heads, self._cores, self._reads = clock, heads, cores, reads
        self._count = count
        self._beats = config.descriptor_bytes * 8 // config.axi_data_width
        self._read: list[int] = []      # when the last beats came
        self._ahead = Room(1 if len(cores) == 1 else 2 * len(cores))
        clock.start(self._ask())
        clock.start(self._hand_on())

    def _ask(self) -> Process:
        yield 1
        for _ in range(self._count):
            yield self._ahead.fits
            self._ahead.take()
            end = yield from self._reads.request(self._beats)
            self._read.append(end)
            yield 1

    def _hand_on(self) -> Process:
        before: Core | None = None
        queue = QUEUE if len(self._cores) > 1 else 0
        decoder = 0         # free for a descriptor from it
        for n, parts in enumerate(self._heads):
            yield partial(self._has_read, n)
            ready = max(self._read[n] + queue, decoder + self._beats) + DECODER
            yield max(0, ready - self._clock.now)
            while (core := self._choice(parts, before)) is None:
                yield partial(self._choice, parts, before)
            core.accept(parts)
            before = core
            decoder = self._clock.now if queue else 0
            yield 1
            self._ahead.give()

    def _has_read(self, n: int) -> bool:
        """The descriptor of job n."""
        return len(self._read) > n

    def _choice(self, parts: list[Head], before: Core | None) -> Core | None:
        """A core without a job, else a hungry one; where its keys are."""
        if parts[0].job.same_kv and before:
            return None if before.jobs == BANKS else before
        idle = [core for core in self._cores if not core.jobs]
        hungry = [core for core in self._cores if core.hungry]
        return next(iter(idle + hungry), None)


def predict_cycles(jobs: Sequence[HdpJob], results: Sequence[HdpOutcome], config: HdpConfig) -> int:
    """Cycles from the doorbell to the last write response, as the register counts them.

    A simulation of the stages of the hardware in steps of rows of blocks: the array's cycles go
    to kept scores, then to the integer pass, then to P.V, unless that has an array of its own;
    planes and rows come and go a beat per cycle; buffers limit how far a stage runs ahead. The
    memory answers as that of the bench does.

    Parameters
    ----------
    jobs : sequence of HdpJob
        Without errors.
    results : sequence of HdpResult or HdpSummary
        What golden gives for them.
    config : HdpConfig
    """
    held = held_planes(jobs, results, config)
    # One after the other: rows of all heads together would take a lot of memory.
    heads = (parts_of(job, result, planes, config)
             for job, result, planes in zip(jobs, results, held, strict=True))
    clock = Clock()
    reads, writes = _Reads(clock, config.cores), _Writes(clock, config.cores)
    cores = [Core(clock, config, reads, writes) for _ in range(config.cores)]
    _Dispatcher(clock, heads, len(jobs), cores, reads, config)
    clock.run()
    if any(core.jobs for core in cores):
        raise RuntimeError("the model of cycles stands still: a stage waits for what never comes")
    return writes.idle

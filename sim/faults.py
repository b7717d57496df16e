# SPDX-License-Identifier: Apache-2.0
"""Tables that meet faults, and what must become of them.

Each kind of fault yields tables one after the other, for the same running simulation. What a table
gave is checked before the next one comes, so a fault that leaves something behind shows there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import FILL, build_image, described, failed, out_bytes
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES, Error
from prunus.golden.registers import TIMEOUT, WINDOWS, Cause, constants, register_map

from .cases import Batch
from .compare import MismatchError, check
from .engines import random_jobs, small_jobs
from .exchange import Access, Faults, Side
from .hostile import first_error, first_error_reads, hostile, output_parts, plane_bytes
from .scatter import scatter
from .session import Session, Simulation, cycle_limit
from .simulators.runner import SimulationError

__all__ = ["COUNTS", "KINDS", "play"]

SLVERR = 2
BURST_BEATS = 16            # bursts end at multiples of so many beats
JOBS = 12                   # of a table, unless the kind wants fewer
MANY = 12                   # times as many, now and then
SHORT = 4
STALLS = (None, None, 0.1, 0.4)         # of the memory: mostly that of the session
CHANCES = (0.0005, 0.002, 0.01, 0.05)   # of an error, in an answer
SPANS = (60, 400, 2500)     # cycles from a doorbell to a reset or silence, at most
TIMEOUTS = (40, 100, 300, 1000)
LENGTHS = (1, 1, 1, 2, 3, 10)           # cycles of a reset
WINDOW_ENDS = tuple(f"{name}_{end}" for name in WINDOWS for end in ("base", "limit"))


@dataclass(eq=False)
class _Table:
    """A doorbell, and what checks its results and counts them."""

    batch: Batch
    check: Callable[[Simulation], Counter]


# -- tables ---------------------------------------------------------------------------------------
class _Maker:
    """Tables of one kind, drawn by a generator."""

    def __init__(self, config: EngineConfig, rng: Random):
        self.config, self.rng = config, rng
        self.at = {register.name: register.address for register in register_map(config)}

    def write(self, name: str, value: int) -> Access:
        return Access(self.at[name], value, write=True)

    def jobs(self, count: int) -> Sequence[Job]:
        return random_jobs(self.config, count, self.rng.randrange(1 << 30))

    def batch(self, jobs: Sequence[Job], faults: Faults | None = None, **more: Any) -> Batch:
        """A table in one piece or in many, with pauses or without."""
        rng = self.rng
        faults = replace(faults or Faults(), seed=rng.randrange(1 << 30))
        if faults.stall is None:
            faults = replace(faults, stall=rng.choice(STALLS))
        made = (scatter(jobs, self.config, rng.randrange(1 << 30)) if rng.random() < 0.5
                else Batch(jobs, image=build_image(jobs, self.config)))
        limit = cycle_limit(jobs, self.config, max(faults.stall or 0, 0.3))
        return replace(made, faults=faults, cycles=limit, **more)

    def moment(self) -> int:
        """Cycles from a doorbell to a fault: as often soon as late."""
        return self.rng.randrange(self.rng.choice(SPANS))

    def good(self, count: int, **more: Any) -> _Table:
        """A table whose every result is owed."""
        jobs = self.jobs(count)

        def verify(run: Simulation) -> Counter:
            check(run, jobs, self.config)
            return Counter(owed=len(jobs))

        return _Table(self.batch(jobs, **more), verify)

    def places(self) -> Iterator[_Table]:
        """No fault: pieces anywhere, responses that wait."""
        yield self.good(JOBS, hold=self.rng.choice((0, 0, 0, 2, 100)))

    def pauses(self) -> Iterator[_Table]:
        """Channels that hardly ever move."""
        yield self.good(SHORT, faults=Faults(stall=self.rng.choice((0.6, 0.8, 0.9, 0.95))))

    def errors(self) -> Iterator[_Table]:
        """Answers with SLVERR or DECERR, of any beat and any burst."""
        rng, config = self.rng, self.config
        jobs = self.jobs(JOBS)
        if rng.random() < 0.7:
            jobs = [job.alone() for job in jobs]
        if rng.random() < 0.05:     # indices of many bits
            jobs = small_jobs(config, 3 * JOBS, rng.randrange(1 << 30))[:JOBS] * MANY
        which = rng.randrange(3)
        batch = self.batch(jobs, Faults(read_errors=rng.choice(CHANCES) if which < 2 else 0.0,
                                        write_errors=rng.choice(CHANCES) if which else 0.0,
                                        interrupts=rng.random() < 0.5),
                           hold=rng.choice((0, 0, 0, 100)), after=first_error_reads(config))
        yield _Table(batch, lambda run: _check_errors(run, batch, config))

    def descriptors(self) -> Iterator[_Table]:
        """Any sixteen words, windows that are locked, and what lies outside."""
        table = hostile(self.config, JOBS, self.rng)
        locked = self.rng.random() < 0.5
        before = list(table.batch.before)
        if locked:
            before += [self.write("lock", 1)]
            before += [self.write(name, self.rng.getrandbits(32)) for name in WINDOW_ENDS]
        stall = self.rng.choice(STALLS)
        batch = replace(
            table.batch, before=before,
            cycles=cycle_limit(table.batch.jobs, self.config, max(stall or 0, 0.3)),
            faults=Faults(fences=table.fences, stall=stall, seed=self.rng.randrange(1 << 30)))

        def verify(run: Simulation) -> Counter:
            answers = [response for _, response, _ in run.accesses["before"]]
            wanted = [0] * len(table.batch.before) + [0] * locked + [
                SLVERR] * locked * len(WINDOW_ENDS)
            _same("responses to writes of windows", answers, wanted)
            return table.check(run, self.config)

        yield _Table(batch, verify)

    def silence(self) -> Iterator[_Table]:
        """A channel that does not move any more; then an abort or a reset, and another table."""
        rng = self.rng
        timeout = 100 + rng.choice(TIMEOUTS) + rng.randrange(4)     # odd ones, too
        side = rng.choice(list(Side))
        jobs = self.jobs(JOBS)
        # Without pauses that are longer than the memory may take.
        faults = Faults(silence=(side, self.moment()), early=rng.random() < 0.5, stall=0.0)
        batch = self.batch(jobs, faults, before=[self.write("timeout", timeout)],
                           reset=(0, rng.choice(LENGTHS)) if rng.random() < 0.3 else None)

        def verify(run: Simulation) -> Counter:
            if not run.halted:
                check(run, jobs, self.config)
                return Counter(owed=len(jobs))
            return Counter(halted=len(jobs))

        yield _Table(batch, verify)
        yield self.good(SHORT, before=[self.write("timeout", TIMEOUT)])

    def reset(self) -> Iterator[_Table]:
        """Of coprocessor and memory together, in the middle of a table."""
        yield from self._cut(self.rng.choice(LENGTHS))

    def abort(self) -> Iterator[_Table]:
        """Of the coprocessor alone."""
        yield from self._cut(0)

    def _cut(self, length: int) -> Iterator[_Table]:
        jobs = self.jobs(SHORT)
        batch = self.batch(jobs, Faults(late=True), reset=(self.moment(), length))

        def verify(run: Simulation) -> Counter:
            if not run.aborted:
                check(run, jobs, self.config)
                return Counter(owed=len(jobs))
            return Counter(cut=len(jobs))

        yield _Table(batch, verify)
        yield self.good(SHORT)

    def registers(self) -> Iterator[_Table]:
        """Reads and writes of everything while a table is worked off; none of them may matter."""
        jobs = self.jobs(JOBS)
        # A table that a doorbell refuses, so that none starts when this one is over.
        during = [self.write("table", self.rng.getrandbits(32) | 1 << self.rng.randrange(6))]
        during += [self._access(index) for index in range(self.rng.randrange(5, 40))]
        batch = self.batch(jobs, during=during)

        def verify(run: Simulation) -> Counter:
            check(run, jobs, self.config)
            self._check_answers(during, run.accesses["during"])
            return Counter(owed=len(jobs), accesses=len(during))

        yield _Table(batch, verify)

    def _access(self, index: int) -> Access:
        """Nothing that a host would have to take for meant."""
        rng = self.rng
        known = {address: name for name, address in self.at.items()}
        address = 4 * rng.randrange(64) if rng.random() < 0.3 else rng.choice(list(known))
        together = index > 0 and rng.random() < 0.3
        if rng.random() < 0.4:
            return Access(address, together=together)
        first = rng.randrange(4)
        size = rng.randint(1, 4 - first)
        if known.get(address) == "timeout":     # no less than what a slow memory needs
            first, size = 0, 4
        value = rng.getrandbits(8 * size)
        if known.get(address) == "timeout":
            value |= TIMEOUT
        if first == 0:
            keep = {"irq_enable": (0b11, 0b01), "status": (0b1010, 0), "control": (1, 0),
                    "table": (1, 1)}.get(known.get(address, ""))
            if keep:
                value = value & ~keep[0] | keep[1]
        return Access(address + first, value, True, size, together)

    def _check_answers(self, accesses: Sequence[Access], answers: Sequence) -> None:
        known = {address: name for name, address in self.at.items()}
        fixed = constants(self.config)
        for access, (value, response, _) in zip(accesses, answers, strict=True):
            name = known.get(access.address & ~3)
            where = f"{'write' if access.write else 'read'} at {access.address:#x}"
            if name is None or access.write and name == "doorbell":
                _same(f"response to a {where}", response, SLVERR)
            elif not (access.write and name.removesuffix("_high") in WINDOW_ENDS):
                # Windows are open once the table is over.
                _same(f"response to a {where}", response, 0)
            if not access.write and name in fixed:
                _same(f"register {name}", value, fixed[name])


# How often a kind comes, and whether it leaves registers that only a reset makes as they were.
KINDS: dict[str, tuple[int, bool]] = {
    "places": (4, False), "pauses": (1, False), "errors": (4, False), "descriptors": (3, True),
    "silence": (2, False), "reset": (3, False), "abort": (3, False), "registers": (2, True)}

# Of jobs: rung for, with a result that is owed and right, told to have failed in the memory,
# refused by descriptor or window, in tables that ended for want of answers or were cut off. Then of
# tables, answers with errors, and register accesses while busy.
COUNTS = ("jobs", "owed", "failed", "refused", "halted", "cut", "tables", "errors", "accesses")


# -- checks ---------------------------------------------------------------------------------------
def _same(what: str, got: Any, want: Any) -> None:
    if got != want:
        raise MismatchError(f"{what} must be {want}, not {got}")


def _parts(batch: Batch, config: EngineConfig) -> Iterator[tuple[int, int, int, str]]:
    """``(address, size, job, what)`` of descriptors, planes, outputs and records."""
    image = batch.image
    assert image is not None
    size = config.descriptor_bytes
    for n, job in enumerate(batch.jobs):
        kind = engine_of(config).kind(job)
        values = described(image, n, kind, config)
        yield image.table + n * size, size, n, "descriptor"
        for plane in kind.planes_of(job):
            yield values[plane.name], plane_bytes(job, plane.name, config), n, "plane"
        for name, part in output_parts(job, config).items():
            yield values[name], part, n, "output"
        yield values["status"], STATUS_BYTES, n, "record"


def _on_the_bus(batch: Batch, config: EngineConfig) -> list[tuple[int, int, int, str]]:
    """The same where they lie on the bus. Of a table in pieces the first of them is the table."""
    image = batch.image
    assert image is not None
    moved = next((address - first for first, size, address in batch.places
                  if first <= image.table < first + size), 0)
    return [(at + moved if what == "descriptor" else at, size, n, what)
            for at, size, n, what in _parts(batch, config)]


@dataclass(eq=False)
class _Hit:
    """What met errors: the jobs by part, and those that share a plane with others.

    Members
    -------
    parts : dict of str to set of int
    maybe : set of int
        Jobs of which nobody knows whether it was they that read the plane.
    groups : list of set of int
        At least one job of each did.
    """

    parts: dict[str, set[int]]
    maybe: set[int]
    groups: list[set[int]]


def _hit(run: Simulation, batch: Batch, config: EngineConfig) -> _Hit:
    """The jobs whose parts met an error."""
    hit = _Hit({what: set() for what in ("descriptor", "plane", "output", "record")}, set(), [])
    parts = _on_the_bus(batch, config)
    for answer in run.drawn:
        met = [(n, what) for at, size, n, what in parts
               if at < answer.address + answer.size and answer.address < at + size]
        if not met:
            raise MismatchError(f"nothing lies at {answer.address:#x}, which was "
                                f"{'written' if answer.write else 'read'}")
        for n, what in met:
            if answer.write != (what in ("output", "record")):
                raise MismatchError(f"the {what} of job {n} was "
                                    f"{'written' if answer.write else 'read'}")
        readers = {n for n, what in met if what == "plane"}
        if len(readers) > 1:
            hit.maybe |= readers
            hit.groups.append(readers)
        else:
            for n, what in met:
                hit.parts[what].add(n)
    return hit


def _check_errors(run: Simulation, batch: Batch, config: EngineConfig) -> Counter:
    """Jobs that met an error tell of it, and the others are as if there were none."""
    hit, jobs, engine = _hit(run, batch, config), batch.jobs, engine_of(config)
    parts = hit.parts
    for n in hit.maybe:
        if n not in parts["descriptor"] and run.results[n][1] == failed(jobs[n], Error.BUS, config):
            parts["plane"].add(n)
    for group in hit.groups:
        if not group & (parts["plane"] | parts["descriptor"]):
            raise MismatchError(f"one of the jobs {group} must tell of a plane that was not read")
    for n, job in enumerate(jobs):      # what is held of a job that failed is no good
        if getattr(job, "held", False) and n - 1 in parts["descriptor"] | parts["plane"]:
            parts["plane"].add(n)
    for n, (job, (out, status)) in enumerate(zip(jobs, run.results, strict=True)):
        kind = engine.kind(job)
        untouched = kind.unpack(bytes([FILL]) * out_bytes(job, config), job, config)
        where = f"job {n}, {[what for what, met in parts.items() if n in met]}: "
        right: np.ndarray | None = untouched
        if n in parts["descriptor"]:
            want = None
        elif n in parts["plane"]:
            want = failed(job, Error.BUS, config)
            right = None if kind.spoils(config) else untouched
        elif n in parts["output"]:
            want, right = failed(job, Error.WRITE, config), None
        else:
            result = engine.compute(job, config)
            right = result.out
            want = kind.record(job, result, config, frozenset())
            if status is not None and job.shared:       # who read the planes is not known
                want = replace(want, read_bytes=status.read_bytes)
        _same(f"{where}status", status, want)
        if right is not None and not np.array_equal(out, right):
            raise MismatchError(f"{where}another output")
    bad = set().union(*parts.values())
    for name, value in (("jobs_done", len(jobs)), ("jobs_failed", len(bad)),
                        ("read_bytes", run.bus_read_bytes), ("write_bytes", run.bus_write_bytes)):
        _same(f"register {name}", run.registers[name], value)
    if batch.faults.interrupts:
        _same("whether the interrupt of errors came", bool(run.served), bool(run.drawn))
    _check_first(run, batch, config)
    return Counter(owed=len(jobs) - len(bad), failed=len(bad), errors=len(run.drawn))


def _check_first(run: Simulation, batch: Batch, config: EngineConfig) -> None:
    """What the registers tell of the first error, which is that of the reads or of the writes."""
    told = first_error(run)
    if not run.drawn:
        _same("the first error", told, (0, 0, 0, 0))
        return
    cause, response, job, address = told
    for answer in (next((a for a in run.drawn if a.write == write), None)
                   for write in (False, True)):
        # A burst is answered as a whole when it is written, and beat by beat when it is read.
        if answer is None or (Cause.WRITE if answer.write else Cause.READ) != cause:
            continue
        size = BURST_BEATS * config.axi_data_width // 8
        near = address == answer.address if answer.write else (
            address <= answer.address < address // size * size + size)
        if near and response == answer.response and job in _at(answer.address, batch, config):
            return
    raise MismatchError(f"the first error must be the first of {run.drawn}, not cause {cause}, "
                        f"response {response}, job {job} at {address:#x}")


def _at(address: int, batch: Batch, config: EngineConfig) -> set[int]:
    """The jobs that an address is about."""
    return {n for at, size, n, _ in _on_the_bus(batch, config) if at <= address < at + size}


# -- a simulation ---------------------------------------------------------------------------------
def play(session: Session, jobs: int, seed: int,
         kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Counter]:
    """Tables with faults until so many jobs were rung for; what became of them, by kind.

    Raises
    ------
    MismatchError, SimulationError
        The coprocessor did otherwise; the text tells the kind and the number of the table.
    """
    rng, config = Random(seed), session.config
    found = {kind: Counter[str]() for kind in kinds}
    weights = [KINDS[kind][0] for kind in kinds]
    tables = 0
    while sum(counts["jobs"] for counts in found.values()) < jobs:
        kind = rng.choices(kinds, weights)[0]
        try:
            for table in getattr(_Maker(config, rng), kind)():
                found[kind] += Counter(jobs=len(table.batch.jobs), tables=1)
                tables += 1
                found[kind] += table.check(session.ring(table.batch))
            if KINDS[kind][1]:
                session.restart()
        except (MismatchError, SimulationError) as err:
            raise type(err)(f"table {tables}, {kind}: {err}") from None
    return found

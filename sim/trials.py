# SPDX-License-Identifier: Apache-2.0
"""The tables that tell a coprocessor with a fault from one without, and how they are compared.

They are of the kinds that ``tests/sim`` has: random jobs, images at any address, descriptors and
buses with errors, false claims of shared keys, outputs outside their window, resets in the middle
of a table, write responses that wait, register accesses, tables of many jobs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import build_image, described
from prunus.golden.jobs import AttentionJob, Job
from prunus.golden.records import WORD_BITS
from prunus.golden.registers import TIMEOUT, Status, counter_names, register_map
from prunus.golden.softmax import SCALE_SHIFT_MAX, SCALE_SHIFT_MIN

from .cases import Batch
from .engines import bench_of, random_jobs, small_jobs
from .exchange import Access, Faults
from .hostile import first_error_reads, needy_jobs
from .scatter import scatter
from .session import Simulation

__all__ = ["TRIALS", "Trial", "difference", "limited", "slower"]

LATE = Faults(late=True)    # a table may be over before its reset
WAIT = 400                  # reads of a register while a small table is worked off
MANY = 300                  # jobs of a table: more than eight bits of its index
WORK = 8                    # times that forty jobs come in a table
BITS = (0x00000000, 0xFFFFFFC0, 0x55555540, 0xAAAAAA80)     # addresses of a table


@dataclass(frozen=True)
class Trial:
    """Tables of one simulation, and how its buses pause.

    Members
    -------
    name : str
    stall : float
    """

    name: str
    stall: float

    def batches(self, config: EngineConfig, seed: int) -> list[Batch]:
        """The tables, always the same for a seed; short ones come first."""
        return list({"short": _short, "long": _long, "stalled": _stalled, "many": _many}[self.name](
            config, seed))


TRIALS = (Trial("short", 0.0), Trial("stalled", 0.3), Trial("long", 0.0), Trial("stalled", 0.8),
          Trial("many", 0.0))


def _small(config: EngineConfig, count: int, seed: int) -> list[Job]:
    """Random jobs of little work."""
    return small_jobs(config, 12 * count, seed)[4 : 4 + count]


def _busy(config: EngineConfig, seed: int) -> Any:
    """A job of little work, with several rows, that reads all of its planes."""
    drawn = [job for job in needy_jobs(config, 24, Random(seed))
             if isinstance(job, AttentionJob)]
    return min((job for job in drawn if min(len(job.q), job.valid_kv) > 1 and job.d > 8),
               key=lambda job: len(job.q) + len(job.k))


def _registers(config: EngineConfig, seed: int) -> Batch:
    """Registers read, written whole and in bytes, and doorbells that are refused."""
    known = register_map(config)
    at = {register.name: register.address for register in known}

    def write(name: str, value: int, first: int = 0, size: int = 4, together: bool = False):
        return Access(at[name] + first, value, True, size, together)

    reads = [Access(address, together=address % 8 == 4) for address in range(0, 256, 4)]
    before = [*reads, write("doorbell", 0)]
    for value in BITS:
        before += [write("table", value), Access(at["table"])]
    before += [write("table", 0x0FF04321), write("doorbell", 1), Access(at["status"])]
    before += [access for n in range(4) for access in (
        write("table", 0x5A + n, n, 1), Access(at["table"]))]
    before += [write("irq_enable", 1), Access(at["irq_enable"]), write("irq_enable", 0, 1, 1),
               Access(at["irq_enable"]), write("irq_enable", 0, 0, 1), Access(at["irq_enable"])]
    before += [write("table", 64 * n, together=n > 0) for n in range(6)] + [Access(at["table"])]
    # Windows and the rest, whole and byte by byte, then as they were after the reset.
    resets = {"timeout": TIMEOUT} | {name: 0 if "_base" in name else ~0 & 0xFFFF_FFFF
                                     for name in at if re.search("_base|_limit", name)}
    before += [write(name, 4096 + 64 * n, together=n > 0) for n, name in enumerate(resets)]
    before += [Access(at[name]) for name in resets]
    for name, reset in resets.items():
        for value in (*BITS, ~0 & 0xFFFF_FFFF):
            before += [write(name, value), Access(at[name])]
            before += [access for n in range(4) for access in (
                write(name, ~value >> 8 * n & 0xFF, n, 1), Access(at[name]))]
        before.append(write(name, reset))
    # What cannot be written lies beside what can.
    meant = {register.address for register in known if register.access != "ro"}
    before += [Access(address, value, write=True) for address in range(0, 256, 4)
               if address not in meant for value in (0, 1)]
    before += [Access(address) for address in sorted(meant)]
    during = [write("doorbell", 1), Access(at["status"])]
    after = [Access(at["status"]), write("status", 1 << Status.BUSY), Access(at["status"])]
    return Batch(_small(config, 2, seed), before=before, during=during, after=after)


def _doorbells(config: EngineConfig, seed: int) -> Batch:
    """Doorbells in bytes, behind a whole one. The other bytes are those of the one before."""
    at = {register.name: register.address for register in register_map(config)}
    jobs = _small(config, 2, seed)
    after = [Access(at["doorbell"] + n, n > 0, True, 1) for n in (0, 2, 3)]     # 0 and too many
    for first, value in ((0, 1), (1, 0)):
        after += [Access(at["doorbell"] + first, value, True, 1), *[Access(at["id"])] * WAIT,
                  Access(at["status"]), Access(at["jobs_done"]),
                  Access(at["status"], 1 << Status.IRQ, True), Access(at["status"])]
    return Batch(jobs, image=build_image(jobs, config), after=after)


def _bytes(config: EngineConfig, seed: int) -> Batch:
    """The accesses to registers of a coprocessor that has nothing to do."""
    return replace(_registers(config, seed), during=(), after=())


def _claims(config: EngineConfig, seed: int) -> Batch:
    """Jobs that claim to have the keys and values of the one before, rightly or not."""
    job = _busy(config, seed)
    kind = engine_of(config).kind(job)
    record = kind.descriptor_of(config)
    changes = [{}, {"d": job.d - 8}, {"valid_kv": job.valid_kv - 1}, {"valid_q": 0},
               *({name: config.axi_data_width // 8} for name in kind.addresses
                 if name not in ("out", "status"))]
    jobs = [job] * (3 * len(changes))
    image = build_image([each.alone() for each in jobs], config)
    for n, change in enumerate(changes):
        # The one that claims, and one more that claims what that one had.
        own = described(image, 3 * n, kind, config)
        for later in (3 * n + 1, 3 * n + 2):
            values = described(image, later, kind, config)
            values |= {name: own[name] for name in kind.addresses if name not in ("out", "status")}
            if later == 3 * n + 1:
                values |= {name: values[name] + value if name in kind.addresses else value
                           for name, value in change.items()}
            image.describe(later, record.pack(values | {"same_kv": 1}))
    return Batch(jobs, image=image)


def _refused(config: EngineConfig, seed: int) -> Batch:
    """Outputs outside their window, behind others that lie in it."""
    jobs = [job for job in _small(config, 40, seed) if job.output()[0] > 1]
    image = build_image(jobs, config)
    at = {register.name: register.address for register in register_map(config)}
    inside = image.out[len(jobs) // 2] - 1
    before = [Access(at["results_limit"], inside, write=True)]
    after = [*first_error_reads(config), Access(at["results_limit"], ~0 & 0xFFFF_FFFF, write=True)]
    return Batch(jobs, image=image, before=before, after=after)


def _wrong(config: EngineConfig, kind: Any, values: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """One field of a descriptor at a time out of what is allowed."""
    yield from ({"opcode": kind.opcode ^ 1 << bit} for bit in range(8))
    yield from ({"d": d} for d in (0, 4, values["d"] + 1, 128, 255, config.d_max + 8) if d < 256)
    for name in ("q", "kv"):
        yield from ({f"l_{name}": n} for n in (0, config.l_max + 1, 0x8000, 0xFFFF))
        yield {f"valid_{name}": values[f"l_{name}"] + 1}
        yield {f"valid_{name}": 0x8000}
    yield from ({"shift": n} for n in (0, SCALE_SHIFT_MIN - 1, SCALE_SHIFT_MAX + 1, 0x10C, 0x8020))
    for name, (low, high) in kind.limits(config).items():
        pieces = kind.descriptor_of(config).pieces(name)
        width = sum(piece.width for piece in pieces)
        least = -(1 << width - 1) if pieces[-1].signed else 0
        ends = (low - 1, high + 1, least, least + (1 << width) - 1)
        yield from ({name: n} for n in ends
                    if least <= n < least + (1 << width) and not low <= n <= high)
    for name in [*(plane.name for plane in kind.planes), "out"]:
        yield {name: values[name] + 1}
        yield {name: values[name] + config.axi_data_width // 16}


def _bad(config: EngineConfig, seed: int) -> Iterator[Batch]:
    """Descriptors that must be refused, between good ones; reads answered with an error."""
    job = _busy(config, seed)
    kind = engine_of(config).kind(job)
    probe = build_image([job], config)
    own, record = described(probe, 0, kind, config), kind.descriptor_of(config)
    wrongs = list(_wrong(config, kind, own))
    used = {bit for field in record for bit in range(field.first, field.first + field.width)}
    reserved = [bit for bit in range(WORD_BITS) if bit not in used]
    planes = [*(plane.name for plane in kind.planes), "out"]
    jobs = [job] * (len(wrongs) + len(reserved) + len(planes) + 1)
    image = build_image(jobs, config)
    for n, wrong in enumerate(wrongs):
        values = described(image, n, kind, config)
        moved = {name: values[name] + value - own[name] if name in kind.addresses else value
                 for name, value in wrong.items()}
        image.describe(n, record.pack(values | moved))
    for n, bit in enumerate(reserved, len(wrongs)):
        words = image.descriptor(n, config)
        words[0] |= np.uint32(1 << bit)
        image.describe(n, words)
    for n, name in enumerate(planes, len(wrongs) + len(reserved)):      # goes on at address 0
        end = 1 << config.axi_address_width
        image.describe(n, record.pack(
            described(image, n, kind, config) | {name: end - config.axi_data_width // 8}))
    yield Batch(jobs, image=image, after=first_error_reads(config))
    jobs = [job] * (2 * len(kind.planes) + 1)
    image, errors = build_image(jobs, config), []
    for n, plane in enumerate(kind.planes):
        first = described(image, 2 * n, kind, config)[plane.name]
        errors.append((first, first + config.axi_data_width // 8))
    yield Batch(jobs, image=image, read_errors=errors, after=first_error_reads(config))


def _other_kinds(config: EngineConfig, seed: int) -> Iterator[Batch]:
    """Of jobs that are no heads: descriptors that must be refused, planes that cannot be read, each
    with good ones behind it."""
    after = first_error_reads(config)
    for job, wrongs in bench_of(config).wrong_jobs(config, seed):
        kind = engine_of(config).kind(job)
        own = described(build_image([job], config), 0, kind, config)
        jobs = [job] * (2 * len(wrongs) + 1)
        image = build_image(jobs, config)
        for n, wrong in enumerate(wrongs):
            values = described(image, 2 * n, kind, config)
            moved = {name: values[name] + value - own[name] if name in kind.addresses else value
                     for name, value in wrong.items()}
            image.describe(2 * n, kind.descriptor_of(config).pack(values | moved))
        yield Batch(jobs, image=image, after=after)
        planes = kind.planes_of(job)
        jobs = [job] * (2 * len(planes) + 1)
        image, beat = build_image(jobs, config), config.axi_data_width // 8
        places = [described(image, 2 * n, kind, config)[plane.name]
                  for n, plane in enumerate(planes)]
        yield Batch(jobs, image=image, read_errors=[(at, at + beat) for at in places], after=after)


def _short(config: EngineConfig, seed: int) -> Iterator[Batch]:
    yield Batch(_small(config, 3, seed))
    yield _registers(config, seed)
    yield _doorbells(config, seed)
    yield _claims(config, seed)
    yield _refused(config, seed)
    yield scatter(_small(config, 4, seed + 1), config, seed)
    yield from _bad(config, seed)
    yield from _other_kinds(config, seed)
    table = _small(config, 3, seed + 2)
    yield Batch(table, reset=(150, 1), faults=LATE)
    yield scatter(random_jobs(config, 4, seed + 3), config, seed + 1)
    yield Batch(random_jobs(config, 8, seed + 4))


def _long(config: EngineConfig, seed: int) -> Iterator[Batch]:
    for n in range(3):
        yield scatter(random_jobs(config, 6, seed + 10 + n), config, seed + 2 + n)
    jobs = sorted(random_jobs(config, 40, seed), key=lambda job: -np.prod(job.output()))[:4]
    yield Batch([job.alone() for job in jobs], hold=100)
    yield Batch(random_jobs(config, 4, seed + 20), reset=(700, 2), faults=LATE)
    for n in range(4):
        yield Batch(random_jobs(config, 8, seed + 21 + n))
    yield Batch(bench_of(config).hard_jobs(config, seed))


def _stalled(config: EngineConfig, seed: int) -> Iterator[Batch]:
    yield _bytes(config, seed)
    yield _claims(config, seed)
    yield _refused(config, seed)
    yield scatter(_small(config, 4, seed + 30), config, seed + 5)
    yield Batch(bench_of(config).hard_jobs(config, seed))
    yield Batch(random_jobs(config, 8, seed + 31))


def _many(config: EngineConfig, seed: int) -> Iterator[Batch]:
    """Tables of many jobs and of much work, for bits of counters and of indices. Of each of the
    first something is wrong with the last job: its descriptor, what it reads, what it writes."""
    jobs = [*_small(config, 10, seed) * (MANY // 10), _busy(config, seed)]
    last, beat = len(jobs) - 1, config.axi_data_width // 8
    kind, after = engine_of(config).kind(jobs[last]), first_error_reads(config)
    record = kind.descriptor_of(config)
    for field in ("opcode", kind.planes[0].name, "out", "status"):
        image = build_image([job.alone() for job in jobs], config)
        values = described(image, last, kind, config)
        where = ((values[field], values[field] + beat),)
        if field == "opcode":
            image.describe(last, record.pack(values | {field: 0}))
            yield Batch(jobs, image=image, after=after)
        elif field in ("out", "status"):
            yield Batch(jobs, image=image, after=after, faults=Faults(bad_writes=where))
        else:
            yield Batch(jobs, image=image, after=after, read_errors=where)
    yield Batch([job.alone() for job in random_jobs(config, 40, seed)] * WORK)


# -- what is compared -----------------------------------------------------------------------------
def _timed(config: EngineConfig) -> set[str]:
    """Counters that say how long something took."""
    return {"cycles", *(name for name in counter_names(config) if name.startswith("idle_"))}


def difference(got: Simulation, want: Simulation, config: EngineConfig) -> str:
    """What a table gave otherwise, in a few words: outputs, records, counters, answers."""
    for n, ((out, status), (right, record)) in enumerate(zip(got.results, want.results,
                                                             strict=True)):
        if status != record:
            return f"job {n}: another status record"
        if not np.array_equal(out, right):
            return f"job {n}: another output"
    for name, value in want.registers.items():
        if name not in _timed(config) and got.registers[name] != value:
            return f"another {name}"
    for way in ("read", "write"):
        if getattr(got, f"bus_{way}_bytes") != getattr(want, f"bus_{way}_bytes"):
            return f"other bytes {way}"
    if got.accesses != want.accesses:
        return "other answers of registers"
    return ""


def slower(got: Simulation, want: Simulation, config: EngineConfig) -> str:
    """What a table took otherwise, though it gave the same: cycles, and what they were used for."""
    for name in sorted(_timed(config)):
        if not got.aborted and got.registers[name] != want.registers[name]:
            return f"{name} {got.registers[name]}, not {want.registers[name]}"
    return ""


def limited(batches: Sequence[Batch], runs: Sequence[Simulation]) -> list[Batch]:
    """The same tables with a watchdog that knows how long they take."""
    return [replace(batch, cycles=3 * run.cycles + 3000)
            for batch, run in zip(batches, runs, strict=True)]

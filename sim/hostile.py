# SPDX-License-Identifier: Apache-2.0
"""Tables with hostile descriptors between good ones, and what must become of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from prunus.golden.descriptors import Window, descriptor_error, has_record, kind_of
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import FILL, Image, failed, out_bytes
from prunus.golden.jobs import AttentionJob, Job
from prunus.golden.records import STATUS_BYTES, WORD_BITS, WORDS, Error
from prunus.golden.registers import WINDOW_BYTES, Cause, register_map

from .cases import Batch
from .compare import MismatchError
from .engines import random_jobs
from .exchange import Access
from .session import Simulation

__all__ = ["Hostile", "first_error", "first_error_reads", "hostile", "needy_jobs", "output_parts",
           "plane_bytes"]

GAP = 1024                  # between the windows; must stay as it is
PAGE = 4096                 # regions begin at multiples, as in an image
FAR = 1 << 28               # more than the bytes of a region
WORD_SPACE = 1 << WORD_BITS


def first_error_reads(config: EngineConfig) -> list[Access]:
    """Reads of the registers that tell of the first error."""
    at = {register.name: register.address for register in register_map(config)}
    return [Access(at[name]) for name in ("error", "error_address", "error_address_high")
            if name in at]


def first_error(run: Simulation) -> tuple[int, int, int, int]:
    """``(cause, response, job, address)`` of the first error, after a table that ended with
    :func:`first_error_reads`."""
    value, low, *high = (answer for answer, _, _ in run.accesses["after"])
    return (value & 0xFF, value >> 8 & 3, value >> 16,
            low | (high[0] << WORD_BITS if high else 0))


def needy_jobs(config: EngineConfig, count: int, rng: Random) -> list[Job]:
    """At most so many jobs that read all of their planes and write an output."""
    drawn: list[Any] = list(random_jobs(config, 2 * count, rng.randrange(1 << 30)))
    jobs = [job.alone() for job in drawn if job.output()[0]
            and not (isinstance(job, AttentionJob) and 0 in (job.valid_q, job.valid_kv))]
    return [replace(job, tau_head=0) if hasattr(job, "tau_head") else job for job in jobs[:count]]


def laid_out(jobs: Sequence[Job], config: EngineConfig, margin: int, rng: Random
             ) -> tuple[Image, dict[str, Window], list[tuple[int, int, int]]]:
    """An image with a region for each window, the windows, and where the regions lie on the bus;
    nothing is shared. Windows are wider than what lies there by ``margin`` bytes at each end.

    The regions are far apart. With wide addresses their lower 32 bits are those in the image, so
    what is cut there lies in another region; else they lie anywhere.
    """
    image, kinds = Image(), [engine_of(config).kind(job) for job in jobs]
    windows: dict[str, Window] = {}
    places: list[tuple[int, int, int]] = []
    top = config.axi_address_width - WORD_BITS
    names = ("records", "operands", "results")
    if config.wide:
        shifts = {name: upper << WORD_BITS
                  for name, upper in zip(names, ((1 << top) - 1, 1, (1 << top) // 2), strict=True)}
    else:
        shifts = {name: part * FAR + rng.randrange(FAR // 2) // PAGE * PAGE
                  for name, part in zip(names, rng.sample(range(WORD_SPACE // FAR), 3),
                                        strict=True)}

    def region(name, fill):
        first = image.reserve(GAP, 128)
        fill()
        end = image.reserve(GAP, 64)
        windows[name] = Window(shifts[name] + first + GAP - margin,
                               shifts[name] + end + margin - 1)
        places.append((first, end + GAP - first, shifts[name] + first))

    def records():
        image.table = image.reserve(config.descriptor_bytes * len(jobs), 128)
        image.status += [image.place(np.full(STATUS_BYTES, FILL, np.uint8)) for _ in jobs]

    addresses: list[dict[str, int]] = []

    def operands():
        for job, kind in zip(jobs, kinds, strict=True):
            layout, codes = kind.layout(config), job.operands()
            addresses.append({plane.name: image.place(layout.pack(plane.kind, codes[plane.of]))
                              for plane in kind.planes_of(job)})

    def results():
        image.out += [image.place(np.full(out_bytes(job, config), FILL, np.uint8)) for job in jobs]

    for name, fill in (("records", records), ("operands", operands), ("results", results)):
        region(name, fill)
    for n, (job, kind) in enumerate(zip(jobs, kinds, strict=True)):
        own = {name: at + shifts["operands"] for name, at in addresses[n].items()}
        own |= kind.result_places(job, image.out[n] + shifts["results"], config)
        image.describe(n, kind.encode(job, dict.fromkeys(kind.addresses, 0) | own | {
            "status": image.status[n] + shifts["records"]}, config))
    return image, windows, places


def plane_bytes(job: Job, name: str, config: EngineConfig) -> int:
    """Of a plane of operands, or of ``out``."""
    if name.startswith("out"):
        return output_parts(job, config)[name]
    kind = engine_of(config).kind(job)
    plane = next(plane for plane in kind.planes_of(job) if plane.name == name)
    rows, d = job.operands()[plane.of].shape
    return rows * kind.layout(config).row_bytes(plane.kind, d)


def output_parts(job: Job, config: EngineConfig) -> dict[str, int]:
    """Bytes from each address of an output on."""
    kind = engine_of(config).kind(job)
    places = {name: at for name, at in kind.result_places(job, PAGE, config).items() if at}
    ends = [*places.values(), PAGE + kind.out_bytes(job, config)][1:] if places else []
    return {name: end - at for (name, at), end in zip(places.items(), ends, strict=True)}


def _said(words: np.ndarray, config: EngineConfig) -> dict[str, int]:
    """Fields, of a head if the opcode is none."""
    kind = kind_of(words, config) or engine_of(config).kinds[0]
    return kind.descriptor_of(config).unpack(words.tobytes())


def _spoil(words: np.ndarray, job: Job, rng: Random, windows: Mapping[str, Window],
           config: EngineConfig) -> np.ndarray:
    """A descriptor with something wrong, most of the time."""
    words, count = words.copy(), len(words)
    kind = engine_of(config).kind(job)
    places, outs = [plane.name for plane in kind.planes_of(job)], [*output_parts(job, config)]
    status = _said(words, config)["status"]
    end = 1 << config.axi_address_width

    def put(name: str, address: int) -> None:
        """All bits of it, or its lower word alone."""
        word = kind.descriptor.pieces(name)[0].word
        words[word] = address % end & 0xFFFF_FFFF
        if config.wide and rng.random() < 0.8:
            words[WORDS + word] = address % end >> WORD_BITS

    what = rng.randrange(9 if config.wide else 8)
    if what == 0:
        words[:] = rng.choice([0, 0xFFFFFFFF, 0xA5A5A5A5])
    elif what == 1:
        words[:] = [rng.getrandbits(32) for _ in range(count)]
    elif what == 2:
        words[rng.randrange(count)] ^= np.uint32(1 << rng.randrange(32))
    elif what in (3, 4, 5):     # just outside, in another window, or around the last address
        name = rng.choice([*places, *outs])
        mine, others = ("results", "operands")[:: -1 if name in places else 1]
        window, other = windows[mine], windows[rng.choice(["records", others])]
        last = window.limit + 1 - plane_bytes(job, name, config)    # ends with the window
        put(name, rng.choice([
            last, last + 8, last + 64, window.base, window.base - 8, window.base - 64,
            window.limit + 1, window.limit - 7, window.limit - 63, other.base, other.limit - 63, 0,
            end - 64, end - 8, rng.getrandbits(config.axi_address_width - 3) << 3]))
    elif what == 6:
        put("status", rng.choice([
            windows["records"].limit + 1, windows["records"].base - STATUS_BYTES,
            windows["operands"].base, windows["results"].base, 0,
            end - 64, status + 4, status + 32]))
    elif what == 8:             # a bit of an upper word
        words[rng.randrange(WORDS, count)] ^= np.uint32(1 << rng.randrange(32))
    return words


def _harmless(made: np.ndarray, own: np.ndarray, job: Job, windows: Mapping[str, Window],
              config: EngineConfig) -> bool:
    """Whether it writes no other job's output and record. It may, where its window lets it."""
    values, mine = _said(made, config), _said(own, config)
    if has_record(made, config, windows) and values["status"] != mine["status"]:
        return False
    error, kind = descriptor_error(made, config, windows), kind_of(made, config)
    head, window, parts = engine_of(config).kinds[0], windows["results"], output_parts(job, config)
    if kind is None or error and (kind is head or error not in (Error.BUS, Error.WRITE)):
        return True
    if kind is not head and any(values[name] != mine.get(name) for name in values
                                if name not in kind.addresses):
        return False                # where it writes is said for what a host makes
    # Of a head all is refused if any of it lies outside; others may write what lies inside.
    _, writes = kind.extents(values, config)
    return all(values[name] == mine[name] and size <= parts.get(name, 0)
               or error and (values[name] > window.limit or values[name] + size <= window.base)
               for name, size in writes.items())


@dataclass(eq=False)
class Hostile:
    """A table every second descriptor of which is hostile, most of the time.

    Members
    -------
    batch : Batch
        Windows are set before its doorbell.
    windows : dict of str to Window
    words : list of ndarray
        The descriptors.
    records : list of int
        Addresses of the status records of good ones.
    errors : list of Error
        What must become of each job.
    """

    batch: Batch
    windows: dict[str, Window]
    words: list[np.ndarray]
    records: list[int]
    errors: list[Error]

    @property
    def fences(self) -> tuple[tuple[int, int, int], ...]:
        """Where bursts may go."""
        ends = {name: (window.base, window.limit + 1) for name, window in self.windows.items()}
        return tuple((*ends[name], write) for name, write in (
            ("operands", 0), ("records", 0), ("results", 1), ("records", 1)))

    def check(self, run: Simulation, config: EngineConfig) -> Counter[str]:
        """How many jobs were ``refused``, and how many gave the result that is ``owed``.

        Raises MismatchError for any difference.
        """
        engine, jobs, found = engine_of(config), self.batch.jobs, Counter[str]()
        for n, (job, (out, status)) in enumerate(zip(jobs, run.results, strict=True)):
            words, error = self.words[n], self.errors[n]
            where = f"job {n}: {[hex(int(word)) for word in words]}: "
            recorded = has_record(words, config, self.windows)
            own = recorded and _said(words, config)["status"] == self.records[n]
            bad = bool(error) or not recorded
            found["refused"] += bad
            if not own and status is not None:
                raise MismatchError(f"{where}there must be no status record at its place")
            if own and error and status != failed(job, error, config):
                raise MismatchError(f"{where}status must tell of {error!r}, not {status}")
            # The hostile ones that pass may be jobs that nobody knows.
            if not bad and own and n % 2:
                found["owed"] += 1
                if (out != engine.compute(job, config).out).any():
                    raise MismatchError(f"{where}another output")
        for name, want in (("jobs_done", len(jobs)), ("jobs_failed", found["refused"])):
            if run.registers[name] != want:
                raise MismatchError(f"register {name} must be {want}, not {run.registers[name]}")
        told, known = first_error(run), self._first_errors(config)
        end = 1 << config.axi_address_width
        if not any(told[:3] == first[:3] and (told[3] - first[3]) % end < size
                   for first, size in known):
            raise MismatchError(f"the first error must be one of {known}, not {told}")
        return found

    def _first_errors(self, config: EngineConfig) -> set[tuple[tuple[int, int, int, int], int]]:
        """What the registers may tell of, and how many addresses from there on. What lies outside a
        window is told by its address, or by that of a part of it where several requests are made
        for it; what is wrong in a descriptor by the index of the job."""
        known: set[tuple[tuple[int, int, int, int], int]] = set()
        for n, (words, error) in enumerate(zip(self.words, self.errors, strict=True)):
            values, kind = _said(words, config), kind_of(words, config)
            if kind and error in (Error.BUS, Error.WRITE):
                parts = kind.extents(values, config)[error == Error.WRITE]
                several = kind is not engine_of(config).kinds[0]
                known |= {((Cause.WINDOW, 0, n, values[name]), size if several else 1)
                          for name, size in parts.items()}
            elif error:
                known.add(((error, 0, n, 0), 1))
            if not has_record(words, config, self.windows):
                known.add(((Cause.WINDOW, 0, n, values["status"]), 1))
        return known or {((0, 0, 0, 0), 1)}


def hostile(config: EngineConfig, count: int, rng: Random) -> Hostile:
    """A table of at most ``count`` jobs."""
    jobs = needy_jobs(config, count, rng)
    image, windows, places = laid_out(jobs, config, rng.choice((0, WINDOW_BYTES, GAP // 2)), rng)
    table, records = [], []
    for n, job in enumerate(jobs):
        made = own = image.descriptor(n, config)
        records.append(_said(own, config)["status"])
        while n % 2 == 0:
            made = _spoil(own, job, rng, windows, config)
            if _harmless(made, own, job, windows, config):
                break
        table.append(made)
        image.describe(n, made)
    at = {register.name: register.address for register in register_map(config)}
    bounds = {f"{name}_{end}": getattr(window, end)
              for name, window in windows.items() for end in ("base", "limit")}
    before = [Access(at[name], value & 0xFFFF_FFFF, write=True) for name, value in bounds.items()]
    before += [Access(at[f"{name}_high"], value >> WORD_BITS, write=True)
               for name, value in bounds.items() if config.wide]
    errors = [descriptor_error(words, config, windows) for words in table]
    batch = Batch(jobs, image=image, before=before, places=places, after=first_error_reads(config))
    return Hostile(batch, windows, table, records, errors)

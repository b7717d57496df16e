# SPDX-License-Identifier: Apache-2.0
"""Tables with hostile descriptors between good ones, and what must become of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np

from prunus.golden.descriptors import Window, descriptor_error, has_record
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import FILL, Image, failed, out_bytes
from prunus.golden.jobs import Job
from prunus.golden.records import DESCRIPTOR_BYTES, STATUS_BYTES, WORDS, Error
from prunus.golden.registers import register_map

from .cases import Batch
from .compare import MismatchError
from .engines import random_jobs
from .exchange import Access
from .session import Simulation

__all__ = ["Hostile", "hostile"]

GAP = 1024                  # between the windows; must stay as it is


def needy_jobs(config: EngineConfig, count: int, rng: Random) -> list[Job]:
    """At most so many jobs that read all of their planes."""
    drawn: list[Any] = list(random_jobs(config, 2 * count, rng.randrange(1 << 30)))
    jobs = [job for job in drawn if job.valid_q and job.valid_kv]
    whole = [replace(job, same_kv=False, **({"tau_head": 0} if hasattr(job, "tau_head") else {}))
             for job in jobs]
    return whole[:count]


def laid_out(jobs: Sequence[Job],
             config: EngineConfig) -> tuple[Image, dict[str, Window]]:
    """An image with a region for each window, and the windows; nothing is shared."""
    image, kinds = Image(), [engine_of(config).kind(job) for job in jobs]

    windows: dict[str, Window] = {}

    def region(name, fill):
        base = image.reserve(GAP, 64) + GAP // 2 // 64 * 64
        fill()
        end = image.reserve(GAP, 64)
        windows[name] = Window(base, end + GAP // 2 - 1)

    def records():
        image.table = image.reserve(DESCRIPTOR_BYTES * len(jobs))
        image.status += [image.place(np.full(STATUS_BYTES, FILL, np.uint8)) for _ in jobs]

    addresses: list[dict[str, int]] = []

    def operands():
        for job, kind in zip(jobs, kinds, strict=True):
            layout, codes = kind.layout(config), job.operands()
            addresses.append({plane.name: image.place(layout.pack(plane.kind, codes[plane.of]))
                              for plane in kind.planes})

    def results():
        image.out += [image.place(np.full(out_bytes(job, config), FILL, np.uint8)) for job in jobs]

    for name, fill in (("records", records), ("operands", operands), ("results", results)):
        region(name, fill)
    for n, (job, kind) in enumerate(zip(jobs, kinds, strict=True)):
        image.describe(n, kind.encode(job, addresses[n] | {"out": image.out[n],
                                                           "status": image.status[n]}))
    return image, windows


def _spoil(words: np.ndarray, rng: Random, windows: Mapping[str, Window],
           config: EngineConfig) -> np.ndarray:
    """A descriptor with something wrong, most of the time."""
    words = words.copy()
    kind = engine_of(config).kinds[0]
    places = [plane.name for plane in kind.planes]
    where = {field.name: field.word for field in kind.descriptor}
    what = rng.randrange(8)
    if what == 0:
        words[:] = rng.choice([0, 0xFFFFFFFF, 0xA5A5A5A5])
    elif what == 1:
        words[:] = [rng.getrandbits(32) for _ in range(WORDS)]
    elif what == 2:
        words[rng.randrange(WORDS)] ^= np.uint32(1 << rng.randrange(32))
    elif what in (3, 4, 5):     # just outside, in another window, or around the last address
        name = rng.choice([*places, "out"])
        window = windows["results" if name == "out" else "operands"]
        other = windows[rng.choice(["records", "results" if name != "out" else "operands"])]
        words[where[name]] = rng.choice([
            window.base - 8, window.base - 64, window.limit + 1, window.limit - 7,
            window.limit - 63, other.base, other.limit - 63, 0, 0xFFFFFFC0, 0xFFFFFFF8,
            rng.getrandbits(29) << 3])
    elif what == 6:
        words[where["status"]] = rng.choice([
            windows["records"].limit + 1, windows["operands"].base, windows["results"].base, 0,
            0xFFFFFFC0, words[where["status"]] + 4, words[where["status"]] + 32])
    return words


def _harmless(made: np.ndarray, own: np.ndarray, job: Job, windows: Mapping[str, Window],
              config: EngineConfig) -> bool:
    """Whether it writes no other job's output and record. It may, where its window lets it."""
    if has_record(made, config, windows) and made[12] != own[12]:
        return False
    if descriptor_error(made, config, windows):
        return True
    values = engine_of(config).kind(job).descriptor.unpack(made.tobytes())
    row = engine_of(config).kind(job).layout(config).row_bytes("out", values["d"])
    return made[11] == own[11] and values["l_q"] * row <= out_bytes(job, config)


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
    errors : list of Error
        What must become of each job.
    """

    batch: Batch
    windows: dict[str, Window]
    words: list[np.ndarray]
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
        assert self.batch.image is not None
        for n, (job, (out, status)) in enumerate(zip(jobs, run.results, strict=True)):
            words, error = self.words[n], self.errors[n]
            where = f"job {n}: {[hex(int(word)) for word in words]}: "
            recorded = has_record(words, config, self.windows)
            own = recorded and int(words[12]) == self.batch.image.status[n]
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
        return found


def hostile(config: EngineConfig, count: int, rng: Random) -> Hostile:
    """A table of at most ``count`` jobs."""
    jobs = needy_jobs(config, count, rng)
    image, windows = laid_out(jobs, config)
    table = []
    for n, job in enumerate(jobs):
        start = image.table + n * DESCRIPTOR_BYTES
        made = own = np.frombuffer(bytes(image.data[start : start + DESCRIPTOR_BYTES]), "<u4")
        while n % 2 == 0:
            made = _spoil(own, rng, windows, config)
            if _harmless(made, own, job, windows, config):
                break
        table.append(made)
        image.describe(n, made)
    at = {register.name: register.address for register in register_map(config)}
    before = [Access(at[f"{name}_{end}"], getattr(window, end), write=True)
              for name, window in windows.items() for end in ("base", "limit")]
    errors = [descriptor_error(words, config, windows) for words in table]
    return Hostile(Batch(jobs, image=image, before=before), windows, table, errors)

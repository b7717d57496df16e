# SPDX-License-Identifier: Apache-2.0
"""Random hostile descriptors between good ones: nothing outside the windows, and no harm done."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from prunus.golden.descriptors import Window, descriptor_error, has_record
from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import FILL, Image, failed, out_bytes
from prunus.golden.records import DESCRIPTOR_BYTES, STATUS_BYTES, WORDS, Error
from prunus.golden.registers import register_map
from prunus.sim.engines import BENCHES
from prunus.sim.simulate import Access, Batch, simulate_batches

TABLES, PAIRS = 12, 8
GAP = 1024                  # between the windows; must stay as it is


@pytest.fixture(params=sorted(BENCHES))
def config(request):
    return load_config(BENCHES[request.param].preset)


def _jobs(config, rng):
    """Jobs that read all of their planes."""
    jobs = [job for job in BENCHES[config.engine].random_jobs(config, 12 * PAIRS,
                                                              rng.randrange(1 << 30))
            if job.valid_q and job.valid_kv]
    whole = [replace(job, same_kv=False, **({"tau_head": 0} if hasattr(job, "tau_head") else {}))
             for job in jobs]
    return whole[: 2 * PAIRS]


def _laid_out(jobs, config):
    """An image with a region for each window, and the windows; nothing is shared."""
    image, windows, kinds = Image(), {}, [engine_of(config).kind(job) for job in jobs]

    def region(name, fill):
        base = image.reserve(GAP, 64) + GAP // 2 // 64 * 64
        fill()
        end = image.reserve(GAP, 64)
        windows[name] = Window(base, end + GAP // 2 - 1)

    def records():
        image.table = image.reserve(DESCRIPTOR_BYTES * len(jobs))
        image.status += [image.place(np.full(STATUS_BYTES, FILL, np.uint8)) for _ in jobs]

    addresses = []

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


def _spoil(words, rng, windows, config):
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


def _harmless(made, own, job, windows, config):
    """Whether it writes no other job's output and record. It may, where its window lets it."""
    if has_record(made, config, windows) and made[12] != own[12]:
        return False
    if descriptor_error(made, config, windows):
        return True
    values = engine_of(config).kind(job).descriptor.unpack(made.tobytes())
    row = engine_of(config).kind(job).layout(config).row_bytes("out", values["d"])
    return made[11] == own[11] and values["l_q"] * row <= out_bytes(job, config)


def _check(table, run, jobs, image, words, windows, config):
    engine, missing = engine_of(config), 0
    errors = []
    for n, (job, (out, status)) in enumerate(zip(jobs, run.results, strict=True)):
        where = f"table {table}, job {n}: {[hex(int(word)) for word in words[n]]}"
        error = descriptor_error(words[n], config, windows)
        own = int(words[n][12]) == image.status[n] and has_record(words[n], config, windows)
        lost = not has_record(words[n], config, windows)
        errors.append(bool(error) or lost)
        missing += lost
        if not own:
            assert status is None, where
        elif error:
            assert status == failed(job, error, config), where
        if not errors[-1] and own and n % 2:
            assert (out == engine.compute(job, config).out).all(), where
    assert run.registers["jobs_done"] == len(jobs)
    assert run.registers["jobs_failed"] == sum(errors), table
    return errors


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_hostile_descriptors(config, stall):
    """Every second job is one; what each window does not hold stays as it is."""
    rng = Random(f"{config.name}{stall}")
    at = {register.name: register.address for register in register_map(config)}
    batches, tables = [], []
    for _ in range(TABLES):
        jobs = _jobs(config, rng)
        image, windows = _laid_out(jobs, config)
        words = []
        for n in range(len(jobs)):
            start = image.table + n * DESCRIPTOR_BYTES
            own = np.frombuffer(bytes(image.data[start : start + DESCRIPTOR_BYTES]), "<u4")
            made = own
            while n % 2 == 0:
                made = _spoil(own, rng, windows, config)
                if _harmless(made, own, jobs[n], windows, config):
                    break
            words.append(made)
            image.describe(n, made)
        tables.append((jobs, image, words, windows))
        before = [Access(at[f"{name}_{end}"], getattr(window, end), write=True)
                  for name, window in windows.items() for end in ("base", "limit")]
        batches.append(Batch(jobs, image=image, before=before))
    runs = simulate_batches(batches, config, stall=stall)
    seen = set()
    for n, (run, (jobs, image, words, windows)) in enumerate(zip(runs, tables, strict=True)):
        assert {response for _, response, _ in run.accesses["before"]} == {0}
        _check(n, run, jobs, image, words, windows, config)
        seen |= {descriptor_error(made, config, windows) for made in words}
    assert seen >= {Error.NONE, Error.OPCODE, Error.BUS, Error.WRITE}

# SPDX-License-Identifier: Apache-2.0
"""Random hostile descriptors between good ones: nothing outside the windows, and no harm done."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from prunus.golden.descriptors import Window, descriptor_error, has_record
from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import FILL, Image, failed, out_bytes
from prunus.golden.records import STATUS_BYTES, WORD_BITS, Error
from prunus.golden.registers import register_map
from prunus.sim.engines import BENCHES
from prunus.sim.simulate import Access, Batch, simulate_batches
from tests.sim.wide import widened

TABLES, PAIRS = 12, 8
GAP = 1024                  # between the windows; must stay as it is


TINY = [load_config(BENCHES[engine].preset) for engine in sorted(BENCHES)]


@pytest.fixture(params=[*TINY, *(widened(config, width) for config, width in zip(
    TINY, (40, 48, 64), strict=True))], ids=lambda config: config.name)
def config(request):
    return request.param


def _jobs(config, rng):
    """Jobs that read all of their planes."""
    jobs = [job for job in BENCHES[config.engine].random_jobs(config, 12 * PAIRS,
                                                              rng.randrange(1 << 30))
            if job.valid_q and job.valid_kv]
    whole = [replace(job, same_kv=False, **({"tau_head": 0} if hasattr(job, "tau_head") else {}))
             for job in jobs]
    return whole[: 2 * PAIRS]


def _laid_out(jobs, config):
    """An image with a region for each window, the windows, and where the regions lie on the bus;
    nothing is shared.

    With wide addresses the regions are far apart, and their lower 32 bits are those in the image,
    so what is cut there lies in another region.
    """
    image, windows, kinds = Image(), {}, [engine_of(config).kind(job) for job in jobs]
    places, shifts = [], {}

    def region(name, fill):
        first = image.reserve(GAP, 128)
        fill()
        end = image.reserve(GAP, 64)
        shifts[name] = far[name] << WORD_BITS
        windows[name] = Window(shifts[name] + first + GAP // 2,
                               shifts[name] + end + GAP // 2 - 1)
        places.append((first, end + GAP - first, shifts[name] + first))

    top = config.axi_address_width - WORD_BITS
    far = {"records": (1 << top) - 1, "operands": bool(top), "results": (1 << top) // 2}

    def records():
        image.table = image.reserve(config.descriptor_bytes * len(jobs), 128)
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
        own = {name: at + shifts["operands"] for name, at in addresses[n].items()}
        image.describe(n, kind.encode(job, own | {
            "out": image.out[n] + shifts["results"],
            "status": image.status[n] + shifts["records"]}, config))
    return image, windows, places if top else []


def _spoil(words, rng, windows, config):
    """A descriptor with something wrong, most of the time."""
    words, count = words.copy(), len(words)
    kind = engine_of(config).kinds[0]
    places = [plane.name for plane in kind.planes]
    status = _said(words, config)["status"]
    end = 1 << config.axi_address_width

    def put(name, address):
        """All bits of it, or its lower word alone."""
        word = kind.descriptor.pieces(name)[0].word
        words[word] = address % end & 0xFFFF_FFFF
        if config.wide and rng.random() < 0.8:
            words[word + 16] = address % end >> WORD_BITS

    what = rng.randrange(9 if config.wide else 8)
    if what == 0:
        words[:] = rng.choice([0, 0xFFFFFFFF, 0xA5A5A5A5])
    elif what == 1:
        words[:] = [rng.getrandbits(32) for _ in range(count)]
    elif what == 2:
        words[rng.randrange(count)] ^= np.uint32(1 << rng.randrange(32))
    elif what in (3, 4, 5):     # just outside, in another window, or around the last address
        name = rng.choice([*places, "out"])
        window = windows["results" if name == "out" else "operands"]
        other = windows[rng.choice(["records", "results" if name != "out" else "operands"])]
        put(name, rng.choice([
            window.base - 8, window.base - 64, window.limit + 1, window.limit - 7,
            window.limit - 63, other.base, other.limit - 63, 0, end - 64, end - 8,
            rng.getrandbits(config.axi_address_width - 3) << 3]))
    elif what == 6:
        put("status", rng.choice([
            windows["records"].limit + 1, windows["operands"].base, windows["results"].base, 0,
            end - 64, status + 4, status + 32]))
    elif what == 8:             # a bit of an upper word
        words[rng.randrange(16, count)] ^= np.uint32(1 << rng.randrange(32))
    return words


def _said(words, config):
    return engine_of(config).kinds[0].descriptor_of(config).unpack(words.tobytes())


def _harmless(made, own, job, windows, config):
    """Whether it writes no other job's output and record. It may, where its window lets it."""
    values, mine = _said(made, config), _said(own, config)
    if has_record(made, config, windows) and values["status"] != mine["status"]:
        return False
    if descriptor_error(made, config, windows):
        return True
    row = engine_of(config).kind(job).layout(config).row_bytes("out", values["d"])
    return values["out"] == mine["out"] and values["l_q"] * row <= out_bytes(job, config)


def _check(table, run, jobs, records, words, windows, config):
    """``records`` are the addresses of the status records."""
    engine, missing = engine_of(config), 0
    errors = []
    for n, (job, (out, status)) in enumerate(zip(jobs, run.results, strict=True)):
        where = f"table {table}, job {n}: {[hex(int(word)) for word in words[n]]}"
        error = descriptor_error(words[n], config, windows)
        lost = not has_record(words[n], config, windows)
        own = not lost and _said(words[n], config)["status"] == records[n]
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
        image, windows, places = _laid_out(jobs, config)
        words, records = [], []
        for n in range(len(jobs)):
            own = made = image.descriptor(n, config)
            records.append(_said(own, config)["status"])
            while n % 2 == 0:
                made = _spoil(own, rng, windows, config)
                if _harmless(made, own, jobs[n], windows, config):
                    break
            words.append(made)
            image.describe(n, made)
        tables.append((jobs, records, words, windows))
        bounds = {f"{name}_{end}": getattr(window, end)
                  for name, window in windows.items() for end in ("base", "limit")}
        before = [Access(at[name], value & 0xFFFF_FFFF, write=True)
                  for name, value in bounds.items()]
        before += [Access(at[f"{name}_high"], value >> WORD_BITS, write=True)
                   for name, value in bounds.items() if config.wide]
        batches.append(Batch(jobs, image=image, before=before, places=places))
    runs = simulate_batches(batches, config, stall=stall)
    seen = set()
    for n, (run, (jobs, records, words, windows)) in enumerate(zip(runs, tables, strict=True)):
        assert {response for _, response, _ in run.accesses["before"]} == {0}
        _check(n, run, jobs, records, words, windows, config)
        seen |= {descriptor_error(made, config, windows) for made in words}
    assert seen >= {Error.NONE, Error.OPCODE, Error.BUS, Error.WRITE}

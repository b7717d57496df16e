# SPDX-License-Identifier: Apache-2.0
"""The rules of the doorbell, the interrupt and the table."""

from dataclasses import replace

import pytest

from prunus.golden.engines import load_config
from prunus.golden.image import build_image
from prunus.golden.records import DESCRIPTOR_BYTES
from prunus.golden.registers import constants, counter_names, register_map
from prunus.sim.compare import check
from prunus.sim.engines.hdp import random_jobs
from prunus.sim.simulate import Access, Batch, simulate_batches

CONFIG = load_config("hdp_tiny")
AT = {register.name: register.address for register in register_map(CONFIG)}
OKAY, SLVERR = 0, 2
BUSY, PENDING = 1, 2
WORKS = BUSY | PENDING      # of the status, beside what is under way on the bus just then


def _read(name):
    return Access(AT[name])


def _write(name, value):
    return Access(AT[name], value, write=True)


def test_a_refused_doorbell_changes_nothing():
    jobs = random_jobs(CONFIG, 6, 21)
    batch = Batch(
        jobs,
        before=[_write("table", 0), _write("doorbell", 0), _write("table", 32),
                _write("doorbell", 1), _read("status"), _write("table", 1), _write("doorbell", 1),
                _read("status"), _read("jobs_done")],
        during=[_write("doorbell", 1), _read("status"), _write("doorbell", 0), _read("status")])
    simulation, = simulate_batches([batch], CONFIG)
    check(simulation, jobs, CONFIG)
    before, during = simulation.accesses["before"], simulation.accesses["during"]
    assert [answer[1] for answer in before] == [OKAY, SLVERR, OKAY, SLVERR, OKAY, OKAY, SLVERR,
                                                OKAY, OKAY]
    assert [before[n][0] for n in (4, 7, 8)] == [0, 0, 0]
    during = [(value & WORKS, *more) for value, *more in during]
    assert during == [(1, SLVERR, 0), (BUSY, OKAY, 0), (0, SLVERR, 0), (BUSY, OKAY, 0)]


def test_many_doorbells_in_a_row():
    jobs = random_jobs(CONFIG, 36, 22)
    batches = [jobs[n * (n + 1) // 2 : (n + 1) * (n + 2) // 2] for n in range(8)]
    for batch, simulation in zip(batches, simulate_batches(batches, CONFIG), strict=True):
        check(simulation, batch, CONFIG)


def test_the_same_table_again_gives_the_same():
    jobs = random_jobs(CONFIG, 4, 23)
    first, second = simulate_batches([jobs, jobs], CONFIG)
    check(second, jobs, CONFIG)
    assert first.registers == second.registers


def test_part_of_a_table_and_a_table_elsewhere():
    jobs = random_jobs(CONFIG, 3, 24)
    image = build_image(jobs, CONFIG)
    size = len(jobs) * DESCRIPTOR_BYTES
    descriptors = bytes(image.data[:size])
    image.data[:size] = bytes(size)
    image.reserve(1 << 20)
    image.table = image.reserve(size)
    image.data[image.table :] = descriptors
    elsewhere = Batch(jobs, image=image)
    part = build_image(jobs, CONFIG)
    for addresses in (part.out, part.status):
        del addresses[2:]
    results = simulate_batches([elsewhere, Batch(jobs[:2], image=part)], CONFIG)
    check(results[0], jobs, CONFIG)
    check(results[1], jobs[:2], CONFIG)


def test_the_interrupt_waits_for_its_enable():
    jobs = random_jobs(CONFIG, 1, 25)
    polls = [_read("status")] * 4000
    after = [_write("irq_enable", 0), _write("doorbell", 1), *polls, _write("irq_enable", 1),
             _write("status", BUSY), _write("status", PENDING), _read("status")]
    simulation, = simulate_batches([Batch(jobs, after=after)], CONFIG)
    answers = simulation.accesses["after"]
    polled, (enabled, cleared_busy, cleared, status) = answers[2:-4], answers[-4:]
    values = [value & WORKS for value, _, _ in polled]
    assert values[0] == BUSY
    assert values[-1] == PENDING
    assert values == sorted(values)
    assert not any(irq for _, _, irq in answers[:-4])
    assert (enabled[2], cleared_busy[2], cleared[2]) == (1, 1, 0)
    assert status == (0, OKAY, 0)


def test_registers():
    """Read-only ones ignore writes, holes answer SLVERR, the others keep what was written."""
    jobs = random_jobs(CONFIG, 1, 26)
    constants = ("id", "version", "format", "limits", "multipliers", "revision")
    frozen = [*constants, *counter_names(CONFIG)]
    before = [access for name in frozen
              for access in (_read(name), _write(name, 0xFFFFFFFF), _read(name))]
    holes = [Access(address) for address in range(0, 256, 4) if address not in AT.values()]
    kept = [_write("table", 0xFFFFFFC0), _read("table"), _write("irq_enable", 0xFFFFFFFF),
            _read("irq_enable"), _write("irq_enable", 0), _read("irq_enable")]
    simulation, = simulate_batches([Batch(jobs, before=[*before, *holes, *kept])], CONFIG)
    check(simulation, jobs, CONFIG)
    answers = simulation.accesses["before"]
    for n in range(len(frozen)):
        first, write, second = answers[3 * n : 3 * n + 3]
        assert first == second
        assert write[1] == OKAY
    n = len(before)
    assert set(answers[n : n + len(holes)]) == {(0, SLVERR, 0)}
    kept = answers[n + len(holes) :]
    assert [kept[n][0] for n in (1, 3, 5)] == [0xFFFFFFC0, 3, 0]


def _bytes(name, at, value, size):
    return Access(AT[name] + at, value, write=True, size=size)


def test_registers_are_written_byte_by_byte():
    """A byte that has no strobe keeps what it was; a doorbell rings with any of its bytes, and
    without the lowest of TABLE the table is misaligned."""
    jobs = random_jobs(CONFIG, 2, 27)
    before = [_write("table", 0x12345640), _bytes("table", 1, 0xAB, 1), _read("table"),
              _bytes("table", 2, 0xCDEF, 2), _read("table"), _bytes("table", 0, 0x20, 1),
              _read("table"), _write("doorbell", 1), _bytes("doorbell", 3, 1, 1),
              _write("irq_enable", 1), _bytes("irq_enable", 1, 0, 1), _read("irq_enable"),
              _bytes("irq_enable", 0, 0, 1), _read("irq_enable")]
    # The doorbell of the batch left a count of 2: a byte beside it makes no other of its low byte.
    after = [_bytes("doorbell", 1, 0, 1), *[_read("status")] * 3000, _read("jobs_done"),
             _bytes("status", 1, PENDING, 1), _read("status"), _bytes("status", 0, PENDING, 1),
             _read("status")]
    simulation, = simulate_batches([Batch(jobs, before=before, after=after)], CONFIG)
    said = simulation.accesses["before"]
    assert [said[n][0] for n in (2, 4, 6)] == [0x1234AB40, 0xCDEFAB40, 0xCDEFAB20]
    assert [said[n][1] for n in (7, 8)] == [SLVERR, SLVERR]
    assert [said[n][0] for n in (11, 13)] == [1, 0]
    said = simulation.accesses["after"]
    assert said[0][1] == OKAY and said[1][0] & WORKS == BUSY
    assert [answer[0] for answer in said[-5:]] == [2, PENDING, PENDING, PENDING, 0]


@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_accesses_back_to_back(stall):
    """Reads and writes that do not wait for each other, on both channels at a time."""
    jobs = random_jobs(CONFIG, 2, 28)
    writes = [replace(_write("table", 64 * n), together=n > 0) for n in range(1, 12)]
    reads = [replace(_read(name), together=n > 0) for n, name in enumerate(sorted(AT))]
    mixed = [replace(access, together=n > 0) for n, access in enumerate(
        access for n in range(8) for access in (_write("irq_enable", n & 1), _read("id"),
                                                Access(0xFC), _read("engine")))]
    batch = Batch(jobs, before=[*writes, _read("table"), *reads, *mixed, _read("irq_enable")])
    simulation, = simulate_batches([batch], CONFIG, stall=stall, seed=4)
    check(simulation, jobs, CONFIG)
    said = simulation.accesses["before"]
    assert {answer[1] for answer in said[: len(writes)]} == {OKAY}
    assert said[len(writes)][0] == 64 * 11
    at = len(writes) + 1
    known = constants(CONFIG)
    for name, answer in zip(sorted(AT), said[at : at + len(AT)], strict=True):
        assert answer[1] == OKAY and answer[0] == known.get(name, answer[0])
    at += len(AT)
    for n in range(8):
        _, word, hole, engine = said[at + 4 * n : at + 4 * n + 4]
        assert word[:2] == (known["id"], OKAY) and hole[:2] == (0, SLVERR)
        assert engine[:2] == (known["engine"], OKAY)
    assert said[-1][0] == 1

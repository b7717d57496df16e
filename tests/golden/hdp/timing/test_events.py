# SPDX-License-Identifier: Apache-2.0
"""The simulator of processes."""

import weakref

import pytest

from prunus.golden.hdp.timing.events import Clock, Room, Shared


def test_delays_and_conditions():
    clock, seen = Clock(), []
    box = []

    def producer():
        yield 3
        box.append("a")
        yield 4
        box.append("b")

    def consumer():
        for _ in range(2):
            yield lambda: box
            seen.append((clock.now, box.pop()))
            yield 0

    clock.start(consumer())
    clock.start(producer())
    clock.run()
    assert seen == [(3, "a"), (7, "b")]


def test_a_condition_that_holds_costs_nothing():
    clock = Clock()

    def process():
        yield lambda: True
        yield 2
        yield lambda: True

    clock.start(process())
    clock.run()
    assert clock.now == 2


def test_chains_of_conditions_in_one_cycle():
    """Whoever is woken may wake others, in whatever order they began to wait."""
    clock, steps = Clock(), []

    def waits_for(n):
        yield lambda: len(steps) == n
        steps.append(clock.now)

    for n in (2, 1, 0):
        clock.start(waits_for(n))
    clock.run()
    assert steps == [0, 0, 0]


def test_a_process_that_waits_for_ever_ends_the_run():
    clock = Clock()

    def stuck():
        yield lambda: False

    process = stuck()
    clock.start(process)
    clock.at(5, lambda: None)
    clock.run()
    assert clock.now == 5
    held = weakref.ref(process)
    del process
    assert held() is None


def shared(*tasks):
    """Ends of tasks (priority, begin, operations, cycles)."""
    clock = Clock()
    resource, ends = Shared(clock), {}

    def task(priority, begin, operations, cycles):
        yield begin
        yield from resource.run(priority, operations, cycles)
        ends[priority] = clock.now

    for one in tasks:
        clock.start(task(*one))
    clock.run()
    return ends


@pytest.mark.parametrize(("tasks", "ends"), [
    ([(0, 0, 10, 0)], {0: 10}),
    ([(2, 3, 10, 0)], {2: 13}),
    # The first goes on, whatever else comes.
    ([(0, 0, 10, 0), (1, 0, 4, 0)], {0: 10, 1: 14}),
    ([(1, 0, 10, 0), (0, 4, 5, 0)], {0: 9, 1: 15}),
    ([(2, 0, 10, 0), (1, 2, 3, 0), (0, 3, 3, 0)], {0: 6, 1: 8, 2: 16}),
    # What it leaves is for the next one.
    ([(0, 0, 5, 20), (1, 0, 15, 0)], {0: 20, 1: 20}),
    ([(0, 0, 5, 10), (1, 0, 20, 0)], {0: 10, 1: 25}),
    ([(0, 0, 5, 10), (1, 0, 5, 20), (2, 0, 5, 0)], {0: 10, 1: 20, 2: 14}),
])
def test_priorities(tasks, ends):
    assert shared(*tasks) == ends


def test_nothing_is_lost():
    """Operations come and go; with somebody always there every cycle is used."""
    tasks = [(0, 5, 7, 0), (1, 2, 9, 0), (2, 0, 30, 0)]
    assert max(shared(*tasks).values()) == 7 + 9 + 30


def test_room():
    room = Room(8)
    assert room.fits(8) and not room.fits(9)
    room.take(5)
    assert room.fits(3) and not room.fits(4)
    room.give(2)
    assert room.fits(5) and not room.fits(6)

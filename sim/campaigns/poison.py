# SPDX-License-Identifier: Apache-2.0
"""Does a job know of the one before it? ``python -m prunus.sim.campaigns.poison --pairs 500
--config hdp_tiny``.

A pair is a job that may leave something behind, and one that must not notice: behind the first it
gives what golden says, and what it gives alone after a reset. In how many pairs it takes as many
cycles is counted. The first job is a good one, one that is refused, one whose reads fail, or one
that a reset cuts off; it shares a table with the second or has one of its own.
"""

import argparse
import shlex
import sys
from contextlib import closing
from dataclasses import dataclass
from random import Random

import numpy as np

from prunus.console import Parser
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import build_image, described
from prunus.golden.jobs import Job
from prunus.golden.records import Error

from ..cases import Batch
from ..compare import MismatchError, check
from ..engines import random_jobs
from ..exchange import Faults
from ..session import Session, Simulation, open_session
from ..trials import difference, slower
from . import campaign
from .commands import add_options, differences, parse, report

__all__ = ["KINDS", "Chunk", "main", "run_pairs", "try_pairs"]

KINDS = ("good", "refused", "unreadable", "cut off", "one table")
CHUNK = 25                  # pairs of a simulation
STALL = 0.3                 # of every other one
MOST = 10_000_000


@dataclass(frozen=True)
class Chunk:
    """Pairs of one simulation, of jobs that ``seed`` makes."""

    count: int
    seed: int
    stall: float


def _before(kind: str, job: Job, config: EngineConfig, rng: Random) -> Batch:
    """The table of the first job."""
    if kind == "cut off":
        return Batch([job], reset=(rng.randrange(1, 120), rng.randint(1, 3)),
                     faults=Faults(late=True))
    image = build_image([job], config)
    its = engine_of(config).kind(job)
    values = described(image, 0, its, config)
    if kind == "refused":
        dims = "d" if "d" in values else "k"
        image.describe(0, its.descriptor_of(config).pack(values | {dims: values[dims] + 1}))
        return Batch([job], image=image)
    if kind == "unreadable":
        plane = rng.choice(its.planes_of(job))
        first = values[plane.name]
        return Batch([job], image=image, read_errors=[(first, first + 4096)])
    return Batch([job])


def _behind(kind: str, first: Job, second: Job, session: Session, rng: Random) -> Simulation:
    """What the second job gives behind the first."""
    config = session.config
    if kind == "one table":
        run = session.ring(Batch([first, second]))
        check(run, [first, second], config)
        run.results = run.results[1:]
        return run
    before = session.ring(_before(kind, first, config, rng))
    if kind == "good":
        check(before, [first], config)
    elif kind == "refused":
        check(before, [first], config, {0: Error.DIMENSION})
    return session.ring(Batch([second]))


def _same_results(got: Simulation, want: Simulation) -> bool:
    (out, status), = got.results
    (right, record), = want.results
    return np.array_equal(out, right) and status == record


def run_pairs(chunk: Chunk, config: EngineConfig) -> tuple[int, int]:
    """Play a chunk; how many pairs had their cycles compared, and how many had the same. Raises on
    any difference of outputs, records and other counters."""
    jobs = [job.alone() for job in random_jobs(config, 2 * chunk.count, chunk.seed)]
    rng, compared, timed = Random(chunk.seed), 0, 0
    with open_session(config, stall=chunk.stall, seed=chunk.seed) as session:
        for n in range(chunk.count):
            kind, (first, second) = KINDS[n % len(KINDS)], jobs[2 * n : 2 * n + 2]
            session.restart()
            run = _behind(kind, first, second, session, rng)
            session.restart()
            alone = session.ring(Batch([second]))
            try:
                check(alone, [second], config)
                if kind != "one table":
                    check(run, [second], config)
                    said = difference(run, alone, config)
                    if not said and not chunk.stall:
                        compared += 1
                        timed += not slower(run, alone, config)
                else:
                    said = "" if _same_results(run, alone) else "another result"
                if said:
                    raise MismatchError(said)
            except MismatchError as err:
                raise MismatchError(f"pair {n}, the first {kind}: {err}") from None
    return compared, timed


def try_pairs(chunk: Chunk, config: EngineConfig) -> tuple[int, int]:
    """The same as a task: a difference is its failure."""
    with differences():
        return run_pairs(chunk, config)


def chunks(pairs: int, seed: int) -> list[Chunk]:
    """Chunks of ``pairs`` in all, each with a seed of its own, every other one with stalls."""
    return [Chunk(min(CHUNK, pairs - first), seed + n, STALL if n % 2 else 0.0)
            for n, first in enumerate(range(0, pairs, CHUNK))]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m prunus.sim.campaigns.poison", description=__doc__)
    parser.add_argument("--pairs", type=int, default=500)
    add_options(parser, config="hdp_tiny", seed="of the first chunk; each adds one")
    options = parse(parser, arguments)
    if not 1 <= options.pairs <= MOST:
        parser.error(f"--pairs must lie in 1..{MOST:,}, not {options.pairs}")
    return options


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    config, compared, timed, seconds = options.chosen, 0, 0, 0.0
    tasks = [campaign.Task(f"seed {chunk.seed}", try_pairs, (chunk, config))
             for chunk in chunks(options.pairs, options.seed)]
    with closing(campaign.run(f"poison-{config.name}", tasks,
                              campaign.options_of(options))) as done:
        for result in done:
            if result.failure:
                chunk = result.task.arguments[0]
                print(f"seed {chunk.seed}, stall {chunk.stall}: {result.failure}\nto repeat: "
                      f"python -m prunus.sim.campaigns.poison --config "
                      f"{shlex.quote(options.config)} --pairs {options.pairs} "
                      f"--seed {options.seed}", file=sys.stderr)
                return 1
            compared, timed = compared + result.value[0], timed + result.value[1]
            seconds += result.seconds
    if not report({"config": config.name, "pairs": options.pairs, "compared": compared,
                   "timed": timed, "seconds": seconds}, options):
        print(f"{config.name}: {options.pairs} pairs, the second job of each gives what it gives "
              f"alone; in {timed} of {compared} in as many cycles; {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.poison import main

    sys.exit(main())

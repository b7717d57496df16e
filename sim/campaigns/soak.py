# SPDX-License-Identifier: Apache-2.0
"""Random jobs without end: ``python -m prunus.sim.campaigns.soak --jobs 10000 --config hdp_edge
--seed 1``. With ``--faults`` they meet all that :mod:`prunus.sim.faults` has."""

import argparse
import shlex
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from prunus.console import Parser, print_table
from prunus.golden.engine import EngineConfig

from ..compare import MismatchError, check
from ..engines import random_jobs
from ..faults import COUNTS, KINDS, play
from ..session import MEMORIES, open_session
from ..simulate import simulate_batches
from . import campaign
from .commands import add_options, differences, parse, report

__all__ = ["Chunk", "chunks", "main", "run_chunk", "try_chunk", "try_faults"]

BATCH = 8                  # jobs per doorbell
CHUNK, FAULTY_CHUNK = 100, 1000         # jobs per simulation
MOST_CHUNKS = 1_000_000    # simulations, which take months


@dataclass(frozen=True)
class Chunk:
    """Jobs of one simulation: ``random_jobs(config, count, seed)`` with stalls or without."""

    count: int
    seed: int
    stall: float
    memory: str | None = None


def chunks(jobs: int, size: int, seed: int, stall: float,
           memory: str | None = None) -> list[Chunk]:
    """Chunks of ``jobs`` in all, each with a seed of its own, those of even seeds with stalls."""
    return [Chunk(min(size, jobs - first), seed + n, 0.0 if (seed + n) % 2 else stall, memory)
            for n, first in enumerate(range(0, jobs, size))]


def run_chunk(chunk: Chunk, config: EngineConfig) -> int:
    """Simulate and compare a chunk; the cycles it took. Raises on any difference."""
    jobs = random_jobs(config, chunk.count, chunk.seed)
    batches = [[jobs[n].alone(), *jobs[n + 1 : n + BATCH]] for n in range(0, len(jobs), BATCH)]
    simulations = simulate_batches(batches, config, stall=chunk.stall, seed=chunk.seed,
                                   memory=chunk.memory)
    for n, (batch, simulation) in enumerate(zip(batches, simulations, strict=True)):
        try:
            check(simulation, batch, config)
        except MismatchError as err:
            raise MismatchError(f"batch {n} of {BATCH} jobs: {err}") from None
    return sum(simulation.cycles for simulation in simulations)


def try_chunk(chunk: Chunk, config: EngineConfig) -> int:
    """The same as a task: a difference is its failure."""
    with differences():
        return run_chunk(chunk, config)


def try_faults(chunk: Chunk, config: EngineConfig) -> dict[str, dict[str, int]]:
    """What became of a chunk's jobs with faults, by kind; a difference is the failure of the task.
    """
    with differences(), open_session(config, stall=chunk.stall, seed=chunk.seed) as session:
        return {kind: dict(counts)
                for kind, counts in play(session, chunk.count, chunk.seed).items()}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m prunus.sim.campaigns.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--chunk", type=int, help=f"jobs per simulation; {CHUNK}, or "
                        f"{FAULTY_CHUNK} with faults")
    parser.add_argument("--faults", action="store_true",
                        help="errors and silence of the memory, bad descriptors, resets, aborts")
    parser.add_argument("--memory", choices=MEMORIES["verilator"],
                        help="what answers on the bus of the memory: the one in C++, by default, "
                        "or that of cocotbext-axi, which has no faults")
    parser.add_argument("--stall", type=float, default=0.3,
                        help="probability of a pause in chunks with an even seed")
    add_options(parser, config="hdp_edge", seed="of the first chunk; each adds one")
    options = parse(parser, arguments)
    if options.chunk is None:
        options.chunk = FAULTY_CHUNK if options.faults else CHUNK
    if options.faults and options.memory == "python":
        parser.error("--memory must be cpp with --faults, not python")
    if options.jobs < 1 or options.chunk < 1:
        parser.error("--jobs and --chunk must be at least 1")
    if options.jobs > MOST_CHUNKS * options.chunk:
        parser.error(f"--jobs must be at most {MOST_CHUNKS:,} times --chunk, not {options.jobs}")
    if not 0 <= options.stall < 1:
        parser.error("--stall must lie in [0, 1)")
    return options


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    config = options.chosen
    cycles, seconds = 0, 0.0
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    task = try_faults if options.faults else try_chunk
    tasks = [campaign.Task(f"seed {chunk.seed}", task, (chunk, config))
             for chunk in chunks(options.jobs, options.chunk, options.seed, options.stall,
                                 options.memory)]
    with closing(campaign.run(f"soak-{config.name}", tasks, campaign.options_of(options))) as done:
        for result in done:
            if result.failure:
                break
            if options.faults:
                for kind, counts in result.value.items():
                    kinds[kind] += Counter(counts)
            else:
                cycles += result.value
            seconds += result.seconds
    if result.failure:
        chunk = result.task.arguments[0]
        print(f"seed {chunk.seed}, stall {chunk.stall}: {result.failure}\n"
              f"to repeat: python -m prunus.sim.campaigns.soak {'--faults ' * options.faults}"
              f"--config {shlex.quote(options.config)} "
              f"--seed {chunk.seed} --jobs {chunk.count} --chunk {chunk.count} "
              f"--stall {options.stall}"
              + (f" --memory {options.memory}" if options.memory else ""),
              file=sys.stderr)
        return 1
    said: dict[str, Any] = {"config": config.name, "jobs": options.jobs, "seconds": seconds}
    if options.faults:
        said |= {"jobs": sum(counts["jobs"] for counts in kinds.values()),
                 "kinds": {kind: {name: counts[name] for name in COUNTS}
                           for kind, counts in kinds.items()}}
    else:
        said |= {"cycles": cycles}
    if not report(said, options):
        _show(said)
    return 0


def _show(said: dict[str, Any]) -> None:
    """For people. None of the jobs did otherwise than it must, or else there is no report."""
    name, jobs, seconds = said["config"], said["jobs"], said["seconds"]
    if "kinds" not in said:
        print(f"{name}: {jobs} jobs equal golden, {said['cycles']} cycles in {seconds:.0f} s "
              f"({said['cycles'] / seconds / 1000 if seconds else 0:.0f} k/s)")
        return
    print_table(["faults", *COUNTS], [[kind, *(f"{counts[of]:,}" for of in COUNTS)]
                                      for kind, counts in said["kinds"].items()])
    print(f"{name}: {jobs:,} jobs with faults, each as it must be: no hang, no wrong bit, "
          f"no lost interrupt, no byte outside; {seconds:.0f} s")


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.soak import main

    sys.exit(main())

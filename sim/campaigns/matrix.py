# SPDX-License-Identifier: Apache-2.0
"""Every size of coprocessor against golden, some random jobs each: ``python -m
prunus.sim.campaigns.matrix``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from prunus.console import Parser
from prunus.golden.engine import EngineConfig

from ..compare import MismatchError, check
from ..engines import BENCHES, random_jobs
from ..simulate import SimulationError, simulate
from . import campaign

__all__ = ["Outcome", "attempt", "choose", "main", "matrix", "run"]

JOBS = 12
STALL = 0.3


@dataclass(frozen=True)
class Outcome:
    """What became of a configuration; ``failure`` is empty if RTL and golden are equal."""

    config: str
    parameters: dict
    jobs: int
    cycles: int
    build_s: float
    sim_s: float
    failure: str


def matrix() -> list[EngineConfig]:
    """The sizes of all engines."""
    return [config for bench in BENCHES.values() for config in bench.sizes()]


def choose(configs: Sequence[EngineConfig], wanted: str | None) -> list[EngineConfig]:
    """Those in whose name one of the comma-separated patterns occurs, all without a filter."""
    if wanted is None:
        return list(configs)
    patterns = [f"*{pattern.strip()}*" for pattern in wanted.split(",") if pattern.strip()]
    chosen = [config for config in configs
              if any(fnmatchcase(config.name, pattern) for pattern in patterns)]
    if not chosen:
        raise ValueError("--only must occur in the name of a configuration, such as "
                         f"{configs[0].name} (--list names all), not {wanted!r}")
    return chosen


def run(config: EngineConfig, seed: int = 1, count: int = JOBS) -> Outcome:
    """The same random jobs without and with stalls."""
    jobs = random_jobs(config, count, seed)
    cycles, build_s, sim_s, failure = 0, 0.0, 0.0, ""
    for stall in (0.0, STALL):
        try:
            simulation = simulate(jobs, config, stall=stall, seed=seed)
            cycles += simulation.cycles
            build_s += simulation.build_s
            sim_s += simulation.sim_s
            check(simulation, jobs, config)
        except (MismatchError, SimulationError) as err:
            failure = f"stall {stall}: {err}"
            break
    return Outcome(config=config.name, parameters=config.model_dump(exclude={"name"}),
                   jobs=count, cycles=cycles, build_s=build_s, sim_s=sim_s, failure=failure)


def attempt(config: EngineConfig, seed: int) -> dict:
    """The same as a task."""
    outcome = run(config, seed)
    if outcome.failure:
        raise campaign.TaskError(outcome.failure, asdict(outcome))
    return asdict(outcome)


def _outcome(result: campaign.Result) -> Outcome:
    if result.value is not None:
        return Outcome(**result.value)
    config, _ = result.task.arguments
    return Outcome(config=config.name, parameters=config.model_dump(exclude={"name"}), jobs=JOBS,
                   cycles=0, build_s=0.0, sim_s=0.0, failure=result.failure)


def _parse(arguments: list[str] | None) -> tuple[argparse.Namespace, list[EngineConfig]]:
    parser = Parser(prog="python -m prunus.sim.campaigns.matrix", description=__doc__)
    parser.add_argument("--only", metavar="PATTERNS",
                        help="configurations in whose name one of these comma-separated patterns "
                             "occurs (w12, d64_m8); default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the jobs")
    parser.add_argument("--list", action="store_true", help="name the configurations, run nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    campaign.add_options(parser)
    options = parser.parse_args(arguments)
    if options.seed < 0:
        parser.error(f"--seed must be at least 0, not {options.seed}")
    try:
        return options, choose(matrix(), options.only)
    except ValueError as err:
        parser.error(str(err))


def _describe(config: EngineConfig) -> str:
    values = config.model_dump(exclude={"name", "engine", "l_max"})
    return f"{config.name}: " + ", ".join(f"{key} {value}" for key, value in values.items())


@campaign.command
def main(arguments: list[str] | None = None) -> int:
    options, configs = _parse(arguments)
    if options.list:
        for config in configs:
            print(_describe(config))
        return 0
    outcomes, seconds = [], 0.0
    tasks = [campaign.Task(config.name, attempt, (config, options.seed)) for config in configs]
    for result in campaign.run("matrix", tasks, campaign.options_of(options)):
        outcomes.append(_outcome(result))
        seconds += result.seconds
        if result.failure:
            print(f"{_describe(result.task.arguments[0])}\n  {result.failure}", file=sys.stderr)
    failed = [outcome.config for outcome in outcomes if outcome.failure]
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes]))
    else:
        print(f"{len(outcomes) - len(failed)} of {len(outcomes)} configurations equal golden, "
              f"{JOBS} jobs each without and with stalls, in {seconds:.0f} s")
    if failed:
        print(f"to repeat: python -m prunus.sim.campaigns.matrix --only {','.join(failed)} "
              f"--seed {options.seed}",
              file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from prunus.sim.campaigns.matrix import main

    sys.exit(main())

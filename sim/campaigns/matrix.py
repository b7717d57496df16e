# SPDX-License-Identifier: Apache-2.0
"""Every size of coprocessor against golden, some random jobs each: ``python -m
sim.campaigns.matrix``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import product

from golden.engine import EngineConfig
from golden.hdp.config import HdpConfig
from golden.leopard.config import LeopardConfig

from ..compare import MismatchError, check
from ..engines import random_jobs
from ..simulate import SimulationError, simulate
from . import campaign

__all__ = ["Outcome", "attempt", "choose", "main", "matrix", "run"]

FORMATS = ((8, 4), (12, 8))        # width, frac
DIMENSIONS = (32, 64, 128)
MULTIPLIERS = (8, 32, 64)
CORES = (1, 2, 4)
L_MAX = 32
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


def _others(n: int, width: int, multipliers: int) -> dict[str, int]:
    """The other choices, so that for either width each of them meets each number of multipliers
    and, lanes of softmax, each d_max and width of the bus."""
    bus, lanes = (64, 128)[n // 3 % 2], n + n // 3
    outputs = [count for count in (4, 2, 1)
               if count <= min(multipliers // 4, bus // (16 if width == 8 else 32))]
    return {"axi_data_width": bus, "softmax_lanes": (1, 2, 4)[lanes % 3],
            "output_lanes": outputs[lanes % len(outputs)]}


# Scores as full products only; heads in tiles; integer operations on groups of four blocks, which
# take minutes to build.
OTHERS = (
    HdpConfig(name="w8_d32_m8_c1_recompute", d_max=32, l_max=L_MAX, multipliers=8,
           keep_integer_scores=False),
    HdpConfig(name="w12_d32_m8_c2_tiles", width=12, frac=8, d_max=32, l_max=L_MAX, tile=8,
           multipliers=8, softmax_lanes=4, output_lanes=2, axi_data_width=128, cores=2),
    HdpConfig(name="w8_d128_m64_c1_tiles", d_max=128, l_max=L_MAX, tile=16, multipliers=64,
           softmax_lanes=4, output_lanes=4),
    HdpConfig(name="w8_d64_m128_c1_tiles", d_max=64, l_max=L_MAX, tile=8, multipliers=128,
           softmax_lanes=2, output_lanes=2, keep_integer_scores=False),
    *(HdpConfig.model_validate({
        "name": f"w{width}_d{d_max}_m256_c1", "width": width, "frac": frac, "d_max": d_max,
        "l_max": L_MAX, "multipliers": 256, "softmax_lanes": 4, "output_lanes": 4,
        "axi_data_width": 128})
      for (width, frac), d_max in (((8, 4), 64), ((12, 8), 128))))


# Digits of every size, also where W is no multiple of them; chunks, and beats of several words;
# scores of 39 bits.
LEOPARD = tuple(LeopardConfig.model_validate({"name": f"leopard_{name}", "l_max": L_MAX, **fields})
                for name, fields in (
    ("w8_b1_n4", {"width": 8, "digit": 1, "dpus": 4, "d_max": 32, "axi_data_width": 128}),
    ("w10_b3_n3", {"width": 10, "digit": 3, "dpus": 3, "d_max": 24}),
    ("w12_b4_n1", {"digit": 4, "dpus": 1, "d_max": 16, "axi_data_width": 512}),
    ("w12_b2_n6_d128", {"d_max": 128, "taps": 32, "axi_data_width": 128}),
    ("w12_b12_n1_base", {"digit": 12, "dpus": 1, "pruning": False, "d_max": 40, "taps": 24}),
    ("w16_b2_n2_d128", {"width": 16, "dpus": 2, "d_max": 128, "taps": 8})))


def matrix() -> list[HdpConfig]:
    """All configurations of HDP."""
    configs = []
    for n, ((width, frac), d_max, multipliers) in enumerate(
            product(FORMATS, DIMENSIONS, MULTIPLIERS)):
        for step, cores in enumerate(CORES):
            configs.append(HdpConfig.model_validate({
                "name": f"w{width}_d{d_max}_m{multipliers}_c{cores}", "width": width, "frac": frac,
                "d_max": d_max, "l_max": L_MAX, "multipliers": multipliers, "cores": cores,
                **_others(n + step, width, multipliers)}))
    return configs + list(OTHERS)


def choose(configs: Sequence[EngineConfig], wanted: str | None) -> list[EngineConfig]:
    """Those in whose name one of the comma-separated patterns occurs, all without a filter."""
    if wanted is None:
        return list(configs)
    patterns = [f"*{pattern.strip()}*" for pattern in wanted.split(",") if pattern.strip()]
    chosen = [config for config in configs
              if any(fnmatchcase(config.name, pattern) for pattern in patterns)]
    if not chosen:
        raise ValueError("--only must occur in one of "
                         f"{', '.join(config.name for config in configs)}, not {wanted!r}")
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
    parser = argparse.ArgumentParser(prog="python -m sim.campaigns.matrix", description=__doc__)
    parser.add_argument("--only", metavar="PATTERNS",
                        help="configurations in whose name one of these comma-separated patterns "
                             "occurs (w12, d64_m8); default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the jobs")
    parser.add_argument("--list", action="store_true", help="name the configurations, run nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    campaign.add_options(parser)
    options = parser.parse_args(arguments)
    try:
        return options, choose([*matrix(), *LEOPARD], options.only)
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
        print(f"to repeat: python -m sim.campaigns.matrix --only {','.join(failed)} "
              f"--seed {options.seed}",
              file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    # Under its own name, by which workers find what they are to do.
    from sim.campaigns.matrix import main

    sys.exit(main())

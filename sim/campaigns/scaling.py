# SPDX-License-Identifier: Apache-2.0
"""How much faster several cores are: ``python -m prunus.sim.campaigns.scaling --config hdp_tiny
--l-max 64``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from prunus.console import Parser, guarded
from prunus.golden.engines import ConfigError, load_config_of
from prunus.golden.hdp.bounds import Work, bus_cycles
from prunus.golden.hdp.compute import HdpJob, HdpResult
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.order import longest_first

from ..compare import MismatchError, check
from ..engines.hdp import Recipe, build
from ..simulate import SimulationError, simulate_batches

__all__ = ["CORES", "Scaling", "main", "measure", "uneven_jobs", "with_cores"]

CORES = (1, 2, 4, 8)
RHO = 25


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Cycles of the same heads on so many cores.

    Members
    -------
    heads, cores, cycles : int
    speedup : float
        Cycles on one core over these.
    balance : float
        The part of the cores' time that heads of this work leave to be used at best, when each
        goes in turn to the core that is free first.
    bus : float
        The part of the cycles in which the read data bus was busy.
    roof : float
        The greatest speed-up that the bus allows: cycles on one core over the beats that the busier
        direction of the bus needs, at most ``cores``.
    """

    heads: int
    cores: int
    cycles: int
    speedup: float
    balance: float
    bus: float
    roof: float

    @property
    def efficiency(self) -> float:
        return self.speedup / self.cores


def uneven_jobs(config: HdpConfig, heads: int, seed: int, shortest: int) -> list[HdpJob]:
    """Heads of every length from ``shortest`` to l_max, of d_max dimensions."""
    rng = np.random.default_rng(seed)
    jobs = []
    for n in range(heads):
        length = int(rng.integers(shortest, config.l_max + 1))
        jobs.append(build(Recipe(l_q=length, l_kv=length, valid_q=length, valid_kv=length,
                                 d=config.d_max, rho=RHO, seed=seed + n), config))
    return jobs


def with_cores(config: HdpConfig, cores: int) -> HdpConfig:
    """The configuration with another number of cores and a name that tells it."""
    return config.model_copy(update={"cores": cores, "name": f"{config.name}_x{cores}"})


def _balance(work: Sequence[Work], cores: int) -> float:
    loads = [0.0] * cores
    for head in work:
        loads[loads.index(min(loads))] += float(head.cycles(1))
    return sum(loads) / (cores * max(loads))


def measure(tables: Sequence[Sequence[HdpJob]], config: HdpConfig,
            cores: Sequence[int]) -> list[Scaling]:
    """Run and compare tables of jobs on each number of cores, the first of which must be 1."""
    if not cores or cores[0] != 1:
        raise ValueError(f"cores must begin with 1, not {cores!r}")
    rows: list[Scaling] = []
    for count in cores:
        variant = with_cores(config, count)
        simulations = simulate_batches(tables, variant)
        for n, (jobs, simulation) in enumerate(zip(tables, simulations, strict=True)):
            results: list[HdpResult] = check(simulation, jobs, variant)
            cycles = simulation.registers["cycles"]
            single = rows[n].cycles if count > 1 else cycles
            beats = simulation.registers["read_bytes"] * 8 // config.axi_data_width
            work = [Work.of(job, result, config) for job, result in zip(jobs, results, strict=True)]
            roof = min(count, single / bus_cycles(jobs, results, variant))
            rows.append(Scaling(heads=len(jobs), cores=count, cycles=cycles, bus=beats / cycles,
                                speedup=single / cycles, balance=_balance(work, count),
                                roof=roof))
    return rows


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m prunus.sim.campaigns.scaling", description=__doc__)
    parser.add_argument("--config", default="hdp_tiny", help="a preset or a TOML file: one core")
    parser.add_argument("--axi", type=int, default=128, choices=(64, 128, 256, 512),
                        help="bits of the bus")
    parser.add_argument("--l-max", type=int, help="another greatest length of a head")
    parser.add_argument("--heads", type=int, nargs="+", default=[8, 24, 64],
                        help="heads of a table; several tables may be given")
    parser.add_argument("--shortest", type=int, default=8,
                        help="least length of a head; with the greatest all are equal")
    parser.add_argument("--as-they-come", action="store_true",
                        help="leave heads in their random order, not the longest first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--cores", type=int, nargs="+", default=list(CORES), choices=CORES)
    options = parser.parse_args(arguments)
    try:
        config = load_config_of(HdpConfig, options.config)
    except ConfigError as err:
        parser.error(str(err))
    l_max = options.l_max or config.l_max
    if not 2 <= l_max <= 1024 or l_max % 2:
        parser.error(f"--l-max must be an even number in 2..1024, not {l_max}")
    if options.seed < 0:
        parser.error(f"--seed must be at least 0, not {options.seed}")
    if min(options.heads) < 1:
        parser.error("--heads must be at least 1")
    if not 1 <= options.shortest <= l_max:
        parser.error(f"--shortest must lie in 1..{l_max}, not {options.shortest}")
    if options.cores[0] != 1:
        parser.error("--cores must begin with 1, to which the others are compared")
    options.config = config.model_copy(update={
        "axi_data_width": options.axi, "l_max": l_max,
        "name": f"{config.name}_l{l_max}_axi{options.axi}"})
    return options


@guarded()
def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    tables = [uneven_jobs(options.config, heads, options.seed, options.shortest)
              for heads in options.heads]
    if not options.as_they_come:
        tables = [[jobs[n] for n in longest_first(jobs)] for jobs in tables]
    try:
        rows = measure(tables, options.config, options.cores)
    except (MismatchError, SimulationError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    rows = sorted(rows, key=lambda row: (row.heads, row.cores))
    if options.json:
        print(json.dumps([{**asdict(row), "efficiency": row.efficiency} for row in rows], indent=2))
        return 0
    print("heads  cores     cycles  speed-up   roof  of ideal  balance  read bus")
    for row in rows:
        print(f"{row.heads:5}  {row.cores:5}  {row.cycles:9}  {row.speedup:7.2f}x  "
              f"{row.roof:4.1f}x  {row.efficiency:8.1%}  {row.balance:7.1%}  {row.bus:8.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

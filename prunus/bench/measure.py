# SPDX-License-Identifier: Apache-2.0
"""Cases through the RTL, pruned and dense, and the figures of both."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prunus.golden.engine import EngineConfig
from prunus.golden.hdp.bounds import bound_cycles, bus_cycles
from prunus.golden.hdp.compute import HdpSummary
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.timing.cycles import predict_cycles
from prunus.golden.registers import constants

from ..console import install_hint
from ..errors import InputError, RunError
from . import linear
from .cases import Case, dense
from .columns import ratio
from .linear import LinearCase

if TYPE_CHECKING:
    from prunus.sim.simulate import Simulation  # not there without a simulator's packages

__all__ = ["figures", "measure", "simulated", "totals"]

Progress = Callable[[int, int], None]


def figures(case: Case, config: HdpConfig, runs: Sequence["Simulation"],
            golden: Sequence[Sequence[HdpSummary]]) -> dict:
    """The figures of a case, ready for JSON.

    Parameters
    ----------
    case : Case
    config : HdpConfig
    runs : (Simulation, Simulation)
        With pruning, and dense.
    golden : (list of HdpSummary, list of HdpSummary)
        What the specification gives for both.
    """
    jobs, first = case.jobs, case.jobs[0]
    pruned, plain = (run.registers for run in runs)
    dense_jobs = [dense(job) for job in jobs]
    bound = bound_cycles(jobs, golden[0], config)
    dense_bound = bound_cycles(dense_jobs, golden[1], config)
    model = predict_cycles(jobs, golden[0], config)
    dense_model = predict_cycles(dense_jobs, golden[1], config)
    cycles, dense_cycles = pruned["cycles"], plain["cycles"]
    work_ratio, speedup = ratio(dense_bound, bound), dense_cycles / cycles
    multipliers = constants(config)["multipliers"] * config.arrays
    products = sum(2 * job.l_q * job.l_kv * job.d for job in jobs)
    return {
        "case": case.name, "heads": len(jobs), "l_q": first.l_q, "l_kv": first.l_kv,
        "d": first.d,
        "kappa": ratio(sum(r.blocks_kept for r in golden[0]),
                        sum(r.blocks_total for r in golden[0])),
        "heads_pruned": sum(not r.head_kept for r in golden[0]),
        "cycles": cycles, "bound": bound, "utilisation": bound / cycles,
        "bus_bound": bus_cycles(jobs, golden[0], config),
        "model_cycles": model, "model_error": model / cycles - 1,
        "cycles_per_head": cycles / len(jobs),
        "over_bound_per_head": (cycles - bound) / len(jobs),
        "dense_cycles": dense_cycles, "dense_bound": dense_bound,
        "dense_utilisation": dense_bound / dense_cycles,
        "dense_model_cycles": dense_model, "dense_model_error": dense_model / dense_cycles - 1,
        "speedup": speedup, "work_ratio": work_ratio,
        "share_of_work_ratio": ratio(speedup, work_ratio),
        "read_bytes": pruned["read_bytes"], "dense_read_bytes": plain["read_bytes"],
        "normalised_cost": cycles * multipliers / products,
        "dense_normalised_cost": dense_cycles * multipliers / products,
        "counters": pruned, "dense_counters": plain,
    }


def simulated(tables: Sequence[tuple[str, Sequence[Any]]], config: EngineConfig,
              progress: Progress | None = None,
              what: str = "bench") -> tuple[list["Simulation"], list[Any]]:
    """The simulations of named tables of jobs, a doorbell each, and golden's results.

    Everything that comes out is compared with the specification.

    Raises
    ------
    InputError
        When the simulator is not installed, which ``what`` needs.
    RunError
        When it fails, or RTL and specification differ; names the table.
    """
    try:
        from prunus.sim.compare import MismatchError, check
        from prunus.sim.simulate import SimulationError, simulate_batches
    except ModuleNotFoundError as err:
        raise InputError(f"{what} needs the Python package {str(err.name).partition('.')[0]!r}: "
                         f"{install_hint('sim')}") from None
    try:
        runs = simulate_batches([jobs for _, jobs in tables], config, progress=progress)
    except SimulationError as err:
        raise RunError(re.sub(r"\bbatch (\d+)", lambda match: tables[int(match[1])][0],
                              str(err))) from None
    golden = []
    for (name, jobs), run in zip(tables, runs, strict=True):
        try:
            golden.append(check(run, jobs, config, whole=False))
        except MismatchError as err:
            raise RunError(f"{name}: {err}") from None
    return runs, golden


def totals(runs: Sequence["Simulation"]) -> dict:
    """Cycles and seconds of simulations that one call made."""
    cycles, seconds = sum(run.cycles for run in runs), runs[0].sim_s
    return {"cycles": cycles, "sim_s": seconds, "cycles_per_s": cycles / seconds,
            "build_s": runs[0].build_s}


def measure(cases: Sequence[Case | LinearCase], config: HdpConfig,
            progress: Progress | None = None) -> tuple[list[dict], dict]:
    """The figures of each case and of the simulation, in which all run on the same hardware: heads
    pruned and dense, linear layers once.

    Every output, status record and counter is compared with the specification on the way.
    ``progress`` is called with the jobs done and all jobs. Raises as :func:`simulated` does.
    """
    tables: list[tuple[str, Sequence[Any]]] = []
    for case in cases:
        tables.append((case.name, case.jobs))
        if isinstance(case, Case):
            tables.append((f"{case.name}, dense", [dense(job) for job in case.jobs]))
    runs, golden = simulated(tables, config, progress)
    done = iter(zip(runs, golden, strict=True))
    rows = []
    for case in cases:
        run, results = next(done)
        if isinstance(case, LinearCase):
            rows.append(linear.figures(case, config, run))
        else:
            plain, plain_results = next(done)
            rows.append(figures(case, config, (run, plain), (results, plain_results)))
    return rows, totals(runs)

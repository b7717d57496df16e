# SPDX-License-Identifier: Apache-2.0
"""Jobs through the RTL: emit, build, run, read back. What tests and ``prunus run`` call."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.golden.jobs import Job

from .cases import Batch, Case, advice
from .exchange import Access
from .session import (
    SIMULATORS,
    Simulation,
    Stage,
    check_written,
    cycle_limit,
    emitted,
    open_session,
)
from .simulators.runner import BuildError, SimulationError

__all__ = ["SIMULATORS", "Access", "Batch", "Simulation", "SimulationError", "cycle_limit",
           "emitted", "repeat", "simulate", "simulate_batches"]


def repeat(case: Case, *, progress: Callable[[int, int], None] | None = None,
           stage: Stage | None = None, limit_s: float | None = None,
           trace: Path | None = None) -> list[Simulation]:
    """Simulate a case; see :func:`simulate_batches`."""
    begin, total = time.perf_counter(), sum(len(table.jobs) for table in case.batches)
    simulations: list[Simulation] = []
    shown = -1

    def tell(before: int, more: int = 0) -> None:
        nonlocal shown
        if progress and before + more != shown:
            shown = before + more
            progress(shown, total)

    with open_session(case.config, stall=case.stall, seed=case.seed, simulator=case.simulator,
                      memory=case.memory, verilog=case.verilog, limit_s=limit_s, stage=stage,
                      trace=trace) as session:
        done = 0
        tell(done)
        for table in case.batches:
            simulations.append(session.ring(table, partial(tell, done) if progress else None))
            done += len(table.jobs)
            tell(done)
    sim_s = time.perf_counter() - begin - session.build_s
    return [replace(simulation, sim_s=sim_s) for simulation in simulations]


def simulate_batches(
    batches: Sequence[Batch | Sequence[Job]], config: EngineConfig, *,
    stall: float = 0.0, seed: int = 0,
    progress: Callable[[int, int], None] | None = None, simulator: str = "verilator",
    memory: str | None = None, verilog: str | None = None, limit_s: float | None = None,
    stage: Stage | None = None, trace: Path | None = None,
) -> list[Simulation]:
    """Ring one doorbell per batch, all in one simulation.

    Parameters
    ----------
    batches : sequence of Batch or of sequences of Job
    config : EngineConfig
    stall : float
        Probability per cycle of a pause on every channel of both buses, below 1.
    seed : int
        Of the pauses.
    progress : callable or None
        Called with the jobs done and all jobs, now and then.
    simulator : str
        One of SIMULATORS.
    memory : str or None
        What answers on the memory bus, ``cpp`` or ``python``: the memory that is compiled into a
        simulation on Verilator, which is its default, or that of cocotbext-axi.
    verilog : str or None
        Verilog text to run instead of what prunus.hw.verilog.emit gives for the configuration.
    limit_s : float or None
        Seconds that the simulation may take.
    stage : callable or None
        Called with a few words when something begins that takes long, before the simulation.
    trace : Path or None
        Where a waveform of all signals goes, .fst or .vcd; Verilator only.

    Raises
    ------
    SimulationError
        When the simulator does not build, the coprocessor breaks a rule of AXI, writes where it
        should not, or does not answer in time. Of a failed simulation the text ends with the
        command that repeats it.
    InputError
        When the build folder, the temporary one or that of ``trace`` cannot be written.
    """
    case = Case(batches=[b if isinstance(b, Batch) else Batch(b) for b in batches], config=config,
                stall=stall, seed=seed, simulator=simulator, memory=memory, verilog=verilog)
    try:
        simulations = repeat(case, progress=progress, stage=stage, limit_s=limit_s, trace=trace)
    except BuildError:
        raise
    except SimulationError as err:
        raise SimulationError(f"{err}{advice(case)}") from None
    for n, simulation in enumerate(simulations):
        simulation.case = replace(case, batch=n)
    return simulations


def simulate(jobs: Sequence[Job], config: EngineConfig, **options: Any) -> Simulation:
    """Ring one doorbell for ``jobs``, with the options of :func:`simulate_batches`.

    Here a job without a status record raises SimulationError, so every result has one.
    """
    return check_written(simulate_batches([jobs], config, **options)[0], config)

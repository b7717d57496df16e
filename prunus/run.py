# SPDX-License-Identifier: Apache-2.0
"""Jobs through a backend, whatever the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.jobs import Job
from prunus.golden.records import Error

from .console import install_hint
from .errors import InputError, RunError

__all__ = ["BACKENDS", "Progress", "Run", "check_port", "compute", "not_installed", "run_golden",
           "run_serial", "run_verilator"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a backend gave.

    Members
    -------
    jobs : sequence of Job
    outputs : list of (ndarray, Status)
        Of the backend, in the order of the jobs.
    golden : list
        The specification's results, in summary or for traces whole.
    read_bytes, write_bytes : int
    cycles : int or None
        Of the RTL.
    build_s, sim_s : float or None
    """

    backend: str
    config: Any
    jobs: Sequence[Any]
    outputs: list[tuple[np.ndarray, Any]]
    golden: list[Any]
    read_bytes: int
    write_bytes: int
    cycles: int | None = None
    build_s: float | None = None
    sim_s: float | None = None

    @property
    def status(self) -> list[Any]:
        """The status record of each job."""
        return [status for _, status in self.outputs]

    def summary(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """The figures of the run, ready for JSON, among them the engine's own."""
        bound = engine_of(self.config).bound_cycles(self.jobs, self.golden, self.config)
        return {
            "backend": self.backend,
            "config": self.config.name,
            "heads": len(self.jobs),
            "cycles": self.cycles,
            "bound_cycles": bound,
            "utilisation": bound / self.cycles if self.cycles else None,
            **figures,
            "read_bytes": self.read_bytes,
            "write_bytes": self.write_bytes,
            "build_s": self.build_s,
            "sim_s": self.sim_s,
        }


def compute(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None,
            whole: bool = False) -> list[Any]:
    """What the specification gives for each job, of ``whole`` results or in summary.

    Arrays of the size of the scores are dropped head by head, else many heads would need more
    memory than there is.
    """
    engine, results = engine_of(config), []
    for n, job in enumerate(jobs):
        result = engine.compute(job, config)
        results.append(result if whole else result.summary())
        if progress:
            progress(n + 1, len(jobs))
    return results


def run_golden(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
               whole: bool = False) -> Run:
    """The specification itself; traces are of ``whole`` results."""
    engine, results = engine_of(config), compute(jobs, config, progress, whole)
    held = engine.held(jobs, results, config)
    outputs = [(result.out, engine.kind(job).record(job, result, config, planes))
               for job, result, planes in zip(jobs, results, held, strict=True)]
    return Run(backend="golden", config=config, jobs=jobs, outputs=outputs, golden=results,
               read_bytes=sum(status.read_bytes for _, status in outputs),
               write_bytes=sum(status.write_bytes for _, status in outputs))


def _in_order(outputs: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """Outputs of a table as of the jobs that it was made of. Raises RunError if one failed."""
    places = dict(zip(order, outputs, strict=True))
    for n in range(len(order)):
        status = places[n][1]
        if status is None or not status.done or status.error != Error.NONE:
            said = status.error.name if status is not None else "no status record"
            raise RunError(f"head {n}: the coprocessor reports {said}")
    return [places[n] for n in range(len(order))]


def _compared(outputs: Sequence[Any], golden: Sequence[Any], blame: str) -> None:
    """Raise RunError unless all outputs are those of the specification."""
    for n, ((out, _), result) in enumerate(zip(outputs, golden, strict=True)):
        if not np.array_equal(out, result.out):
            raise RunError(f"head {n}: {blame}")


def not_installed(err: ModuleNotFoundError) -> InputError:
    """What to raise where the packages of a simulation are missing."""
    return InputError(f"backend verilator needs the Python package {err.name!r}: "
                      f"{install_hint('sim')}")


def run_verilator(jobs: Sequence[Job], config: EngineConfig,
                  progress: Progress | None = None, **options: Any) -> Run:
    """The RTL on Verilator, driven over AXI; what it gives is compared with the specification.

    ``options`` are those of :func:`prunus.sim.simulate.simulate_batches`.
    """
    try:
        from prunus.sim.simulate import SimulationError, simulate
    except ModuleNotFoundError as err:
        raise not_installed(err) from None
    order, table = engine_of(config).arrange(jobs, config)
    try:
        simulation = simulate(table, config, progress=progress, **options)
    except SimulationError as err:
        raise RunError(str(err)) from None
    outputs, results = _in_order(simulation.results, order), compute(jobs, config)
    seen = f"; the waveform is in {str(options['trace'])!r}" if options.get("trace") else ""
    _compared(outputs, results, "the RTL's output is not that of the specification; please report "
              f"this with the input file{seen}")
    registers = simulation.registers
    return Run(backend="verilator", config=config, jobs=jobs, outputs=outputs, golden=results,
               cycles=registers["cycles"], read_bytes=registers["read_bytes"],
               write_bytes=registers["write_bytes"], build_s=simulation.build_s,
               sim_s=simulation.sim_s)


def check_port(port: str | None, baud: int | None, serial: bool) -> dict[str, Any]:
    """What backend ``serial`` needs besides the jobs; the others take neither."""
    given = {"port": port, "baud": baud}
    for name, value in given.items():
        if value is not None and not serial:
            raise InputError(f"--{name} needs --backend serial")
    if serial and port is None:
        raise InputError("--backend serial needs --port, such as --port /dev/ttyUSB0")
    return {name: value for name, value in given.items() if value is not None}


def run_serial(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
               port: str, **options) -> Run:
    """A board on a serial port; what it gives is compared with the specification."""
    from prunus.host import open_serial
    from prunus.host.driver import DriverError

    order, table = engine_of(config).arrange(jobs, config)
    try:
        with open_serial(port, config, **options) as board:
            given, counters = board.run(table, progress)
    except ValueError as err:
        raise InputError(str(err)) from None
    except DriverError as err:
        raise RunError(str(err)) from None
    outputs, results = _in_order(given, order), compute(jobs, config)
    _compared(outputs, results, "the board's output is not that of the specification; is its clock "
              "within what place and route allowed?")
    return Run(backend="serial", config=config, jobs=jobs, outputs=outputs, golden=results,
               cycles=counters["cycles"], read_bytes=counters["read_bytes"],
               write_bytes=counters["write_bytes"])


BACKENDS: dict[str, Callable[..., Run]] = {
    "golden": run_golden, "verilator": run_verilator, "serial": run_serial}

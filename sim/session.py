# SPDX-License-Identifier: Apache-2.0
"""A simulation that stays alive between tables: emit, build, start, then a doorbell at a time."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.image import Image, build_image, out_bytes, read_output, read_status
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES
from prunus.host.driver import writable_ranges

from .cases import Batch, Case, advice
from .engines import bench_of
from .exchange import CHANNEL, BatchReply, BatchRequest, Drawn, Failure, Progress, Restart, Setup
from .simulators.cache import build_root, cached, digest, generator
from .simulators.folders import scratch
from .simulators.icarus import IcarusRunner
from .simulators.runner import CachedRunner, SimulationError
from .simulators.verilator import COVERAGE, VerilatorRunner
from .waveforms import check_waveform, waveform

__all__ = ["MEMORIES", "SIMULATORS", "Session", "Simulation", "Stage", "check_written",
           "cycle_limit", "emitted", "open_session"]

SIMULATORS: dict[str, Callable[..., CachedRunner]] = {
    "verilator": VerilatorRunner, "icarus": IcarusRunner}
MEMORIES = {"verilator": ("cpp", "python"), "icarus": ("python",)}     # the first by itself
Stage = Callable[[str], None]
JOB_CYCLES = 20_000        # of the watchdog, beside the work
ROW_CYCLES = 200
WATCH_S = 1.0              # between two looks at a simulator that says nothing


@dataclass(eq=False, kw_only=True)
class Simulation:
    """What one doorbell gave.

    Members
    -------
    results : list of (ndarray of int64, Status or None)
        Output (l_q, d) and status record, that of the engine, of each job; None where none was
        written.
    registers : dict of str to int
        The counters.
    bus_read_bytes, bus_write_bytes : int
        Bytes that the memory model saw move.
    cycles : int
        From before the doorbell's write to after the interrupt, register accesses included.
    accesses : dict of str to list of (int, int, int)
        ``(value, response, irq)`` of a batch's own register accesses, irq as it is afterwards.
    aborted : bool
        A reset or abort ended the run, so there are no ``results``.
    halted : bool
        It had ended before, for want of answers.
    drawn : list of Drawn
        Answers with errors that chance has made.
    served : int
        Interrupts of errors, where they were let out.
    build_s, sim_s : float
        Seconds to emit and build, and to start the simulation and ring all doorbells of a call; of
        a session, to ring this one.
    case : Case or None
        What is kept should the results be wrong.
    """

    results: list[tuple[np.ndarray, Any]]
    registers: dict[str, int]
    bus_read_bytes: int = 0
    bus_write_bytes: int = 0
    cycles: int = 0
    accesses: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    aborted: bool = False
    halted: bool = False
    drawn: list[Drawn] = field(default_factory=list)
    served: int = 0
    build_s: float = 0.0
    sim_s: float = 0.0
    case: Case | None = None


def emitted(config: EngineConfig, stage: Stage | None = None) -> str:
    """The Verilog of a configuration, kept as long as no source of it changes."""
    key = digest(config.model_dump_json(), generator())
    directory = build_root() / "emitted" / f"{config.name}-{key}"

    def make(work: Path) -> None:
        if stage:
            stage("emitting Verilog")
        # Slow to import, and not needed when the text is kept.
        from prunus.hw.verilog.emit import emit

        (work / f"{config.name}.v").write_text(emit(config).verilog, encoding="utf-8")

    cached(directory, make)
    return (directory / f"{config.name}.v").read_text(encoding="utf-8")


def cycle_limit(jobs: Sequence[Job], config: EngineConfig, stall: float = 0.0) -> int:
    """Cycles that any mask of these jobs needs at most, several times over."""
    bench, beat_bytes, total = bench_of(config), config.axi_data_width // 8, JOB_CYCLES
    for job in jobs:
        work, read = bench.work(job, config)
        beats = (read + out_bytes(job, config) + STATUS_BYTES) // beat_bytes
        rows = sum(len(operand) for operand in job.operands().values())
        total += work + 8 * beats + ROW_CYCLES * rows + JOB_CYCLES
    return int(total / (1 - min(stall, 0.95)) * (2 if stall else 1))


def _address(at: int, places: Sequence[tuple[int, int, int]]) -> int:
    """Of a byte of the image, in memory."""
    return next((address + at - first for first, size, address in places
                 if first <= at < first + size), at)


def _request(batch: Batch, image: Image, config: EngineConfig, stall: float,
             progress: bool) -> BatchRequest:
    return BatchRequest(
        image=np.frombuffer(bytes(image.data), np.uint8),
        table=_address(image.table, batch.places),
        count=len(batch.jobs), writable=writable_ranges(image, batch.jobs, config),
        read_errors=list(batch.read_errors), before=list(batch.before),
        during=list(batch.during), after=list(batch.after), reset=batch.reset, progress=progress,
        places=tuple(batch.places), hold=batch.hold, faults=batch.faults,
        cycles=batch.cycles or cycle_limit(batch.jobs, config, stall))


def _results(image: Image, contents: bytes, jobs: Sequence[Job],
             config: EngineConfig) -> list[tuple[np.ndarray, Any]]:
    """As read_results, but a status record may be missing."""
    results: list[tuple[np.ndarray, Any]] = []
    for n, (job, at) in enumerate(zip(jobs, image.status, strict=True)):
        record = contents[at : at + STATUS_BYTES]
        written = record != image.data[at : at + STATUS_BYTES]
        results.append((read_output(contents, image, n, job, config),
                        read_status(record, job, config) if written else None))
    return results


def _simulation(batch: Batch, image: Image, reply: BatchReply, config: EngineConfig,
                **more: Any) -> Simulation:
    return Simulation(
        results=[] if reply.aborted else _results(image, reply.image.tobytes(), batch.jobs,
                                                  config),
        registers=reply.registers, bus_read_bytes=reply.bus_read_bytes,
        bus_write_bytes=reply.bus_write_bytes, cycles=reply.cycles,
        accesses={when: [tuple(answer) for answer in answers]
                  for when, answers in reply.accesses.items()},
        aborted=reply.aborted, halted=reply.halted, drawn=reply.drawn,
        served=reply.served, **more)


def check_written(simulation: Simulation, config: EngineConfig) -> Simulation:
    """Raise SimulationError if a job has no status record."""
    for n, (_, status) in enumerate(simulation.results):
        if status is None:
            raise SimulationError(f"{config.name}, job {n}: no status record was written"
                                  f"{advice(simulation.case)}")
    return simulation


class _Alive:
    """A simulator in a thread, and the channel to its bench."""

    def __init__(self, launch: Callable[[int], None], runner: CachedRunner):
        self._runner = runner
        self._error: BaseException | None = None
        self.channel, self._theirs = Pipe()
        self._thread = threading.Thread(target=self._work, args=[launch], daemon=True)
        self._thread.start()

    def _work(self, launch: Callable[[int], None]) -> None:
        try:
            launch(self._theirs.fileno())
        except BaseException as err:
            self._error = err
        finally:
            self._theirs.close()        # then nobody has the other side: reading comes to an end

    def receive(self) -> Any:
        """What the bench says next. Raises EOFError when nothing will come."""
        while not self.channel.poll(WATCH_S):
            # A process that was forked meanwhile may hold the other side open.
            if not self._thread.is_alive() and not self.channel.poll():
                raise EOFError
        return self.channel.recv()

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def ended(self) -> BaseException:
        """Why there is no answer."""
        self._thread.join()
        return self._error or SimulationError("the simulator ended before its time")

    def close(self) -> None:
        """Have the bench end, and wait. Raises what the simulation failed with."""
        with suppress(ConnectionError):
            self.channel.send(None)
        self.channel.close()
        self._thread.join()
        if self._error:
            raise self._error

    def stop(self) -> None:
        """End the simulator, whatever it does."""
        self.channel.close()            # a simulator that starts just now sees it
        self._runner.stop()
        self._thread.join()


class Session:
    """A running simulation. :func:`open_session` starts it.

    Members
    -------
    config : EngineConfig
    build_s, start_s : float
        Seconds to emit and build, and until the coprocessor was out of its reset.

    Raises
    ------
    SimulationError
        As of :func:`prunus.sim.simulate.simulate_batches`. The session is over then, unless it is
        ``alive``: then :meth:`restart` makes it go on.
    """

    def __init__(self, alive: _Alive, case: Case, build_s: float, record: Path | None = None):
        self.config, self.build_s = case.config, build_s
        self._alive, self._case = alive, case
        self._rung = 0          # doorbells
        self._over = False
        begin = time.perf_counter()
        self._send(Setup(config=case.config, stall=case.stall, seed=case.seed,
                         memory=case.memory or MEMORIES[case.simulator][0],
                         record=str(record.resolve()) if record else None))
        self._receive(case.config.name)
        self.start_s = time.perf_counter() - begin

    @property
    def alive(self) -> bool:
        """Whether the simulator still runs, and can be restarted."""
        return self._alive.runs and not self._over

    def restart(self, **inputs: int) -> None:
        """Reset coprocessor and buses, with values for further inputs of the top."""
        self._send(Restart(inputs))
        self._receive(self.config.name)

    def ring(self, batch: Batch, progress: Callable[[int], None] | None = None) -> Simulation:
        """Ring the doorbell for a batch; ``progress`` is called with the jobs done, now and then.
        """
        config, image = self.config, batch.image or build_image(batch.jobs, self.config)
        begin = time.perf_counter()
        self._send(_request(batch, image, config, self._case.stall, progress is not None))
        where = f"{config.name}, batch {self._rung}"
        while isinstance(answer := self._receive(where), Progress):
            if progress:
                progress(answer.done)
        self._rung += 1
        return _simulation(batch, image, answer, config, build_s=self.build_s,
                           sim_s=time.perf_counter() - begin)

    def simulate(self, jobs: Sequence[Job],
                 progress: Callable[[int], None] | None = None) -> Simulation:
        """Ring the doorbell for jobs, each of which leaves a status record.

        Of a failure the text ends with the command that repeats this table by itself.
        """
        case = replace(self._case, batches=[Batch(jobs)], batch=0)
        try:
            simulation = self.ring(case.batches[0], progress)
        except SimulationError as err:
            raise SimulationError(f"{err}{advice(replace(case, batch=None))}") from None
        simulation.case = case
        return check_written(simulation, self.config)

    def _send(self, message: Any) -> None:
        try:
            self._alive.channel.send(message)
        except ConnectionError:
            self._over = True
            raise self._alive.ended() from None

    def _receive(self, where: str) -> Any:
        try:
            answer = self._alive.receive()
        except (EOFError, ConnectionError):
            self._over = True
            raise self._alive.ended() from None
        if isinstance(answer, Failure):
            self._over = answer.rule
            raise SimulationError(f"{where}: {answer.text}")
        return answer


@contextmanager
def open_session(
    config: EngineConfig, *, stall: float = 0.0, seed: int = 0, simulator: str = "verilator",
    memory: str | None = None, verilog: str | None = None, limit_s: float | None = None,
    stage: Stage | None = None, trace: Path | None = None, coverage: Path | None = None,
    record: Path | None = None,
) -> Iterator[Session]:
    """A simulation from here to the end of the block, with the parameters of
    :func:`prunus.sim.simulate.simulate_batches`.

    ``coverage`` is where Verilator's file of lines that ran and bits that toggled goes; ``record``
    is where the ports of the coprocessor go (:mod:`prunus.sim.record`).

    Raises
    ------
    SimulationError
        When the simulator does not build or start; at the end, when it ends otherwise than well.
    InputError
        When the build folder, the temporary one or that of ``trace`` cannot be written.
    """
    if not 0 <= stall < 1:
        raise ValueError(f"stall must lie in [0, 1), not {stall!r}")
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    if memory not in (None, *MEMORIES[simulator]):
        raise ValueError(f"memory of {simulator} must be one of {', '.join(MEMORIES[simulator])}, "
                         f"not {memory!r}")
    case = Case(batches=[], config=config, stall=stall, seed=seed, simulator=simulator,
                memory=memory, verilog=verilog)
    kind = check_waveform(trace) if trace else None
    begin = time.perf_counter()
    runner = VerilatorRunner(kind, True) if coverage else SIMULATORS[simulator](kind)
    text = verilog or emitted(config, stage)
    directory = runner.compile(text, config.name, stage)
    build_s = time.perf_counter() - begin
    with scratch("prunus-sim-") as folder, waveform(trace) as part:
        def launch(channel: int) -> None:
            runner.launch(directory, config.name, "prunus.sim.inside.bench", scratch=folder,
                          limit_s=limit_s, trace=part, env={CHANNEL: str(channel)},
                          channel=channel)

        alive = _Alive(launch, runner)
        try:
            yield Session(alive, case, build_s, record)
        except BaseException:
            alive.stop()
            raise
        alive.close()
        if coverage:
            shutil.move(folder / COVERAGE, coverage)

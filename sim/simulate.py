# SPDX-License-Identifier: Apache-2.0
"""Jobs through the RTL: emit, build, run, read back. What tests and ``prunus run`` call."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from .exchange import PROGRESS, REPLY, REQUEST, Access, BatchReply, BatchRequest, Reply, Request
from .simulators.cache import build_root, cached, digest, generator
from .simulators.folders import scratch
from .simulators.icarus import IcarusRunner
from .simulators.runner import BuildError, CachedRunner, SimulationError
from .simulators.verilator import VerilatorRunner
from .waveforms import check_waveform, waveform

__all__ = ["SIMULATORS", "Access", "Batch", "Simulation", "SimulationError", "cycle_limit",
           "emitted", "repeat", "simulate", "simulate_batches"]

SIMULATORS: dict[str, Callable[..., CachedRunner]] = {
    "verilator": VerilatorRunner, "icarus": IcarusRunner}
Stage = Callable[[str], None]
POLL_S = 0.2
JOB_CYCLES = 20_000        # of the watchdog, beside the work
ROW_CYCLES = 200


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
        A reset ended the run, so there are no ``results``.
    build_s, sim_s : float
        Seconds to emit and build, and to simulate all batches of the call.
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


def _request(batch: Batch, image: Image, config: EngineConfig, stall: float) -> BatchRequest:
    return BatchRequest(
        image=np.frombuffer(bytes(image.data), np.uint8), table=image.table,
        count=len(batch.jobs), writable=writable_ranges(image, batch.jobs, config),
        read_errors=list(batch.read_errors), before=list(batch.before),
        during=list(batch.during), after=list(batch.after), reset=batch.reset,
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
        aborted=reply.aborted, **more)


def _watched(work: Callable[[], None], stop: Callable[[], None],
             progress: Callable[[int, int], None], path: Path, total: int) -> None:
    """Do ``work`` in a thread while telling ``progress`` what the bench writes to ``path``."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as err:
            raised.append(err)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    shown = 0
    try:
        progress(0, total)
        while thread.is_alive():
            thread.join(POLL_S)
            text = path.read_text(encoding="ascii") if path.exists() else ""
            if text and int(text) != shown:
                shown = int(text)
                progress(shown, total)
    except BaseException:
        stop()
        thread.join()
        raise
    if raised:
        raise raised[0]
    if shown != total:
        progress(total, total)


def repeat(case: Case, *, progress: Callable[[int, int], None] | None = None,
           stage: Stage | None = None, limit_s: float | None = None,
           trace: Path | None = None) -> list[Simulation]:
    """Simulate a case; see :func:`simulate_batches`."""
    config, tables = case.config, case.batches
    kind = check_waveform(trace) if trace else None
    images = [table.image or build_image(table.jobs, config) for table in tables]
    begin = time.perf_counter()
    runner = SIMULATORS[case.simulator](kind)
    verilog = case.verilog or emitted(config, stage)
    directory = runner.compile(verilog, config.name, stage)
    built = time.perf_counter()
    with scratch("prunus-sim-") as folder, waveform(trace) as part:
        files = {REQUEST: folder / "request.npz", REPLY: folder / "reply.npz",
                 PROGRESS: folder / "progress"}
        requests = [_request(b, i, config, case.stall)
                    for b, i in zip(tables, images, strict=True)]
        Request(config=config, batches=requests, stall=case.stall, seed=case.seed,
                progress=progress is not None).save(files[REQUEST])

        def work() -> None:
            runner.launch(directory, config.name, "prunus.sim.inside.bench", scratch=folder,
                          limit_s=limit_s, trace=part,
                          env={name: str(path) for name, path in files.items()})

        if progress:
            _watched(work, runner.stop, progress, files[PROGRESS],
                     sum(len(b.jobs) for b in tables))
        else:
            work()
        reply = Reply.load(files[REPLY])
        if reply.error:
            raise SimulationError(f"{config.name}, {reply.error}")
    seconds = {"build_s": built - begin, "sim_s": time.perf_counter() - built}
    return [_simulation(b, i, r, config, **seconds)
            for b, i, r in zip(tables, images, reply.batches, strict=True)]


def simulate_batches(
    batches: Sequence[Batch | Sequence[Job]], config: EngineConfig, *,
    stall: float = 0.0, seed: int = 0,
    progress: Callable[[int, int], None] | None = None, simulator: str = "verilator",
    verilog: str | None = None, limit_s: float | None = None, stage: Stage | None = None,
    trace: Path | None = None,
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
    if not 0 <= stall < 1:
        raise ValueError(f"stall must lie in [0, 1), not {stall!r}")
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    case = Case(batches=[b if isinstance(b, Batch) else Batch(b) for b in batches], config=config,
                stall=stall, seed=seed, simulator=simulator, verilog=verilog)
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
    simulation = simulate_batches([jobs], config, **options)[0]
    for n, (_, status) in enumerate(simulation.results):
        if status is None:
            raise SimulationError(f"{config.name}, job {n}: no status record was written"
                                  f"{advice(simulation.case)}")
    return simulation

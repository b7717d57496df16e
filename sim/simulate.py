# SPDX-License-Identifier: Apache-2.0
"""Jobs through the RTL: emit, build, run, read back. What tests and ``prunus run`` call."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.image import Image, build_image, out_bytes, read_output, read_status
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES
from prunus.host.driver import writable_ranges

from .engines import bench_of
from .exchange import PROGRESS, REPLY, REQUEST, Access, BatchReply, BatchRequest, Reply, Request
from .simulators.cache import ROOT, build_root, cached, digest
from .simulators.icarus import IcarusRunner
from .simulators.runner import CachedRunner, SimulationError
from .simulators.verilator import VerilatorRunner

__all__ = ["SIMULATORS", "Access", "Batch", "Simulation", "SimulationError", "cycle_limit",
           "emitted", "simulate", "simulate_batches"]

SIMULATORS: dict[str, Callable[[], CachedRunner]] = {
    "verilator": VerilatorRunner, "icarus": IcarusRunner}
POLL_S = 0.2
JOB_CYCLES = 20_000        # of the watchdog, beside the work
ROW_CYCLES = 200


@dataclass(eq=False)
class Batch:
    """Jobs for one doorbell.

    Parameters
    ----------
    jobs : sequence of Job
    image : Image or None
        Memory for them, if it is not to be what ``prunus.golden.image`` builds.
    read_errors : sequence of (int, int)
        ``(first, end)`` of addresses whose reads are answered with SLVERR.
    before, during, after : sequence of Access
        Register accesses before the doorbell, right after it, and after the run.
    cycles : int or None
        The watchdog, :func:`cycle_limit` by default.
    reset : (int, int) or None
        Clock cycles from the doorbell to a reset of the coprocessor and both buses, and how many
        it lasts. It must come before the table is worked off.
    """

    jobs: Sequence[Job]
    image: Image | None = None
    read_errors: Sequence[tuple[int, int]] = ()
    before: Sequence[Access] = ()
    during: Sequence[Access] = ()
    after: Sequence[Access] = ()
    cycles: int | None = None
    reset: tuple[int, int] | None = None


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


def emitted(config: EngineConfig) -> str:
    """The Verilog of a configuration, kept as long as no source of it changes."""
    sources = sorted(path for room in ("golden", "hw") for path in (ROOT / room).rglob("*.py"))
    key = digest(config.model_dump_json(), metadata.version("amaranth"),
                 *(part for path in sources
                   for part in (str(path.relative_to(ROOT)), path.read_bytes())))
    directory = build_root() / "emitted" / f"{config.name}-{key}"

    def make(work: Path) -> None:
        from prunus.hw.verilog.emit import (
            emit,  # slow to import, and not needed when the text is kept
        )

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
                **seconds: float) -> Simulation:
    return Simulation(
        results=[] if reply.aborted else _results(image, reply.image.tobytes(), batch.jobs,
                                                  config),
        registers=reply.registers, bus_read_bytes=reply.bus_read_bytes,
        bus_write_bytes=reply.bus_write_bytes, cycles=reply.cycles,
        accesses={when: [tuple(answer) for answer in answers]
                  for when, answers in reply.accesses.items()},
        aborted=reply.aborted,
        **seconds)


def _watched(work: Callable[[], None], progress: Callable[[int, int], None], path: Path,
             total: int) -> None:
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
    progress(0, total)
    while thread.is_alive():
        thread.join(POLL_S)
        text = path.read_text(encoding="ascii") if path.exists() else ""
        if text and int(text) != shown:
            shown = int(text)
            progress(shown, total)
    if raised:
        raise raised[0]
    if shown != total:
        progress(total, total)


def simulate_batches(
    batches: Sequence[Batch | Sequence[Job]], config: EngineConfig, *,
    stall: float = 0.0, seed: int = 0,
    progress: Callable[[int, int], None] | None = None, simulator: str = "verilator",
    verilog: str | None = None, limit_s: float | None = None,
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

    Raises
    ------
    SimulationError
        When the simulator does not build, the coprocessor breaks a rule of AXI, writes where it
        should not, or does not answer in time.
    """
    if not 0 <= stall < 1:
        raise ValueError(f"stall must lie in [0, 1), not {stall!r}")
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    tables = [b if isinstance(b, Batch) else Batch(b) for b in batches]
    images = [table.image or build_image(table.jobs, config) for table in tables]
    begin = time.perf_counter()
    runner = SIMULATORS[simulator]()
    directory = runner.compile(verilog or emitted(config), config.name)
    built = time.perf_counter()
    scratch = Path(tempfile.mkdtemp(prefix="prunus-sim-"))
    try:
        files = {REQUEST: scratch / "request.npz", REPLY: scratch / "reply.npz",
                 PROGRESS: scratch / "progress"}
        requests = [_request(b, i, config, stall) for b, i in zip(tables, images, strict=True)]
        Request(config=config, batches=requests, stall=stall, seed=seed,
                progress=progress is not None).save(files[REQUEST])

        def work() -> None:
            runner.launch(directory, config.name, "prunus.sim.inside.bench", scratch=scratch,
                          limit_s=limit_s,
                          env={name: str(path) for name, path in files.items()})

        if progress:
            _watched(work, progress, files[PROGRESS], sum(len(b.jobs) for b in tables))
        else:
            work()
        reply = Reply.load(files[REPLY])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if reply.error:
        raise SimulationError(f"{config.name}, {reply.error}")
    seconds = {"build_s": built - begin, "sim_s": time.perf_counter() - built}
    return [_simulation(b, i, r, config, **seconds)
            for b, i, r in zip(tables, images, reply.batches, strict=True)]


def simulate(jobs: Sequence[Job], config: EngineConfig, *, stall: float = 0.0,
             seed: int = 0, progress: Callable[[int, int], None] | None = None,
             simulator: str = "verilator") -> Simulation:
    """Ring one doorbell for ``jobs``; see :func:`simulate_batches`.

    Here a job without a status record raises SimulationError, so every result has one.
    """
    simulation = simulate_batches([jobs], config, stall=stall, seed=seed, progress=progress,
                                  simulator=simulator)[0]
    for n, (_, status) in enumerate(simulation.results):
        if status is None:
            raise SimulationError(f"{config.name}, job {n}: no status record was written")
    return simulation

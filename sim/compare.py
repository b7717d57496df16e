# SPDX-License-Identifier: Apache-2.0
"""RTL against golden: every output, every field of every status record, the counters."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from golden.engine import EngineConfig
from golden.hdp.bounds import Work
from golden.hdp.compute import HdpJob, head
from golden.hdp.config import HdpConfig
from golden.hdp.planes import (
    DESCRIPTOR_BYTES,
    FILL,
    STATUS_BYTES,
    CodeLayout,
    Error,
    HdpStatus,
    held_planes,
)
from golden.jobs import AttentionJob
from golden.leopard import compute as leopard
from golden.leopard import planes as leopard_memory
from golden.leopard.compute import LeopardJob
from golden.leopard.config import LeopardConfig
from golden.registers import OCCUPANCY

from .simulate import Simulation

__all__ = ["MismatchError", "check", "describe"]

class MismatchError(AssertionError):
    """The RTL and golden differ; the text says where."""


def describe(job: AttentionJob) -> str:
    """A job in a few words."""
    modes = [name for name in ("causal", "drop", "exact", "dense", "same_kv")
             if getattr(job, name, False)]
    pruning = (f"threshold {job.threshold}" if isinstance(job, LeopardJob)
               else f"rho {job.rho}, tau_head {job.tau_head}")
    return (f"l_q {job.l_q} ({job.valid_q} valid), l_kv {job.l_kv} ({job.valid_kv} valid), "
            f"d {job.d}, {pruning}, scale {job.scale}"
            + "".join(f", {mode}" for mode in modes))


def _check_status(where: str, status, expected) -> None:
    if status is None:
        raise MismatchError(f"{where}: no status record was written")
    for field in fields(expected):
        got, want = getattr(status, field.name), getattr(expected, field.name)
        if got != want:
            raise MismatchError(f"{where}: status {field.name} must be {want!r}, not {got!r}")


def _check_out(where: str, out: np.ndarray, expected: np.ndarray) -> None:
    wrong = np.argwhere(out != expected)
    if len(wrong):
        row, column = wrong[0]
        raise MismatchError(f"{where}: out[{row}, {column}] must be {expected[row, column]}, not "
                       f"{out[row, column]}; {len(wrong)} of {out.size} elements differ")


class _Hdp:
    """What to expect of an HDP coprocessor.

    Members
    -------
    results : dict of int to HeadResult
        What golden gives for good jobs.
    status : dict of int to HdpStatus
        Their records.
    """

    def __init__(self, jobs: Sequence[HdpJob], config: HdpConfig, errors: Mapping[int, Error]):
        self._jobs, self._config = jobs, config
        self.results = {n: head(job, config) for n, job in enumerate(jobs) if n not in errors}
        held = held_planes(jobs, [self.results[n].head_kept if n in self.results else None
                                  for n in range(len(jobs))], config)
        self.status = {n: HdpStatus.expected(jobs[n], result, config, held[n])
                       for n, result in self.results.items()}

    def failed(self, error: Error) -> HdpStatus:
        """The record of a job with an error."""
        return HdpStatus(done=True, error=error, head_kept=False, theta_head=0, blocks_kept=0,
                      blocks_total=0, read_bytes=0, write_bytes=0)

    def check_counters(self, registers: Mapping[str, int]) -> None:
        """The counters that are of this engine alone."""
        config = self._config
        occupied = sum(registers[name] for name in OCCUPANCY)
        array_cycles = config.cores * registers["cycles"]
        if occupied != array_cycles:
            raise MismatchError(f"registers {', '.join(OCCUPANCY)} must add up to cycles of all "
                                f"cores, {array_cycles}, not {occupied}")
        work = [Work.of(self._jobs[n], result, config) for n, result in self.results.items()]
        least = {
            "integer_slots": sum(w.integer for w in work) / 4,
            "score_slots": sum(w.fraction / 2 + w.full for w in work),
            "value_slots": sum(w.value for w in work),
        }
        for name, products in least.items():
            needed = products / config.multipliers
            if registers[name] < needed:
                raise MismatchError(f"register {name} is {registers[name]}, but the work needs at "
                                    f"least {needed:g}")


class _Leopard:
    """The same of a LeOPArd coprocessor."""

    def __init__(self, jobs: Sequence[LeopardJob], config: LeopardConfig,
                 errors: Mapping[int, Error]):
        self._jobs, self._config = jobs, config
        self.results = {n: leopard.head(job, config) for n, job in enumerate(jobs)
                        if n not in errors}
        held = leopard_memory.held_planes(jobs, [n in self.results for n in range(len(jobs))])
        self.status = {
            n: leopard_memory.Status.expected(jobs[n], result, config, held[n])
            for n, result in self.results.items()}
        self.failed = leopard_memory.Status.failed

    def check_counters(self, registers: Mapping[str, int]) -> None:
        """Everything is counted exactly."""
        chunks = {n: -(-self._jobs[n].d // self._config.taps) for n in self.results}
        expected = {
            "digits": sum(status.digits_total for status in self.status.values()),
            "survivors": sum(status.survivors for status in self.status.values()),
            "key_words": sum(status.key_words for status in self.status.values()),
            "value_words": sum(chunks[n] * status.survivors for n, status in self.status.items()),
        }
        for name, want in expected.items():
            if registers[name] != want:
                raise MismatchError(f"register {name} must be {want}, not {registers[name]}")


def _check_counters(simulation: Simulation, engine: _Hdp | _Leopard, jobs: Sequence[AttentionJob],
                    errors: Mapping[int, Error], config: EngineConfig) -> None:
    layout = CodeLayout(config)
    registers = simulation.registers
    expected = {
        "jobs_done": len(jobs), "jobs_failed": len(errors),
        "write_bytes": sum(layout.write_bytes(jobs[n]) for n in engine.results)
        + STATUS_BYTES * len(errors),
    }
    if Error.BUS not in errors.values():       # how much of such a job is read is not defined
        expected["read_bytes"] = DESCRIPTOR_BYTES * len(errors) + sum(
            status.read_bytes for status in engine.status.values())
    for name, want in expected.items():
        if registers[name] != want:
            raise MismatchError(f"register {name} must be {want}, not {registers[name]}")
    for way in ("read", "write"):
        moved, counted = getattr(simulation, f"bus_{way}_bytes"), registers[f"{way}_bytes"]
        if moved != counted:
            raise MismatchError(f"register {way}_bytes is {counted}, but the memory saw {moved}")
    engine.check_counters(registers)


def check(simulation: Simulation, jobs: Sequence[AttentionJob], config: EngineConfig,
          errors: Mapping[int, Error] | None = None) -> list:
    """Raise MismatchError unless the RTL did with ``jobs`` exactly what golden does.

    Parameters
    ----------
    simulation : Simulation
    jobs : sequence of AttentionJob
    config : EngineConfig
    errors : mapping of int to Error
        Jobs that must fail, and how; their outputs must be untouched.

    Returns
    -------
    list of HeadResult, LeopardResult or None
        What golden gives, None for jobs that must fail.
    """
    errors = errors or {}
    if len(simulation.results) != len(jobs):
        raise MismatchError(f"{len(jobs)} jobs must give as many results, "
                       f"not {len(simulation.results)}")
    layout = CodeLayout(config)
    engine = {"hdp": _Hdp, "leopard": _Leopard}[config.engine](jobs, config, errors)
    for n, (job, (out, status)) in enumerate(zip(jobs, simulation.results, strict=True)):
        where = f"job {n} ({describe(job)})"
        if n in errors:
            size = job.l_q * layout.row_bytes("out", job.d)
            _check_status(where, status, engine.failed(errors[n]))
            _check_out(where, out, layout.unpack_out(bytes([FILL]) * size, job.l_q, job.d))
            continue
        _check_status(where, status, engine.status[n])
        _check_out(where, out, engine.results[n].out)
    _check_counters(simulation, engine, jobs, errors, config)
    return [engine.results.get(n) for n in range(len(jobs))]

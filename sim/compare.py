# SPDX-License-Identifier: Apache-2.0
"""RTL against golden: every output, every field of every status record, the counters."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from golden.bounds import Work
from golden.config import Config
from golden.hdp import HeadResult, Job, head
from golden.memory import (
    DESCRIPTOR_BYTES,
    STATUS_BYTES,
    Error,
    Layout,
    Status,
    held_planes,
)
from golden.registers import OCCUPANCY

from .simulate import Simulation

__all__ = ["MismatchError", "check", "describe"]

UNTOUCHED = 0xA5           # what build_image fills outputs with


class MismatchError(AssertionError):
    """The RTL and golden differ; the text says where."""


def describe(job: Job) -> str:
    """A job in a few words."""
    modes = [name for name in ("causal", "drop", "exact", "dense", "same_kv")
             if getattr(job, name)]
    return (f"l_q {job.l_q} ({job.valid_q} valid), l_kv {job.l_kv} ({job.valid_kv} valid), "
            f"d {job.d}, rho {job.rho}, tau_head {job.tau_head}, scale {job.scale}"
            + "".join(f", {mode}" for mode in modes))


def _check_status(where: str, status: Status | None, expected: Status) -> None:
    if status is None:
        raise MismatchError(f"{where}: no status record was written")
    for field in fields(Status):
        got, want = getattr(status, field.name), getattr(expected, field.name)
        if got != want:
            raise MismatchError(f"{where}: status {field.name} must be {want!r}, not {got!r}")


def _check_out(where: str, out: np.ndarray, expected: np.ndarray) -> None:
    wrong = np.argwhere(out != expected)
    if len(wrong):
        row, column = wrong[0]
        raise MismatchError(f"{where}: out[{row}, {column}] must be {expected[row, column]}, not "
                       f"{out[row, column]}; {len(wrong)} of {out.size} elements differ")


def _failed(error: Error) -> Status:
    return Status(done=True, error=error, head_kept=False, theta_head=0, blocks_kept=0,
                  blocks_total=0, read_bytes=0, write_bytes=0)


def _check_counters(simulation: Simulation, jobs: Sequence[Job],
                    results: Mapping[int, HeadResult], held: Sequence[set[str]],
                    errors: Mapping[int, Error], config: Config) -> None:
    layout = Layout(config)
    registers = simulation.registers
    expected = {
        "jobs_done": len(jobs), "jobs_failed": len(errors),
        "write_bytes": sum(layout.write_bytes(jobs[n]) for n in results)
        + STATUS_BYTES * len(errors),
    }
    if Error.BUS not in errors.values():       # how much of such a job is read is not defined
        expected["read_bytes"] = (DESCRIPTOR_BYTES * len(errors) + sum(
            layout.read_bytes(jobs[n], result.head_kept, held[n])
            for n, result in results.items()))
    for name, want in expected.items():
        if registers[name] != want:
            raise MismatchError(f"register {name} must be {want}, not {registers[name]}")
    for way in ("read", "write"):
        moved, counted = getattr(simulation, f"bus_{way}_bytes"), registers[f"{way}_bytes"]
        if moved != counted:
            raise MismatchError(f"register {way}_bytes is {counted}, but the memory saw {moved}")
    occupied = sum(registers[name] for name in OCCUPANCY)
    array_cycles = config.cores * registers["cycles"]
    if occupied != array_cycles:
        raise MismatchError(f"registers {', '.join(OCCUPANCY)} must add up to cycles of all cores, "
                            f"{array_cycles}, not {occupied}")
    work = [Work.of(jobs[n], result, config) for n, result in results.items()]
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


def check(simulation: Simulation, jobs: Sequence[Job], config: Config,
          errors: Mapping[int, Error] | None = None) -> list[HeadResult | None]:
    """Raise MismatchError unless the RTL did with ``jobs`` exactly what golden does.

    Parameters
    ----------
    simulation : Simulation
    jobs : sequence of Job
    config : Config
    errors : mapping of int to Error
        Jobs that must fail, and how; their outputs must be untouched.

    Returns
    -------
    list of HeadResult or None
        What golden gives, None for jobs that must fail.
    """
    errors = errors or {}
    if len(simulation.results) != len(jobs):
        raise MismatchError(f"{len(jobs)} jobs must give as many results, "
                       f"not {len(simulation.results)}")
    layout = Layout(config)
    results = {n: head(job, config) for n, job in enumerate(jobs) if n not in errors}
    held = held_planes(jobs, [results[n].head_kept if n in results else None
                              for n in range(len(jobs))], config)
    for n, (job, (out, status)) in enumerate(zip(jobs, simulation.results, strict=True)):
        where = f"job {n} ({describe(job)})"
        if n in errors:
            size = job.l_q * layout.row_bytes("out", job.d)
            _check_status(where, status, _failed(errors[n]))
            _check_out(where, out, layout.unpack_out(bytes([UNTOUCHED]) * size, job.l_q, job.d))
            continue
        _check_status(where, status, Status.expected(job, results[n], config, held[n]))
        _check_out(where, out, results[n].out)
    _check_counters(simulation, jobs, results, held, errors, config)
    return [results.get(n) for n in range(len(jobs))]

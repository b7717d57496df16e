# SPDX-License-Identifier: Apache-2.0
"""RTL against golden: every output, every field of every status record, the counters."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.image import FILL, failed, out_bytes
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES, Error

from .cases import advice
from .engines import bench_of
from .engines.bench import MismatchError
from .simulate import Simulation

__all__ = ["MismatchError", "check", "describe"]


def describe(job: Job, config: EngineConfig) -> str:
    """A job in a few words."""
    values = engine_of(config).kind(job).fields(job, config)
    return ", ".join(f"{name} {int(value)}" for name, value in values.items())


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


def _check_register(registers: Mapping[str, int], name: str, want: int) -> None:
    if registers[name] != want:
        raise MismatchError(f"register {name} must be {want}, not {registers[name]}")


def _check_counters(simulation: Simulation, jobs: Sequence[Job], results: Sequence[Any],
                    records: Mapping[int, Any], errors: Mapping[int, Error],
                    config: EngineConfig) -> None:
    """``records`` are those of good jobs."""
    registers = simulation.registers
    failures = STATUS_BYTES * len(errors)
    _check_register(registers, "jobs_done", len(jobs))
    _check_register(registers, "jobs_failed", len(errors))
    _check_register(registers, "write_bytes",
                    failures + sum(record.write_bytes for record in records.values()))
    if Error.BUS not in errors.values():       # how much of such a job is read is not defined
        _check_register(registers, "read_bytes", config.descriptor_bytes * len(errors) + sum(
            record.read_bytes for record in records.values()))
    for way, moved in (("read", simulation.bus_read_bytes), ("write", simulation.bus_write_bytes)):
        counted = registers[f"{way}_bytes"]
        if moved != counted:
            raise MismatchError(f"register {way}_bytes is {counted}, but the memory saw {moved}")
    bench_of(config).check_counters(registers, [jobs[n] for n in records],
                                    [results[n] for n in records], list(records.values()), config)


def check(simulation: Simulation, jobs: Sequence[Job], config: EngineConfig,
          errors: Mapping[int, Error] | None = None, whole: bool = True) -> list[Any]:
    """Raise MismatchError unless the RTL did with ``jobs`` exactly what golden does.

    Its text ends with the command that repeats the simulation.

    Parameters
    ----------
    simulation : Simulation
    jobs : sequence of Job
    config : EngineConfig
    errors : mapping of int to Error
        Jobs that must fail, and how; their outputs must be untouched, but for those of a kind that
        may have written when a read fails.
    whole : bool
        Whether to give whole results, which take a lot of memory, or their summaries.

    Returns
    -------
    list
        What golden gives, None for jobs that must fail.
    """
    errors = errors or {}
    try:
        return _checked(simulation, jobs, config, errors, whole)
    except MismatchError as err:
        case = simulation.case and replace(simulation.case, errors=errors)
        raise MismatchError(f"{err}{advice(case)}") from None


def _checked(simulation: Simulation, jobs: Sequence[Job], config: EngineConfig,
             errors: Mapping[int, Error], whole: bool) -> list[Any]:
    if len(simulation.results) != len(jobs):
        raise MismatchError(f"{len(jobs)} jobs must give as many results, "
                            f"not {len(simulation.results)}")
    engine = engine_of(config)
    results: list[Any] = []
    for n, job in enumerate(jobs):
        result = None if n in errors else engine.compute(job, config)
        results.append(result if whole or result is None else result.summary())
    held = engine.held(jobs, results, config)
    good = {n: result for n, result in enumerate(results) if result is not None}
    records = {n: engine.kind(jobs[n]).record(jobs[n], result, config, held[n])
               for n, result in good.items()}
    for n, (job, (out, status)) in enumerate(zip(jobs, simulation.results, strict=True)):
        where = f"job {n} ({describe(job, config)})"
        if n in errors:
            kind, untouched = engine.kind(job), bytes([FILL]) * out_bytes(job, config)
            _check_status(where, status, failed(job, errors[n], config))
            if errors[n] != Error.BUS or not kind.spoils(config):
                _check_out(where, out, kind.unpack(untouched, job, config))
            continue
        _check_status(where, status, records[n])
        _check_out(where, out, good[n].out)
    _check_counters(simulation, jobs, results, records, errors, config)
    return results

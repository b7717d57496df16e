# SPDX-License-Identifier: Apache-2.0
"""Heads of attention through LeOPArd: their files, and the figures of a run.

The contract of the files stands in docs/cli.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.leopard import compute as leopard
from golden.leopard import planes as leopard_memory
from golden.leopard.compute import LeopardJob, LeopardResult
from golden.leopard.config import LeopardConfig
from golden.leopard.order import balanced
from golden.leopard.planes import LeopardStatus

from ..errors import InputError
from ..files import write_files
from ..heads import attention_fields, read_arrays, real_per_head, real_scale
from ..run import Progress, boarded, check_board, simulated

__all__ = ["BACKENDS", "Run", "load_jobs", "run_golden", "run_serial", "run_verilator",
           "save_results"]


def _thresholds(arrays: dict, heads: int, option: float | None) -> np.ndarray:
    array = arrays.get("threshold", np.array(-np.inf)) if option is None else np.array(option)
    array = real_per_head("threshold", array, heads)
    if np.isnan(array).any():
        raise InputError("threshold must be a real number, not nan")
    return array


def load_jobs(path: Path, config: LeopardConfig, threshold: float | None) -> list[LeopardJob]:
    """The heads of a file, one job each; ``threshold`` overrides those of the file.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    if threshold is not None and not config.pruning:
        raise InputError(f"--threshold and config {config.name} contradict each other: it prunes "
                         f"nothing")
    arrays = read_arrays(path)
    heads, scale = attention_fields(arrays, config), real_scale(arrays)
    thresholds = _thresholds(arrays, len(heads), threshold)
    return [LeopardJob(**fields, threshold=leopard.encode_threshold(float(t), scale, config))
            for fields, t in zip(heads, thresholds, strict=True)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a backend gave.

    Members
    -------
    outputs : list of (ndarray, LeopardStatus)
        Of the backend.
    golden : list of LeopardResult
        What the specification gives, for bounds and traces.
    cycles, build_s, sim_s : or None
        Of the RTL, and the seconds it took.
    """

    backend: str
    config: LeopardConfig
    outputs: list[tuple[np.ndarray, LeopardStatus]]
    golden: list[LeopardResult]
    cycles: int | None = None
    build_s: float | None = None
    sim_s: float | None = None

    @property
    def digits_wasted(self) -> list[int]:
        """By head: digits that were spent on keys after their deciding ones."""
        return [status.digits_wasted(out.shape[1], self.config) for out, status in self.outputs]

    def summary(self) -> dict:
        """The figures of the run, ready for JSON."""
        keys = sum(result.keys for result in self.golden)
        status = [status for _, status in self.outputs]
        bound = leopard.bound_cycles(self.golden, self.config)
        return {
            "backend": self.backend,
            "config": self.config.name,
            "heads": len(self.golden),
            "cycles": self.cycles,
            "bound_cycles": bound,
            "utilisation": bound / self.cycles if self.cycles else None,
            "baseline_cycles": leopard.baseline_cycles(self.golden),
            "survivors": sum(s.survivors for s in status),
            "keys": keys,
            "digits_total": sum(s.digits_total for s in status),
            "digits_wasted": sum(self.digits_wasted),
            "digits_full": keys * self.config.digits,
            "read_bytes": sum(s.read_bytes for s in status),
            "write_bytes": sum(s.write_bytes for s in status),
            "build_s": self.build_s,
            "sim_s": self.sim_s,
        }


def _golden_results(jobs: Sequence[LeopardJob], config: LeopardConfig,
                    progress: Progress | None = None) -> list[LeopardResult]:
    results = []
    for n, job in enumerate(jobs):
        results.append(leopard.head(job, config))
        if progress:
            progress(n + 1, len(jobs))
    return results


def run_golden(jobs: Sequence[LeopardJob], config: LeopardConfig,
               progress: Progress | None = None) -> Run:
    """The specification itself."""
    results = _golden_results(jobs, config, progress)
    held = leopard_memory.held_planes(jobs, [True] * len(jobs))
    outputs = [(result.out, LeopardStatus.expected(job, result, config, planes))
               for job, result, planes in zip(jobs, results, held, strict=True)]
    return Run(backend="golden", config=config, outputs=outputs, golden=results)


def run_verilator(jobs: Sequence[LeopardJob], config: LeopardConfig,
                  progress: Progress | None = None) -> Run:
    """The RTL on Verilator, driven over AXI; keys in the order that shares them out evenly."""
    simulation = simulated(balanced(jobs, config), config, progress)
    return Run(backend="verilator", config=config, outputs=simulation.results,
               golden=_golden_results(jobs, config), cycles=simulation.registers["cycles"],
               build_s=simulation.build_s, sim_s=simulation.sim_s)


def run_serial(jobs: Sequence[LeopardJob], config: LeopardConfig,
               progress: Progress | None = None, **line) -> Run:
    """A board on a serial port; keys as for the RTL."""
    outputs, counters = boarded(balanced(jobs, config), config, progress, **line)
    results = _golden_results(jobs, config)
    check_board(outputs, results)
    return Run(backend="serial", config=config, outputs=outputs, golden=results,
               cycles=counters["cycles"])


BACKENDS = {"golden": run_golden, "verilator": run_verilator, "serial": run_serial}


def save_results(path: Path, run: Run, *, trace: bool = False) -> None:
    """Write the outputs and figures of all heads, and what became of each key if wanted."""
    arrays = {
        "out": np.stack([out for out, _ in run.outputs]).astype(np.int32),
        "out_frac": np.int64(run.config.out_frac),
        "survivors": np.array([status.survivors for _, status in run.outputs], np.int64),
        "digits_total": np.array([status.digits_total for _, status in run.outputs], np.int64),
        "digits_wasted": np.array(run.digits_wasted, np.int64),
    }
    if run.cycles is not None:
        arrays["cycles"] = np.int64(run.cycles)
    for name in ("mask", "digits", "scores") if trace else ():
        arrays[name] = np.stack([getattr(result, name) for result in run.golden])
    # Given a file rather than a name, savez does not append .npz.
    write_files({path: lambda file: np.savez(file, **arrays)})

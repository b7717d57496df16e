# SPDX-License-Identifier: Apache-2.0
"""Heads of attention through LeOPArd: their files, and the figures of a run.

The contract of the files stands in docs/cli.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden import leopard
from golden.leopard import LeopardJob, LeopardResult
from golden.leopard_config import LeopardConfig

from .errors import InputError
from .files import write_files
from .npz import attention_fields, read_arrays, real_per_head, real_scale
from .run import Progress

__all__ = ["Run", "load_jobs", "run_golden", "save_results"]


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
    cycles : int or None
        Those of the RTL.
    digits_wasted : list of int
        By head: digits that were spent on a key after the deciding one.
    """

    backend: str
    config: LeopardConfig
    results: list[LeopardResult]
    digits_wasted: list[int]
    cycles: int | None = None

    def summary(self) -> dict:
        """The figures of the run, ready for JSON."""
        keys = sum(result.keys for result in self.results)
        return {
            "backend": self.backend,
            "config": self.config.name,
            "heads": len(self.results),
            "cycles": self.cycles,
            "bound_cycles": leopard.bound_cycles(self.results, self.config),
            "baseline_cycles": leopard.baseline_cycles(self.results),
            "survivors": sum(result.survivors for result in self.results),
            "keys": keys,
            "digits_total": sum(result.digits_total for result in self.results),
            "digits_full": keys * self.config.digits,
        }


def run_golden(jobs: Sequence[LeopardJob], config: LeopardConfig,
               progress: Progress | None = None) -> Run:
    """The specification itself."""
    results = []
    for n, job in enumerate(jobs):
        results.append(leopard.head(job, config))
        if progress:
            progress(n + 1, len(jobs))
    return Run(backend="golden", config=config, results=results, digits_wasted=[0] * len(jobs))


def save_results(path: Path, run: Run, *, trace: bool = False) -> None:
    """Write the outputs and figures of all heads, and what became of each key if wanted."""
    arrays = {
        "out": np.stack([result.out for result in run.results]).astype(np.int32),
        "out_frac": np.int64(run.config.out_frac),
        "survivors": np.array([result.survivors for result in run.results], np.int64),
        "digits_total": np.array([result.digits_total for result in run.results], np.int64),
        "digits_wasted": np.array(run.digits_wasted, np.int64),
    }
    if run.cycles is not None:
        arrays["cycles"] = np.int64(run.cycles)
    for name in ("mask", "digits", "scores") if trace else ():
        arrays[name] = np.stack([getattr(result, name) for result in run.results])
    # Given a file rather than a name, savez does not append .npz.
    write_files({path: lambda file: np.savez(file, **arrays)})

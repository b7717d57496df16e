# SPDX-License-Identifier: Apache-2.0
"""What is measured: heads of a file, pruned or not, the coprocessor, and how much is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.topk.compute import TopkJob
from prunus.golden.topk.config import TopkConfig

from ..commands.digits import threshold_for
from ..engines import chosen_options, engine_parameters, front_of
from ..errors import InputError
from ..heads import read_arrays
from ..run import run_golden
from ..webpage.dense import plain_unit, unpruned

__all__ = ["SHARE", "Work", "top_k_for", "work_of"]

SHARE = 0.75        # of the keys, that is pruned where nobody says how much


@dataclass(frozen=True)
class Work:
    """Heads, and what is kept of them.

    Members
    -------
    jobs : sequence of Job
    kept, visible : int
        Blocks or scores that are kept, and all that a query may see.
    """

    jobs: Sequence[Any]
    kept: int
    visible: int


def top_k_for(jobs: Sequence[TopkJob], share: float, config: TopkConfig) -> int:
    """Keys that each query keeps if it prunes this share of the longest head's, as far as there are
    places."""
    most = max(job.valid_kv for job in jobs)
    return min(max(1, round((1 - share) * most)), config.k_max)


def _jobs(source: Path, config: EngineConfig, given: dict[str, Any], dense: bool,
          share: float, limit: int | None) -> Sequence[Any]:
    """The first heads of a file, pruned as it or an option says, or as ``share`` does where neither
    does."""
    front = front_of(config)
    if config.engine != "hdp":
        if dense and any(value is not None for name, value in given.items()
                         if name in ("threshold", "top_k")):
            raise InputError("--dense and an option that prunes contradict each other")
        options = chosen_options(config, {**given, "dense": False})
    else:
        options = chosen_options(config, {**given, "dense": dense})
    arrays = read_arrays(source, "threshold", "top_k")
    if isinstance(config, TopkConfig) and options is None and "top_k" not in arrays:
        jobs = front.load_jobs(source, config, 1)[:limit]
        top_k = top_k_for(jobs, share, config)
        return [replace(job, top_k=top_k) for job in jobs]
    jobs = front.load_jobs(source, config, options)[:limit]
    if (isinstance(config, LeopardConfig) and config.pruning and options is None
            and "threshold" not in arrays):
        threshold = threshold_for(jobs, share)
        jobs = [replace(job, threshold=threshold) for job in jobs]
    return jobs


def _kept(jobs: Sequence[Any], config: EngineConfig) -> tuple[int, int]:
    """Blocks or scores that are kept, and all of them."""
    figures = front_of(config).figures(run_golden(jobs, config))
    if "blocks_kept" in figures:
        return figures["blocks_kept"], figures["blocks_total"]
    return figures["survivors"], figures["keys"]


def _without_pruning(jobs: Sequence[Any], config: EngineConfig, dense: bool,
                     baseline: bool) -> tuple[Sequence[Any], EngineConfig]:
    """Heads and machine as ``--dense`` and ``--baseline`` say."""
    if baseline:
        if not isinstance(config, LeopardConfig | TopkConfig):
            raise InputError(f"--baseline is LeOPArd's and Top-K's, and config {config.name} is of "
                             f"engine {config.engine}: see --dense")
        plain = plain_unit(config).model_copy(update={"name": f"{config.name}_baseline"})
        return unpruned(jobs, config)[0], plain
    if dense and isinstance(config, TopkConfig):
        raise InputError(f"--dense: config {config.name} is of engine topk, which always prunes; "
                         "see --baseline")
    return unpruned(jobs, config) if dense else (jobs, config)


def work_of(source: Path, config: EngineConfig, given: dict[str, Any] | None = None, *,
            dense: bool = False, baseline: bool = False, share: float = SHARE,
            limit: int | None = None) -> tuple[Work, EngineConfig]:
    """Heads of a file and the coprocessor that computes them, as the options of the command say.

    ``given`` are options of engines. Raises InputError.
    """
    options = {name: parameter.default for name, parameter in engine_parameters().items()}
    jobs = _jobs(source, config, options | (given or {}), dense or baseline, share, limit)
    jobs, machine = _without_pruning(jobs, config, dense, baseline)
    return Work(jobs, *_kept(jobs, machine)), machine

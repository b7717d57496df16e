# SPDX-License-Identifier: Apache-2.0
"""What every method of attention is to an evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.jobs import AttentionJob, matmul
from prunus.golden.survivors import SurvivorConfig, attend

from ...errors import InputError
from ...run import Opened, Run
from ..layer import Counts, Layer, counted, quantised

__all__ = ["Attended", "Hardware", "Masked", "Method"]

ARITHMETIC = "topk_edge"    # whose back end methods without hardware of their own compute with


@dataclass(frozen=True, kw_only=True, eq=False)
class Attended:
    """What a method makes of a layer.

    Members
    -------
    out : ndarray of float64, (heads, l_q, d)
    jobs, results : list
        What the hardware was given, and what golden gives for it.
    run : Run or None
        What a backend gave, where one did the work.
    """

    out: np.ndarray
    counts: Counts
    jobs: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    run: Run | None = None


class Method(ABC):
    """A rule for the attention of a model.

    Members
    -------
    name : str
        Of ``--method``.
    parameters : dict
        What it was told, ready for JSON.
    config : EngineConfig or None
        Of the hardware that computes it, if there is any.
    """

    name: ClassVar[str]
    config: EngineConfig | None = None
    parameters: dict[str, Any]

    @abstractmethod
    def attend(self, layer: Layer) -> Attended:
        """Attention of the heads of a layer. Layers of a text come in their order."""

    def check_cache(self) -> None:      # noqa: B027 - most need nothing
        """Raise InputError if the method needs more of a text than the queries of a step."""


# -- methods on hardware --------------------------------------------------------------------------
class Hardware(Method):
    """A method that an engine computes, bit for bit as golden says.

    Members
    -------
    choice : callable
        (layer, head) -> what is chosen of it.
    bounded : bool
        There is no model of its cycles: :meth:`cycles` are the least that it can take.
    """

    config: EngineConfig
    choice: Callable[[int, int], Any]
    bounded: ClassVar[bool] = True

    @abstractmethod
    def coded(self, layer: Layer, head: int) -> tuple[Any, float, float]:
        """The job of a head, the real value of a unit of its scores, and that of a code of V."""

    def job(self, layer: Layer, head: int) -> tuple[Any, float]:
        """The job of a head, and the real value of a code of V."""
        job, _, unit = self.coded(layer, head)
        return job, unit

    @abstractmethod
    def counts(self, layer: Layer, jobs: Sequence[Any], results: Sequence[Any]) -> Counts:
        """What is kept of a layer."""

    def attend(self, layer: Layer, through: Opened | None = None) -> Attended:
        """``through`` is a backend that computes the jobs; without it golden does."""
        self._check(layer)
        jobs: list[Any] = []
        units = []
        for head in range(layer.heads):
            job, unit = self.job(layer, head)
            jobs.append(replace(job, same_kv=True) if jobs and _same_kv(jobs[-1], job) else job)
            units.append(unit / 2.0**self.config.out_frac)
        run = through(jobs) if through else None
        if run:
            results, codes = run.golden, [out for out, _ in run.outputs]
        else:
            results = [engine_of(self.config).compute(job, self.config) for job in jobs]
            codes = [result.out for result in results]
        return Attended(out=np.stack(codes) * np.array(units)[:, None, None],
                        counts=self.counts(layer, jobs, results), jobs=jobs, results=results,
                        run=run)

    def _check(self, layer: Layer) -> None:
        d, config = layer.q.shape[2], self.config
        if d % 8 or d > config.d_max:
            raise InputError(f"model must have heads with a d that is a multiple of 8 up to "
                             f"{config.d_max} ({config.name}), not {d}")
        if layer.keys > config.l_max:
            raise InputError(f"texts must have at most {config.l_max} tokens ({config.name}), "
                             f"not {layer.keys}")

    def cost(self, jobs: Sequence[Any], results: Sequence[Any]) -> tuple[int, int]:
        """Cycles and bytes of a table of jobs."""
        engine = engine_of(self.config)
        held = engine.held(jobs, results, self.config)
        records = [engine.kind(job).record(job, result, self.config, planes)
                   for job, result, planes in zip(jobs, results, held, strict=True)]
        moved = sum(record.read_bytes + record.write_bytes for record in records)
        return self.cycles(jobs, results), moved

    def cycles(self, jobs: Sequence[Any], results: Sequence[Any]) -> int:
        """Of a table of jobs: the engine's bound, where there is no model that says more."""
        return engine_of(self.config).bound_cycles(jobs, results, self.config)


def _same_kv(before: AttentionJob, job: AttentionJob) -> bool:
    """Heads of a group of queries share keys and values, and then their codes."""
    return np.array_equal(before.k, job.k) and np.array_equal(before.v, job.v)


# -- methods that are masks -----------------------------------------------------------------------
class Masked(Method):
    """A method for which nobody has built hardware: a mask on golden's arithmetic.

    Codes have 8 bits and fill them head by head, keys are centred, and softmax and P.V are those of
    the engines that choose keys one by one (:func:`prunus.golden.survivors.attend`).
    """

    def __init__(self) -> None:
        config = load_config(ARITHMETIC)
        assert isinstance(config, SurvivorConfig)
        self.arithmetic = config

    def attend(self, layer: Layer) -> Attended:
        config = self.arithmetic
        jobs, units, v_units = zip(*(
            quantised(layer, head, config, centred=True)
            for head in range(layer.heads)), strict=True)
        scores = np.stack([matmul(job.q, job.k.T) for job in jobs])
        keep = self.mask(layer, jobs, scores, np.array(units)) & layer.visible()
        codes = [attend(*of_a_head, config) for of_a_head in zip(jobs, scores, keep, strict=True)]
        out = np.stack(codes) * (np.array(v_units) / 2.0**config.out_frac)[:, None, None]
        self.after(layer, scores * np.array(units)[:, None, None], keep, out)
        return Attended(out=out, counts=counted(layer, keep, self.heads_kept(keep)))

    @abstractmethod
    def mask(self, layer: Layer, jobs: Sequence[AttentionJob], scores: np.ndarray,
             units: np.ndarray) -> np.ndarray:
        """(heads, l_q, l_kv) of bool: what is kept. What is invisible goes anyway.

        ``scores`` (heads, l_q, l_kv) are those of codes, a unit of each head is worth ``units``.
        """

    def after(self, layer: Layer, logits: np.ndarray, keep: np.ndarray, out: np.ndarray) -> None:
        """What a method learns for later layers from logits, what it kept, and outputs."""

    def heads_kept(self, keep: np.ndarray) -> float:
        """All, of methods that prune no heads."""
        return len(keep)

# SPDX-License-Identifier: Apache-2.0
"""Points of the papers' figures: a model on its texts under one setting (docs/papers.md).

A point is a task of a campaign. It depends on the sources of NEEDS and on its arguments, so what is
measured stays when tables or other settings change. Levels that a setting needs of a model come
from texts of training, by :func:`learn`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engines import load_config_of
from prunus.golden.hdp.compute import HdpJob, HdpResult, visible_limits
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.leopard.config import LeopardConfig

from ..errors import InputError
from ..evaluate.choices import HdpChoice, LeopardChoice
from ..evaluate.layer import Counts, Layer
from ..evaluate.methods.base import Attended, Method
from ..evaluate.methods.hdp import Hdp
from ..evaluate.methods.leopard import Leopard
from ..evaluate.methods.own import Float
from ..evaluate.methods.registry import make_method
from ..evaluate.methods.topk import Topk
from ..evaluate.tasks import TASKS

__all__ = ["ALL_BLOCKS", "NEEDS", "PERCENT", "Bench", "Point", "ScaledHdp", "learn",
           "measure_point"]

NEEDS = ("configs", "golden", "prunus/engines", "prunus/evaluate", "prunus/models",
         "prunus/figures/points.py")
ALL_BLOCKS = 1000.0         # a distance that no key of a real head has, so that all blocks stay
PERCENT = range(5, 100, 5)  # percentiles that are learned
LEOPARD = "leopard_ae"
MOST_PLACES = 256           # that Top-K can be built with


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model, the texts that judge it, and texts of training.

    Members
    -------
    text, training : str
        Files below the folder of texts.
    task : str
        Of :data:`prunus.evaluate.tasks.TASKS`.
    limit : int or None
        Only the first texts judge.
    learned_from : int
        Texts of training that levels come from.
    relative : bool
        Differences are told as shares of what the model says by itself.
    """

    model: str
    text: str
    training: str
    task: str
    learned_from: int
    limit: int | None = None
    relative: bool = False

    @property
    def teaching(self) -> "Bench":
        """The same model, judged by nothing, on its texts of training."""
        return replace(self, text=self.training, limit=self.learned_from)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method with its options.

    Members
    -------
    curve : str
        Which of a figure's curves it lies on.
    method, preset, options
        As of ``prunus evaluate``.
    tau : float or None
        Of HDP: heads whose theta_head is smaller than ``tau`` times the visible pairs are pruned.
    thresholds : tuple of float
        Of LeOPArd, one for each layer.
    told : dict
        What chose ``tau`` or ``thresholds``; nothing depends on it.
    """

    curve: str
    method: str
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tau: float | None = None
    thresholds: tuple[float, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        words = {**self.options, **self.told}
        return " ".join([self.curve, *(f"{name}={value}" for name, value in words.items())])

    def make(self) -> Method:
        if self.tau is not None:
            assert self.preset is not None
            config = load_config_of(HdpConfig, self.preset)
            return ScaledHdp(config, HdpChoice.model_validate(dict(self.options)), self.tau)
        if self.thresholds:
            choices = [LeopardChoice(threshold=threshold) for threshold in self.thresholds]
            return Leopard(load_config_of(LeopardConfig, LEOPARD),
                           lambda layer, head: choices[layer], {})
        made = make_method(self.method, self.preset, self.options)
        if isinstance(made, Topk):      # as many places as a curve needs; outputs are the same
            made.config = made.config.model_copy(update={"k_max": MOST_PLACES})
        return made


class ScaledHdp(Hdp):
    """HDP whose tau_head grows with the visible pairs of a head, as a host would set it.

    theta_head is a sum over pairs. One tau_head for all lengths would prune short texts whole.
    """

    def __init__(self, config: HdpConfig, choice: HdpChoice, tau: float):
        super().__init__(config, lambda layer, head: choice, {})
        self.tau = tau

    def job(self, layer: Layer, head: int) -> tuple[HdpJob, float]:
        job, unit = super().job(layer, head)
        return replace(job, tau_head=math.ceil(self.tau * int(visible_limits(job).sum()))), unit


def measure_point(bench: Bench, model: Path, text: Path, point: Point, state: list[str]) -> dict:
    """A task of a campaign; ``state`` says what its result depends on beside the sources."""
    from ..evaluate.core import Evaluator

    evaluator = Evaluator(model, TASKS[bench.task], text, limit=bench.limit)
    done = evaluator.run(point.make(), costs=False)
    return {"items": done.items.tolist(), "value": done.value, **done.counts.pruned(),
            "layers": [layer.pruned()["scores_pruned"] for layer in done.layers]}


# -- levels from texts of training ----------------------------------------------------------------
class _Thetas(Hdp):
    """All blocks are kept, and theta_head is noted for each visible pair."""

    def __init__(self, config: HdpConfig):
        choice = HdpChoice(distance=ALL_BLOCKS)
        super().__init__(config, lambda layer, head: choice, {})
        self.found: list[float] = []

    def counts(self, layer: Layer, jobs: list[HdpJob],             # type: ignore[override]
               results: list[HdpResult]) -> Counts:
        self.found += [result.theta_head / int(visible_limits(job).sum())
                       for job, result in zip(jobs, results, strict=True)]
        return super().counts(layer, jobs, results)


class _Logits(Method):
    """Plain attention, with the visible logits of each layer noted."""

    name = "logits"

    def __init__(self, layers: int):
        self.parameters = {}
        self.found: list[list[np.ndarray]] = [[] for _ in range(layers)]

    def attend(self, layer: Layer) -> Attended:
        logits = layer.q @ layer.k.transpose(0, 2, 1) * layer.scaling
        self.found[layer.number].append(
            logits[:, layer.visible()].ravel().astype(np.float32))
        return Float().attend(layer)


def learn(bench: Bench, model: Path, text: Path, what: str, state: list[str]) -> list:
    """A task of a campaign: percentiles of what texts of training show when nothing is pruned.

    ``what`` is a preset of HDP, for theta_head of all heads together, divided by the visible pairs;
    or ``logits``, for the logits of each layer.
    """
    from ..evaluate.core import Evaluator

    evaluator = Evaluator(model, TASKS[bench.task], text, limit=bench.limit)
    if len(evaluator) < (bench.limit or 1):
        raise InputError(f"text {str(text)!r} must hold {bench.limit} texts, not "
                         f"{len(evaluator)}")
    percent = list(PERCENT)
    if what == "logits":
        logits = _Logits(evaluator.layers)
        evaluator.run(logits, costs=False)
        return [np.percentile(np.concatenate(layer), percent).tolist() for layer in logits.found]
    thetas = _Thetas(load_config_of(HdpConfig, what))
    evaluator.run(thetas, costs=False)
    return np.percentile(thetas.found, percent).tolist()

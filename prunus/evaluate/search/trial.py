# SPDX-License-Identifier: Apache-2.0
"""Tasks of a search: what a setting does to a model on some texts, and what heads are like.

A process keeps the model, its texts and what its own attention says of them, and the outputs of
heads: a head gives the same again where it and all layers before its own have the same choices.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config

from ..calibration import Calibration
from ..choices import Choice, HdpChoice, LeopardChoice
from ..layer import Counts, Layer
from ..methods.base import Attended, Method
from ..methods.registry import ON
from ..metrics import METRICS
from ..tasks import TASKS, Columns, Task

__all__ = ["LEVELS", "Texts", "lost", "measure", "survey"]

REMEMBERED = 512 << 20      # bytes of outputs of heads
LEVELS = tuple(n / 20 for n in range(20)) + (0.97, 0.98, 0.99, 0.995)   # quantiles of a survey


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Some texts of a file, as a model reads them.

    Members
    -------
    chosen : tuple of int
        Their numbers among those of the file.
    state : tuple of str
        Digests of model and file.
    """

    model: Path
    task: str
    data: Path
    chosen: tuple[int, ...]
    state: tuple[str, ...]
    columns: Columns = field(default_factory=Columns)
    length: int | None = None


def lost(task: Task, own: float, value: float) -> float:
    """What a metric lost, in its own unit: points, or percent of a perplexity."""
    return (value / own - 1) * 100 if task.generates else (own - value) * 100


# -- what a process keeps -------------------------------------------------------------------------
class _Opened:
    """A model and texts, and what the model says of them by itself."""

    def __init__(self, texts: Texts):
        from ..core import Evaluator

        self.task = TASKS[texts.task]
        self.evaluator = Evaluator(texts.model, self.task, texts.data, length=texts.length,
                                   columns=texts.columns or None)
        self.evaluator.keep(texts.chosen)
        self.outputs: OrderedDict[tuple, tuple[np.ndarray, Counts]] = OrderedDict()
        self._bytes = 0
        self._numbers: dict[Hashable, int] = {}
        self._own: dict[int, np.ndarray] = {}
        self.items = self.evaluator.items(None, seen=lambda n, logits: self._own.update(
            {n: self._logarithms(logits)}))
        self.value, self.soft = self._value(self.items), self._soft(self._own)

    def _logarithms(self, logits: Any) -> np.ndarray:
        """Of probabilities (..., classes): of the sentence, or of each token that is predicted."""
        said = (logits[:-1] if self.task.generates else logits).double().log_softmax(-1)
        return said.float().numpy()

    def _value(self, items: np.ndarray) -> float:
        return float(METRICS[self.task.metric](np.ones(len(items)), items))

    def _soft(self, said: Mapping[int, np.ndarray]) -> float | None:
        """The metric where each sentence counts for every class with its probability, which moves
        before a class does. None where the metric moves anyway."""
        if self.task.generates:
            return None
        labels = np.array(self.evaluator.labels)
        weights = np.exp(np.stack([said[n] for n in range(len(labels))]).astype(np.float64))
        classes = np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
        items = np.stack([classes.ravel(), labels.repeat(weights.shape[1])], axis=1)
        return float(METRICS[self.task.metric](weights.ravel(), items.astype(float)))

    def number(self, of: Hashable) -> int:
        """Always the same one for the same thing, and faster to look up."""
        return self._numbers.setdefault(of, len(self._numbers))

    def remembered(self, key: tuple, make: Callable[[], tuple[np.ndarray, Counts]]):
        """What was made under the key; what nobody asked for in a long time is forgotten."""
        found = self.outputs.get(key)
        if found is None:
            found = self.outputs[key] = make()
            self._bytes += found[0].nbytes
            while self._bytes > REMEMBERED:
                self._bytes -= self.outputs.popitem(last=False)[1][0].nbytes
        else:
            self.outputs.move_to_end(key)
        return found

    def measured(self, method: Method) -> dict[str, Any]:
        said: dict[int, np.ndarray] = {}
        done = self.evaluator.run(method, costs=False, seen=lambda n, logits: said.update(
            {n: self._logarithms(logits)}))
        apart = [np.exp(own.astype(np.float64)) * (own.astype(np.float64) - said[n])
                 for n, own in self._own.items()]
        divergence = sum(float(one.sum()) for one in apart) / sum(
            one.size // one.shape[-1] for one in apart)
        value, soft = self._value(done.items), self._soft(said)
        return {
            "divergence": divergence, "own": self.value, "value": value,
            # Of few tokens a perplexity says as much by chance as the divergence by what it is.
            "lost": ((lost(self.task, self.value, value) + math.expm1(divergence) * 100) / 2
                     if soft is None or self.soft is None
                     else lost(self.task, self.soft, soft)),
            **done.counts.pruned(), "own_items": self.items.tolist(),
            "items": done.items.tolist()}


_opened = lru_cache(maxsize=2)(_Opened)     # a search, and its confirmation


# -- methods --------------------------------------------------------------------------------------
class _Remembering(Method):
    """A calibration's method, head by head, that computes nothing twice."""

    name = "remembering"

    def __init__(self, opened: _Opened, calibration: Calibration, config: EngineConfig):
        self._opened, self.config, self.parameters = opened, config, {}
        self._kind, self._choose = ON[calibration.method], calibration.chooser()
        self._number = cache(lambda layer, head: opened.number(self._choose(layer, head)))
        layers, heads = opened.evaluator.layers, opened.evaluator.heads
        # Of each layer, what all layers before it do.
        self._before = [opened.number((calibration.method, config))]
        for layer in range(layers):
            self._before.append(opened.number((self._before[-1], *(
                self._choose(layer, head) for head in range(heads)))))

    def attend(self, layer: Layer) -> Attended:
        out, counts = np.empty(layer.q.shape, np.float32), Counts()
        for head in range(layer.heads):
            choice = self._choose(layer.number, head)
            key = (layer.text, layer.number, head, self._before[layer.number],
                   self._number(layer.number, head))

            def made(choice: Choice = choice, head: int = head) -> tuple[np.ndarray, Counts]:
                method = self._kind(self.config, lambda layer, head: choice, {})
                attended = method.attend(layer.only(head))
                return attended.out[0].astype(np.float32), attended.counts

            of_head, more = self._opened.remembered(key, made)
            out[head] = of_head
            counts.add(more)
        return Attended(out=out, counts=counts)


def measure(texts: Texts, fields: dict[str, Any], config: str) -> dict[str, Any]:
    """What a calibration, given by its fields, does to a model on some texts.

    Returns
    -------
    dict
        ``divergence`` is the mean Kullback-Leibler divergence from what the model says by itself,
        in nats; ``lost`` of the metric, of a classifier with each class counted by its probability;
        ``own`` and ``value`` the metric itself; pruned shares; items of :class:`Evaluation`.
    """
    opened = _opened(texts)
    calibration = Calibration.model_validate(fields)
    return opened.measured(_Remembering(opened, calibration, load_config(config)))


class _Survey(Method):
    """Nothing is pruned, and levels of each head are noted."""

    name = "survey"

    def __init__(self, engine: str, config: EngineConfig):
        self.config, self.parameters = config, {}
        choice = (HdpChoice(distance=float("inf")) if engine == "hdp" else
                  LeopardChoice(threshold=float("-inf")))
        self._method = ON[engine](config, lambda layer, head: choice, {})
        self.noted: dict[tuple[int, int], list[np.ndarray]] = {}

    def attend(self, layer: Layer) -> Attended:
        attended = self._method.attend(layer)
        for head, result in enumerate(attended.results):
            if hasattr(result, "theta_head"):
                levels = np.array([float(result.theta_head)])
            else:
                logits = layer.q[head] @ layer.k[head].T * layer.scaling
                levels = np.quantile(logits[layer.visible()], LEVELS)
            self.noted.setdefault((layer.number, head), []).append(levels)
        return attended


def survey(texts: Texts, engine: str, config: str) -> list[list[list[float]]]:
    """Of each head of each layer: for HDP its theta_head in each text, rising; for LeOPArd the
    quantiles ``LEVELS`` of its logits, in the mean over texts."""
    opened = _opened(texts)
    method = _Survey(engine, load_config(config))
    opened.evaluator.run(method, costs=False)
    found: list[list[list[float]]] = []
    for (layer, _), levels in sorted(method.noted.items()):
        if layer == len(found):
            found.append([])
        stacked = np.stack(levels)
        found[layer].append((np.sort(stacked[:, 0]) if engine == "hdp" else
                             stacked.mean(axis=0)).tolist())
    return found

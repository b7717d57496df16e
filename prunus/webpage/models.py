# SPDX-License-Identifier: Apache-2.0
"""A model on one text, layer by layer, and on the texts of a task, at several strengths of pruning.

Needs torch and transformers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prunus.golden.engines import engine_of
from prunus.golden.topk.config import TopkConfig

from ..errors import InputError
from ..evaluate.core import Evaluation, Evaluator
from ..evaluate.layer import Layer
from ..evaluate.methods.base import Attended, Hardware, Method
from ..evaluate.methods.own import Float, Uniform
from ..evaluate.methods.registry import METHODS, dense
from ..evaluate.metrics import METRICS, difference_interval
from .content import content
from .dense import plain_unit
from .engines import view_of
from .evaluations import joined
from .work import Table

__all__ = ["STEPS", "check_shown", "of_model", "parameter_of", "swept"]

SHOWN = ("hdp", "leopard", "topk")
# Values of the parameter that a sweep goes through; those of a threshold are added to its own.
STEPS: dict[str, tuple[float, ...]] = {
    "rho": (-0.5, 0.0, 0.2, 0.4, 0.6, 0.8), "distance": (0.25, 0.5, 1, 2, 4, 8),
    "threshold": (-4, -2, -1, -0.5, 0.5, 1), "keep": (0.05, 0.1, 0.2, 0.35, 0.5, 0.75)}

# Not taken over from a method: what is swept, what would be said twice, what is no option.
LEFT = ("rho", "distance", "threshold", "top_k", "keep", "importance", "dense")

Progress = Callable[[int, int], None]


def check_shown(method: Method) -> Hardware:
    """Refuse a method of which there are no maps."""
    if not isinstance(method, Hardware) or method.name not in SHOWN:
        raise InputError(f"report shows methods that prune on hardware ({', '.join(SHOWN)}), not "
                         f"{method.name}: --evaluation takes its points")
    return method


def parameter_of(method: Hardware) -> tuple[str, dict[str, Any]]:
    """The parameter that decides how much is pruned, and all that the first head is told."""
    choice = method.choice(0, 0).model_dump(exclude_none=True, mode="json")
    if method.name == "hdp":
        return ("distance" if "distance" in choice else "rho"), choice
    return ("threshold" if method.name == "leopard" else "keep"), choice


def swept(method: Hardware, values: Sequence[float] | None, longest: int) -> list[Method]:
    """The method with other values of its parameter, the same for all heads; that of the method
    itself is left out."""
    name, choice = parameter_of(method)
    if values is None:
        start = float(choice[name]) if name == "threshold" else 0.0
        start = start if np.isfinite(start) else 0.0
        values = [start + step for step in STEPS[name]]
        if name == "keep":
            most = getattr(method.config, "k_max", longest)
            values = [value for value in values if value * longest <= most]
    own, left = choice.get(name), set(LEFT)
    if "calibration" in method.parameters:      # the first head's temperature is not that of others
        own, left = None, left | {"temperature"}
    given = {key: value for key, value in choice.items() if key not in left}
    return [METHODS[method.name].make(method.config, {**given, name: value})
            for value in dict.fromkeys(values) if value != own]


class _PerHead:
    """Counts of what is kept of each layer and head, over all texts."""

    def __init__(self, method: Hardware, layers: int, heads: int):
        self._view = view_of(method.config)
        self.kept = np.zeros((layers, heads, 2), np.int64)

    def __call__(self, layer: Layer, attended: Attended) -> None:
        for head, (job, result) in enumerate(zip(attended.jobs, attended.results, strict=True)):
            kept = self._view.kept(job, result)
            self.kept[layer.number, head] += (
                (kept.blocks_kept, kept.blocks) if self._view.mask_cell == 2
                else (kept.scores_kept, kept.scores))


def _difference(before: Evaluation, after: Evaluation) -> list[float]:
    """To the model by itself, and its 95% interval; of perplexity as shares of it."""
    measure, relative = METRICS[after.task.metric], after.task.metric == "perplexity"
    change = (after.value - before.value) / (before.value if relative else 1)
    return [change, *difference_interval(measure, before.items, after.items, relative)]


def _series(method: Hardware) -> str:
    name, choice = parameter_of(method)
    how = f", pruned = {choice['pruned']}" if method.name == "hdp" else ""
    return f"{method.name} over {name}{how}"


def _said(evaluator: Evaluator, evaluation: Evaluation) -> str:
    """The class of the text, or how well it is told in advance."""
    if evaluator.task.generates:
        return f"{evaluation.value:.3f}"
    said = int(evaluation.items[0, 0])
    return str(evaluator.model.model.config.id2label.get(said, said))


class _Together:
    """One bar for several evaluations."""

    def __init__(self, told: Progress | None, runs: int, texts: int):
        self._told, self._total, self._texts, self.done = told, runs * texts, texts, 0

    def __call__(self, done: int, total: int) -> None:
        if self._told:
            self._told(self.done + done, self._total)

    def next(self) -> None:
        self.done += self._texts


def of_model(evaluator: Evaluator, method: Hardware, *, rtl: bool, text: str | None = None,
             values: Sequence[float] | None = None, read: Sequence[dict[str, Any]] = (),
             told: Progress | None = None) -> dict[str, Any]:
    """What there is to say of a model.

    Parameters
    ----------
    text : str, optional
        Whose maps are shown, by default the first of the task.
    values : sequence of float, optional
        Of the parameter of the method, for the curve.
    read : list of dict
        Points from files.
    told : callable, optional
        Is told of texts.
    """
    one = evaluator.on(text)
    layers: list[tuple[Layer, Attended]] = []
    with_it = one.run(method, costs=False, watch=lambda *pair: layers.append(pair))
    without = one.run(Float(), costs=False)
    tables = [Table(f"layer {layer.number}", attended.jobs) for layer, attended in layers]
    results = [attended.results for _, attended in layers]

    per_head = _PerHead(method, evaluator.layers, evaluator.heads)
    quantised = dense(plain_unit(method.config) if isinstance(method.config, TopkConfig)
                      else method.config)
    others = swept(method, values, evaluator.longest)
    runs: list[tuple[Method, str]] = [
        (Float(), "float: the model by itself"), (quantised, "dense: quantised"),
        (Uniform(), "uniform attention, the control"),
        *((other, _series(method)) for other in others)]
    bar = _Together(told, len(runs) + 1, len(evaluator))
    whole = evaluator.run(method, costs=False, told=bar, watch=per_head)
    calibrated = "calibration" in method.parameters
    found = [(whole, "the calibration" if calibrated else _series(method))]
    for other, series in runs:
        bar.next()
        found.append((evaluator.run(other, costs=False, told=bar), series))
    records = [{**evaluation.record(), "series": series, "chosen": evaluation is whole,
                "difference": _difference(found[1][0], evaluation)} for evaluation, series in found]
    curve = joined(records, read)
    metric, base = records[0]["metric"], records[1]
    shown = "{:.1%}" if metric == "accuracy" else "{:.3f}"
    name = parameter_of(method)[0]
    parameters = ", ".join(f"{key} = {value}" for key, value in method.parameters.items())
    words = one.model.tokenizer.decode(one.texts[0]["input_ids"], skip_special_tokens=True)
    said = "perplexity of the text" if one.task.generates else "the model says"
    made = content(
        tables, method.config, title=f"{evaluator.name} on {evaluator.task.name}, "
        f"pruned by {engine_of(method.config).title}",
        rtl=rtl, by_layer=True, results=results, tokens=one.tokens(),
        curve=curve, kept_task=per_head.kept.tolist(), texts=len(evaluator),
        cards=[(shown.format(whole.value), f"{metric} on {len(evaluator):,} texts, "
                f"{shown.format(records[0]['low'])} to {shown.format(records[0]['high'])}; "
                f"the model by itself {shown.format(base['value'])}")],
        settings=[
            ("model", evaluator.name), ("task", f"{evaluator.task.name}, {len(evaluator):,} texts"),
            ("method", f"{method.name}, {parameters}"), ("curve over", name),
            ("engine", f"{engine_of(method.config).title}: {engine_of(method.config).about}"),
            ("hardware", method.config.name), ("text of the maps", words),
            (said, f"{_said(one, with_it)}; by itself {_said(one, without)}")])
    made["subtitle"] = f"“{words if len(words) <= 200 else words[:199] + '…'}”"
    return made

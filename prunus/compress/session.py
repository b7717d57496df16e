# SPDX-License-Identifier: Apache-2.0
"""A run of compression from a model to a compressed one and its report.

Needs torch and transformers.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prunus import __version__
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from ..evaluate.core import Evaluator
from ..evaluate.metrics import METRICS, difference_interval, interval
from ..evaluate.tasks import Columns, Task
from ..files import put_directory, write_files
from ..models.coded import CodedLinear, write_layers
from ..models.model import open_model
from ..train.distil import divergence
from ..train.thresholds import digest
from .assign import Assignment, assign, options_of
from .chain import Form
from .cost import Cost, Energy, edp, form_cost
from .distil import Distiller
from .fit import Stack, Target, fit
from .forms import dense_form, svd
from .pareto import Candidate, candidates, stacked
from .settings import Settings
from .student import Plan, freeze, plan_of, student
from .texts import Lesson, Teacher, Texts, divided, moments

__all__ = ["Chosen", "Session"]

MOMENTS = 1024          # texts that moments are taken of
PROBED = 256            # texts that each weight's loss is measured on
PROBE = 4               # times fewer products, of the weight that is tried
BITS = {"int8": (8,), "int4": (8, 4)}
REPORT = "report.json"
Told = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The form of a layer or of a stack, with its factors.

    Members
    -------
    names : tuple of str
    form : Form
    weights : list of ndarray
    bias : ndarray
        What is added to the layer's.
    error : float
        Of its outputs, before any training.
    """

    names: tuple[str, ...]
    form: Form
    weights: list[np.ndarray]
    bias: np.ndarray
    error: float


class Session:
    """A model, its texts, and what it is to become.

    Parameters
    ----------
    model, data : Path
    dev : Path or None
        Texts that nothing is chosen by.
    task : Task
    columns : Columns
    length : int or None
    settings : Settings
    config : HdpConfig
        Of the coprocessor.
    energy : Energy
    rows : int or None
        Tokens of a text that costs are counted for; None takes the mean of the data.
    work : Path
        Folder of what a run that was stopped goes on from.
    fresh : bool
        Nothing is gone on from.
    told : callable, optional
        Called with what is being done, steps done, all steps, and a word on them.
    """

    def __init__(self, model: Path, data: Path, dev: Path | None, task: Task, *,
                 columns: Columns, length: int | None, settings: Settings, config: HdpConfig,
                 energy: Energy, rows: int | None, work: Path, fresh: bool = False,
                 told: Told | None = None):
        self.path, self.data, self.dev, self.task = model, data, dev, task
        self.columns, self.length, self.settings = columns, length, settings
        self.config, self.energy, self.work, self.told = config, energy, work, told
        self.evaluator = self._open(model, data)
        count = len(self.evaluator)
        if settings.held > count // 2:
            raise InputError(f"data {str(data)!r} must have at least {2 * settings.held} texts, "
                             f"twice those that --held-out keeps back, not {count}")
        self.fit, self.held = divided(count, settings.held, settings.seed)
        self.tried = {"held_out": self._held(self.evaluator)}
        if dev is not None:
            self.tried["dev"] = self._open(model, dev)
        self.texts = Texts(self.evaluator, self.fit)
        self.rows = rows or round(sum(self.texts.lengths) / len(self.texts))
        self.teacher = self.evaluator.model.model
        with torch.no_grad(), self.evaluator.model.by_itself():
            self.plan = plan_of(self.teacher, self.texts.batch([0]))
        if not self.plan.places:
            raise InputError(f"model {str(model)!r} must have linear layers in its blocks whose "
                             f"sizes are multiples of 8, and has none")
        self.belongs = {"model": digest(model), "data": digest(data), "task": task.name,
                        "columns": [columns.text, columns.pair, columns.label],
                        "length": self.evaluator.model.length, "rows": self.rows,
                        "preset": config.name, "energy": [energy.cycle_pj, energy.bit_pj],
                        "version": __version__}
        if fresh:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(exist_ok=True)

    def _open(self, model: Path, data: Path) -> Evaluator:
        return Evaluator(model, self.task, data, columns=self.columns, length=self.length)

    def _held(self, evaluator: Evaluator) -> Evaluator:
        """The texts that no step sees."""
        some = evaluator.on()
        some.texts = [evaluator.texts[n] for n in self.held]
        some.labels = tuple(evaluator.labels[n] for n in self.held) if evaluator.labels else ()
        return some

    def _say(self, what: str, done: int = 0, total: int = 0, note: str = "") -> None:
        if self.told:
            self.told(what, done, total, note)

    # -- the search ------------------------------------------------------------------------------
    def targets(self) -> dict[str, Target]:
        """Weights with the moments of their inputs."""
        self._say("moments of inputs")
        names = list(self.plan.places)
        with self.evaluator.model.by_itself():
            seen = moments(self.teacher, [names[0] for names in self.plan.stacks],
                           self.texts.alike(MOMENTS))
        first = {name: names[0] for names in self.plan.stacks for name in names}
        return {name: Target(self.teacher.get_submodule(name).weight.detach().double().numpy(),
                             *seen[first[name]]) for name in names}

    def sensitivity(self, targets: dict[str, Target]) -> dict[str, float]:
        """Of each weight: how far the model goes from what it says, by the error of its output."""
        found = {}
        batches = list(self.texts.alike(PROBED))
        with torch.no_grad(), self.evaluator.model.by_itself():
            want = [Lesson(self.teacher, batch, hidden=False).logits for batch in batches]
            for number, (name, target) in enumerate(targets.items()):
                self._say("losses of weights", number, len(targets))
                n, k = target.weight.shape
                rank = max(8, round(n * k / (n + k) / PROBE / 8) * 8)
                close = fit(svd(n, k, rank), target)
                layer = self.teacher.get_submodule(name)
                kept = layer.weight.data
                layer.weight.data = torch.tensor(
                    close.weights[1] @ close.weights[0], dtype=torch.float32)
                bias = torch.tensor(close.bias, dtype=torch.float32)
                handle = layer.register_forward_hook(
                    lambda module, given, y, bias=bias: y + bias)
                try:
                    apart = sum(float(divergence(old, Lesson(self.teacher, batch,
                                                             hidden=False).logits)) * len(old)
                                for old, batch in zip(want, batches, strict=True))
                finally:
                    handle.remove()
                    layer.weight.data = kept
                found[name] = max(0.0, apart) / sum(map(len, want)) / max(close.error, 1e-9)
        return found

    def dense(self, bits: int = 8) -> dict[tuple[str, ...], Form]:
        """The model as it is, its weights in codes; those with the same inputs as one."""
        return {names: dense_form(sum(self.plan.places[name].n for name in names),
                                  self.plan.places[names[0]].k, bits)
                for names in self.plan.stacks}

    def cost(self, forms: dict[tuple[str, ...], Form], rows: int | None = None) -> Cost:
        """Of all layers, for the tokens of one text."""
        return sum((form_cost(form, rows or self.rows, self.config)
                    for form in forms.values()), Cost())

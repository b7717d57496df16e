# SPDX-License-Identifier: Apache-2.0
"""Distillation in two stages: a compressed model learns to be the model as it was given.

In the first stage it learns in floats what each layer gives. Then its layers get their codes, and
in the second stage it learns, as the coprocessor rounds it, what each layer gives, what the model
says, and the task. Needs torch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ..errors import InputError, RunError
from ..files import write_files
from ..train.distil import divergence
from ..train.loop import batches
from .layers import CompressedLinear, Units
from .quantise import quantise, watch
from .settings import Settings
from .texts import Lesson, Teacher, Texts

__all__ = ["Distiller"]

WARM = 50               # steps in which the rate rises
CALIBRATION = 512       # texts that units are chosen by
TASK = 0.1              # weight of the task in the second stage
BETAS = 0.9, 0.98
Told = Callable[[int, int, str], None]


class Distiller:
    """Teaches a compressed model.

    Parameters
    ----------
    model : Module
        With :class:`CompressedLinear` layers.
    teacher : Teacher
    texts : Texts
        What is learned from.
    settings : Settings
    chains : mapping
        Layers whose inputs are what another layer's table gives, and that layer.
    path : Path
        The file that a run which was stopped goes on from.
    belongs : mapping
        What a checkpoint must agree with, beside the settings.
    """

    def __init__(self, model: nn.Module, teacher: Teacher, texts: Texts, settings: Settings, *,
                 chains: Mapping[str, str], path: Path, belongs: Mapping[str, Any]):
        self.model, self.teacher, self.texts, self.settings = model, teacher, texts, settings
        self.chains, self.path = dict(chains), path
        self.belongs = {**asdict(settings), **belongs}
        self.layers = {name: module for name, module in model.named_modules()
                       if isinstance(module, CompressedLinear)}
        # Without dropout: what is to be learned is the same each time.
        model.eval()
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.requires_grad_(False)
            if isinstance(module, CompressedLinear) and module.rest is not None:
                module.biases[-1].requires_grad_(False)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.epoch = 0
        self.losses: list[float] = []
        self.optimiser = self._fresh_optimiser()

    @property
    def epochs(self) -> int:
        return self.settings.first + self.settings.second

    @property
    def quantised(self) -> bool:
        return all(layer.units is not None for layer in self.layers.values())

    def _fresh_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters, betas=BETAS, weight_decay=0.0)

    # -- the checkpoint --------------------------------------------------------------------------
    def save(self) -> None:
        """Write the checkpoint: whole, or the one before stays."""
        state = {"belongs": self.belongs, "epoch": self.epoch, "losses": self.losses,
                 "weights": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                 "units": {name: _plain(layer.units) for name, layer in self.layers.items()
                           if layer.units is not None}}
        write_files({self.path: lambda file: torch.save(state, file)})

    def resume(self) -> bool:
        """Go on from the checkpoint; False if there is none."""
        if not self.path.exists():
            return False
        try:
            state = torch.load(self.path, weights_only=True)
            differ = [name for name, value in self.belongs.items()
                      if state["belongs"].get(name) != value]
        except Exception as err:     # whatever unpickling a damaged file comes to
            raise InputError(f"checkpoint {str(self.path)!r} cannot be read "
                             f"({type(err).__name__}): say --fresh to start anew") from None
        if differ:
            raise InputError(f"checkpoint {str(self.path)!r} belongs to a run with other "
                             f"{', '.join(differ)}: continue with its settings and files, or say "
                             f"--fresh")
        self.model.load_state_dict(state["weights"])
        for name, units in state["units"].items():
            self.layers[name].fix(_units(units))
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.losses = state["epoch"], state["losses"]
        return True

    # -- codes -----------------------------------------------------------------------------------
    def quantise(self) -> None:
        """Choose the units of all layers, and round their weights."""

        def run() -> None:
            for batch in self.texts.alike(CALIBRATION):
                self.model(**batch)

        seen = watch(self.model, run)
        # Those whose tables make the inputs of others come first.
        for name in sorted(seen, key=lambda name: name in self.chains):
            above = self.layers[self.chains[name]].units if name in self.chains else None
            quantise(self.layers[name], seen[name], above.out if above else None,
                     self.settings.rounding)

    # -- training --------------------------------------------------------------------------------
    def _loss(self, numbers: list[int], second: bool) -> Tensor:
        batch = self.texts.batch(numbers)
        hidden, logits = self.teacher.of(numbers, batch)
        lesson = Lesson(self.model, batch)
        apart = (lesson.hidden - hidden).square().mean((1, 2)) / self.teacher.spread
        loss = apart.sum()
        if second:
            loss = loss + divergence(logits, lesson.logits) + TASK * self.texts.task_loss(
                lesson.logits, numbers, batch)
        return loss

    def _epoch(self, told: Told | None) -> None:
        settings = self.settings
        second = self.epoch >= settings.first
        number = self.epoch - settings.first if second else self.epoch
        count, rate = ((settings.second, settings.second_rate) if second else
                       (settings.first, settings.first_rate))
        chosen = batches(self.texts.lengths, settings.batch, settings.seed, self.epoch)
        steps = count * len(chosen)
        total = 0.0
        for place, numbers in enumerate(chosen):
            step = number * len(chosen) + place
            now = rate * min(1.0, (step + 1) / WARM) * (
                0.5 + 0.5 * math.cos(math.pi * step / steps))
            for group in self.optimiser.param_groups:
                group["lr"] = now
            loss = self._loss(numbers, second)
            if not math.isfinite(loss.item()):
                raise RunError(f"training went astray in epoch {self.epoch + 1}: the loss is "
                               f"{loss.item()}")
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            clip_grad_norm_(self.parameters, 1.0)
            self.optimiser.step()
            total += loss.item()
            if told:
                told(self.epoch * len(chosen) + place + 1, self.epochs * len(chosen),
                     f"stage {2 if second else 1}, loss {total / (place + 1):.3f}")
        self.losses.append(total / len(chosen))

    def run(self, told: Told | None = None) -> None:
        """To the end, saving after each epoch; the layers have codes then."""
        while self.epoch < self.epochs:
            if self.epoch == self.settings.first and not self.quantised:
                self.quantise()
                self.optimiser = self._fresh_optimiser()
            self._epoch(told)
            self.epoch += 1
            self.save()
        if not self.quantised:
            self.quantise()


def _plain(units: Units) -> dict[str, Any]:
    return {"x": list(units.x), "weights": [torch.tensor(unit) for unit in units.weights],
            "between": list(units.between), "y": torch.tensor(units.y), "y_zero": units.y_zero,
            "out": None if units.out is None else list(units.out)}


def _units(said: Mapping[str, Any]) -> Units:
    x, out = said["x"], said["out"]
    return Units((x[0], x[1]), [unit.numpy() for unit in said["weights"]], said["between"],
                 said["y"].numpy(), said["y_zero"], None if out is None else (out[0], out[1]))

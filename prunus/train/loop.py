# SPDX-License-Identifier: Apache-2.0
"""Learning thresholds: the loop, and the checkpoint from which it goes on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from ..errors import InputError, RunError
from ..files import write_files
from ..models.attention import Dense, Hard, Soft
from ..models.model import AnyModel, Decoder
from ..models.sentences import Sentences
from .budget import Candidate, choose
from .distil import divergence, mixed_loss
from .settings import Settings

__all__ = ["Trainer", "batches"]

DIGITS = 4      # of thresholds, after the point
BUCKET = 32     # batches whose sentences are sorted by length


def batches(lengths: list[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """All sentences in random order, those of a batch of about the same length."""
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths)).tolist()
    made = []
    for start in range(0, len(order), BUCKET * size):
        bucket = sorted(order[start:start + BUCKET * size], key=lambda i: lengths[i])
        made += [bucket[n:n + size] for n in range(0, len(bucket), size)]
    return [made[n] for n in random.permutation(len(made))]


class Trainer:
    """Trains thresholds, and weights if wanted, and keeps the best checkpoint within the budget.

    Parameters
    ----------
    classifier : Classifier, ImageClassifier or Decoder
    settings : Settings
    fit, held : Sentences
        What is learned from, and what checkpoints are tried on.
    correct : int
        How many of ``held`` the model gets right as it was given; of a decoder none is asked for.
    path : Path
        The file that a run which was stopped goes on from.
    files : sequence of str
        Digests of model and data.
    """

    def __init__(self, classifier: AnyModel, settings: Settings, fit: Sentences,
                 held: Sentences, *, correct: int, path: Path, files: Sequence[str] = ()):
        self.classifier, self.settings, self.path = classifier, settings, path
        self.belongs = {**asdict(settings), "files": list(files)}
        self.fit, self.held = fit, held
        self.tokens = classifier.tokenise(fit.texts)
        self.held_tokens = classifier.tokenise(held.texts)
        # The teacher speaks before any weights are learned or loaded; its words are not saved.
        self.teacher = self.held_teacher = None
        none = (-math.inf,) * classifier.layers
        if isinstance(classifier, Decoder):
            self.budget, self.judged = settings.budget_perplexity, classifier.judged(
                self.held_tokens, Dense())
            self.total = sum(one.tokens for one in self.judged)
            nothing = Candidate(0, none, 0.0, sum(one.right for one in self.judged), self.total,
                                0.0, sum(one.loss for one in self.judged))
        else:
            self.budget, self.total = settings.budget, len(held)
            if settings.distil:
                self.teacher = classifier.all_logits(self.tokens, Dense())
            self.held_teacher = classifier.all_logits(self.held_tokens, Dense())
            nothing = Candidate(0, none, 0.0, correct, len(held), 0.0)
        self.step, self.candidates = 0, [nothing]
        self.best = self._weights()
        self.random = torch.Generator().manual_seed(settings.seed).get_state()
        self.thresholds = torch.nn.Parameter(
            torch.full((classifier.layers,), settings.start))
        groups = [{"params": [self.thresholds], "lr": settings.rate, "weight_decay": 0.0}]
        self.parameters = list(classifier.model.parameters()) if settings.weights else []
        if settings.weights:
            groups.append({"params": self.parameters, "lr": settings.weight_rate,
                           "weight_decay": 0.01})
        for parameter in classifier.model.parameters():
            parameter.requires_grad_(settings.weights)
        self.optimiser = torch.optim.AdamW(groups)
        self.soft = Soft(self.thresholds, sharpness=settings.sharpness, depth=settings.depth,
                         slope=settings.slope)

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy of them, where they are trained."""
        return {name: value.clone() for name, value in self.classifier.model.state_dict().items()
                if self.settings.weights}

    # -- the checkpoint -------------------------------------------------------------------------
    def save(self) -> None:
        """Write the checkpoint: whole, or the one before stays."""
        state = {
            "belongs": self.belongs, "step": self.step, "best": self.best,
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "thresholds": self.thresholds.detach(), "optimiser": self.optimiser.state_dict(),
            "weights": self._weights(), "random": self.random,
        }
        write_files({self.path: lambda file: torch.save(state, file)})

    def resume(self) -> bool:
        """Go on from the checkpoint; False if there is none."""
        if not self.path.exists():
            return False
        again = "continue with its settings and files, or say --fresh"
        try:
            state = torch.load(self.path, weights_only=True)
            differ = [name for name, value in self.belongs.items()
                      if state["belongs"][name] != value]
        except Exception as err:     # whatever unpickling a damaged file comes to
            raise InputError(f"checkpoint {str(self.path)!r} cannot be read "
                             f"({type(err).__name__}): say --fresh to start anew") from None
        if differ:
            raise InputError(f"checkpoint {str(self.path)!r} belongs to a run with other "
                             f"{', '.join(differ)}: {again}")
        self.step, self.best = state["step"], state["best"]
        self.candidates = [Candidate(**{**c, "thresholds": tuple(c["thresholds"])})
                           for c in state["candidates"]]
        with torch.no_grad():
            self.thresholds.copy_(state["thresholds"])
        if self.settings.weights:
            self.classifier.model.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.random = state["random"]
        return True

    # -- training -------------------------------------------------------------------------------
    def _batches(self):
        """The batches of all steps to come."""
        lengths = [len(tokens) for tokens in self.tokens]
        first = batches(lengths, self.settings.batch, self.settings.seed, 0)
        epoch, skip = divmod(self.step, len(first))
        while True:
            yield from batches(lengths, self.settings.batch, self.settings.seed, epoch)[skip:]
            epoch, skip = epoch + 1, 0

    def _learn(self, chosen: list[int]) -> float:
        model, settings = self.classifier.model, self.settings
        # Dropout belongs to the training of weights, but it would put even the model as given at
        # a distance from its teacher, and training would go where that distance is small.
        model.train(settings.weights and not settings.distil)
        self.classifier.switch.rule = self.soft
        items = [self.tokens[i] for i in chosen]
        if isinstance(self.classifier, Decoder):
            loss = self.classifier.loss(items)
        else:
            labels = torch.tensor([self.fit.labels[i] for i in chosen])
            teacher = None if self.teacher is None else self.teacher[chosen]
            loss = mixed_loss(self.classifier.logits(items), labels, teacher,
                              share=settings.distil, temperature=settings.temperature)
        strength = settings.strength * (self.step + 1) / settings.steps
        loss = strength * self.soft.penalty() + loss
        if not math.isfinite(loss.item()):
            raise RunError(f"training went astray at step {self.step + 1}: the loss is "
                           f"{loss.item()}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        # Apart from each other: next to its threshold a logit has a gradient of s * c.
        clip_grad_norm_([self.thresholds], 1.0)
        if self.parameters:
            clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        return loss.item()

    def _try(self) -> None:
        """Make a candidate of the present state."""
        thresholds = tuple(round(t, DIGITS) for t in self.thresholds.tolist())
        rule = Hard(thresholds, self.classifier.layers)
        if isinstance(self.classifier, Decoder):
            judged = self.classifier.judged(self.held_tokens, rule)
            agree = sum(int((a.best == b.best).sum())
                        for a, b in zip(judged, self.judged, strict=True))
            candidate = Candidate(self.step, thresholds, rule.counts.rate(),
                                  correct=sum(one.right for one in judged), agree=agree,
                                  divergence=0.0, loss=sum(one.loss for one in judged))
        else:
            said = self.classifier.all_logits(self.held_tokens, rule)
            classes, teacher = said.argmax(-1), self.held_teacher
            assert teacher is not None
            candidate = Candidate(
                self.step, thresholds, rule.counts.rate(),
                correct=int((classes == torch.tensor(self.held.labels)).sum()),
                agree=int((classes == teacher.argmax(-1)).sum()),
                divergence=divergence(teacher, said).item())
        self.candidates.append(candidate)
        if self.chosen() is self.candidates[-1]:
            self.best = self._weights()

    def chosen(self) -> Candidate:
        """The best checkpoint so far."""
        return choose(self.candidates, self.total, self.budget)

    def run(self, told: Callable[[int, str], None] | None = None) -> Candidate:
        """Train to the end, saving on the way; the model has the weights of the best checkpoint
        then.

        ``told`` is called with each step and what the last checkpoint came to.
        """
        source = self._batches()
        torch.set_rng_state(self.random)
        while self.step < self.settings.steps:
            loss = self._learn(next(source))
            self.step += 1
            if self.step % self.settings.every == 0 or self.step == self.settings.steps:
                self._try()
                self.random = torch.get_rng_state()
                self.save()
            if told:
                last = self.candidates[-1]
                told(self.step, f"loss {loss:.2f}, step {last.step}: {last.pruned:.1%} pruned, "
                                f"{last.correct / self.total:.2%} right, "
                                f"{last.agree / self.total:.2%} as before")
        if self.settings.weights:
            self.classifier.model.load_state_dict(self.best)
        return self.chosen()

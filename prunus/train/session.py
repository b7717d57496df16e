# SPDX-License-Identifier: Apache-2.0
"""A run of training from its files to its results."""

import math
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from prunus.golden.leopard.config import LeopardConfig

from ..errors import InputError
from ..files import publish
from ..models.attention import Counts, Dense, Hard, Random, Rule, Uniform
from ..models.model import Decoder, open_model
from ..models.sentences import Sentences
from .budget import Comparison, Perplexity, wilson
from .loop import Trainer
from .settings import Settings
from .thresholds import (
    Checkpoint,
    Controls,
    Learned,
    Measured,
    MeasuredTexts,
    Model,
    PerplexityControls,
    digest,
)

__all__ = ["Session", "compare", "compare_texts", "save_model"]


def compare(before: list[bool], after: list[bool], data: str, counts: Counts,
            controls: Controls | None = None) -> Measured:
    """Two accuracies of the same sentences, with their intervals."""
    both, n = Comparison(before, after), len(before)
    return Measured(
        data=data, sentences=n,
        before=round(sum(before) / n, 4), before_interval=_rounded(*wilson(sum(before), n)),
        after=round(sum(after) / n, 4), after_interval=_rounded(*wilson(sum(after), n)),
        points_lost=round(both.lost, 4), points_lost_interval=_rounded(*both.interval()),
        pruned=round(counts.rate(), 4), pruned_by_layer=_rounded(*counts.rates()),
        controls=controls)


def compare_texts(before: Perplexity, after: Perplexity, data: str, counts: Counts,
                  controls: PerplexityControls | None = None) -> MeasuredTexts:
    """Two perplexities of the same texts, with their intervals."""
    lost, interval = before.lost(after)
    return MeasuredTexts(
        data=data, texts=len(before.losses), tokens=sum(before.tokens),
        before=round(before.value, 4), before_interval=_rounded(*before.interval()),
        after=round(after.value, 4), after_interval=_rounded(*after.interval()),
        percent_lost=round(lost, 4), percent_lost_interval=_rounded(*interval),
        pruned=round(counts.rate(), 4), pruned_by_layer=_rounded(*counts.rates()),
        controls=controls)


def _rounded(*values: float) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)


class Session:
    """Model and sentences, measured before anything is learned.

    Parameters
    ----------
    model, data : Path
    dev : Path or None
        Sentences that nothing is chosen by.
    settings : Settings
    checkpoint : Path
        Where a run that was stopped goes on from.
    config : LeopardConfig
        Whose coprocessor must take the heads.
    """

    def __init__(self, model: Path, data: Path, dev: Path | None, settings: Settings,
                 checkpoint: Path, config: LeopardConfig):
        self.settings, self.model, self.data, self.dev = settings, model, data, dev
        self.classifier = open_model(model)
        if settings.distil and isinstance(self.classifier, Decoder):
            raise InputError(f"--distil belongs to models that say a class, and model "
                             f"{str(model)!r} says the next token")
        read = self.classifier.read
        sentences = read(data)
        self.classifier.check_config(config, self.classifier.tokenise(sentences.texts))
        fit, self.held = sentences.divide(settings.held_out, settings.seed)
        if not (len(fit) and len(self.held)):
            raise InputError(f"data {str(data)!r} is too small to hold out a share of "
                             f"{settings.held_out:g}: {len(fit)} sentences to learn from, "
                             f"{len(self.held)} held out")
        self.tried: dict[str, Sentences] = {"held_out": self.held}
        if dev is not None:
            self.tried["dev"] = read(dev)
        self.before = {name: self._judge(sentences, Dense())
                       for name, sentences in self.tried.items()}
        held = self.before["held_out"]
        self.trainer = Trainer(self.classifier, settings, fit, self.held,
                               correct=0 if isinstance(held, Perplexity) else sum(held),
                               path=checkpoint,
                               files=[digest(model), digest(data)])

    def finish(self, command: str, trained: Path | None,
               told: Callable[[int, str], None] | None = None) -> Learned:
        """Learn, write the model to ``trained`` if its weights were learned, and measure."""
        chosen, total = self.trainer.run(told), self.trainer.total
        if trained is not None:
            save_model(self.classifier, trained)
        measured = {name: self._measure(name, chosen.thresholds) for name in self.tried}
        return Learned(
            thresholds=chosen.thresholds, **measured,
            model=Model(name=(trained or self.model).resolve().name,
                        sha256=digest(trained or self.model),
                        weights_trained=trained is not None),
            training={"command": command, "sentences": len(self.trainer.fit), **asdict(
                self.settings), "chosen_step": chosen.step},
            checkpoints=tuple(Checkpoint(
                step=c.step, pruned=round(c.pruned, 4),
                accuracy=round(c.correct / total, 4), agreement=round(c.agree / total, 4),
                **({"divergence": round(c.divergence, 4)} if c.loss is None else
                   {"perplexity": round(math.exp(c.loss / total), 4)}))
                for c in self.trainer.candidates))

    def _judge(self, sentences: Sentences, rule: Rule) -> list[bool] | Perplexity:
        """What is right, or how a decoder says it."""
        if not isinstance(self.classifier, Decoder):
            return self.classifier.correct(sentences, rule)
        judged = self.classifier.judged(self.classifier.tokenise(sentences.texts), rule)
        if not any(one.tokens for one in judged):
            raise InputError("documents must have tokens after their first, and have none")
        return Perplexity([one.loss for one in judged], [one.tokens for one in judged])

    def _measure(self, name: str, thresholds: tuple[float, ...]) -> Measured | MeasuredTexts:
        """Before and after; for dev also the controls, on the same weights as after."""
        sentences, layers = self.tried[name], self.classifier.layers
        hard = Hard(thresholds, layers)
        before, after = self.before[name], self._judge(sentences, hard)
        values = None
        if name == "dev":
            rules: tuple[Rule, ...] = (
                Uniform(), Random(hard.counts.rates(), layers, self.settings.seed), Dense())
            values = {what: _value(self._judge(sentences, rule))
                      for what, rule in zip(("uniform", "random", "unpruned"), rules, strict=True)}
        path = self.dev if name == "dev" and self.dev else self.data
        if isinstance(before, Perplexity) and isinstance(after, Perplexity):
            return compare_texts(before, after, path.name, hard.counts,
                                 PerplexityControls(**values) if values else None)
        assert isinstance(before, list) and isinstance(after, list)
        return compare(before, after, path.name, hard.counts,
                       Controls(**values) if values else None)


def _value(judged: list[bool] | Perplexity) -> float:
    """Perplexity, or the share that is right."""
    if isinstance(judged, Perplexity):
        return round(judged.value, 4)
    return round(sum(judged) / len(judged), 4)


def save_model(classifier, path: Path) -> None:
    """The model with what belongs to it, whole or not at all."""
    target = Path(os.path.realpath(path))
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        classifier.save(work)
        publish(work)
        os.replace(work, target)
    except OSError as err:
        raise InputError(f"output {str(path)!r} cannot be written: "
                         f"{err.strerror or err}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)

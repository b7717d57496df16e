# SPDX-License-Identifier: Apache-2.0
"""What a model is compressed with: texts in batches, and what the model as given says of them.

Needs torch and transformers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..evaluate.core import Evaluator

__all__ = ["Lesson", "Teacher", "Texts", "divided", "moments"]

BATCH = 32
ROOM = 1 << 30          # bytes of a teacher's words that are kept
KEPT = torch.float16


def divided(count: int, held: int, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the texts to learn from, and of those that are held back, by chance."""
    order = np.random.default_rng(seed).permutation(count)
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())


class Texts:
    """Some of an evaluator's texts, in batches.

    Parameters
    ----------
    evaluator : Evaluator
    chosen : sequence of int
        Their numbers.
    """

    def __init__(self, evaluator: Evaluator, chosen: Sequence[int]):
        self._model, self._generates = evaluator.model, evaluator.task.generates
        self._texts = [evaluator.texts[n] for n in chosen]
        self.labels = torch.tensor([evaluator.labels[n] for n in chosen]
                                   if evaluator.labels else [0] * len(self._texts))
        self.lengths = [len(text["input_ids"]) for text in self._texts]

    def __len__(self) -> int:
        return len(self._texts)

    def batch(self, numbers: Sequence[int]) -> dict[str, Any]:
        """What the model takes of some texts."""
        if self._generates:
            return self._model.inputs([self._texts[n]["input_ids"] for n in numbers])
        return dict(self._model.tokenizer.pad([self._texts[n] for n in numbers],
                                              return_tensors="pt"))

    def alike(self, most: int) -> Iterator[dict[str, Any]]:
        """The first ``most`` texts, those of a batch of the same length: there is no padding."""
        by_length: dict[int, list[int]] = {}
        for n, length in enumerate(self.lengths[:most]):
            by_length.setdefault(length, []).append(n)
        for _, numbers in sorted(by_length.items()):
            for start in range(0, len(numbers), BATCH):
                yield self.batch(numbers[start:start + BATCH])

    def task_loss(self, logits: Tensor, numbers: Sequence[int], batch: dict[str, Any]) -> Tensor:
        """Cross entropy of the labels, or of the next tokens; logits are those of a lesson."""
        if not self._generates:
            return cross_entropy(logits, self.labels[list(numbers)])
        seen = batch["attention_mask"].bool()
        tokens, text = batch["input_ids"][seen], seen.nonzero()[:, 0]
        follows = text[1:] == text[:-1]
        return cross_entropy(logits[:-1][follows], tokens[1:][follows])


class Lesson:
    """What a model makes of some texts.

    Members
    -------
    hidden : Tensor, (layers, tokens, d)
        What each layer gives, without padding.
    logits : Tensor, (texts or tokens, classes)
    """

    def __init__(self, model: nn.Module, batch: dict[str, Any], hidden: bool = True):
        said = model(**batch, output_hidden_states=hidden)
        seen = batch["attention_mask"].bool()
        # The first are what goes into the first layer: nobody learns them.
        self.hidden = torch.stack([state[seen] for state in said.hidden_states[1:]]
                                  ) if hidden else torch.zeros(0)
        self.logits = said.logits[seen] if said.logits.dim() == 3 else said.logits


class Teacher:
    """The model as given on the texts to learn from. Its words are kept where they are few enough.

    Parameters
    ----------
    model : Module
    texts : Texts
    room : int
        Bytes for its words.
    """

    def __init__(self, model: nn.Module, texts: Texts, room: int = ROOM):
        self._model = model
        some = sorted(range(len(texts)), key=lambda n: texts.lengths[n])
        groups = [some[start:start + BATCH] for start in range(0, len(some), BATCH)]
        # Of texts of all lengths.
        sample = groups[::max(1, len(groups) // 8)]
        states = torch.cat([self._said(texts.batch(group)).hidden for group in sample], 1)
        # A layer that gives the same of all tokens would have none.
        self.spread = states.var(1).mean(-1).clamp_min(1e-12)
        first = self._said(texts.batch([0]))
        size = (first.hidden[:, 0].numel() + first.logits[0].numel()) * KEPT.itemsize
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        if sum(texts.lengths) * size <= room:
            # All at once, in batches of their own: what is kept depends on nothing else.
            for group in groups:
                self._keep(group, self._said(texts.batch(group)), texts.lengths)

    def _keep(self, group: Sequence[int], lesson: Lesson, lengths: Sequence[int]) -> None:
        sizes = [lengths[n] for n in group]
        hidden = lesson.hidden.to(KEPT).split(sizes, 1)
        logits = lesson.logits.split(1 if len(lesson.logits) == len(group) else sizes)
        for n, states, said in zip(group, hidden, logits, strict=True):
            self._kept[n] = states.clone(), said.clone()

    def _said(self, batch: dict[str, Any]) -> Lesson:
        with torch.no_grad():
            return Lesson(self._model, batch)

    def of(self, numbers: Sequence[int], batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Hidden states and logits of a batch."""
        if not self._kept:
            lesson = self._said(batch)
            return lesson.hidden, lesson.logits
        words = [self._kept[n] for n in numbers]
        return (torch.cat([hidden for hidden, _ in words], 1).float(),
                torch.cat([logits for _, logits in words]))


def moments(model: nn.Module, names: Sequence[str], batches: Iterator[dict[str, Any]]
            ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of the inputs of linear layers: E[x x^T] and E[x], over batches without padding."""
    sums: dict[str, Tensor] = {}
    means: dict[str, Tensor] = {}
    rows = dict.fromkeys(names, 0)

    def watcher(name: str):
        def watch(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].detach().reshape(-1, given[0].shape[-1]).double()
            sums[name] = sums.get(name, 0) + x.T @ x
            means[name] = means.get(name, 0) + x.sum(0)
            rows[name] += len(x)
        return watch

    handles = [model.get_submodule(name).register_forward_pre_hook(watcher(name))
               for name in names]
    try:
        with torch.no_grad():
            for batch in batches:
                model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: ((sums[name] / rows[name]).numpy(), (means[name] / rows[name]).numpy())
            for name in names}

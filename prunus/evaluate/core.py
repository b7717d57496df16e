# SPDX-License-Identifier: Apache-2.0
"""A model on the texts of a task, with a method in the place of its attention.

Needs torch and transformers.
"""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..models.attention import Rule
from ..models.model import Classifier, Decoder, next_token_loss
from ..models.sentences import read_documents
from .hook import Hook
from .layer import Counts, Layer, total
from .methods.base import Attended, Hardware, Method
from .methods.own import Float
from .metrics import METRICS, interval
from .tasks import Columns, Task, read_labelled

__all__ = ["Evaluation", "Evaluator"]

BATCH = 32                  # sentences that go through a model together
ANY_LENGTH = 1 << 30

Told = Callable[[int, int], None]
Watch = Callable[[Layer, Attended], None]
Seen = Callable[[int, Tensor], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What a method did to a model.

    Members
    -------
    items : ndarray, (texts, 2)
        What the metric is made of: class said and label, or sum of losses and tokens.
    layers : list of Counts
        What was pruned of each layer.
    cycles, moved : int or None
        Of all texts, and bytes; None where there is no hardware, or nobody asked.
    """

    model: str
    task: Task
    method: Method
    items: np.ndarray
    layers: list[Counts]
    cycles: int | None
    moved: int | None

    @property
    def value(self) -> float:
        return float(METRICS[self.task.metric](np.ones(len(self.items)), self.items))

    @property
    def counts(self) -> Counts:
        """Of all layers."""
        return total(self.layers)

    def record(self) -> dict[str, Any]:
        """The object that ``prunus evaluate --json`` prints."""
        low, high = interval(METRICS[self.task.metric], self.items)
        return {
            "model": self.model, "task": self.task.name, "method": self.method.name,
            "parameters": self.method.parameters, "n": len(self.items),
            "metric": self.task.metric, "value": self.value, "low": low, "high": high,
            **self.counts.pruned(), "cycles": self.cycles, "bytes": self.moved,
            "preset": self.method.config.name if self.method.config else None}


class _Costed(Hook):
    """Cycles and bytes of a preset by its models."""

    def __init__(self, method: Method, layers: int, costs: bool, watch: Watch | None):
        super().__init__(method, layers)
        self._watch = watch
        self.cycles = self.moved = 0
        self._costs = costs

    def charge(self, method: Hardware, attended: Attended) -> None:
        if self._costs:
            cycles, moved = method.cost(attended.jobs, attended.results)
            self.cycles += cycles
            self.moved += moved

    def watched(self, layer: Layer, attended: Attended) -> None:
        if self._watch:
            self._watch(layer, attended)


class Evaluator:
    """A model and the texts of a task, for any number of methods.

    Parameters
    ----------
    model : Path
    task : Task
    data : Path
    columns : Columns, optional
        Of a TSV, if not those of the task.
    limit : int, optional
        Only the first texts.
    length : int, optional
        Texts are cut to so many tokens, if the model has not fewer positions.

    Raises
    ------
    InputError
    """

    def __init__(self, model: Path, task: Task, data: Path, *, columns: Columns | None = None,
                 limit: int | None = None, length: int | None = None):
        _check_kind(model, task)
        if columns and task.generates:
            raise InputError(f"columns belong to tasks with labels, and {task.name} has none")
        self.name, self.task = Path(model).resolve().name, task
        self.model: Any = (Decoder if task.generates else Classifier)(model)
        if limit is not None and limit < 1:
            raise InputError(f"--limit must be at least 1, not {limit}")
        self.model.length = min(length or ANY_LENGTH, self.model.positions)
        if task.generates:
            documents = self.model.tokenise(read_documents(data)[:limit])
            self.labels: tuple[int, ...] = ()
            self.texts = [{"input_ids": tokens} for tokens in documents if len(tokens) > 1]
            if not self.texts:
                raise InputError(f"data {str(data)!r} must hold a document with a token to "
                                 "predict, and holds none")
        else:
            self._read_sentences(data, columns, limit)

    def _read_sentences(self, data: Path, columns: Columns | None, limit: int | None) -> None:
        config, tokenizer = self.model.model.config, self.model.tokenizer
        if self.task.metric == "mcc" and config.num_labels != 2:
            raise InputError(f"task {self.task.name} is judged by mcc and needs a model of 2 "
                             f"classes, not {config.num_labels}")
        names = [config.id2label.get(n, "") for n in range(config.num_labels)]
        sentences = read_labelled(data, self.task, config.num_labels, columns, names).first(limit)
        self.labels = sentences.labels
        if sentences.pairs is None:
            self.texts = [{"input_ids": tokens}
                          for tokens in self.model.tokenise(sentences.texts)]
        else:
            self.model.tokenise([*sentences.texts, *sentences.pairs])   # refuses what it cannot say
            said = tokenizer(list(sentences.texts), list(sentences.pairs), truncation=True,
                             max_length=self.model.length)
            self.texts = [{key: values[n] for key, values in said.items()
                           if key != "attention_mask"} for n in range(len(sentences))]

    def __len__(self) -> int:
        return len(self.texts)

    def on(self, text: str | None = None) -> "Evaluator":
        """The same model on one text, without a label that means anything; by default the first.

        Raises InputError.
        """
        one = copy.copy(self)
        one.texts, one.labels = self.texts[:1], self.labels[:1]
        if text is not None:
            if self.task.columns.pair:
                raise InputError(f"--text is one text, and task {self.task.name} has pairs")
            if not text.strip():
                raise InputError(f"--text must have a word or more, not {text!r}")
            tokens = self.model.tokenise([text])[0]
            one.texts, one.labels = [{"input_ids": tokens}], (0,) * len(one.labels)
        return one

    def tokens(self) -> list[str]:
        """Those of the first text, as the tokenizer writes them."""
        return [str(token) for token in self.model.tokenizer.convert_ids_to_tokens(
            self.texts[0]["input_ids"])]

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(len(text["input_ids"]) for text in self.texts)

    @property
    def layers(self) -> int:
        return self.model.switch.layers

    @property
    def heads(self) -> int:
        """Of queries, in a layer."""
        return self.model.model.config.num_attention_heads

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these texts only, by their numbers."""
        self.texts = [self.texts[n] for n in chosen]
        self.labels = tuple(self.labels[n] for n in chosen) if self.labels else ()

    # -- under a method ---------------------------------------------------------------------------
    def run(self, method: Method, *, costs: bool = True, told: Told | None = None,
            seen: Seen | None = None, watch: Watch | None = None) -> Evaluation:
        """What the model says with a method in the place of its attention.

        Parameters
        ----------
        costs : bool
            Ask for cycles and bytes, which takes about as long as the rest.
        told : callable, optional
            Is told how many texts are done, and of how many.
        seen : callable, optional
            Is given the number of each text and what :meth:`logits` gives of it.
        watch : callable, optional
            Is shown each layer of each text, and what the method made of it.
        """
        if method.config is not None and self.longest > method.config.l_max:
            raise InputError(f"texts must have at most {method.config.l_max} tokens "
                             f"({method.config.name}), not {self.longest}: --length cuts them")
        hook = _Costed(method, self.layers, costs, watch)
        items = self.items(None if isinstance(method, Float) else hook, told, seen)
        charged = costs and isinstance(method, Hardware)
        return Evaluation(model=self.name, task=self.task, method=method, items=items,
                          layers=hook.counts, cycles=hook.cycles if charged else None,
                          moved=hook.moved if charged else None)

    def items(self, rule: Rule | None, told: Told | None = None,
              seen: Seen | None = None) -> np.ndarray:
        """(texts, 2), what the metric is made of, under a rule; without one it is the model's own
        attention, and none of our code."""
        items = np.zeros((len(self), 2))
        for n, logits in self.logits(rule, told):
            if self.task.generates:
                tokens = self.texts[n]["input_ids"]
                items[n] = next_token_loss(logits, tokens), len(tokens) - 1
            else:
                items[n] = int(logits.argmax()), self.labels[n]
            if seen:
                seen(n, logits)
        return items

    def logits(self, rule: Rule | None, told: Told | None = None) -> Iterator[tuple[int, Tensor]]:
        """The number of each text and its logits under a rule, as in :meth:`items`: (classes,), or
        (tokens, vocabulary)."""
        if rule is not None:
            self.model.switch.rule = rule
        done = 0
        with self.model.by_itself() if rule is None else nullcontext():
            for chosen in self._batches():
                if isinstance(rule, Hook):
                    rule.texts = chosen
                with torch.no_grad():
                    said = self._said(chosen)
                yield from zip(chosen, said, strict=True)
                done += len(chosen)
                if told:
                    told(done, len(self))

    def _batches(self) -> list[list[int]]:
        """Numbers of texts that go through the model together."""
        if self.task.generates:
            return [[n] for n in range(len(self))]
        order = sorted(range(len(self)), key=lambda n: len(self.texts[n]["input_ids"]))
        return [order[start:start + BATCH] for start in range(0, len(order), BATCH)]

    def _said(self, chosen: Sequence[int]) -> Sequence[Tensor]:
        if self.task.generates:
            return [self.model.logits(self.texts[n]["input_ids"]) for n in chosen]
        batch = self.model.tokenizer.pad([self.texts[n] for n in chosen], return_tensors="pt")
        return self.model.model(**batch).logits


def _check_kind(model: Path, task: Task) -> None:
    """Refuse a model for something else, which would get a head of random weights."""
    try:
        config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        kinds = config.get("architectures") or []
    except (OSError, ValueError, AttributeError):
        return                              # loading says what is wrong
    wanted = ("ForCausalLM", "LMHeadModel") if task.generates else ("ForSequenceClassification",)
    if kinds and not any(kind.endswith(wanted) for kind in kinds):
        raise InputError(f"task {task.name} needs a model whose name ends in "
                         f"{' or '.join(wanted)}, and {str(model)!r} holds a {kinds[0]}")

# SPDX-License-Identifier: Apache-2.0
"""A model on the texts of a task, with a method in the place of its attention.

Needs torch and transformers.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..models.attention import Heads, Rule
from ..models.model import Classifier, Decoder, next_token_loss
from ..models.sentences import read_documents
from .layer import Counts, Layer
from .methods.base import Hardware, Method
from .methods.own import Float
from .metrics import METRICS, interval
from .tasks import Columns, Task, read_labelled

__all__ = ["Evaluation", "Evaluator", "Hook"]

BATCH = 32                  # sentences that go through a model together
ANY_LENGTH = 1 << 30

Told = Callable[[int, int], None]
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
        total = Counts()
        for layer in self.layers:
            total.add(layer)
        return total

    def record(self) -> dict[str, Any]:
        """The object that ``prunus evaluate --json`` prints."""
        low, high = interval(METRICS[self.task.metric], self.items)
        return {
            "model": self.model, "task": self.task.name, "method": self.method.name,
            "parameters": self.method.parameters, "n": len(self.items),
            "metric": self.task.metric, "value": self.value, "low": low, "high": high,
            **self.counts.pruned(), "cycles": self.cycles, "bytes": self.moved,
            "preset": self.method.config.name if self.method.config else None}


class Hook:
    """A method in the place of a model's attention, text by text.

    Members
    -------
    texts : sequence of int
        Numbers of those of the batch that is under way.
    counts : list of Counts
        Of each layer.
    cycles, moved : int
        Of all texts, where ``costs`` are asked for.
    """

    def __init__(self, method: Method, layers: int, costs: bool):
        self.method, self.layers = method, layers
        self.texts: Sequence[int] = ()
        self.counts = [Counts() for _ in range(layers)]
        self.cycles = self.moved = 0
        self._costs = costs and isinstance(method, Hardware)

    def __call__(self, heads: Heads) -> Tensor:
        out = torch.zeros_like(heads.q)
        for n, layer in enumerate(self.of_texts(heads)):
            attended = self.method.attend(layer)
            out[n, :, :layer.length] = torch.from_numpy(attended.out)
            self.counts[heads.layer].add(attended.counts)
            if self._costs:
                self._charge(attended.jobs, attended.results)
        return out

    def of_texts(self, heads: Heads) -> Iterator[Layer]:
        """The heads of a layer, text by text. Raises InputError."""
        q, k, v = (x.detach().double().numpy() for x in (heads.q, heads.k, heads.v))
        for name, x in (("queries", q), ("keys", k), ("values", v)):
            if not np.isfinite(x).all():
                raise InputError(f"model must have finite {name}, and layer {heads.layer} has NaN "
                                 "or infinity")
        for n, rows in enumerate(heads.rows()):
            yield Layer(number=heads.layer, layers=self.layers, text=self.texts[n],
                        q=q[n, :, :rows], k=k[n, :, :rows], v=v[n, :, :rows],
                        scaling=heads.scaling, causal=heads.causal)

    def _charge(self, jobs: Sequence[Any], results: Sequence[Any]) -> None:
        """The heads of a layer of a text are a table: the next layer needs what they give."""
        assert isinstance(self.method, Hardware)
        cycles, moved = self.method.cost(jobs, results)
        self.cycles += cycles
        self.moved += moved


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
            said = tokenizer(list(sentences.texts), list(sentences.pairs), truncation=True,
                             max_length=self.model.length)
            self.texts = [{key: values[n] for key, values in said.items()
                           if key != "attention_mask"} for n in range(len(sentences))]

    def __len__(self) -> int:
        return len(self.texts)

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
            seen: Seen | None = None) -> Evaluation:
        """What the model says with a method in the place of its attention.

        Parameters
        ----------
        costs : bool
            Ask for cycles and bytes, which takes about as long as the rest.
        told : callable, optional
            Is told how many texts are done, and of how many.
        seen : callable, optional
            Is given the number of each text and what :meth:`logits` gives of it.
        """
        if method.config is not None and self.longest > method.config.l_max:
            raise InputError(f"texts must have at most {method.config.l_max} tokens "
                             f"({method.config.name}), not {self.longest}: --length cuts them")
        hook = Hook(method, self.layers, costs)
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
        network = self.model.model
        hooked = network.config._attn_implementation
        if rule is None:
            network.set_attn_implementation("eager")
        else:
            self.model.switch.rule = rule
        done = 0
        try:
            for chosen in self._batches():
                if isinstance(rule, Hook):
                    rule.texts = chosen
                with torch.no_grad():
                    said = self._said(chosen)
                yield from zip(chosen, said, strict=True)
                done += len(chosen)
                if told:
                    told(done, len(self))
        finally:
            network.set_attn_implementation(hooked)

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

# SPDX-License-Identifier: Apache-2.0
"""Models with exchangeable attention: of sentences, and of texts from left to right."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging

from ..errors import InputError
from .attention import Rule, Switch
from .sentences import Sentences

__all__ = ["Classifier", "Decoder", "Tokens", "next_token_loss"]

Tokens = list[list[int]]
BATCH = 32


def _load(path: Path, kind):
    """Model and tokenizer of a directory. Raises InputError."""
    if not (Path(path) / "config.json").is_file():
        raise InputError(f"model {str(path)!r} must be a directory with a model in the layout "
                         f"of Hugging Face, and has no config.json")
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    try:
        model = kind.from_pretrained(path, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise InputError(f"model {str(path)!r} cannot be loaded: "
                         f"{str(err).strip().splitlines()[0]}") from None
    return model.eval(), tokenizer


class Classifier:
    """A Hugging Face model for classifying sequences, with its tokenizer.

    Parameters
    ----------
    path : Path
        A directory with config.json, weights and tokenizer; nothing is looked up elsewhere.
    length : int
        Tokens of a sentence beyond this are cut off.
    """

    def __init__(self, path: Path, length: int = 128):
        self.model, self.tokenizer = _load(path, AutoModelForSequenceClassification)
        self.length = length
        self.switch = Switch(self.model)
        self.logits(self.tokenise(["x"]))
        if not self.switch.layers:
            raise InputError(f"model {str(path)!r} must let its attention be exchanged, and a "
                             f"{type(self.model).__name__} does not")

    @property
    def layers(self) -> int:
        return self.switch.layers

    @property
    def classes(self) -> int:
        return self.model.config.num_labels

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer(list(texts), truncation=True, max_length=self.length)["input_ids"]

    def logits(self, tokens: Tokens) -> torch.Tensor:
        """(sentences, classes), of one batch."""
        batch = self.tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
        return self.model(input_ids=batch["input_ids"],
                          attention_mask=batch["attention_mask"]).logits

    def all_logits(self, tokens: Tokens, rule: Rule, *, batch: int = BATCH,
                   by_length: bool = True,
                   advance: Callable[[int], None] | None = None) -> torch.Tensor:
        """(sentences, classes), of any number under a rule, in evaluation; short ones go first
        unless ``by_length`` is off."""
        self.model.eval()
        self.switch.rule = rule
        order = list(range(len(tokens)))
        if by_length:
            order.sort(key=lambda i: len(tokens[i]))
        said = torch.zeros(len(tokens), self.classes)
        with torch.no_grad():
            for start in range(0, len(order), batch):
                chosen = order[start:start + batch]
                said[chosen] = self.logits([tokens[i] for i in chosen])
                if advance:
                    advance(len(chosen))
        return said

    def correct(self, sentences: Sentences, rule: Rule, **how) -> list[bool]:
        """Which sentences it gets right under a rule; ``how`` is of :meth:`all_logits`."""
        said = self.all_logits(self.tokenise(sentences.texts), rule, **how)
        return (said.argmax(-1) == torch.tensor(sentences.labels)).tolist()


class Decoder:
    """A Hugging Face model that says the next token, with its tokenizer.

    Parameters
    ----------
    path : Path
        As of a :class:`Classifier`.
    length : int
        Tokens of a text beyond this are cut off, with the one at its beginning counted.
    """

    def __init__(self, path: Path, length: int = 512):
        self.model, self.tokenizer = _load(path, AutoModelForCausalLM)
        self.length = length
        self.switch = Switch(self.model)
        self.logits([self.tokenizer.bos_token_id or 0, 0])
        if not self.switch.layers:
            raise InputError(f"model {str(path)!r} must let its attention be exchanged, and a "
                             f"{type(self.model).__name__} does not")

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """Each with the token of a beginning in front, and none of an end."""
        said = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [[self.tokenizer.bos_token_id, *tokens][:self.length] for tokens in said]

    def logits(self, tokens: Sequence[int]) -> torch.Tensor:
        """(tokens, vocabulary), of one text."""
        with torch.no_grad():
            return self.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]


def next_token_loss(logits: torch.Tensor, tokens: Sequence[int]) -> float:
    """Summed over the tokens that have one in front of them."""
    said = torch.log_softmax(logits[:-1].double(), -1)
    return -said.gather(1, torch.tensor(tokens)[1:, None]).sum().item()

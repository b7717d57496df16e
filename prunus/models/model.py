# SPDX-License-Identifier: Apache-2.0
"""Models with exchangeable attention: of sentences, of texts from left to right, of images.

A model is tried after loading: with plain attention through the hook it must say what it says by
itself, of inputs of unlike length, together and alone. What fails is refused.
"""

import contextlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config, preset_names

from ..errors import InputError
from .attention import Dense, Rule, Switch
from .coded import CODES_FILE, WEIGHTS_FILE, install, read_layers, smooth
from .sentences import Sentences, read_documents, read_images, read_sentences

__all__ = ["AnyModel", "Classifier", "Decoder", "ImageClassifier", "Judged", "Model", "Past",
           "Tokens", "next_token_loss", "open_model"]

Tokens = list[list[int]]
BATCH = 32
# How far plain attention through the hook may be from the model's own, as a share of the spread of
# its logits: float32 leaves about 1e-5, what a job cannot say 1e-2 and more.
TOLERANCE = 1e-3
SMALLEST = 1e-5         # and the spread of a model that says almost nothing
TRIED = (4, 11)         # tokens of the texts that a model is tried on, beside the longest


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Transformers warns on stderr of what is refused here in one line."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _first_line(err: Exception) -> str:
    return (str(err).strip() or type(err).__name__).splitlines()[0]


def _load(path: Path, kind) -> torch.nn.Module:
    """The model of a directory, with all its weights. Raises InputError."""
    torch.set_num_threads(1)
    if (path / CODES_FILE).is_file():
        return _load_coded(path, kind)
    try:
        model, said = kind.from_pretrained(path, dtype=torch.float32, local_files_only=True,
                                           trust_remote_code=False, output_loading_info=True,
                                           ignore_mismatched_sizes=True)
    except Exception as err:     # whatever a configuration or a file of weights comes to
        raise InputError(f"model {str(path)!r} cannot be loaded: {_first_line(err)}") from None
    for key, given, wanted in sorted(said["mismatched_keys"]):
        raise InputError(f"model {str(path)!r} must have weights of the shapes of its "
                         f"configuration, {tuple(wanted)} of {key}, not {tuple(given)}")
    missing = sorted(said["missing_keys"])
    if missing:
        raise InputError(f"model {str(path)!r} must have all weights of a "
                         f"{type(model).__name__}, and has no {missing[0]}"
                         + (f" nor {len(missing) - 1} others" if missing[1:] else ""))
    return _checked(model, path)


def _checked(model: torch.nn.Module, path: Path) -> torch.nn.Module:
    """A model that was loaded, ready to be run. Raises InputError."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError(f"model {str(path)!r} must have finite weights, and {name} has "
                             f"others")
    if getattr(model.config, "is_encoder_decoder", False):
        raise InputError(f"model {str(path)!r} must be an encoder or a decoder, and a "
                         f"{type(model).__name__} is both")
    return model.eval()


def _load_coded(path: Path, kind) -> torch.nn.Module:
    """A compressed model: what is not in codes has its weights as others have. Raises
    InputError."""
    layers, functions = read_layers(path)
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = kind.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except Exception as err:     # whatever a configuration comes to
        raise InputError(f"model {str(path)!r} cannot be loaded: {_first_line(err)}") from None
    install(model, layers, functions, str(path))
    try:
        state = load_file(path / WEIGHTS_FILE)
        said = model.load_state_dict(state, strict=False)
    except (OSError, SafetensorError, RuntimeError) as err:
        raise InputError(f"model {str(path)!r} cannot be loaded: {_first_line(err)}") from None
    model.tie_weights()
    loaded = {value.data_ptr() for name, value in model.state_dict(keep_vars=True).items()
              if name in state}
    missing = [name for name in said.missing_keys
               if model.state_dict(keep_vars=True)[name].data_ptr() not in loaded]
    for name in (*missing, *said.unexpected_keys):
        raise InputError(f"model {str(path)!r} must have the weights of its configuration but for "
                         f"those in {CODES_FILE}, and has {'no' if name in missing else 'a'} "
                         f"{name}")
    return _checked(model, path)


def _largest_d() -> int:
    """Of heads that any preset takes."""
    return max(load_config(name).d_max for name in preset_names())


def _positions(model: torch.nn.Module) -> int | None:
    """Tokens that a model has positions for; None if it does not say."""
    said = [getattr(model.config, "max_position_embeddings", None)]
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and (
                "position" in name.rsplit(".", 1)[-1] or name.endswith("wpe")):
            # The first rows of some tables are of padding.
            unused = 0 if module.padding_idx is None else module.padding_idx + 1
            said.append(module.num_embeddings - unused)
    known = [limit for limit in said if isinstance(limit, int) and limit > 0]
    return min(known) if known else None


def _check_same(what: str, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """Refuse a model whose logits are not those that they should be."""
    spread = torch.cat([x.flatten() for x in theirs])
    allowed = TOLERANCE * float(spread.max() - spread.min()) + SMALLEST
    off = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
    if not off <= allowed:
        raise InputError(f"model must say with plain attention what it says by itself, and "
                         f"has {what}: off by {off:.2g}, where {allowed:.2g} is allowed")


@dataclass(frozen=True, eq=False)
class Judged:
    """A text as a decoder says it.

    Members
    -------
    loss : float
        Negative log-likelihood of its tokens but the first, summed.
    tokens : int
        Their number.
    best : Tensor, (tokens,)
        What it holds most likely in the place of each.
    right : int
        How many of these are the text's.
    """

    loss: float
    tokens: int
    best: Tensor
    right: int


class Model(ABC):
    """A Hugging Face model whose attention can be exchanged; what all kinds have in common.

    Parameters
    ----------
    path : Path
        A directory with config.json and weights; nothing is looked up elsewhere.

    Members
    -------
    switch : Switch
    layers : int
        Calls of the attention in a pass.

    Raises
    ------
    InputError
        If the model cannot be loaded, or says otherwise with plain attention through the hook.
    """

    kind: ClassVar[Any]

    def __init__(self, path: Path):
        self.path = Path(path)
        if not (self.path / "config.json").is_file():
            raise InputError(f"model {str(path)!r} must be a directory with a model in the layout "
                             f"of Hugging Face, and has no config.json")
        with _silent():
            self.model = _load(self.path, self.kind)
            self.prepare()
            self.switch = Switch(self.model)
            with self._named(), smooth(self.model):
                self._try()

    @property
    def layers(self) -> int:
        return self.switch.layers

    # -- what the kinds say ----------------------------------------------------------------------
    def prepare(self) -> None:      # noqa: B027 - most need nothing
        """Load what the model needs beside its weights."""

    @abstractmethod
    def inputs(self, items: list) -> dict[str, Tensor]:
        """One batch, as the model takes it."""

    @abstractmethod
    def examples(self) -> tuple[list, list, dict[str, Tensor]]:
        """Items to try the model on: one batch of unlike ones, further ones alone, and the batch
        as the model's own tools make it."""

    def said(self, logits: Tensor, items: list) -> list[Tensor]:
        """The logits of each item, without those of padding."""
        return list(logits)

    @abstractmethod
    def read(self, path: Path) -> Sentences:
        """A file of what the model works on. Raises InputError."""

    @abstractmethod
    def tokenise(self, texts: Sequence) -> list:
        """Items of texts, as :meth:`inputs` takes them."""

    def save(self, directory: Path) -> None:
        """The model with what belongs to it."""
        self.model.save_pretrained(directory)

    # -- the trial -------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Whatever a trial comes to is a line with the name of the model."""
        path = repr(str(self.path))
        try:
            yield
        except InputError as err:
            said = str(err)
            raise InputError(said if path in said else said.replace(
                "model", f"model {path}", 1)) from None
        except Exception as err:    # a model of any kind, at its first pass
            raise InputError(f"model {path} cannot be run: {type(err).__name__}: "
                             f"{_first_line(err)}") from None

    def _try(self) -> None:
        """Hold the logits through the hook against the model's own. Raises InputError."""
        items, alone, own_batch = self.examples()
        batches = [items, *([item] for item in (*items, *alone))]
        self.switch.rule = Dense()
        with torch.no_grad():
            got = [self.said(self.forward(batch), batch) for batch in batches]
            self._check_shapes()
            with self.by_itself():
                want = [self.said(self.model(**self.inputs(batch)).logits, batch)
                        for batch in batches]
                own = self.said(self.model(**own_batch).logits, items)
        # First of the model itself, which may say otherwise of an input in a batch, then through
        # the hook.
        count = len(items)
        for what, ours, theirs in (
                ("of inputs that its own tools make other logits", want[0], own),
                ("of an input in a batch other logits than alone", want[0],
                 sum(want[1:count + 1], [])),
                ("through the hook other logits than by itself", sum(got, []), sum(want, []))):
            _check_same(what, ours, theirs)

    def _check_shapes(self) -> None:
        if not self.layers:
            raise InputError(f"model must let its attention be exchanged, and a "
                             f"{type(self.model).__name__} does not")
        most = _largest_d()
        for shape in self.switch.shapes:
            if shape.d % 8 or shape.d > most:
                raise InputError(f"model must have heads with a d that is a multiple of 8 up to "
                                 f"{most}, the most of any preset, not {shape.d}")

    def check_config(self, config: EngineConfig, items: list) -> None:
        """Refuse a coprocessor that does not take the heads of these items. Raises InputError."""
        for shape in self.switch.shapes:
            if shape.d % 8 or shape.d > config.d_max:
                raise InputError(f"model {str(self.path)!r} must have heads with a d that is a "
                                 f"multiple of 8 up to {config.d_max} ({config.name}), not "
                                 f"{shape.d}")
        longest = max(map(self.rows, items))
        if longest > config.l_max:
            raise InputError(f"texts must have at most {config.l_max} tokens ({config.name}), not "
                             f"{longest}")

    def rows(self, item) -> int:
        """Queries of an item."""
        return len(item)

    # -- its use ---------------------------------------------------------------------------------
    @contextlib.contextmanager
    def by_itself(self) -> Iterator[None]:
        """The model has its own attention, and none of our code."""
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.model.set_attn_implementation(self.switch.name)

    def forward(self, items: list) -> Tensor:
        """The logits of one batch, under the rule in force."""
        return self.model(**self.inputs(items)).logits

    def under(self, rule: Rule, items: list) -> Tensor:
        """The logits of one batch under a rule, in evaluation."""
        self.model.eval()
        self.switch.rule = rule
        with torch.no_grad():
            return self.forward(items)


class _Classes(Model):
    """Says of each item one class."""

    def prepare(self) -> None:
        config = self.model.config
        if self.classes < 2 or config.problem_type not in (None, "single_label_classification"):
            raise InputError(f"model {str(self.path)!r} must say one of two or more classes, not "
                             f"{config.problem_type or 'a value of its own'} ({self.classes})")

    @property
    def classes(self) -> int:
        return self.model.config.num_labels

    def logits(self, tokens: list) -> Tensor:
        """(items, classes), of one batch."""
        return self.forward(tokens)

    def all_logits(self, tokens: list, rule: Rule, *, batch: int = BATCH,
                   by_length: bool = True,
                   advance: Callable[[int], None] | None = None) -> Tensor:
        """(items, classes), of any number under a rule, in evaluation; short ones go first
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
        """Which items it gets right under a rule; ``how`` is of :meth:`all_logits`."""
        said = self.all_logits(self.tokenise(sentences.texts), rule, **how)
        return (said.argmax(-1) == torch.tensor(sentences.labels)).tolist()


class _Texts(Model):
    """Takes texts, which its tokenizer makes tokens of, in batches that are padded on the right.

    Members
    -------
    length : int
        Tokens of a text beyond this are cut off.
    positions : int
        The most tokens that model and tokenizer take.
    """

    def __init__(self, path: Path, length: int):
        self.length = length
        super().__init__(path)

    def prepare(self) -> None:
        super().prepare()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(
                self.path, local_files_only=True, trust_remote_code=False)
        except Exception as err:     # whatever a file of a tokenizer comes to
            raise InputError(f"model {str(self.path)!r} must have its tokenizer, which cannot be "
                             f"loaded: {_first_line(err)}") from None
        special = set(self.tokenizer.all_special_ids)
        words = {n: word for word, n in self.tokenizer.get_vocab().items() if n not in special}
        # Some pieces are blanks, of which no token is left.
        self._words = sorted(n for n, word in words.items() if any(map(str.isalnum, word)))
        if not self._words:
            raise InputError(f"model {str(self.path)!r} must have its tokenizer, and has none "
                             f"with a vocabulary")
        # Where the padding stands is not learned, and a job has it on the right. That the model
        # says the same of a sentence then is tried on loading.
        self.tokenizer.padding_side = "right"
        own = _positions(self.model)
        limit = self.tokenizer.model_max_length
        self.positions = limit if own is None else min(limit, own)
        self.length = min(self.length, self.positions)

    def save(self, directory: Path) -> None:
        super().save(directory)
        self.tokenizer.save_pretrained(directory)

    @property
    def padding(self) -> int:
        """The token of padding; no query sees it."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(token for token in known if token is not None)

    def inputs(self, items: Tokens) -> dict[str, Tensor]:
        longest = max(map(len, items))
        ids = torch.full((len(items), longest), self.padding)
        seen = torch.zeros(len(items), longest, dtype=torch.long)
        for n, tokens in enumerate(items):
            ids[n, :len(tokens)], seen[n, :len(tokens)] = torch.tensor(tokens), 1
        return {"input_ids": ids, "attention_mask": seen}

    def _checked(self, tokens: Tokens, texts: Sequence[str]) -> Tokens:
        """Tokens that the model has. Raises InputError."""
        known = self.model.get_input_embeddings().num_embeddings
        special = set(self.tokenizer.all_special_ids)
        unknown = self.tokenizer.unk_token_id
        for text, some in zip(texts, tokens, strict=True):
            if not some:
                raise InputError(f"text must have tokens, and {text[:40]!r} has none")
            if max(some) >= known:
                raise InputError(f"model {str(self.path)!r} must know the tokens of its tokenizer, "
                                 f"0..{known - 1}, and {text[:40]!r} has {max(some)}")
        words = [t for some in tokens for t in some if t not in special or t == unknown]
        if words and unknown is not None and all(t == unknown for t in words):
            raise InputError(f"model {str(self.path)!r} must have its tokenizer: every word of "
                             f"{len(texts)} texts is unknown to the one it has")
        return tokens

    def _sample(self, count: int, skip: int) -> str:
        """A text of about so many tokens, of the vocabulary."""
        chosen = [self._words[(skip + 7919 * n) % len(self._words)] for n in range(count)]
        return self.tokenizer.decode(chosen)

    def samples(self) -> list[str]:
        """Texts of unlike length, and one that is cut."""
        return [self._sample(count, 17 * count) for count in (*TRIED, 2 * self.length)]


class Classifier(_Texts, _Classes):
    """A Hugging Face model for classifying sequences, with its tokenizer.

    Parameters
    ----------
    path : Path
        A directory with config.json, weights and tokenizer; nothing is looked up elsewhere.
    length : int
        Tokens of a sentence beyond this are cut off, and beyond what model and tokenizer take.
    """

    kind = AutoModelForSequenceClassification

    def __init__(self, path: Path, length: int = 128):
        super().__init__(path, length)

    def prepare(self) -> None:
        super().prepare()
        if self.tokenizer.pad_token_id is None:
            raise InputError(f"model {str(self.path)!r} must have a token of padding, and its "
                             f"tokenizer has none")

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        said = self.tokenizer(list(texts), truncation=True, max_length=self.length)["input_ids"]
        return self._checked(said, texts)

    def examples(self):
        *texts, longest = self.samples()
        own = self.tokenizer(texts, truncation=True, max_length=self.length, padding=True,
                             return_tensors="pt")
        return self.tokenise(texts), self.tokenise([longest]), dict(own)

    def read(self, path: Path) -> Sentences:
        return read_sentences(path, self.classes)


@dataclass(frozen=True, eq=False)
class Past:
    """What a decoder keeps of the tokens it has read: their number, and its cache."""

    tokens: int
    cache: Any


class Decoder(_Texts):
    """A Hugging Face model that says the next token, with its tokenizer.

    Parameters
    ----------
    path : Path
        As of a :class:`Classifier`.
    length : int
        Tokens of a text beyond this are cut off, with the one at its beginning counted, and beyond
        what model and tokenizer take.
    """

    kind = AutoModelForCausalLM

    def __init__(self, path: Path, length: int = 512):
        super().__init__(path, length)

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """Each with the token of a beginning in front, if there is one, and none of an end."""
        first = self.tokenizer.bos_token_id
        front = [] if first is None else [first]
        self.tokenizer.truncation_side = "right"
        said = self.tokenizer(list(texts), add_special_tokens=False, truncation=True,
                              max_length=self.length - len(front))["input_ids"]
        return self._checked([[*front, *tokens] for tokens in said], texts)

    def inputs(self, items: Tokens) -> dict[str, Any]:
        return {**super().inputs(items), "use_cache": False}

    def said(self, logits: Tensor, items: Tokens) -> list[Tensor]:
        return [one[:len(tokens)] for one, tokens in zip(logits, items, strict=True)]

    def examples(self):
        *texts, longest = self.samples()
        items = self.tokenise(texts)
        return items, self.tokenise([longest]), self.inputs(items)

    def _check_shapes(self) -> None:
        super()._check_shapes()
        if not all(shape.causal for shape in self.switch.shapes):
            raise InputError(f"model must hide from a token what comes after it, and a "
                             f"{type(self.model).__name__} does not")

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """(tokens, vocabulary), of one text."""
        with torch.no_grad():
            return self.forward([list(tokens)])[0]

    @property
    def ends(self) -> set[int]:
        """Tokens that end a text."""
        said = [self.tokenizer.eos_token_id]
        for config in (self.model.config, self.model.generation_config):
            value = getattr(config, "eos_token_id", None)
            said += value if isinstance(value, list) else [value]
        return {token for token in said if token is not None}

    def read_on(self, tokens: Sequence[int], past: Past | None = None) -> tuple[Tensor, Past]:
        """(tokens, vocabulary), of the next tokens of a text, and what is kept of all so far.

        ``past`` is what is kept of those before; it must not be used again. Under the rule in
        force, with the keys and values of all tokens.
        """
        before = past.tokens if past else 0
        inputs = {"input_ids": torch.tensor([list(tokens)]), "use_cache": True,
                  "attention_mask": torch.ones(1, before + len(tokens), dtype=torch.long)}
        if past:
            inputs["past_key_values"] = past.cache
        self.switch.cached = before
        try:
            with torch.no_grad():
                said = self.model(**inputs)
        finally:
            self.switch.cached = 0
        return said.logits[0], Past(before + len(tokens), said.past_key_values)

    def try_cache(self) -> None:
        """Hold the logits of a text that is read token by token, through the hook, against the
        model's own of the whole text. Raises InputError."""
        self.switch.rule = Dense()
        with _silent(), self._named(), smooth(self.model):
            tokens = self.tokenise([self._sample(TRIED[1], 0)])[0]
            got, past = self.read_on(tokens[:TRIED[0]])
            parts = [got]
            for token in tokens[TRIED[0]:]:
                if past.cache is None:
                    raise InputError(f"model must keep keys and values from token to token, and a "
                                     f"{type(self.model).__name__} does not")
                got, past = self.read_on([token], past)
                parts.append(got)
            with self.by_itself():
                want = self.logits(tokens)
            _check_same("with its cache other logits than of the whole text", [torch.cat(parts)],
                        [want])

    def judged(self, tokens: Tokens, rule: Rule, *, batch: int = 4,
               advance: Callable[[int], None] | None = None) -> list[Judged]:
        """Any number of texts under a rule, in evaluation; short ones go first."""
        made: dict[int, Judged] = {}
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), batch):
            items = [tokens[i] for i in order[start:start + batch]]
            said = self.said(self.under(rule, items), items)
            for i, text, logits in zip(order[start:], items, said, strict=False):
                best = logits[:-1].argmax(-1)
                right = int((best == torch.tensor(text[1:])).sum())
                made[i] = Judged(next_token_loss(logits, text), len(text) - 1, best, right)
            if advance:
                advance(len(items))
        return [made[i] for i in range(len(tokens))]

    def loss(self, items: Tokens) -> Tensor:
        """Of one batch, the mean of the tokens that have one in front of them."""
        said = self.said(self.forward(items), items)
        total = sum(cross_entropy(logits[:-1], torch.tensor(text[1:]), reduction="sum")
                    for logits, text in zip(said, items, strict=True))
        return torch.as_tensor(total) / max(1, sum(len(text) - 1 for text in items))

    def read(self, path: Path) -> Sentences:
        texts = read_documents(path)
        return Sentences(texts, (0,) * len(texts))


class ImageClassifier(_Classes):
    """A Hugging Face model for classifying images (ViT, DINOv2).

    Its images are those that a processor has resized and normalised: float32 values (channels,
    height, width), here as bytes.
    """

    kind = AutoModelForImageClassification

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        size = self.model.config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.model.config.num_channels, height, width

    def tokenise(self, texts: Sequence[bytes]) -> list[Tensor]:
        return [torch.frombuffer(bytearray(one), dtype=torch.float32).view(self.shape)
                for one in texts]

    def rows(self, item: Tensor) -> int:
        return self.switch.rows

    def inputs(self, items: list[Tensor]) -> dict[str, Tensor]:
        return {"pixel_values": torch.stack(items)}

    def examples(self):
        drawn = np.random.default_rng(0).normal(size=(2, *self.shape)).astype(np.float32)
        items = self.tokenise([one.tobytes() for one in drawn])
        return items, [], self.inputs(items)

    def save(self, directory: Path) -> None:
        super().save(directory)
        processor = self.path / "preprocessor_config.json"
        if processor.is_file():
            shutil.copy(processor, directory)

    def read(self, path: Path) -> Sentences:
        return read_images(path, self.shape, self.classes)


AnyModel = Classifier | ImageClassifier | Decoder
KINDS: dict[str, type[AnyModel]] = {
    "ForSequenceClassification": Classifier, "ForImageClassification": ImageClassifier,
    "ForCausalLM": Decoder, "LMHeadModel": Decoder}


def open_model(path: Path) -> AnyModel:
    """The model of a directory, of the kind that its configuration names. Raises InputError."""
    try:
        said = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        name = (said.get("architectures") or [None])[0]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, AttributeError):
        name = None
    for end, kind in KINDS.items():
        if name is not None and str(name).endswith(end):
            return kind(path)
    if not (Path(path) / "config.json").is_file():
        raise InputError(f"model {str(path)!r} must be a directory with a model in the layout "
                         f"of Hugging Face, and has no config.json")
    raise InputError(f"model {str(path)!r} must name an architecture that ends in "
                     f"{', '.join(KINDS)}, not {name!r}")


def next_token_loss(logits: Tensor, tokens: Sequence[int]) -> float:
    """Summed over the tokens that have one in front of them."""
    said = torch.log_softmax(logits[:-1].double(), -1)
    return -said.gather(1, torch.tensor(tokens)[1:, None]).sum().item()

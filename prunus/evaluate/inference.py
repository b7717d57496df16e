# SPDX-License-Identifier: Apache-2.0
"""One text through a model whose heads a backend computes: a class, or a continuation.

Needs torch and transformers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from ..models.model import Classifier, Decoder, open_model
from ..run import Opened
from .hook import Hook
from .layer import Counts, total
from .linear import LinearCounts, counted_layers, has_linear
from .methods.base import Attended, Hardware, Method
from .methods.own import Float

__all__ = ["TOKENS", "Inference", "Question"]

TOKENS = 20                 # that a decoder generates unless somebody says how many
ANY_LENGTH = 1 << 30

Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inference:
    """What a model made of a text.

    Members
    -------
    tokens : int
        Of the text, with those that the tokenizer adds.
    said : dict
        Class, label and probabilities; or the continuation and its tokens.
    logits, own : ndarray of float32, (classes,) or (generated tokens, vocabulary)
        With the method, and of the model by itself, which reads the same tokens.
    layers : list of Counts
        What was pruned of each layer.
    cycles, read, written : int or None
        Of all tables; None of a method without hardware.
    counted : bool
        Cycles are those that the hardware counted, not those of a model of it.
    linear : LinearCounts, optional
        Of layers in codes, where the hardware does them, too.
    """

    model: str
    method: Method
    backend: str
    tokens: int
    said: dict[str, Any]
    logits: np.ndarray
    own: np.ndarray
    layers: list[Counts]
    cycles: int | None
    read: int | None
    written: int | None
    counted: bool
    linear: LinearCounts | None = None

    @property
    def agrees(self) -> bool:
        """The model by itself chooses the same class, or each time the same token."""
        return bool(np.array_equal(self.logits.argmax(-1), self.own.argmax(-1)))

    def record(self) -> dict[str, Any]:
        """The object that ``prunus infer --json`` prints."""
        off = self.logits.astype(np.float64) - self.own
        hardware = self.cycles is not None
        return {
            "model": self.model, "method": self.method.name, "parameters": self.method.parameters,
            "preset": self.method.config.name if self.method.config else None,
            "backend": self.backend, "tokens": self.tokens, **self.said,
            "logits": self.logits.tolist(), "float": self.own.tolist(),
            "max_difference": float(np.abs(off).max()),
            "rms_difference": float(np.sqrt(np.square(off).mean())), "agrees": self.agrees,
            "cycles": self.cycles,
            "cycles_from": ("counters" if self.counted else "model") if hardware else None,
            "read_bytes": self.read, "write_bytes": self.written,
            "linear": self.linear.record() if self.linear else None,
            **total(self.layers).pruned(), "layers": [layer.pruned() for layer in self.layers]}


class _Counted(Hook):
    """Cycles and bytes of the tables that went through a backend."""

    def __init__(self, method: Method, layers: int, through: Opened | None,
                 told: Callable[[int], None]):
        super().__init__(method, layers, through)
        self.cycles = self.read = self.written = 0
        self.counted = False
        self._told = told

    def charge(self, method: Hardware, attended: Attended) -> None:
        run = attended.run
        assert run is not None
        self.counted = run.cycles is not None
        self.cycles += (method.cycles(attended.jobs, attended.results)
                        if run.cycles is None else run.cycles)
        self.read += run.read_bytes
        self.written += run.write_bytes
        self._told(len(attended.jobs))


class Question:
    """A text for a model, checked before anything is computed.

    Parameters
    ----------
    model : Path
    text : str
    method : Method
    pair : str, optional
        A second text, for a classifier of pairs.
    tokens : int, optional
        That a decoder generates at most; TOKENS unless it has fewer positions left.

    Raises
    ------
    InputError
    """

    def __init__(self, model: Path, text: str, method: Method, *, pair: str | None = None,
                 tokens: int | None = None):
        for name, said in (("text", text), ("--pair", pair)):
            if said is not None and not said.strip():
                raise InputError(f"{name} must not be empty, and is {said!r}")
        if tokens is not None and tokens < 1:
            raise InputError(f"--tokens must be at least 1, not {tokens}")
        opened = open_model(model)
        if not isinstance(opened, Classifier | Decoder):
            raise InputError(f"model {str(model)!r} must take texts, and is a "
                             f"{type(opened.model).__name__}")
        self.name, self.model, self.method = Path(model).resolve().name, opened, method
        self.limit, self._of = opened.positions, f"the positions of model {str(model)!r}"
        if isinstance(method, Hardware) and method.config.l_max < self.limit:
            self.limit, self._of = method.config.l_max, f"the most of {method.config.name}"
        for option, value, kind, is_one in (
                ("pair", pair, "classifier", isinstance(opened, Classifier)),
                ("tokens", tokens, "decoder", isinstance(opened, Decoder))):
            if value is not None and not is_one:
                raise InputError(f"--{option} belongs to a {kind}, and model {str(model)!r} is a "
                                 f"{type(opened.model).__name__}")
        kept, opened.length = opened.length, ANY_LENGTH     # what is too long is refused, not cut
        self.item = self._read(text, pair)
        opened.length = kept
        self._check_length(text)
        if isinstance(method, Hardware):
            opened.check_config(method.config, [self.item["input_ids"]])
        if isinstance(opened, Decoder):
            self.count = self._tokens(tokens)
            method.check_cache()
            opened.try_cache()

    def _read(self, text: str, pair: str | None) -> dict[str, list[int]]:
        """What the model takes of a text, by name."""
        # Of each by itself: a word that is known hides none that are not.
        alone = self.model.tokenise([text] if pair is None else [text, pair])
        if pair is None:
            return {"input_ids": alone[0]}
        said = self.model.tokenizer(text, pair)
        return {name: list(value) for name, value in said.items() if name != "attention_mask"}

    def _check_length(self, text: str) -> None:
        tokens = self.item["input_ids"]
        if set(tokens) <= set(self.model.tokenizer.all_special_ids):
            raise InputError(f"text must have tokens, and {text[:40]!r} has none")
        if len(tokens) > self.limit:
            raise InputError(f"text must have at most {self.limit} tokens, {self._of}, not "
                             f"{len(tokens)}")

    def _tokens(self, wanted: int | None) -> int:
        """How many are generated; the last one needs no position, as nothing follows it."""
        prompt = len(self.item["input_ids"])
        most = self.limit - prompt + 1
        if wanted is not None and wanted > most:
            raise InputError(f"--tokens must be at most {most} behind {prompt} tokens of text, "
                             f"for {self._of} are {self.limit}, not {wanted}")
        return min(TOKENS, most) if wanted is None else wanted

    @property
    def layers(self) -> int:
        return self.model.layers

    @property
    def heads(self) -> int:
        """Of queries, in a layer."""
        return self.model.switch.shapes[0].heads

    # -- the answer -------------------------------------------------------------------------------
    def answer(self, backend: str, through: Opened, told: Told | None = None) -> Inference:
        """Run the model with its heads through a backend.

        Parameters
        ----------
        backend : str
            Its name.
        through : Opened
        told : callable, optional
            Is told how many heads are done, and of how many at most.

        Raises
        ------
        InputError
        RunError
            The backend fails, or gives other bits than golden.
        """
        tokens, decoder = self.item["input_ids"], isinstance(self.model, Decoder)
        heads = sum(shape.heads for shape in self.model.switch.shapes)
        most, done = heads * (self.count if decoder else 1), 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            if told:
                told(done, most)

        hook = _Counted(self.method, self.layers, through, tell)
        counts: LinearCounts | None = None
        if isinstance(self.model, Decoder):
            with self._linear(through) as counts:
                logits, generated = self._continue(self.model, hook)
            with self.model.by_itself():
                own = self.model.logits([*tokens, *generated[:-1]])[len(tokens) - 1:]
            said: dict[str, Any] = {
                "text": self._text(generated), "generated": generated}
        else:
            with self._under(hook), self._linear(through) as counts:
                logits = self._classes()
            with self.model.by_itself():
                own = self._classes()
            said = self._class(logits)
        hardware = isinstance(self.method, Hardware)
        return Inference(
            model=self.name, method=self.method, backend=backend, tokens=len(tokens), said=said,
            logits=logits.numpy(), own=own.numpy(), layers=hook.counts,
            cycles=hook.cycles if hardware else None, read=hook.read if hardware else None,
            written=hook.written if hardware else None, counted=hook.counted, linear=counts)

    @contextmanager
    def _linear(self, run: Opened) -> Iterator[LinearCounts | None]:
        """Layers in codes through the backend, if its hardware does them."""
        config = self.method.config
        if isinstance(config, HdpConfig) and has_linear(self.model.model, config):
            with counted_layers(self.model.model, config, run) as counts:
                yield counts
        else:
            yield None

    @contextmanager
    def _under(self, hook: Hook) -> Iterator[None]:
        """The method in the model's attention; the method ``float`` leaves it as it is."""
        if isinstance(self.method, Float):
            with self.model.by_itself():
                yield
        else:
            hook.texts = [0]
            self.model.switch.rule = hook
            yield

    def _classes(self) -> Tensor:
        batch = self.model.tokenizer.pad([self.item], return_tensors="pt")
        with torch.no_grad():
            return self.model.model(**batch).logits[0]

    def _class(self, logits: Tensor) -> dict[str, Any]:
        best = int(logits.argmax())
        names = self.model.model.config.id2label
        return {"class": best, "label": str(names.get(best, best)),
                "probabilities": torch.softmax(logits.double(), -1).tolist()}

    def _continue(self, model: Decoder, hook: Hook) -> tuple[Tensor, list[int]]:
        """The most likely token each time: logits (generated, vocabulary), and the tokens."""
        ends = model.ends
        rows: list[Tensor] = []
        generated: list[int] = []
        with self._under(hook):
            said, past = model.read_on(self.item["input_ids"])
            while True:
                rows.append(said[-1])
                generated.append(int(said[-1].argmax()))
                if len(generated) == self.count or generated[-1] in ends:
                    return torch.stack(rows), generated
                hook.texts = [len(generated)]       # masks by chance are others each time
                said, past = model.read_on(generated[-1:], past)

    def _text(self, generated: list[int]) -> str:
        """What follows the text. A word may go on, so it is what the whole has more."""
        def text(tokens: list[int]) -> str:
            return self.model.tokenizer.decode(tokens, skip_special_tokens=True)

        prompt = self.item["input_ids"]
        before, whole = text(prompt), text([*prompt, *generated])
        return whole[len(before):] if whole.startswith(before) else text(generated)

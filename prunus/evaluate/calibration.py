# SPDX-License-Identifier: Apache-2.0
"""The file that says how each head of a model is pruned (docs/evaluate.md)."""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import ConfigDict, Field, ValidationError

from prunus.golden.hdp.compute import Importance

from ..errors import InputError
from ..files import write_files
from ..train.thresholds import Learned, Table, digest, load_thresholds
from .choices import Choice, HdpChoice, LeopardChoice, TopkChoice

__all__ = ["CHOICES", "Calibration", "Entry", "ModelOf", "arrays_of", "check_model",
           "load_calibration", "save_calibration", "why"]

CHOICES: dict[str, type[Choice]] = {
    "hdp": HdpChoice, "leopard": LeopardChoice, "topk": TopkChoice}
HEADER = """\
# How the heads of a model are pruned. docs/evaluate.md says what the fields are.

"""


class ModelOf(Table):
    """Whose calibration it is."""

    name: str
    sha256: str


class Entry(Table):
    """What some heads have of their own: those of a layer, or one of them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    layer: Annotated[int, Field(ge=0)]
    head: Annotated[int | None, Field(ge=0)] = None

    def choice(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Calibration(Table):
    """A method's choice for each head.

    A head has the fields of ``all``, then those of the entries of its layer, then those of its own
    entries, in their order.

    Parameters
    ----------
    method : "hdp", "leopard" or "topk"
    preset : str, optional
        The hardware it was made for.
    model : ModelOf
    all : dict
        Fields of :mod:`.choices`.
    heads : tuple of Entry
    made : dict
        Where it comes from; nothing depends on it.
    """

    method: Literal["hdp", "leopard", "topk"]
    preset: str | None = None
    model: ModelOf
    all: dict[str, str | bool | int | float] = {}
    heads: tuple[Entry, ...] = ()
    made: dict[str, str | bool | int | float] = {}

    def fields_of(self, layer: int, head: int) -> dict[str, Any]:
        """What is said of a head, one over the other."""
        found = dict(self.all)
        for wide in (True, False):
            for entry in self.heads:
                if entry.layer == layer and (entry.head is None if wide else entry.head == head):
                    found = _over(found, entry.choice())
        return found

    def choice(self, layer: int, head: int) -> Any:
        """That of a head. Raises InputError."""
        try:
            return CHOICES[self.method].model_validate(self.fields_of(layer, head))
        except ValidationError as err:
            raise InputError(f"calibration, layer {layer}, head {head}: {why(err)}") from None

    def chooser(self):
        """(layer, head) -> choice, each made once."""
        return cache(self.choice)


# Of each of these there is one: what an entry says of it replaces the others, too.
ALTERNATIVES = ({"rho", "distance", "importance", "dense"}, {"top_k", "keep"})


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    gone = {name for names in ALTERNATIVES if names & set(above) for name in names}
    return {name: value for name, value in below.items() if name not in gone} | above


def why(err: ValidationError) -> str:
    """The first thing that is wrong, its field and value."""
    first = err.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    got = "" if first["type"] == "missing" or isinstance(first["input"], dict) else (
        f", not {first['input']!r}")
    message = first["msg"].removeprefix("Value error, ")
    return f"{field}: {message}{got}" if field else message


def load_calibration(path: Path) -> Calibration:
    """Read the file, or one of ``prunus train-thresholds``.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    try:
        fields = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(f"calibration {str(path)!r} cannot be read: "
                         f"{err.strerror or err}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise InputError(f"calibration {str(path)!r} is not TOML: {err}") from None
    if "held_out" in fields and "thresholds" in fields:
        return _of_thresholds(load_thresholds(path))
    try:
        return Calibration.model_validate(fields)
    except ValidationError as err:
        raise InputError(f"calibration {str(path)!r}: {why(err)}") from None


def _of_thresholds(learned: Learned) -> Calibration:
    return Calibration(
        method="leopard", model=ModelOf(name=learned.model.name, sha256=learned.model.sha256),
        heads=tuple(Entry.model_validate({"layer": n, "threshold": threshold})
                    for n, threshold in enumerate(learned.thresholds)))


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write the file, whole or not at all."""
    text = HEADER + tomli_w.dumps(calibration.model_dump(mode="json", exclude_none=True))
    write_files({path: lambda file: file.write(text.encode())})


def check_model(calibration: Calibration, path: Path, model: Path, layers: int | None = None,
                heads: int | None = None) -> None:
    """Refuse a calibration of another model, or one that says too little or too much of this.

    ``path`` is that of the file, for messages. Without ``layers`` and ``heads`` only the digest is
    compared. Raises InputError.
    """
    if digest(model) != calibration.model.sha256:
        raise InputError(f"calibration {str(path)!r} belongs to the weights of "
                         f"{calibration.model.name!r}, and model {str(model)!r} has others")
    if layers is None or heads is None:
        return
    for entry in calibration.heads:
        if entry.layer >= layers:
            raise InputError(f"calibration {str(path)!r}: layer must lie in 0..{layers - 1}, not "
                             f"{entry.layer}")
        if entry.head is not None and entry.head >= heads:
            raise InputError(f"calibration {str(path)!r}: head must lie in 0..{heads - 1}, not "
                             f"{entry.head}")
    for layer in range(layers):
        for head in range(heads):
            calibration.choice(layer, head)


def arrays_of(choices: Sequence[Any], limits: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What ``prunus run`` takes of heads in an .npz, of the choice of each of them; ``limits`` are
    the keys that their queries see. ``temperature`` is what their ``scale`` is divided by;
    ``centred`` and ``balanced`` say how their codes are made."""
    kind = type(choices[0])
    temperature = {"temperature": np.array([choice.temperature for choice in choices])}
    if kind is LeopardChoice:
        return temperature | {"threshold": np.array([choice.threshold for choice in choices])}
    if kind is TopkChoice:
        return temperature | {"top_k": np.array([choice.places(limit) for choice, limit in zip(
            choices, limits, strict=True)])}
    return temperature | {
        "importance": np.array([str(choice.importance or Importance.MAGNITUDE)
                                for choice in choices]),
        # Of the other criterion there is none, and nobody looks at it.
        **{name: np.array([getattr(choice, name) or 0.0 for choice in choices])
           for name in ("rho", "distance")},
        **{name: np.array([getattr(choice, name) for choice in choices])
           for name in ("tau_head", "pruned", "exact", "dense", "centred", "balanced")}}

# SPDX-License-Identifier: Apache-2.0
"""The file of learned thresholds. Its fields are told in docs/train.md."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)

from ..errors import InputError
from ..files import write_files

__all__ = ["Checkpoint", "Controls", "Learned", "Measured", "MeasuredTexts", "Model",
           "PerplexityControls", "Table", "digest", "load_thresholds", "save_thresholds"]

Share = Annotated[float, Field(ge=0, le=1)]
HEADER = """\
# Thresholds for LeOPArd, made by prunus train-thresholds. One for each layer, on the logit
# q.k / sqrt(d): a key below it has probability 0. docs/train.md says what the fields are.

"""


class Table(BaseModel):
    """A part of a file: it has its fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Table):
    """Whose thresholds they are."""

    name: str
    sha256: str
    weights_trained: bool


class Controls(Table):
    """Accuracies of the same weights under rules that should do worse, and without pruning."""

    uniform: Share
    random: Share
    unpruned: Share


class Measured(Table):
    """Accuracy before and after on some sentences, with 95% intervals, and what was pruned."""

    data: str
    sentences: Annotated[int, Field(gt=0)]
    before: Share
    before_interval: tuple[float, float]
    after: Share
    after_interval: tuple[float, float]
    points_lost: float
    points_lost_interval: tuple[float, float]
    pruned: Share
    pruned_by_layer: tuple[Share, ...]
    controls: Controls | None = None


class PerplexityControls(Table):
    """As :class:`Controls`, of a decoder."""

    uniform: float
    random: float
    unpruned: float


class MeasuredTexts(Table):
    """Perplexity before and after on some texts, with 95% intervals, and what was pruned."""

    data: str
    texts: Annotated[int, Field(gt=0)]
    tokens: Annotated[int, Field(gt=0)]
    before: float
    before_interval: tuple[float, float]
    after: float
    after_interval: tuple[float, float]
    percent_lost: float
    percent_lost_interval: tuple[float, float]
    pruned: Share
    pruned_by_layer: tuple[Share, ...]
    controls: PerplexityControls | None = None


def _which(value) -> str:
    """The tag of what was measured."""
    texts = "texts" in value if isinstance(value, dict) else isinstance(value, MeasuredTexts)
    return TAGS[texts]


TAGS = ("of sentences", "of texts")
AnyMeasured = Annotated[
    Annotated[Measured, Tag(TAGS[0])] | Annotated[MeasuredTexts, Tag(TAGS[1])],
    Discriminator(_which)]


class Checkpoint(Table):
    """What was tried on the way; ``agreement`` and ``divergence`` are with and from the model as
    given. Of a decoder ``accuracy`` and ``agreement`` are shares of tokens."""

    step: int
    pruned: Share
    accuracy: Share
    perplexity: float | None = None
    agreement: Share | None = None
    divergence: float | None = None


class Learned(Table):
    """Thresholds, where they come from and what was measured.

    ``training`` has the command and all settings. ``thresholds`` may be -inf: prune nothing.
    """

    thresholds: Annotated[tuple[float, ...], Field(min_length=1)]
    model: Model
    held_out: AnyMeasured
    dev: AnyMeasured | None = None
    training: dict[str, str | bool | int | float]
    checkpoints: tuple[Checkpoint, ...] = ()

    @field_validator("thresholds")
    @classmethod
    def _real(cls, values):
        if any(value != value for value in values):
            raise ValueError("thresholds must be real numbers")
        return values


def save_thresholds(path: Path, learned: Learned) -> None:
    """Write the file, whole or not at all."""
    text = HEADER + tomli_w.dumps(learned.model_dump(mode="python", exclude_none=True))
    write_files({path: lambda file: file.write(text.encode())})


def load_thresholds(path: Path) -> Learned:
    """Read the file.

    Raises
    ------
    InputError
        With the field, its value and what is allowed.
    """
    try:
        fields = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return Learned.model_validate(fields)
    except OSError as err:
        raise InputError(f"thresholds {str(path)!r} cannot be read: "
                         f"{err.strerror or err}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise InputError(f"thresholds {str(path)!r} is not TOML: {err}") from None
    except ValidationError as err:
        first = err.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part not in TAGS)
        got = "" if first["type"] == "missing" else f", not {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"thresholds {str(path)!r}: {field}: {message}{got}") from None


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a model's configuration and weights."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(
        file for file in path.glob("*") if file.name == "config.json"
        or file.suffix in (".safetensors", ".bin"))
    total = hashlib.sha256()
    for file in files:
        try:
            total.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as err:
            raise InputError(f"{str(file)!r} cannot be read: {err.strerror or err}") from None
    return total.hexdigest()

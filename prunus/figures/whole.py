# SPDX-License-Identifier: Apache-2.0
"""Figures of whole models: a campaign whose tasks each run a model on its texts in one way."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from prunus.sim.campaigns import campaign

from ..errors import InputError
from ..train.command import check_installed
from ..train.thresholds import digest
from .figure import Heads

__all__ = ["WholeModel", "run"]


class WholeModel(Protocol):
    """What is run, by paths below the folders of models and of texts."""

    @property
    def model(self) -> str: ...

    @property
    def text(self) -> str: ...


def run(kind: str, name: Any, bench: WholeModel, heads: Heads, task: Callable[..., Any],
        ways: Sequence[Any], needs: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[Any]]:
    """What the models and texts are, for the figure, and what the task gives for each of the ways.

    ``task`` takes ``name``, the paths of model and text, a way, and what its result depends on
    beside the sources, which are those of ``needs`` if there are any. What is finished is kept in
    the campaign ``kind``. Raises InputError.
    """
    if heads.models is None or heads.texts is None:
        raise InputError(f"figures of {bench.model} need --models, the directory in which it is, "
                         f"and --texts, that of {bench.text}")
    check_installed("figures")
    model, text = heads.models / bench.model, heads.texts / bench.text
    sha = {"model": digest(model), "text": digest(text)}
    state = [*sha.values(), version("torch"), version("transformers")]
    tasks = [campaign.Task(str(way), task, (name, model, text, way, state), needs) for way in ways]
    found = [result.value for result in campaign.run(kind, tasks)]
    return {"model": bench.model, "text": bench.text, "sha256": sha}, found

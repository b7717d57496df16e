# SPDX-License-Identifier: Apache-2.0
"""The options that say what stands in a model's attention, which commands share."""

import inspect
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from prunus.golden.hdp.compute import Importance

from ..engines import with_parameters
from ..errors import InputError
from ..evaluate.calibration import CHOICES, Calibration, check_model, load_calibration
from ..evaluate.methods.base import Method
from ..evaluate.methods.registry import METHODS, calibrated, make_method

__all__ = ["MethodName", "check_calibration", "chosen_method", "method_of", "method_parameters",
           "with_method_options"]

MethodName = StrEnum("MethodName", {name: name for name in METHODS})    # type: ignore[misc]


def _which(
    method: Annotated[MethodName | None, typer.Option(
        help="What stands in the model's attention. Default: that of the calibration.",
        show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(
        metavar="TOML", help="What each head is pruned by, made for this model; or what "
        "train-thresholds wrote.", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(
        metavar="CONFIG", help="The hardware: a preset or a TOML file. Default: that of the "
        "calibration, or hdp_edge, leopard_ae, topk_edge.", show_default=False)] = None,
) -> None:
    """The options that every method has."""


def _own(
    importance: Annotated[Importance | None, typer.Option(
        help="hdp: what keeps a block. Default: the one of which there is a parameter, or "
        "magnitude.", show_default=False)] = None,
    rho: Annotated[float | None, typer.Option(
        help="hdp, magnitude: in (-1, 1), a larger one prunes more. Default: 25/128.",
        show_default=False)] = None,
    distance: Annotated[float | None, typer.Option(
        metavar="X", help="hdp, distance: largest distance of what is kept, in units of the "
        "logits.", show_default=False)] = None,
    tau_head: Annotated[int | None, typer.Option(
        help="hdp: heads with a theta_head below it are pruned. Default: 0.",
        show_default=False)] = None,
    pruned: Annotated[Literal["zero", "drop"] | None, typer.Option(
        help="hdp: a pruned block has score 0, or probability 0. Default: zero.",
        show_default=False)] = None,
    exact: Annotated[bool | None, typer.Option(
        "--exact", help="hdp: kept blocks get the full product.", show_default=False)] = None,
    centred: Annotated[bool | None, typer.Option(
        "--centred/--not-centred", help="hdp: the host takes the mean of the keys off each of "
        "them. Default: centred.", show_default=False)] = None,
    balanced: Annotated[bool | None, typer.Option(
        "--balanced", help="hdp: the host gives queries and keys the same peak in each "
        "dimension, which changes no product.", show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(
        metavar="T", help="leopard: keys with a logit below it are pruned.",
        show_default=False)] = None,
    top_k: Annotated[int | None, typer.Option(
        metavar="K", help="topk: keys that each query keeps.", show_default=False)] = None,
    keep: Annotated[float | None, typer.Option(
        metavar="S", help="topk, instead of --top-k: the share of a head's scores to be kept, in "
        "(0, 1].", show_default=False)] = None,
    temperature: Annotated[float | None, typer.Option(
        metavar="T", help="hdp, leopard, topk: divides the logits; above 1 it makes up for what "
        "is pruned. Default: 1.", show_default=False)] = None,
    token_keep: Annotated[float | None, typer.Option(
        metavar="S", help="spatten: the share of tokens that the last layer keeps. Default: 1.",
        show_default=False)] = None,
    head_keep: Annotated[float | None, typer.Option(
        metavar="S", help="spatten: the share of heads that the last layer keeps. Default: 1.",
        show_default=False)] = None,
    alpha: Annotated[list[float] | None, typer.Option(
        metavar="A", help="energon, given twice: a of each round, in (-1, 1). Default: 0.",
        show_default=False)] = None,
    share: Annotated[float | None, typer.Option(
        metavar="S", help="random: the share that is pruned, in [0, 1).",
        show_default=False)] = None,
    of: Annotated[Literal["blocks", "scores", "heads"] | None, typer.Option(
        help="random: what is pruned. Default: blocks.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(
        min=0, help="random: of the masks. Default: 0.", show_default=False)] = None,
) -> None:
    """Those of some methods."""


def _parameters(options: Callable[..., None]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(options).parameters


def with_method_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its ``**options``, those of methods."""
    return with_parameters(command, [*_parameters(_which).values(), *_parameters(_own).values()])


def method_parameters() -> dict[str, inspect.Parameter]:
    """The options of methods on hardware, by name."""
    wanted = {option for name in CHOICES for option in METHODS[name].options}
    return {name: of for name, of in _parameters(_own).items() if name in wanted}


def chosen_method(options: Mapping[str, Any]) -> tuple[Method, Calibration | None]:
    """What :func:`with_method_options` gave, as a method, and its calibration if it has one.

    Raises
    ------
    InputError
    """
    given = {name: options[name] for name in _parameters(_own)}
    given["alpha"] = given["alpha"] or None
    return method_of(options["method"], options["calibration"], options["preset"], given)


def check_calibration(file: Calibration | None, options: Mapping[str, Any], model: Path,
                      layers: int | None = None, heads: int | None = None) -> None:
    """Refuse a calibration that is not this model's; see :func:`check_model`."""
    if file is not None:
        check_model(file, options["calibration"], model, layers, heads)


def method_of(name: str | None, path: Path | None, preset: str | None,
             given: dict[str, Any]) -> tuple[Method, Calibration | None]:
    """What options say, or a calibration, which is given back, too. Raises InputError."""
    if path is None:
        if name is None:
            raise InputError(f"--method must be one of {', '.join(METHODS)}, or --calibration "
                             "given")
        return make_method(name, preset, given), None
    file = load_calibration(path)
    if name not in (None, file.method):
        raise InputError(f"calibration {str(path)!r} is one of method {file.method}, and --method "
                         f"is {name}")
    said = [option for option, value in given.items() if value is not None]
    if said:
        raise InputError(f"--{said[0].replace('_', '-')} must not be given beside --calibration, "
                         "which says it of each head")
    return calibrated(file, path, preset), file

# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from prunus.golden.hdp.compute import Importance

from ..errors import InputError
from ..evaluate.calibration import Calibration, check_model, load_calibration
from ..evaluate.methods.base import Method
from ..evaluate.methods.registry import METHODS, calibrated, make_method
from ..evaluate.tasks import TASKS, Columns
from ..report import print_json, print_table
from ..train.command import check_installed, steps_progress

__all__ = ["evaluate", "method_of"]

TaskName = StrEnum("TaskName", {name: name for name in TASKS})          # type: ignore[misc]
MethodName = StrEnum("MethodName", {name: name for name in METHODS})    # type: ignore[misc]


def evaluate(
    model: Annotated[Path, typer.Argument(help="A directory with a model in the layout of Hugging "
                                          "Face.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels, or a text.")],
    task: Annotated[TaskName, typer.Option(help="What the model is judged by: a task of GLUE, tsv "
                                           "for any labelled sentences, lm for a text.")],
    method: Annotated[MethodName | None, typer.Option(
        help="What stands in the model's attention. Default: that of the calibration.",
        show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(
        metavar="TOML", help="What each head is pruned by, made for this model; or what "
        "train-thresholds wrote.", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(
        metavar="CONFIG", help="The hardware: a preset or a TOML file. Default: that of the "
        "calibration, or hdp_edge, leopard_ae, topk_edge.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(
        metavar="N", help="Only the first N texts.", show_default=False)] = None,
    length: Annotated[int | None, typer.Option(
        metavar="L", help="Cut texts to L tokens. Default: the positions of the model.",
        show_default=False)] = None,
    text_column: Annotated[str | None, typer.Option(
        metavar="NAME", help="Column of the sentences, by its name in the first line or its number "
        "from 1. Default: that of the task.", show_default=False)] = None,
    pair_column: Annotated[str | None, typer.Option(
        metavar="NAME", help="Column of the second sentences of pairs.",
        show_default=False)] = None,
    label_column: Annotated[str | None, typer.Option(
        metavar="NAME", help="Column of the labels.", show_default=False)] = None,
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
    threshold: Annotated[float | None, typer.Option(
        metavar="T", help="leopard: keys with a logit below it are pruned.",
        show_default=False)] = None,
    top_k: Annotated[int | None, typer.Option(
        metavar="K", help="topk: keys that each query keeps.", show_default=False)] = None,
    keep: Annotated[float | None, typer.Option(
        metavar="S", help="topk, instead of --top-k: the share of a head's scores to be kept, in "
        "(0, 1].", show_default=False)] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a method of attention costs a model, and what it saves."""
    given = {"importance": importance, "rho": rho, "distance": distance, "tau_head": tau_head,
             "pruned": pruned, "exact": exact, "centred": centred, "threshold": threshold,
             "top_k": top_k, "keep": keep, "token_keep": token_keep,
             "head_keep": head_keep, "alpha": alpha or None, "share": share, "of": of, "seed": seed}
    for name, value in (("limit", limit), ("length", length)):
        if value is not None and value < 1 + (name == "length"):
            raise InputError(f"--{name} must be at least {1 + (name == 'length')}, not {value}")
    chosen, file = method_of(method, calibration, preset, given)
    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    check_installed("evaluate")
    if file is not None and calibration is not None:
        check_model(file, calibration, model)
    from ..evaluate.core import Evaluator  # needs torch

    evaluator = Evaluator(model, TASKS[task], data, columns=columns, limit=limit, length=length)
    if file is not None and calibration is not None:
        check_model(file, calibration, model, evaluator.layers, evaluator.heads)
    with steps_progress("texts") as told:
        record = evaluator.run(chosen, told=told).record()
    if as_json:
        print_json(record)
    else:
        _print(record)


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


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value}"


def _print(record: dict) -> None:
    parameters = ", ".join(f"{name} {value}" for name, value in record["parameters"].items())
    percent = record["metric"] == "accuracy"
    value, low, high = (f"{record[name]:.2%}" if percent else f"{record[name]:.4f}"
                        for name in ("value", "low", "high"))
    print_table(
        ["method", "texts", record["metric"], "95% interval", "blocks pruned", "scores pruned",
         "heads pruned", "cycles", "bytes", "preset"],
        [[record["method"], record["n"], value, f"{low} to {high}",
          *(f"{record[f'{what}_pruned']:.1%}" for what in ("blocks", "scores", "heads")),
          _number(record["cycles"]), _number(record["bytes"]), record["preset"] or "-"]],
        title=f"{record['model']}, {record['task']}" + (f", {parameters}" if parameters else ""))

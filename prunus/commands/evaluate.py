# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus evaluate``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..evaluate.tasks import TASKS, Columns
from ..report import print_json, print_table
from ..train.command import check_installed, steps_progress
from .methods import check_calibration, chosen_method, with_method_options

__all__ = ["LABEL_COLUMN", "LENGTH", "PAIR_COLUMN", "TEXT_COLUMN", "TaskName", "evaluate"]

TaskName = StrEnum("TaskName", {name: name for name in TASKS})          # type: ignore[misc]

LENGTH = Annotated[int | None, typer.Option(
    metavar="L", help="Cut texts to L tokens. Default: the positions of the model.",
    show_default=False)]
TEXT_COLUMN = Annotated[str | None, typer.Option(
    metavar="NAME", help="Column of the sentences, by its name in the first line or its number "
    "from 1. Default: that of the task.", show_default=False)]
PAIR_COLUMN = Annotated[str | None, typer.Option(
    metavar="NAME", help="Column of the second sentences of pairs.", show_default=False)]
LABEL_COLUMN = Annotated[str | None, typer.Option(
    metavar="NAME", help="Column of the labels.", show_default=False)]


@with_method_options
def evaluate(
    model: Annotated[Path, typer.Argument(help="A directory with a model in the layout of Hugging "
                                          "Face.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels, or a text.")],
    task: Annotated[TaskName, typer.Option(help="What the model is judged by: a task of GLUE, tsv "
                                           "for any labelled sentences, lm for a text.")],
    limit: Annotated[int | None, typer.Option(
        metavar="N", help="Only the first N texts.", show_default=False)] = None,
    length: LENGTH = None,
    text_column: TEXT_COLUMN = None,
    pair_column: PAIR_COLUMN = None,
    label_column: LABEL_COLUMN = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **options: Any,
) -> None:
    """Say what a method of attention costs a model, and what it saves."""
    for name, value in (("limit", limit), ("length", length)):
        if value is not None and value < 1 + (name == "length"):
            raise InputError(f"--{name} must be at least {1 + (name == 'length')}, not {value}")
    chosen, file = chosen_method(options)
    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    check_installed("evaluate")
    check_calibration(file, options, model)
    from ..evaluate.core import Evaluator  # needs torch

    evaluator = Evaluator(model, TASKS[task], data, columns=columns, limit=limit, length=length)
    check_calibration(file, options, model, evaluator.layers, evaluator.heads)
    with steps_progress("texts") as told:
        record = evaluator.run(chosen, told=told).record()
    if as_json:
        print_json(record)
    else:
        _print(record)


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

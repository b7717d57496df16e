# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus report``: a page that shows what is pruned, and what it costs and saves."""

from collections.abc import Callable
from enum import StrEnum
from importlib import util
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.engines import load_config

from ..console import install_hint
from ..engines import (
    FRONTS,
    chosen_options,
    engine_parameters,
    front_of,
    with_parameters,
)
from ..errors import InputError
from ..evaluate.calibration import check_model
from ..evaluate.tasks import TASKS, Columns
from ..files import check_output, write_files
from ..report import heads_progress, print_json, print_lines
from ..train.command import check_installed, steps_progress
from ..webpage.content import of_file
from ..webpage.evaluations import joined, read_evaluations
from .evaluate import LABEL_COLUMN, LENGTH, PAIR_COLUMN, TEXT_COLUMN, TaskName
from .methods import MethodName, method_of, method_parameters

__all__ = ["report"]

LIMIT = 100
CONFIG = FRONTS["hdp"].preset


class Source(StrEnum):
    """Where cycles come from."""

    GOLDEN = "golden"
    VERILATOR = "verilator"


# Options that methods have and heads of a file do not.
OF_MODELS = {name: of for name, of in method_parameters().items()
             if name not in engine_parameters()}


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    return with_parameters(command, [*engine_parameters().values(), *OF_MODELS.values()])


@_with_options
def report(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Heads in an .npz as prunus run "
                                           "takes them, or the directory of a model.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="PAGE.html",
                                         help="Where the page goes.")],
    config: Annotated[str | None, typer.Option(
        help=f"Heads: a preset or a TOML file. Default: {CONFIG}.", show_default=False)] = None,
    backend: Annotated[Source, typer.Option(
        help="Where cycles come from: golden has a model or a bound of them, verilator counters of "
        "the simulated RTL with all causes of idle cycles.")] = Source.GOLDEN,
    evaluation: Annotated[list[Path] | None, typer.Option(
        metavar="FILE", help="More points of the curve: what prunus evaluate --json printed, one "
        "object a line; may be repeated.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Model: sentences and labels, or a text.",
        show_default=False)] = None,
    task: Annotated[TaskName | None, typer.Option(
        help="Model: what it is judged by.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option(
        metavar="TEXT", help="Model: whose maps are shown. Default: the first of --data.",
        show_default=False)] = None,
    method: Annotated[MethodName | None, typer.Option(
        help="Model: hdp, leopard or topk. Default: that of the calibration.",
        show_default=False)] = None,
    calibration: Annotated[Path | None, typer.Option(
        metavar="TOML", help="Model: what each head is pruned by.", show_default=False)] = None,
    preset: Annotated[str | None, typer.Option(
        metavar="CONFIG", help="Model: the hardware, as of prunus evaluate.",
        show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(
        metavar="N", help=f"Model: only the first N texts. Default: {LIMIT}.",
        show_default=False)] = None,
    length: LENGTH = None,
    sweep: Annotated[list[float] | None, typer.Option(
        metavar="X", help="Model: values of the method's parameter for the curve; may be repeated. "
        "Default: six of them.", show_default=False)] = None,
    text_column: TEXT_COLUMN = None,
    pair_column: PAIR_COLUMN = None,
    label_column: LABEL_COLUMN = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the page's data as JSON.")] = False,
    **options: Any,
) -> None:
    """Write a page of what is pruned and what it costs and saves, for a browser."""
    of_models = {"data": data, "task": task, "text": text, "method": method,
                 "calibration": calibration, "preset": preset, "limit": limit, "length": length,
                 "sweep": sweep or None, **{name: options.pop(name) for name in OF_MODELS},
                 "text_column": text_column, "pair_column": pair_column,
                 "label_column": label_column}
    if util.find_spec("plotly") is None:
        raise InputError(f"report needs the Python package 'plotly': {install_hint('report')}")
    target = check_output(output, source if source.is_file() else None)
    read = read_evaluations(evaluation or [])
    rtl = backend is Source.VERILATOR
    if source.is_dir():
        made = _of_model(source, of_models, config, options, read, rtl)
    else:
        for name, value in of_models.items():
            if value is not None:
                raise InputError(f"{_option(name)} belongs to a model, and {str(source)!r} is no "
                                 "directory")
        chosen = load_config(config or CONFIG)
        jobs = front_of(chosen).load_jobs(source, chosen, chosen_options(chosen, options))
        with heads_progress() as progress:
            made = of_file(source, jobs, chosen, rtl=rtl, curve=joined([], read),
                           progress=progress)
    from ..webpage.page import page  # needs plotly, and is slow to import

    text_of_it = page(made).encode()
    write_files({target: lambda file: file.write(text_of_it)})
    if as_json:
        print_json(made)
    else:
        print_lines([("page", f"{output}, {len(text_of_it) / 1e6:.1f} MB"),
                     ("cycles", made["budget"]["source"])])


def _option(name: str) -> str:
    return "--centred" if name == "centred" else f"--{name.replace('_', '-')}"


def _of_model(source: Path, own: dict[str, Any], config: str | None, options: dict[str, Any],
              read: list[dict[str, Any]], rtl: bool) -> dict[str, Any]:
    """What the page of a model says."""
    given = {name: value for name, value in options.items() if value not in (None, False)}
    if config is not None:
        raise InputError(f"--config belongs to heads of a file, and {str(source)!r} is a "
                         "directory: a model has --preset")
    if given.pop("dense", None):
        raise InputError(f"--dense belongs to heads of a file, and {str(source)!r} is a directory")
    for name in ("data", "task"):
        if own[name] is None:
            raise InputError(f"--{name} must be given for a model, and {str(source)!r} is a "
                             "directory")
    for name, least in (("limit", 1), ("length", 2)):
        if own[name] is not None and own[name] < least:
            raise InputError(f"--{name} must be at least {least}, not {own[name]}")
    given |= {name: own[name] for name in OF_MODELS}
    path = own["calibration"]
    chosen, file = method_of(own["method"], path, own["preset"],
                             {name: getattr(value, "value", value)
                              for name, value in given.items()})
    check_installed("report")
    if file is not None:
        check_model(file, path, source)
    from ..evaluate.core import Evaluator  # needs torch
    from ..webpage.models import check_shown, of_model, swept

    for record in read:                                 # as are points of another metric
        if record["metric"] != TASKS[own["task"]].metric:
            raise InputError(f"evaluations of one page must have one metric, not "
                             f"{TASKS[own['task']].metric} and {record['metric']}")
    shown = check_shown(chosen)
    swept(shown, own["sweep"], 1)                       # a bad value is said before the work
    columns = Columns(text=own["text_column"], pair=own["pair_column"],
                      label=own["label_column"])
    evaluator = Evaluator(source, TASKS[own["task"]], own["data"], columns=columns,
                          limit=own["limit"] or LIMIT, length=own["length"])
    if file is not None:
        check_model(file, path, source, evaluator.layers, evaluator.heads)
    with steps_progress("texts") as told:
        return of_model(evaluator, shown, rtl=rtl, text=own["text"], values=own["sweep"],
                        read=read, told=told)

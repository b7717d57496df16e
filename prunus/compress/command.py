# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus compress``."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.engines import load_config_of
from prunus.golden.hdp.config import HdpConfig

from ..commands.evaluate import LABEL_COLUMN, LENGTH, PAIR_COLUMN, TEXT_COLUMN, TaskName
from ..errors import InputError
from ..evaluate.tasks import TASKS, Columns
from ..files import check_directory
from ..report import print_json, print_table
from ..train.command import check_installed, command_line, steps_progress
from .kinds import KINDS, REPORT, RULES
from .settings import ROUNDINGS, Settings

__all__ = ["compress"]

LOSS = 1.0
Weights = StrEnum("Weights", ["int4", "int8"])
Rounding = StrEnum("Rounding", {name: name for name in ROUNDINGS})          # type: ignore[misc]
Rule = StrEnum("Rule", {name: name for name in RULES})          # type: ignore[misc]
EDP = Rule(RULES[0])
GPTQ = Rounding(ROUNDINGS[0])


def _check_target(target: Path, model: Path) -> Path:
    """Refuse a directory that is no result of this command. Raises InputError."""
    check_directory(target)
    if not target.parent.is_dir():
        raise InputError(f"output {str(target)!r} must lie in an existing directory, and "
                         f"{str(target.parent)!r} is none")
    if target.exists() and model.exists() and target.samefile(model):
        raise InputError(f"output must not be the model {str(model)!r}")
    if target.is_dir() and any(target.iterdir()) and not (target / REPORT).is_file():
        raise InputError(f"output must be a new directory, or one that this command wrote, and "
                         f"{str(target)!r} holds other files")
    return target


def compress(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A directory with a model in the layout of Hugging "
                                          "Face.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels, or a text, to "
                                        "learn from.")],
    task: Annotated[TaskName, typer.Option(help="What the model is judged by, as of evaluate.")],
    target: Annotated[Path, typer.Option("--output", "-o", metavar="DIR",
                                         help="Where the compressed model goes.")],
    dev: Annotated[Path | None, typer.Option(
        metavar="FILE", help="The same, of what nothing is chosen by: before and after are "
        "measured on it.", show_default=False)] = None,
    preset: Annotated[str, typer.Option(metavar="CONFIG", help="The hardware: a preset of HDP or a "
                                        "TOML file.")] = "hdp_edge",
    max_loss: Annotated[float | None, typer.Option(
        metavar="X", help=f"What may be lost: points of accuracy, hundredths of MCC, percent of "
        f"perplexity. The energy-delay product is as low as that is predicted to allow. "
        f"Default: {LOSS:g}.", show_default=False)] = None,
    edp: Annotated[float | None, typer.Option(
        metavar="N", help="Instead: how many times lower the energy-delay product on the chip is "
        "to be than with dense weights of int8.", show_default=False)] = None,
    weights: Annotated[Weights, typer.Option(help="The narrowest codes of weights.")] =
        Weights.int4,
    forms: Annotated[str, typer.Option(
        metavar="NAMES", help="Forms that weights may take, with commas.")] = ",".join(KINDS),
    search: Annotated[Rule, typer.Option(
        help="What forms are chosen by, for comparisons: the energy-delay product, products alone, "
        "or two factors of the same share everywhere.")] = EDP,
    tokens: Annotated[int | None, typer.Option(
        metavar="N", help="Tokens of a text that costs are for. Default: the mean of the data.",
        show_default=False)] = None,
    memory_energy: Annotated[float, typer.Option(
        metavar="PJ", help="Picojoules of a bit to or from the memory outside, for the figures "
        "that count it.")] = 20.0,
    held_out: Annotated[int, typer.Option(metavar="N", help="Texts that no step sees.")] = 2000,
    epochs_layers: Annotated[int, typer.Option(
        metavar="N", help="Epochs of the first stage, in floats: what each layer gives.")] = 12,
    epochs_codes: Annotated[int, typer.Option(
        metavar="N", help="Epochs of the second stage, in codes: what the model says, too.")] = 4,
    batch: Annotated[int, typer.Option(help="Texts in a batch.")] = 32,
    rate_layers: Annotated[float, typer.Option(help="Learning rate of the first stage.")] = 1e-3,
    rate_codes: Annotated[float, typer.Option(help="Learning rate of the second stage.")] = 5e-4,
    rounding: Annotated[Rounding, typer.Option(help="Of weights to their first "
                                               "codes.")] = GPTQ,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    length: LENGTH = None,
    text_column: TEXT_COLUMN = None,
    pair_column: PAIR_COLUMN = None,
    label_column: LABEL_COLUMN = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew where a run was stopped "
                                        "before its end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replace the linear layers of a model by cheaper chains of small factors in codes."""
    settings = Settings(
        seed=seed, batch=batch, first=epochs_layers, second=epochs_codes, held=held_out,
        first_rate=rate_layers, second_rate=rate_codes, rounding=str(rounding))
    if max_loss is not None and edp is not None:
        raise InputError("--edp must not be given beside --max-loss")
    if search != EDP and edp is None:
        raise InputError(f"--search {search} needs --edp, what is to be reached")
    for name, value, least in (("max-loss", max_loss, 0), ("edp", edp, 1),
                               ("memory-energy", memory_energy, 0), ("tokens", tokens, 1),
                               ("length", length, 2)):
        if value is not None and not (math.isfinite(value) and value >= least):
            raise InputError(f"--{name} must be a finite number of at least {least}, not "
                             f"{value:g}")
    kinds = [name.strip() for name in forms.split(",")]
    for name in kinds:
        if name not in KINDS:
            raise InputError(f"--forms must be some of {', '.join(KINDS)}, not {name!r}")
    config = load_config_of(HdpConfig, preset)
    _check_target(target, model)
    for package in ("tensorly", "scipy", "opt_einsum"):
        check_installed("compress", package)
    from .cost import Energy  # what needs the extra packages, and torch
    from .session import Session

    columns = Columns(text=text_column, pair=pair_column, label=label_column)
    with steps_progress("compress") as told:
        session = Session(
            model, data, dev, TASKS[task], columns=columns, length=length, settings=settings,
            config=config, energy=Energy.of_config(config, memory_energy), rows=tokens,
            work=target.with_name(f"{target.name}.work"), fresh=fresh,
            told=None if told is None else (
                lambda what, done, total, note: told(done, total, f"{what} {note}")))
        report = session.run(
            target, gain=edp, loss=LOSS if max_loss is None else max_loss,
            bits=(8, 4) if weights == Weights.int4 else (8,), kinds=kinds, rule=str(search),
            command=command_line(context))
    if as_json:
        print_json(report)
    else:
        _print(report)
    lost = report["quality"]["dev" if dev else "held_out"]["lost"]
    allowed = LOSS if max_loss is None else max_loss
    if edp is None and lost > allowed:
        typer.echo(f"{lost:.2f} is lost where {allowed:g} is allowed: --edp "
                   f"{report['edp_ratio'] / 2:.0f} asks for less", err=True)


def _interval(part: dict[str, Any], name: str) -> str:
    low, high = part[f"{name}_interval"]
    return f"{part[name]:.4f} ({low:.4f} to {high:.4f})"


def _print(report: dict[str, Any]) -> None:
    print_table(
        ["weight", "form", "rank", "steps", "bits", "products, share", "error before training"],
        [[", ".join(layer["names"]), layer["form"],
          " ".join(map(str, layer["rank"])) or "-", layer["steps"], layer["bits"],
          f"{layer['products_share']:.1%}", f"{layer['error']:.1%}"]
         for layer in report["layers"]])
    rows = []
    for tokens, cost in report["costs"].items():
        for name in ("dense_int8", "compressed", "compressed_unfused"):
            one = cost[name]
            rows.append([tokens, name.replace("_", " "), one["cycles"],
                         f"{1e6 * one['energy_joules']:.2f}",
                         f"{1e6 * one['energy_joules_with_memory']:.2f}",
                         one["read_bytes"], one["write_bytes"], one["products"]])
    print_table(["tokens", "linear layers", "cycles", "uJ on chip", "uJ with memory", "bytes read",
                 "bytes written", "products"], rows)
    typer.echo(f"energy-delay product {report['edp_ratio']:.1f} times lower, "
               f"{report['edp_ratio_with_memory']:.1f} times with the energy of memory "
               f"({report['memory_picojoules_per_bit']:g} pJ a bit)")
    for name, part in report["quality"].items():
        least, most = part["lost_interval"]
        unit = {"accuracy": "points", "mcc": "hundredths",
                "perplexity": "percent"}[part["metric"]]
        typer.echo(f"{name.replace('_', ' ')}: {part['texts']} texts, {part['metric']} "
                   f"{_interval(part, 'before')} before, {_interval(part, 'after')} after, "
                   f"{part['lost']:.2f} {unit} lost ({least:.2f} to {most:.2f})")

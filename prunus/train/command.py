# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus train-thresholds``."""

import contextlib
import shlex
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from prunus.golden.engines import load_config_of
from prunus.golden.leopard.config import LeopardConfig

from ..console import install_hint
from ..errors import InputError
from ..files import check_output
from ..report import print_json, print_table
from .budget import nearest
from .settings import Settings
from .thresholds import Learned, Measured, MeasuredTexts, save_thresholds

__all__ = ["check_installed", "command_line", "steps_progress", "train_thresholds"]


def check_installed(command: str, *others: str) -> None:
    """Refuse a command whose packages are missing; ``others`` are some of the extra ``models``."""
    for package in ("torch", "transformers", *others):
        if util.find_spec(package) is None:
            raise InputError(f"{command} needs the Python package {package!r}: "
                             f"{install_hint('models')}")


class Told(Protocol):
    """What is called with the steps done, all steps and a word on them."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextlib.contextmanager
def steps_progress(what: str) -> Iterator[Told | None]:
    """A callback (done, total, note) that moves a bar on stderr; None if that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None, note="")

        def told(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield told


def command_line(context: typer.Context) -> str:
    """The command with the options that are not their defaults."""
    words = ["prunus", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name)
        if parameter.name in ("as_json", "fresh") or value in (None, parameter.default):
            continue
        option = parameter.opts[0]
        words += [option] * option.startswith("-") + [shlex.quote(str(value))]
    return " ".join(words)


def _check_outputs(target: Path, weights: Path | None, sources: list[Path | None]) -> Path:
    """Refuse outputs that cannot be written or would replace something else."""
    path = check_output(target)
    for source in filter(None, sources):
        if source.exists():
            check_output(target, source)
    if weights is not None and not weights.is_dir():
        check_output(weights)
        if weights.exists():
            raise InputError(f"--train-weights must name a directory, and {str(weights)!r} is a "
                             "file")
    elif weights is not None and any(weights.iterdir()):
        raise InputError(f"--train-weights must name a new or empty directory, and "
                         f"{str(weights)!r} holds files")
    return path


def _print(learned: Learned) -> None:
    for name, part in (("held out", learned.held_out), ("dev", learned.dev)):
        if part is None:
            continue
        print_table(["layer", "threshold", f"pruned, {name}"],
                    [[n, f"{t:.4f}", f"{p:.1%}"] for n, (t, p) in enumerate(
                        zip(learned.thresholds, part.pruned_by_layer, strict=True))])
        if isinstance(part, MeasuredTexts):
            _print_texts(name, part)
            continue
        (low, high), (new_low, new_high) = part.before_interval, part.after_interval
        (least, most) = part.points_lost_interval
        typer.echo(f"{name}: {part.sentences} sentences, {part.pruned:.1%} of pairs pruned")
        typer.echo(f"{name}: {part.before:.2%} ({low:.1%} to {high:.1%}) right before, "
                   f"{part.after:.2%} ({new_low:.1%} to {new_high:.1%}) after, "
                   f"{part.points_lost:.2f} points lost ({least:.2f} to {most:.2f})")
        if part.controls:
            typer.echo(f"{name}: controls {part.controls.uniform:.2%} uniform attention, "
                       f"{part.controls.random:.2%} random masks, "
                       f"{part.controls.unpruned:.2%} nothing pruned")


def _print_texts(name: str, part: MeasuredTexts) -> None:
    (low, high), (new_low, new_high) = part.before_interval, part.after_interval
    least, most = part.percent_lost_interval
    typer.echo(f"{name}: {part.texts} texts, {part.tokens} tokens, {part.pruned:.1%} of pairs "
               f"pruned")
    typer.echo(f"{name}: perplexity {part.before:.3f} ({low:.3f} to {high:.3f}) before, "
               f"{part.after:.3f} ({new_low:.3f} to {new_high:.3f}) after, "
               f"{part.percent_lost:.2f}% lost ({least:.2f} to {most:.2f})")
    if part.controls:
        typer.echo(f"{name}: controls {part.controls.uniform:.3f} uniform attention, "
                   f"{part.controls.random:.3f} random masks, "
                   f"{part.controls.unpruned:.3f} nothing pruned")


def train_thresholds(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="A directory with a classifier or a decoder in "
                                          "the layout of Hugging Face.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="Sentences and labels, or documents, "
                                        "to learn from.")],
    target: Annotated[Path, typer.Option("--output", "-o", metavar="TOML",
                                         help="Where the thresholds go.")],
    dev: Annotated[Path | None, typer.Option(
        metavar="FILE", help="The same, of what nothing is chosen by: before and after are "
        "measured on it.", show_default=False)] = None,
    budget: Annotated[float, typer.Option(
        "--budget-accuracy", help="Points of accuracy that may be lost on what is held "
        "out.")] = 0.2,
    budget_perplexity: Annotated[float, typer.Option(
        help="Percent of a decoder's perplexity that may be lost on what is held out.")] = 1.0,
    weights: Annotated[Path | None, typer.Option(
        "--train-weights", metavar="DIR", help="Train the weights as well, and write the model "
        "there. Default: thresholds only.", show_default=False)] = None,
    held_out: Annotated[float, typer.Option(help="Share of the data to choose by.")] = 0.15,
    steps: Annotated[int, typer.Option(help="Batches to learn from.")] = 720,
    every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 60,
    batch: Annotated[int, typer.Option(help="Sentences in a batch.")] = 16,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    strength: Annotated[float, typer.Option(
        help="Weight of the regulariser at the last step; it grows from zero.")] = 3.0,
    start: Annotated[float, typer.Option(help="Every layer's first threshold.")] = 0.0,
    rate: Annotated[float, typer.Option(help="Learning rate of thresholds.")] = 1e-2,
    weight_rate: Annotated[float, typer.Option(help="Learning rate of weights.")] = 2e-5,
    sharpness: Annotated[float, typer.Option(help="s of the soft threshold.")] = 10.0,
    depth: Annotated[float, typer.Option(help="c of the soft threshold.")] = 20.0,
    slope: Annotated[float, typer.Option(help="k0 of the regulariser.")] = 10.0,
    distil: Annotated[float, typer.Option(
        metavar="A", help="Share of the loss that is the distance from what the model as given "
        "says; labels have the rest.")] = 0.0,
    temperature: Annotated[float, typer.Option(help="Of the probabilities compared by "
                                               "--distil.")] = 2.0,
    config: Annotated[str, typer.Option(help="A LeOPArd preset or a TOML file, which the heads "
                                        "must fit.")] = "leopard_ae",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew where a run was stopped "
                                        "before its end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn LeOPArd's thresholds on a language model, as high as a budget of accuracy allows."""
    settings = Settings(
        seed=seed, steps=steps, every=every, batch=batch, weights=weights is not None,
        budget=budget, budget_perplexity=budget_perplexity, held_out=held_out, start=start,
        rate=rate, weight_rate=weight_rate, strength=strength, sharpness=sharpness, depth=depth,
        slope=slope, distil=distil, temperature=temperature)
    chosen = load_config_of(LeopardConfig, config)
    path = _check_outputs(target, weights, [data, dev])
    check_installed("train-thresholds")
    learned = _learn(model, data, dev, settings, path, weights, command_line(context), fresh,
                     chosen)
    if as_json:
        print_json(learned.model_dump())
    else:
        _print(learned)


def _learn(model: Path, data: Path, dev: Path | None, settings: Settings, path: Path,
           weights: Path | None, command: str, fresh: bool, config: LeopardConfig) -> Learned:
    """Run to the end, from where a run like this was stopped, and write the results."""
    from .session import Session  # needs torch

    checkpoint = path.with_name(f"{path.name}.ckpt")
    session = Session(model, data, dev, settings, checkpoint, config)
    if not fresh and session.trainer.resume():
        typer.echo(f"going on from step {session.trainer.step} in {checkpoint.name}", err=True)
    with steps_progress("steps") as told:
        learned = session.finish(
            command, weights,
            told if told is None else lambda step, note: told(step, settings.steps, note))
    save_thresholds(path, learned)
    if not learned.training["chosen_step"]:
        trainer = session.trainer
        unit = "points" if isinstance(learned.held_out, Measured) else "percent of perplexity"
        typer.echo(f"no checkpoint loses at most {trainer.budget:g} {unit}, so nothing is pruned; "
                   f"nearest: {nearest(trainer.candidates, trainer.total)}", err=True)
    checkpoint.unlink(missing_ok=True)
    return learned

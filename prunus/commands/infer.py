# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus infer``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..evaluate.methods.base import Hardware
from ..report import heads_progress, print_json, print_lines, print_table
from ..run import OPENED, check_hardware
from ..train.command import check_installed
from .methods import check_calibration, chosen_method, with_method_options
from .run import BACKEND, BAUD, DEVICE, MEMORY, PORT, Backend

__all__ = ["infer"]

SHARES = ("blocks", "scores", "heads")


@with_method_options
def infer(
    model: Annotated[Path, typer.Argument(help="A directory with a classifier of texts or a "
                                          "decoder in the layout of Hugging Face.")],
    text: Annotated[str, typer.Argument(help="A sentence, or the beginning of a text.")],
    pair: Annotated[str | None, typer.Option(
        metavar="TEXT", help="A second sentence, for a classifier of pairs.",
        show_default=False)] = None,
    tokens: Annotated[int | None, typer.Option(
        metavar="N", help="Tokens that a decoder generates. Default: 20, or as many as it has "
        "positions for.", show_default=False)] = None,
    backend: BACKEND = Backend.GOLDEN,
    port: PORT = None,
    baud: BAUD = None,
    device: DEVICE = None,
    memory: MEMORY = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **options: Any,
) -> None:
    """Run a model with every head of it through the coprocessor."""
    more = check_hardware(backend, {"port": port, "baud": baud, "device": device, "memory": memory})
    chosen, file = chosen_method(options)
    if backend is not Backend.GOLDEN and not isinstance(chosen, Hardware):
        raise InputError(f"--backend must be golden for method {chosen.name}, which has no "
                         f"hardware, not {backend}")
    check_installed("infer")
    check_calibration(file, options, model)
    from ..evaluate.inference import Question  # needs torch

    question = Question(model, text, chosen, pair=pair, tokens=tokens)
    check_calibration(file, options, model, question.layers, question.heads)
    with heads_progress() as progress:
        if progress and backend is Backend.VERILATOR:
            more["stage"] = progress.stage
        with OPENED[backend](chosen.config, **more) as through:
            record = question.answer(str(backend), through, progress).record()
    if as_json:
        print_json(record)
    else:
        _print(record, isinstance(chosen, Hardware) and chosen.bounded)


def _said(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What the model says."""
    if "text" in record:
        return [("continuation", record["text"]),
                ("tokens", f"{record['tokens']} read, {len(record['generated'])} generated")]
    chance = record["probabilities"][record["class"]]
    return [("class", f"{record['class']}, {record['label']} ({chance:.1%})"),
            ("tokens", f"{record['tokens']}")]


def _cost(record: dict[str, Any], bounded: bool) -> list[tuple[str, str]]:
    """What the hardware did."""
    cycles = record["cycles"]
    if cycles is None:
        return []
    if record["cycles_from"] == "counters":
        told = f"{cycles}, counted by the hardware"
    else:
        told = (f"at least {cycles}, the bound of the engine" if bounded else
                f"{cycles}, by the model of cycles")
    return [("cycles", told),
            ("read", f"{record['read_bytes']} bytes"),
            ("written", f"{record['write_bytes']} bytes"), *_linear(record["linear"])]


def _linear(record: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What it did of layers in codes."""
    if record is None:
        return []
    told = "counted by the hardware" if record["cycles_from"] == "counters" \
        else "by the model of cycles"
    return [("linear layers", f"{record['cycles']} cycles, {told}, of {record['jobs']} jobs; "
             f"{record['read_bytes']} bytes read, {record['write_bytes']} written")]


def _print(record: dict[str, Any], bounded: bool) -> None:
    parameters = ", ".join(f"{name} {value}" for name, value in record["parameters"].items())
    agrees = "the same choice" if record["agrees"] else "ANOTHER CHOICE"
    print_lines([
        *_said(record),
        ("method", record["method"] + (f", {parameters}" if parameters else "")),
        ("backend", record["backend"] + (f", {record['preset']}" if record["preset"] else "")),
        ("float model", f"{agrees}; logits differ by {record['max_difference']:.3g} at most, "
                        f"{record['rms_difference']:.3g} rms"),
        *_cost(record, bounded)])
    rows = [*enumerate(record["layers"]), ("all", record)]
    print_table(["layer", *(f"{what} pruned" for what in SHARES)],
                [[name, *(f"{shares[f'{what}_pruned']:.1%}" for what in SHARES)]
                 for name, shares in rows])

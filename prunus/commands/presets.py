# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus presets``."""

import textwrap
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import ENGINES, load_config, preset_names

from .. import report
from ..engines import FRONTS

__all__ = ["presets"]

SPACE = "\N{NO-BREAK SPACE}"
LEAST = 30      # columns that make texts beside names readable


def _sizes(config: EngineConfig) -> str:
    """The sizes that matter; a name and its value stay on one line."""
    values = {name: getattr(config, name) for name in FRONTS[config.engine].sizes}
    return ", ".join(f"{name}{SPACE}{value}" for name, value in values.items()
                     if value is not None)


def _print_texts(configs: Sequence[EngineConfig]) -> None:
    """By engine: name, description and sizes of each, on as many lines as they take."""
    console = Console()
    indent = max(len(config.name) for config in configs) + 2
    beside = console.width >= indent + LEAST
    for n, engine in enumerate(ENGINES.values()):
        if n:
            console.print()
        console.print(Text(f"{engine.title}: {engine.about}", style="bold"))
        for config in configs:
            if config.engine != engine.name:
                continue
            lines = [line.replace(SPACE, " ") for text in (config.description, _sizes(config))
                     for line in textwrap.wrap(text, max(1, console.width - (
                         indent if beside else 2)), break_long_words=False)]
            name = Text(config.name.ljust(indent), style="bold")
            if not beside:
                console.print(name)
            for number, line in enumerate(lines):
                left = name if beside and not number else " " * (indent if beside else 2)
                console.print(Text.assemble(left, line), soft_wrap=True)


def presets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the presets: what each is for, and its sizes."""
    configs = [load_config(name) for name in preset_names()]
    dumps = [config.model_dump() | {"description": config.description} for config in configs]
    if as_json:
        report.print_json(dumps)
    elif Console().is_terminal:
        _print_texts(configs)
    else:
        fields = list(dict.fromkeys(field for dump in dumps for field in dump))
        fields.remove("description")
        report.print_table(fields := [*fields, "description"],
                           [[dump.get(field, "-") for field in fields] for dump in dumps])

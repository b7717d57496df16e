# SPDX-License-Identifier: Apache-2.0
"""What the commands of campaigns about one preset share: which it is, and where figures go."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from typing import Any

from prunus.golden.engines import ConfigError, load_config

from ..compare import MismatchError
from ..simulators.runner import SimulationError
from . import campaign

__all__ = ["add_options", "differences", "parse", "report"]


def add_options(parser: argparse.ArgumentParser, *, config: str, seed: str) -> None:
    """--config with a default, --seed of what the text says, --json, --output, and those of every
    campaign. :func:`parse` reads them."""
    parser.add_argument("--config", default=config, help="a preset or a TOML file")
    parser.add_argument("--seed", type=int, default=1, help=seed)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the JSON to FILE")
    campaign.add_options(parser)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; ``chosen`` is the configuration. What cannot be ends the command in a line, also
    a file that cannot be written: not only when all is done."""
    options = parser.parse_args(arguments)
    if options.seed < 0:
        parser.error(f"--seed must be at least 0, not {options.seed}")
    try:
        options.chosen = load_config(options.config)
        if options.output:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            _part(options.output).touch()       # what is kept stays until there is another
    except ConfigError as err:
        parser.error(str(err))
    except OSError as err:
        parser.error(f"--output {str(options.output)!r} cannot be written: {err.strerror}")
    return options


def _part(path: Path) -> Path:
    """Where a file is made."""
    if path.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    return path.with_name(f".{path.name}.part")


def report(said: Mapping[str, Any], options: argparse.Namespace) -> bool:
    """Write JSON where it is wanted; whether that is all that is printed."""
    text = json.dumps(said, indent=1)
    if options.output:
        _part(options.output).write_text(f"{text}\n", encoding="utf-8")
        _part(options.output).replace(options.output)
    if options.json:
        print(text)
    return options.json


@contextmanager
def differences() -> Iterator[None]:
    """A difference, or a simulation that fails, is the failure of a task."""
    try:
        yield
    except (MismatchError, SimulationError) as err:
        raise campaign.TaskError(str(err)) from None

# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus fpga``."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from prunus.golden.engines import load_config
from prunus.sim.campaigns.campaign import Options

from ..errors import InputError
from ..files import check_output, make_directory, write_files
from ..options import Fresh, Scheduler, Workers
from ..report import print_json, print_table, status_line
from ..synth.tools import MAX_SEED

__all__ = ["by_seed", "fpga"]

MOST_SEEDS = 64
TITLES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM"}


def _list_boards(as_json: bool) -> None:
    from prunus.hw.boards.catalog import BOARDS

    rows = [{"board": b.name, "config": config, "mhz": fit.mhz, "memory_kib": fit.memory_kib,
             "baud": b.baud} for b in BOARDS.values() for config, fit in b.presets.items()]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def _seeds(text: str) -> list[int]:
    """``3,5`` or ``1-4``."""
    first, dash, last = text.partition("-")
    try:
        seeds = (range(int(first), min(int(last), int(first) + MOST_SEEDS) + 1) if dash
                 else [int(part) for part in text.split(",")])
        good = bool(seeds) and 1 <= min(seeds) and max(seeds) <= MAX_SEED \
            and len(seeds) <= MOST_SEEDS
    except (ValueError, OverflowError):
        good = False
    if not good:
        raise InputError(f"seeds must be 1 to {MOST_SEEDS} numbers of 1..{MAX_SEED}, such as 1-4 "
                         f"or 3,5, not {text!r}")
    return list(seeds)


def by_seed(figures: dict) -> str:
    """MHz that each seed reached, in figures of ``flow.build``."""
    return ", ".join(f"{row['mhz']:.1f}" if row["mhz"] else "no route" for row in figures["seeds"])


def _print(figures: dict, path: Path) -> None:
    resources = [f"{figures['used'][key]:,} of {figures['available'][key]:,}" for key in TITLES]
    print_table(["board", "device", "config", *TITLES.values(), "clock", "MHz by seed"],
                [[figures["board"], figures["device"], figures["config"], *resources,
                  f"{figures['clock_mhz']:g} MHz", by_seed(figures)]])
    typer.echo(path)


def _refuse_options(context: typer.Context) -> None:
    """Without a board there is nothing that the options of one could change."""
    given = [parameter.opts[0] for parameter in context.command.params
             if parameter.name not in ("board", "as_json")
             and (source := context.get_parameter_source(str(parameter.name)))
             and source.name == "COMMANDLINE"]
    if given:
        raise InputError(f"board is missing: {', '.join(given)} need{'s' * (len(given) == 1)} one, "
                         "and without one boards are listed")


def fpga(
    context: typer.Context,
    board: Annotated[str | None, typer.Argument(
        help="Which one; lists them, and what fits, if left out.", show_default=False)] = None,
    config: Annotated[str | None, typer.Option(
        help="A preset (see prunus presets) or a TOML file. Default: the board's.",
        show_default=False)] = None,
    mhz: Annotated[float | None, typer.Option(
        min=1, help="Clock of the coprocessor. Default: the board's for the preset.",
        show_default=False)] = None,
    baud: Annotated[int | None, typer.Option(
        min=300, help="Of the serial port. Default: the board's.", show_default=False)] = None,
    memory_kib: Annotated[int | None, typer.Option(
        min=1, max=1024, help="Block RAM for heads. Default: the board's.",
        show_default=False)] = None,
    seeds: Annotated[str, typer.Option(
        help="Of the placement, such as 1-4 or 3,5: the fastest is taken.")] = "1",
    directory: Annotated[Path, typer.Option("--output", "-o", help="Where to write, made if "
                                            "missing.")] = Path("build/fpga"),
    workers: Workers = None,
    scheduler: Scheduler = None,
    fresh: Fresh = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write BOARD-CONFIG.bit (.fs of a Gowin), a bitstream, and its figures, BOARD-CONFIG.json."""
    if board is None:
        _refuse_options(context)
        _list_boards(as_json)
        return
    from prunus.hw.boards.catalog import BOARDS

    if board not in BOARDS:
        raise InputError(f"board must be one of {', '.join(BOARDS)}, not {board!r}")
    chosen = load_config(config or BOARDS[board].config)
    numbers = _seeds(seeds)
    options = Options(workers=workers, scheduler=scheduler, fresh=fresh)
    from . import flow  # slow to import, as all of hw is

    with status_line() as progress:
        if progress:
            progress(f"{board}-{chosen.name}")
        made = flow.design(BOARDS[board], chosen, mhz=mhz, baud=baud, memory_kib=memory_kib)
    make_directory(directory)
    bitstream, description = (check_output(directory / f"{board}-{chosen.name}.{kind}")
                              for kind in (made.flow.suffix, "json"))
    figures, made_bit = flow.build(made, seeds=numbers, options=options)
    text = json.dumps(figures, indent=2) + "\n"

    def copy(file) -> None:
        with open(made_bit, "rb") as source:
            shutil.copyfileobj(source, file)

    write_files({bitstream: copy, description: lambda file: file.write(text.encode())})
    if as_json:
        print_json(figures)
    else:
        _print(figures, directory / bitstream.name)

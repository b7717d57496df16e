# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus area``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from prunus.golden.engines import load_config, load_config_of
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from ..report import print_json, print_table, status_line
from .tools import MAX_SEED

__all__ = ["area"]

TITLES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM", "cells": "cells",
          "um2": "um2", "memory_bits": "memory bits", "mhz": "MHz"}


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print_area(result: dict) -> None:
    """By block, and what of it is there for pruning."""
    resources, total = result["resources"], result["total"]
    titles = [TITLES[key] for key in resources]
    main = resources[0] if result["target"] == "ecp5" else "um2"

    def row(name: str, count: int | str, values: dict) -> list[str]:
        return [name, str(count), *(_number(values[key]) for key in resources),
                _share(values[main] / total[main])]

    print_table(["block", "count", *titles, f"share of {TITLES[main]}"],
                [*(row(b["block"], b["instances"], b) for b in result["blocks"]),
                 row("all", "", total)], title=f"{result['config']}, {result['target']}")
    pruning = result.get("pruning")
    if pruning is None:
        return
    print_table(["for pruning", *titles],
                [*([name, *(_number(item[key]) for key in resources)]
                   for name, item in pruning["items"].items()),
                 ["all", *(_number(pruning["total"][key]) for key in resources)],
                 ["share", *(_share(pruning["share"][key]) for key in resources)]])


def _print_speed(rows: list[dict]) -> None:
    keys = ("lut", "ff", "dsp", "bram", "mhz")
    print_table(["block", *(TITLES[key] for key in keys), "longest path"],
                [[row["block"], *(_number(row[key]) for key in keys), row["path"]]
                 for row in rows])


def _speeds(blocks: str, config: HdpConfig, seed: int, progress) -> list[dict]:
    from .fmax import fmax  # slow to import, as all of hw is
    from .harness import BLOCKS

    names: Sequence[str] = [name.strip() for name in blocks.split(",")]
    if blocks == "all":
        names = list(BLOCKS)
    for name in names:
        if name not in BLOCKS:
            raise InputError(f"fmax must be all or some of {', '.join(BLOCKS)}, not {name!r}")
    return [fmax(name, config, seed=seed, progress=progress) for name in names]


def area(
    config: Annotated[str, typer.Argument(help="A preset (see prunus presets) or a TOML "
                                          "file.")] = "hdp_edge",
    liberty: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Standard cells, as a Liberty file. Default: an ECP5 FPGA.",
        show_default=False)] = None,
    fmax: Annotated[str | None, typer.Option(
        metavar="BLOCKS", help="Place and route these comma-separated blocks, or all, for their "
        "speed on an ECP5.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=1, max=MAX_SEED, help="Of the placement.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Synthesise a coprocessor with Yosys: its size by block, and of HDP what pruning takes."""
    if liberty is not None and fmax is not None:
        raise InputError("--liberty and --fmax contradict each other: only an ECP5 is placed and "
                         "routed")
    chosen = load_config(config) if fmax is None else load_config_of(HdpConfig, config)
    from . import area as sizes

    with status_line() as progress:
        if fmax is not None and isinstance(chosen, HdpConfig):
            rows = _speeds(fmax, chosen, seed, progress)
        else:
            target = sizes.Ecp5() if liberty is None else sizes.Liberty(liberty)
            result = sizes.area(chosen, target, progress)
    if as_json:
        print_json(rows if fmax is not None else result)
    elif fmax is not None:
        _print_speed(rows)
    else:
        _print_area(result)

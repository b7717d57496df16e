# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus area``."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from prunus.golden.engines import load_config, load_config_of
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from ..report import print_json, print_table, status_line
from . import area as sizes
from .tools import MAX_SEED

__all__ = ["area"]

TITLES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram": "block RAM", "cells": "cells",
          "um2": "logic, um2", "flip_flops": "flip-flops", "memory_bits": "memory bits",
          "memory_um2": "memory, um2", "mhz": "MHz"}


class Target(StrEnum):
    """What a design is mapped to."""

    SG13G2 = "sg13g2"
    ECP5 = "ecp5"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print_area(result: dict) -> None:
    """By block, and what of it is there for pruning."""
    resources, total = result["resources"], result["total"]
    titles = [TITLES[key] for key in resources]
    main, of = ("lut", TITLES["lut"]) if result["target"] == Target.ECP5 else ("um2", "logic")

    def row(name: str, count: int | str, values: dict) -> list[str]:
        return [name, str(count), *(_number(values[key]) for key in resources),
                _share(values[main] / total[main])]

    print_table(["block", "count", *titles, f"share of {of}"],
                [*(row(b["block"], b["instances"], b) for b in result["blocks"]),
                 row("all", "", total)], title=f"{result['config']}, {result['target']}")
    if "memories" in result:
        _print_memories(result)
    pruning = result.get("pruning")
    if pruning is None:
        return
    print_table(["for pruning", *titles],
                [*([name, *(_number(item[key]) for key in resources)]
                   for name, item in pruning["items"].items()),
                 ["all", *(_number(pruning["total"][key]) for key in resources)],
                 ["share", *(_share(pruning["share"][key]) for key in resources)]])


def _print_memories(result: dict) -> None:
    """One by one, and then the whole area by what it is for."""
    print_table(["memory", "words", "bits", "count", "ports", "kind", "um2", "made of"],
                [[f"{row['block']}.{row['name']}", _number(row["words"]), _number(row["bits"]),
                  str(row["instances"]), str(row["ports"]), row["kind"], _number(row["um2"]),
                  row["made_of"]] for row in result["memories"]])
    area, whole = result["area_um2"], result["mm2"]
    parts = {"logic": area["logic"], "- flip-flops": result["flip_flop_um2"]}
    if "multiplying" in result:
        parts[f"- {', '.join(result['multiplying']['blocks'])}"] = result["multiplying"]["um2"]
    parts |= {"memories": area["memory"], "- SRAM macros": area["macros"],
              "- register files": area["register_files"], "all": whole * 1e6}
    print_table(["area", "mm2", "share"],
                [[name, f"{um2 / 1e6:.3f}", _share(um2 / 1e6 / whole)]
                 for name, um2 in parts.items()])


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


def _target(target: Target | None, liberty: Path | None) -> sizes.Target:
    """What is asked for. Raises InputError."""
    if target is Target.ECP5:
        if liberty is not None:
            raise InputError("--liberty has cells for --target sg13g2, and none for an ecp5")
        return sizes.Ecp5()
    return sizes.Sg13g2(liberty)


def area(
    config: Annotated[str, typer.Option(
        help="A preset (see prunus presets) or a TOML file.")] = "hdp_edge",
    target: Annotated[Target | None, typer.Option(
        help="Gates and SRAM macros of IHP's open 130 nm, or an FPGA. Default: sg13g2; with "
        "--fmax, ecp5.", show_default=False)] = None,
    liberty: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Standard cells of a Liberty file instead of those of SG13G2.",
        show_default=False)] = None,
    fmax: Annotated[str | None, typer.Option(
        metavar="BLOCKS", help="Place and route these comma-separated blocks, or all, for their "
        "speed on an ECP5.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=1, max=MAX_SEED, help="Of the placement.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Synthesise a coprocessor with Yosys: its area by block, its memories, what multiplies."""
    if fmax is not None and (liberty is not None or target is Target.SG13G2):
        other = "--target sg13g2" if liberty is None else "--liberty"
        raise InputError(f"{other} and --fmax contradict each other: only an ECP5 is placed and "
                         "routed")
    chosen = load_config(config) if fmax is None else load_config_of(HdpConfig, config)
    with status_line() as progress:
        if fmax is not None and isinstance(chosen, HdpConfig):
            rows = _speeds(fmax, chosen, seed, progress)
        else:
            result = sizes.area(chosen, _target(target, liberty), progress)
    if as_json:
        print_json(rows if fmax is not None else result)
    elif fmax is not None:
        _print_speed(rows)
    else:
        _print_area(result)

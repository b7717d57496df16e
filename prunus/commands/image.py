# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus image``."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of, load_config
from prunus.golden.image import build_image, relocated

from .. import report
from ..engines import chosen_options, front_of, with_engine_options
from ..errors import InputError
from ..export.image import READERS, WRITERS, description
from ..files import check_output, write_files
from ..run import run_dump
from .run import save

__all__ = ["image"]


class Kind(StrEnum):
    HEX = "hex"
    BIN = "bin"
    C = "c"


def _base(text: str, config: EngineConfig) -> int:
    align, end = config.descriptor_bytes, 1 << config.axi_address_width
    try:
        base = int(text, 0)
    except ValueError:
        base = -1
    if base < 0 or base % align or base >= end:
        raise InputError(f"--base must be a multiple of {align} below {end:#x}, such as "
                         f"0x40000000, not {text!r}")
    return base


def _kind(chosen: Kind | None, path: Path) -> Kind:
    """That of the option, or of the file's name, or hex."""
    names = {f".{kind}": kind for kind in Kind}
    return chosen or names.get(path.suffix, Kind.HEX)


def _contents(dump: Path, kind: Kind, size: int, beat_bytes: int) -> bytes:
    if kind not in READERS:
        raise InputError(f"--read takes a dump of --format {' or '.join(READERS)}, not {kind}")
    try:
        raw = dump.read_bytes()
    except OSError as err:
        raise InputError(f"dump {str(dump)!r} cannot be read: {err.strerror}") from None
    return READERS[kind](raw, size, beat_bytes)


@with_engine_options
def image(
    source: Annotated[Path, typer.Argument(metavar="IN.npz", help="Heads, as of prunus run.")],
    target: Annotated[Path, typer.Option(
        "--output", "-o", metavar="FILE", help="The image, or in a folder CONFIG.hex and so on. "
        "With --read the OUT.npz.")],
    config: Annotated[str, typer.Option(
        help="A preset (see prunus presets) or a TOML file.")] = "hdp_edge",
    kind: Annotated[Kind | None, typer.Option(
        "--format", help="$readmemh of beats, bytes, or a C array. Default: that of the file's "
        "name, or hex.", show_default=False)] = None,
    base: Annotated[str, typer.Option(
        metavar="ADDRESS", help="Of the image's first byte, as the coprocessor sees it.")] = "0",
    dump: Annotated[Path | None, typer.Option(
        "--read", metavar="DUMP", help="Read results back: memory from the base on, after the "
        "table was worked off.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **options: Any,
) -> None:
    """Write the memory of heads for a testbench or firmware, or read their results back."""
    chosen = load_config(config)
    at = _base(base, chosen)
    front = front_of(chosen)
    jobs = front.load_jobs(source, chosen, chosen_options(chosen, options))
    order, table = engine_of(chosen).arrange(jobs, chosen)
    placed = build_image(table, chosen)
    try:
        data = relocated(placed, chosen, at)
    except ValueError as err:
        raise InputError(f"--{err}") from None
    about = description(placed, table, order, chosen, at)
    if dump is not None:
        path = check_output(check_output(target, source), dump if dump.exists() else None)
        contents = _contents(dump, _kind(kind, dump), len(data), about["beat_bytes"])
        end = placed.table + len(table) * chosen.descriptor_bytes
        if contents[placed.table : end] != data[placed.table : end]:
            raise InputError(f"dump {str(dump)!r} must have the descriptors of this image: are "
                             f"input, options, config and base those that it was made with?")
        done = run_dump(jobs, chosen, contents)
        save(path, done, trace=False)
        summary = done.summary(front.figures(done))
        if as_json:
            report.print_json(summary)
        else:
            report.print_lines(front.lines(summary))
        return
    chosen_kind = _kind(kind, target)
    if target.is_dir():
        target = target / f"{chosen.name}.{chosen_kind}"
    path = check_output(target, source)
    beside = check_output(path.with_name(f"{path.name}.json"), source)
    text, raw = json.dumps(about, indent=2) + "\n", WRITERS[chosen_kind](data, about)
    write_files({path: lambda file: file.write(raw),
                 beside: lambda file: file.write(text.encode())})
    if as_json:
        report.print_json(about)
        return
    report.print_lines([
        ("image", f"{target}, {len(data)} bytes from {at:#x}"),
        ("addresses", f"{target}.json"),
        *((entry["name"], f"{entry['value']:#x} into the register at {entry['address']:#04x}")
          for entry in about["registers"])])

# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus verilog``."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config
from prunus.golden.names import check_name

from ..errors import InputError
from ..files import check_directory, check_output, make_directory, put_directory, write_files

if TYPE_CHECKING:
    from prunus.hw.verilog.gating import ClockGate

__all__ = ["verilog"]

DRIVER = ("prunus.h", "prunus.c", "prunus_tables.h")


def _write_exports(config: EngineConfig, directory: Path) -> list[Path]:
    """Registers and records in further languages, and the C driver; what was written."""
    from ..export.header import HEADER
    from ..export.peakrdl import export

    html = check_directory(directory / f"{config.name}_html")
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{config.name}.") as folder:
            made = export(config, Path(folder))
            sources = [path for path in made.values() if path.is_file()]
            sources += [HEADER.with_name(name) for name in DRIVER]
            texts = {check_output(directory / path.name): path.read_bytes() for path in sources}
            put_directory(made["_html"], html)
            write_files({path: lambda file, text=text: file.write(text)     # type: ignore[misc]
                         for path, text in texts.items()})
    except OSError as err:
        raise InputError(f"output {str(directory)!r} cannot be written: {err.strerror}") from None
    return [*(directory / path.name for path in sources), html / "index.html"]


def _clock_gate(text: str, name: str) -> "ClockGate":
    from prunus.hw.verilog.gating import ClockGate

    try:
        gate = ClockGate.of(text)
    except ValueError as err:
        raise InputError(f"clock-gates {err}") from None
    if gate.cell == name or gate.cell.startswith(f"{name}_"):
        raise InputError(f"clock-gates must name a cell that is none of the modules {name} and "
                         f"{name}_*, not {gate.cell!r}")
    return gate


def verilog(
    config: Annotated[str, typer.Argument(
        help="A preset (see prunus presets) or a TOML file.")],
    prefix: Annotated[str | None, typer.Option(
        help="Name of the top module, of the files, and in front of every other module's. "
        "Default: the configuration's name.", show_default=False)] = None,
    macros: Annotated[bool, typer.Option(
        "--macros", help="Memories for SRAM macros of an ASIC instead of block RAMs, as "
        "memories = \"macro\" in the TOML file.")] = False,
    clock_gates: Annotated[str | None, typer.Option(
        metavar="CELL:ENABLE:CLOCK:GATED", help="Put this clock gate of an ASIC's process, named "
        "with its pins, in front of registers that share an enable. Also writes CELL.v, a model "
        "for simulators.", show_default=False)] = None,
    fusesoc: Annotated[bool, typer.Option(
        "--fusesoc", help="Also write NAME.core for FuseSoC, and NAME_tb.v, which its target sim "
        "runs.")] = False,
    directory: Annotated[Path, typer.Option("--output", "-o", help="Where to write, made if "
                                            "missing.")] = Path("build/verilog"),
    export: Annotated[bool, typer.Option(
        "--export", help="Also write registers and records as SystemRDL, HTML, C header and "
        "IP-XACT, and the C driver; needs the extra export.")] = False,
) -> None:
    """Write NAME.v, NAME.json with its parameters, ports and registers, and NAME.vlt for
    Verilator's lint."""
    chosen = load_config(config)
    if prefix is not None:
        try:
            check_name(prefix)
        except ValueError as err:
            raise InputError(str(err).replace("name", "prefix", 1)) from None
        chosen = chosen.model_copy(update={"name": prefix})
    if macros:
        chosen = chosen.of_macros()
    gate = _clock_gate(clock_gates, chosen.name) if clock_gates is not None else None
    make_directory(directory)
    kinds = [".v", ".json", ".vlt", *([".core", "_tb.v"] if fusesoc else [])]
    names = [*(f"{chosen.name}{kind}" for kind in kinds), *([f"{gate.cell}.v"] if gate else [])]
    paths = [check_output(directory / name) for name in names]
    more = _write_exports(chosen, directory) if export else []
    from prunus.hw.verilog.emit import emit  # slow to import, and only this command needs it
    from prunus.hw.verilog.fusesoc import bench, core

    emission = emit(chosen, gate)
    texts = [emission.verilog, json.dumps(emission.metadata, indent=2) + "\n", emission.waivers]
    if fusesoc:
        texts += [core(chosen, gate), bench(chosen)]
    if gate:
        texts.append(gate.model())

    def writing(text: str) -> Callable[[Any], object]:
        return lambda file: file.write(text.encode())

    write_files({path: writing(text) for path, text in zip(paths, texts, strict=True)})
    for path in (*(directory / path.name for path in paths), *more):
        typer.echo(path)

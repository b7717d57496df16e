# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus verilog``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from prunus.golden.engines import load_config
from prunus.golden.names import check_name

from ..errors import InputError
from ..files import check_output, make_directory, write_files

__all__ = ["verilog"]


def verilog(
    config: Annotated[str, typer.Argument(
        help="A preset (see prunus presets) or a TOML file.")],
    prefix: Annotated[str | None, typer.Option(
        help="Name of the top module, of the files, and in front of every other module's. "
        "Default: the configuration's name.", show_default=False)] = None,
    directory: Annotated[Path, typer.Option("--output", "-o", help="Where to write, made if "
                                            "missing.")] = Path("build/verilog"),
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
    make_directory(directory)
    source, description, control = (check_output(directory / f"{chosen.name}.{kind}")
                                    for kind in ("v", "json", "vlt"))
    from prunus.hw.verilog.emit import emit  # slow to import, and only this command needs it

    emission = emit(chosen)
    text = json.dumps(emission.metadata, indent=2) + "\n"
    write_files({source: lambda file: file.write(emission.verilog.encode()),
                 description: lambda file: file.write(text.encode()),
                 control: lambda file: file.write(emission.waivers.encode())})
    for path in (source, description, control):
        typer.echo(directory / path.name)

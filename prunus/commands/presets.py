# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus presets``."""

from typing import Annotated

import typer

from prunus.golden.engines import ENGINES, load_config, preset_names

from .. import report

__all__ = ["presets"]


def presets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the presets."""
    configs = [load_config(name) for name in preset_names()]
    if as_json:
        report.print_json([config.model_dump() for config in configs])
        return
    fields = list(dict.fromkeys(["name", *(
        field for engine in ENGINES.values() for field in engine.Config.model_fields)]))
    report.print_table(fields, [[config.model_dump().get(field, "-") for field in fields]
                                for config in configs])

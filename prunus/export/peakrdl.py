# SPDX-License-Identifier: Apache-2.0
"""What the packages of PeakRDL make of SystemRDL. They are in the extra ``export``."""

from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of

from ..console import install_hint
from ..errors import InputError
from .rdl import record_maps, systemrdl

__all__ = ["export"]


def export(config: EngineConfig, folder: Path) -> dict[str, Path]:
    """Write SystemRDL, C header, IP-XACT and a folder of HTML into ``folder``.

    Returns
    -------
    made : dict of str to Path
        By the ending that each has behind the name of the configuration.

    Raises
    ------
    InputError
        When a package is missing.
    """
    try:
        from peakrdl_cheader.exporter import CHeaderExporter
        from peakrdl_html import HTMLExporter
        from peakrdl_ipxact import IPXACTExporter
        from systemrdl import RDLCompiler
    except ModuleNotFoundError as err:
        raise InputError(f"--export needs the Python package {err.name!r}: "
                         f"{install_hint('export')}") from None
    made = {ending: folder / f"{config.name}{ending}"
            for ending in (".rdl", "_regs.h", ".ipxact.xml", "_html")}
    made[".rdl"].write_text(systemrdl(config), encoding="utf-8")

    def top(name: str):
        compiler = RDLCompiler()
        compiler.compile_file(str(made[".rdl"]))
        return compiler.elaborate(top_def_name=name).top

    registers = top(config.name)
    CHeaderExporter().export(registers, str(made["_regs.h"]))
    IPXACTExporter(vendor="prunus", library="coprocessors").export(
        registers, str(made[".ipxact.xml"]), component_name=config.name)
    maps = [registers, *map(top, record_maps(engine_of(config), config))]
    HTMLExporter().export(maps, str(made["_html"]), title=config.name)
    return made

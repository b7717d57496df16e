# SPDX-License-Identifier: Apache-2.0
"""Icarus Verilog for cocotb: slow, but a second opinion on Verilator."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from cocotb_tools.runner import Icarus

from .runner import BuildError, CachedRunner

__all__ = ["IcarusRunner", "without_always_comb"]

_MODULE_HEAD = re.compile(r"^module .*?;\n", re.M | re.S)


def without_always_comb(verilog: str) -> str:
    """The same with ``always @*``, and an event after the start that every block waits for.

    Icarus 11.0 runs all always_comb blocks of a design whenever it runs one (its issue 508), so
    that two blocks with an intermediate value wake each other for ever.
    """
    verilog = verilog.replace("  always_comb begin\n", "  always @* begin\n    if (icarus_go);\n")
    return _MODULE_HEAD.sub(
        lambda head: f"{head[0]}  reg icarus_go;\n  initial #0 icarus_go = 1'b0;\n", verilog)


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

    def compile(self, verilog: str, top: str,
                stage: Callable[[str], None] | None = None) -> Path:
        return super().compile(without_always_comb(verilog), top, stage)

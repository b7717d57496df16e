# SPDX-License-Identifier: Apache-2.0
"""What the simulators share: cached builds, quiet runs, errors with the last lines of the log."""

import logging
import os
import re
import shutil
import signal
import subprocess
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import Runner

import prunus

from .cache import build_root, cached, digest
from .folders import check_room, room_is_missing
from .processes import child, end

__all__ = ["BuildError", "CachedRunner", "SimulationError", "tail"]

LOG_LINES = 25
WATCH_S = 1.0           # between two looks at a simulation
PACKAGES = Path(prunus.__file__).parents[1]     # where `import prunus` finds it


class SimulationError(RuntimeError):
    """A simulator that does not build or a simulation that fails; the text is for the user."""


class BuildError(SimulationError):
    """A simulator that does not build."""


def tail(path: Path, lines: int = LOG_LINES) -> str:
    """The last lines of a log that say something, without the margin cocotb gives them."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "(no log)"
    kept = [re.sub(r"^ {40,}", "  ", line) for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


class CachedRunner(Runner):
    """Mixed into a runner of cocotb: builds once per Verilog text, keeps quiet.

    A class that uses it names the ``flags`` of its build, an ``identity()`` of its tools, and the
    ``product``, the only file of the build that a run needs.

    Parameters
    ----------
    trace : str or None
        What waveform a run can write, one of ``traces``.
    """

    flags: tuple[str, ...] = ()
    timescale_args: tuple[str, str] | None = None
    traces: ClassVar[tuple[str, ...]] = ()

    def __init__(self, trace: str | None = None) -> None:
        if trace is not None and trace not in self.traces:
            raise ValueError(f"{type(self).__name__} writes waveforms of the kinds "
                             f"{self.traces}, not {trace!r}")
        super().__init__()
        self.trace = trace
        self.log.setLevel(logging.CRITICAL)
        self.run_env: dict[str, str] = {}
        self.limit_s: float | None = None
        self.watched: Path | None = None
        self.inherited: tuple[int, ...] = ()
        self._process: subprocess.Popen | None = None

    @abstractmethod
    def identity(self) -> str:
        """Name and version of the tools that build."""

    @abstractmethod
    def product(self, top: str) -> str:
        """Name of the file that a run needs."""

    def program(self) -> bytes:
        """The text of what is built into each simulator beside the Verilog."""
        return b""

    def before_build(self, objects: Path) -> None:
        """Called with the empty directory that a build fills."""
        return

    def after_build(self, objects: Path) -> None:
        """Called with the filled directory before it is thrown away."""
        return

    def stop(self) -> None:
        """End the program that a ``launch`` in another thread runs."""
        if process := self._process:
            end(process)

    def _end_of(self, process: subprocess.Popen) -> int:
        """The code that it ends with."""
        if not (self.limit_s or self.watched):
            return process.wait()       # with a time limit it looks again and again
        deadline = time.monotonic() + (self.limit_s or float("inf"))
        while True:
            try:
                return process.wait(min(WATCH_S, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                if time.monotonic() >= deadline:
                    raise RuntimeError(f"no end after {self.limit_s:g} s") from None
            if self.watched:        # Verilator hangs when it cannot write a waveform
                check_room(self.watched)

    def _execute_cmds(self, cmds, cwd, stdout=None) -> None:
        """As the base class, but what is started ends with this process, or as it hangs."""
        for command in cmds:
            with child(command, cwd=cwd, env=self.env, stdout=stdout, pass_fds=self.inherited,
                       stderr=stdout and subprocess.STDOUT) as self._process:
                code = self._end_of(self._process)
            if code:
                how = (f"was ended: {signal.strsignal(-code)}" if code < 0
                       else f"ended with code {code}")
                raise RuntimeError(f"{Path(command[0]).name} {how}")

    def _set_env_test(self) -> None:
        super()._set_env_test()
        path = os.pathsep.join([str(PACKAGES), self.env["PYTHONPATH"]])
        self.env.update(self.run_env, PYTHONPATH=path)

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env["TMPDIR"] = "."        # of the compiler, beside what it makes

    def compile(self, verilog: str, top: str,
                stage: Callable[[str], None] | None = None) -> Path:
        """The directory of the simulator of a Verilog text.

        ``stage`` is called with a few words if it must be built.

        Raises
        ------
        BuildError
            It does not build.
        InputError
            The build folder cannot be written, or its disk is full.
        """
        key = digest(verilog, self.program(), top, self.identity(), repr(self.flags),
                     cocotb.__version__,
                     str(cocotb_tools.config.libs_dir))
        directory = build_root() / "sim" / f"{top}-{key}"

        def make(work: Path) -> None:
            if stage:
                stage("compiling the simulator (about a minute, once)")
            source, log, objects = work / f"{top}.v", work / "build.log", work / "build.objects"
            source.write_text(verilog, encoding="utf-8")
            objects.mkdir()
            self.before_build(objects)
            try:
                self.build(sources=[source], hdl_toplevel=top, build_dir=objects, always=True,
                           build_args=list(self.flags), timescale=self.timescale_args,
                           waves=self.trace is not None, log_file=log)
            except (RuntimeError, SystemExit) as err:
                said = tail(log)
                room_is_missing(f"{err}\n{said}", work)
                raise BuildError(f"{type(self).__name__} cannot build {top}: {err}\n"
                                 f"{said}") from None
            self.after_build(objects)
            shutil.copy2(objects / self.product(top), work / self.product(top))
            shutil.rmtree(objects)

        cached(directory, make)
        return directory

    def launch(self, directory: Path, top: str, module: str, *, env: dict[str, str],
               scratch: Path, limit_s: float | None = None, trace: Path | None = None,
               channel: int | None = None) -> None:
        """Run the cocotb tests of ``module``; raises SimulationError with the log's end.

        ``limit_s`` is how many seconds it may take, ``trace`` where the waveform goes, ``channel``
        a file descriptor that the simulator inherits. Raises OSError if ``scratch`` is full.
        """
        log, results = scratch / "run.log", scratch / "results.xml"
        self.run_env = {"COCOTB_LOG_LEVEL": "WARNING", "GPI_LOG_LEVEL": "WARNING",
                        "COCOTB_ANSI_OUTPUT": "0",
                        "PYTHONWARNINGS": "ignore", "COCOTB_REWRITE_ASSERTION_FILES": "", **env}
        self.limit_s, self.watched = limit_s, trace and trace.parent
        self.inherited = () if channel is None else (channel,)
        ended = ""
        try:
            self.test(test_module=module, hdl_toplevel=top, hdl_toplevel_lang="verilog",
                      build_dir=directory, test_dir=scratch, results_xml=str(results),
                      waves=trace is not None, log_file=log,
                      test_args=["--trace-file", str(trace)] if trace else [])
        except (RuntimeError, SystemExit) as err:
            ended = str(err)
        problem = _problem(results, ended)
        if problem:
            said = tail(log)
            room_is_missing(f"{problem}\n{said}", scratch)
            raise SimulationError(f"simulation of {top} failed: {problem}\n{said}")


def _problem(results: Path, ended: str) -> str:
    """Empty if the one test of a results file passed; ``ended`` is what the runner said."""
    try:
        cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return ended or "the simulator ended without results"
    failures = [child for case in cases for child in case if child.tag in ("failure", "error")]
    if failures:
        first = failures[0]
        return first.get("error_msg") or first.get("message") or "a test failed"
    return "" if cases else "no test ran"

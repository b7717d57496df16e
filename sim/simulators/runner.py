# SPDX-License-Identifier: Apache-2.0
"""What the simulators share: cached builds, quiet runs, errors with the last lines of the log."""

import logging
import os
import re
import shutil
import subprocess
from abc import abstractmethod
from pathlib import Path
from xml.etree import ElementTree

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import Runner

from .cache import ROOT, build_root, cached, digest

__all__ = ["CachedRunner", "SimulationError", "tail"]

LOG_LINES = 25


class SimulationError(RuntimeError):
    """A simulator that does not build or a simulation that fails; the text is for the user."""


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
    """

    flags: tuple[str, ...] = ()
    timescale_args: tuple[str, str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.log.setLevel(logging.CRITICAL)
        self.run_env: dict[str, str] = {}
        self.limit_s: float | None = None

    @abstractmethod
    def identity(self) -> str:
        """Name and version of the tools that build."""

    @abstractmethod
    def product(self, top: str) -> str:
        """Name of the file that a run needs."""

    def before_build(self, objects: Path) -> None:
        """Called with the empty directory that a build fills."""
        return

    def after_build(self, objects: Path) -> None:
        """Called with the filled directory before it is thrown away."""
        return

    def _execute_cmds(self, cmds, cwd, stdout=None) -> None:
        """As the base class, but with an end for a simulator that hangs within a time step."""
        for command in cmds:
            try:
                done = subprocess.run(command, cwd=cwd, env=self.env, stdout=stdout, check=False,
                                      stderr=stdout and subprocess.STDOUT, timeout=self.limit_s)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"no end after {self.limit_s:g} s") from None
            if done.returncode:
                raise RuntimeError(f"{Path(command[0]).name} ended with code {done.returncode}")

    def _set_env_test(self) -> None:
        super()._set_env_test()
        path = os.pathsep.join([str(ROOT), self.env["PYTHONPATH"]])
        self.env.update(self.run_env, PYTHONPATH=path)

    def compile(self, verilog: str, top: str) -> Path:
        """The directory of the simulator of a Verilog text; raises SimulationError."""
        key = digest(verilog, top, self.identity(), repr(self.flags), cocotb.__version__,
                     str(cocotb_tools.config.libs_dir))
        directory = build_root() / "sim" / f"{top}-{key}"

        def make(work: Path) -> None:
            source, log, objects = work / f"{top}.v", work / "build.log", work / "build.objects"
            source.write_text(verilog, encoding="utf-8")
            objects.mkdir()
            self.before_build(objects)
            try:
                self.build(sources=[source], hdl_toplevel=top, build_dir=objects, always=True,
                           build_args=list(self.flags), timescale=self.timescale_args,
                           log_file=log)
            except (RuntimeError, OSError, SystemExit) as err:
                raise SimulationError(f"{type(self).__name__} cannot build {top}: {err}\n"
                                      f"{tail(log)}") from None
            self.after_build(objects)
            shutil.copy2(objects / self.product(top), work / self.product(top))
            shutil.rmtree(objects)

        cached(directory, make)
        return directory

    def launch(self, directory: Path, top: str, module: str, *, env: dict[str, str],
               scratch: Path, limit_s: float | None = None) -> None:
        """Run the cocotb tests of ``module``; raises SimulationError with the log's end.

        ``limit_s`` is how many seconds it may take.
        """
        log, results = scratch / "run.log", scratch / "results.xml"
        self.run_env = {"COCOTB_LOG_LEVEL": "WARNING", "GPI_LOG_LEVEL": "WARNING",
                        "COCOTB_ANSI_OUTPUT": "0",
                        "PYTHONWARNINGS": "ignore", "COCOTB_REWRITE_ASSERTION_FILES": "", **env}
        self.limit_s = limit_s
        ended = ""
        try:
            self.test(test_module=module, hdl_toplevel=top, hdl_toplevel_lang="verilog",
                      build_dir=directory, test_dir=scratch, results_xml=str(results),
                      log_file=log)
        except (RuntimeError, SystemExit) as err:
            ended = str(err)
        problem = _problem(results, ended)
        if problem:
            raise SimulationError(f"simulation of {top} failed: {problem}\n{tail(log)}")


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

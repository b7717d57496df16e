# SPDX-License-Identifier: Apache-2.0
"""A coprocessor as gates of SG13G2, by Yosys."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from prunus.golden.engine import EngineConfig
from prunus.hw.verilog.gating import LEAST_GATED
from prunus.sim.simulators.emitted import emitted

from ..synth.area import liberty_script
from ..synth.memories import area_um2
from ..synth.netlist import hierarchy, separate
from ..synth.pdk.cells import library, yosys_liberty
from ..synth.peak import check_memory
from ..synth.tools import Progress, kept, yosys
from .netlist import Netlist, flatten

__all__ = ["Gates", "gates"]

_CLOCK_GATES = f"""dffunmap -srst-only
clockgate -pos sg13g2_lgcp_1 GATE:CLK:GCLK -min_net_size {LEAST_GATED}
opt_clean
"""


@dataclass(frozen=True, eq=False)
class Gates:
    """A mapped coprocessor.

    Members
    -------
    netlist : Netlist
    logic_um2, memory_um2 : float
        Area of cells, and of macros and register files.
    """

    netlist: Netlist
    logic_um2: float
    memory_um2: float


def _script(top: str, apart: list[str], clock_gates: bool) -> str:
    script = liberty_script(top, apart)
    if clock_gates:
        # A reset stays in front of D, or Yosys would make it one of the flip-flop and the enable
        # a multiplexer.
        script = re.sub(r"^opt\b(?! -nodffe)", "opt -nosdff", script, flags=re.M)
        script = script.replace("dfflibmap", _CLOCK_GATES + "dfflibmap")
    return script + "write_json netlist.json\n"


def gates(config: EngineConfig, clock_gates: bool = False,
          progress: Progress | None = None) -> Gates:
    """The gates of a configuration's Verilog, kept as long as neither changes.

    Parameters
    ----------
    config : EngineConfig
    clock_gates : bool
        Whether flip-flops with an enable get their clock through a clock gate.
    progress : callable or None
        Called with a few words.

    Raises
    ------
    InputError
        When Yosys is not installed, or would need more memory than there is.
    RunError
        When it fails, or its gates cannot be replayed.
    """
    top, verilog = config.name, emitted(config, progress)
    script = _script(top, separate(hierarchy(verilog), top), clock_gates)
    name = f"{top}-{'gated' if clock_gates else 'gates'}"

    def make(work: Path) -> None:
        check_memory(top, verilog)
        yosys(script, work, progress)

    work = kept(name, {f"{top}.v": verilog, "cells.lib": yosys_liberty()}, script, make)
    if progress:
        progress("reading gates")
    netlist = flatten(json.loads((work / "netlist.json").read_text(encoding="utf-8")), top,
                      library())
    cells = library().cells
    logic = sum(count * cells[cell].area for cell, count in netlist.cells().items())
    return Gates(netlist, logic, sum(map(area_um2, netlist.memories)))

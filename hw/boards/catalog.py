# SPDX-License-Identifier: Apache-2.0
"""The boards there are: pins and clocks come from amaranth-boards."""

from dataclasses import dataclass, field
from importlib import import_module

__all__ = ["BOARDS", "Board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board.

    Members
    -------
    name : str
        What ``prunus fpga`` calls it.
    platform : str
        Module and class in amaranth_boards.
    config : str
        The preset it gets by default.
    mhz : float
        Clock of the coprocessor by default.
    also : dict of str to float
        Other presets that fit, and the clock of each.
    memory_kib : int
        Block RAM behind the coprocessor's master.
    heartbeat, error : (str, int, str or None)
        Resource, number and subsignal of two lights.
    baud : int
        Of the serial line; what the board's USB converter makes exactly.
    """

    name: str
    platform: str
    config: str
    mhz: float
    memory_kib: int
    also: dict[str, float] = field(default_factory=dict)
    heartbeat: tuple[str, int, str | None] = ("led", 0, None)
    error: tuple[str, int, str | None] = ("led", 1, None)
    baud: int = 1_000_000

    @property
    def presets(self) -> dict[str, float]:
        """Presets that fit and their clocks; the first is the default."""
        return {self.config: self.mhz, **self.also}

    def make_platform(self):
        """An instance of the class in amaranth_boards; ImportError if that is not installed."""
        module, _, name = self.platform.partition(":")
        return getattr(import_module(f"amaranth_boards.{module}"), name)()


BOARDS = {board.name: board for board in (
    Board(name="ulx3s_85f", platform="ulx3s:ULX3S_85F_Platform", config="hdp_edge", mhz=60.0,
          memory_kib=128, also={"hdp_ecp5": 60.0, "leopard_ecp5": 40.0}),
    Board(name="ecpix5_45", platform="ecpix5:ECPIX545Platform", config="hdp_mid", mhz=70.0,
          memory_kib=64, heartbeat=("rgb_led", 0, "g"), error=("rgb_led", 1, "r")),
    Board(name="ulx3s_12f", platform="ulx3s:ULX3S_12F_Platform", config="hdp_small", mhz=50.0,
          memory_kib=16),
    Board(name="icepi_zero", platform="icepi_zero:IcepiZero1_3Platform", config="hdp_small",
          mhz=50.0, memory_kib=16),
)}

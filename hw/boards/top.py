# SPDX-License-Identifier: Apache-2.0
"""The design of a whole board: clock, reset and lights around a system."""

from amaranth.build import Platform
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.io import Buffer

from prunus.golden.engine import EngineConfig

from .catalog import Board
from .pll import Pll
from .system import system_name

__all__ = ["BoardTop", "divisor_for", "source_mhz"]

HEARTBEAT_HZ = 1.0
BAUD_ERROR = 0.02           # of both sides together a byte bears 5%


def source_mhz(platform: Platform) -> float:
    """Of the board's own clock."""
    return platform.default_clk_frequency / 1e6


def divisor_for(mhz: float, baud: int) -> int:
    """Cycles of a bit; raises ValueError if no number of them comes near enough."""
    divisor = round(mhz * 1e6 / baud)
    if divisor < 4 or abs(mhz * 1e6 / divisor / baud - 1) > BAUD_ERROR:
        raise ValueError(f"baud must be at most a quarter of {mhz:g} MHz and within "
                         f"{BAUD_ERROR:.0%} of a whole fraction of it, not {baud!r}")
    return divisor


class BoardTop(Elaboratable):
    """A PLL that makes the clock, a reset that ends with its lock, the system, two lights.

    One blinks once a second as long as there is a clock, the other shows that a request of the
    host was refused since it began its session.

    Parameters
    ----------
    board : Board
    config : EngineConfig
    pll : Pll
        Made for the board's clock.
    """

    def __init__(self, *, board: Board, config: EngineConfig, pll: Pll):
        self._board, self._config, self._pll = board, config, pll

    def elaborate(self, platform):
        m = Module()
        clock = platform.request(platform.default_clk, dir="-")
        m.submodules.clock = buffer = Buffer("i", clock)
        locked = Signal()
        m.domains.sync = ClockDomain()
        m.submodules.pll = self._pll.instance(buffer.i, ClockSignal(), locked)
        m.submodules.reset = ResetSynchronizer(~locked)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = Buffer("i", uart.rx)
        m.submodules.tx = tx = Buffer("o", uart.tx)
        irq = Signal()
        error = Signal()
        m.submodules.system = Instance(
            system_name(self._config), i_clk=ClockSignal(), i_rst=ResetSignal(),
            i_rx=rx.i, o_tx=tx.o, o_irq=irq, o_error=error)
        half = round(self._pll.mhz * 1e6 / HEARTBEAT_HZ / 2)
        count = Signal(range(half))
        beat = Signal()
        with m.If(count == half - 1):
            m.d.sync += [count.eq(0), beat.eq(~beat)]
        with m.Else():
            m.d.sync += count.eq(count + 1)
        for name, place, lit in (("heartbeat", self._board.heartbeat, beat),
                                 ("error", self._board.error, error)):
            m.submodules[name] = light = Buffer("o", self._light(platform, place))
            m.d.comb += light.o.eq(lit)
        return m

    @staticmethod
    def _light(platform, place):
        resource, number, part = place
        light = platform.request(resource, number, dir="-")
        return light if part is None else getattr(light, part)

# SPDX-License-Identifier: Apache-2.0
"""Clocks for the FPGAs of the boards."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Self

from amaranth.hdl import Instance, Signal

__all__ = ["Ecp5Pll", "GowinPll", "Pll"]


@dataclass(frozen=True, kw_only=True)
class Pll(ABC):
    """Dividers of a PLL that feeds the clock that it makes back.

    Its phase detector compares ``source_mhz / divide`` with the clock over ``multiply``; its VCO
    runs ``output`` times as fast as the clock.

    Members
    -------
    source_mhz : float
        Of the clock that comes in.
    divide, multiply, output : int
    VCO, PHASE_DETECTOR : (float, float)
        Of all PLLs of a kind: the least and the most MHz.
    INPUT_DIVIDERS, FEEDBACK_DIVIDERS, OUTPUT_DIVIDERS : collection of int
        Of all PLLs of a kind, what these three may be.
    """

    source_mhz: float
    divide: int
    multiply: int
    output: int

    VCO: ClassVar[tuple[float, float]]
    PHASE_DETECTOR: ClassVar[tuple[float, float]]
    INPUT_DIVIDERS: ClassVar[Collection[int]]
    FEEDBACK_DIVIDERS: ClassVar[Collection[int]]
    OUTPUT_DIVIDERS: ClassVar[Collection[int]]

    @property
    def mhz(self) -> float:
        return self.source_mhz / self.divide * self.multiply

    @classmethod
    def near(cls, source_mhz: float, mhz: float) -> Self:
        """The one that comes nearest to ``mhz``, with the highest VCO; raises ValueError."""
        best = None
        for divide in cls.INPUT_DIVIDERS:
            if not cls.PHASE_DETECTOR[0] <= source_mhz / divide <= cls.PHASE_DETECTOR[1]:
                continue
            for multiply in cls.FEEDBACK_DIVIDERS:
                made = source_mhz / divide * multiply
                output = max((n for n in cls.OUTPUT_DIVIDERS
                              if cls.VCO[0] <= made * n <= cls.VCO[1]), default=None)
                if output is not None:
                    key = (abs(made - mhz), divide)
                    if best is None or key < best[0]:
                        best = key, cls(source_mhz=source_mhz, divide=divide, multiply=multiply,
                                        output=output)
        if best is None or best[0][0] > 0.02 * mhz:
            raise ValueError(f"mhz must be a clock that a PLL makes of {source_mhz:g} MHz, "
                             f"not {mhz!r}")
        return best[1]

    @abstractmethod
    def instance(self, source: Signal, made: Signal, locked: Signal) -> Instance:
        """The PLL itself."""


class Ecp5Pll(Pll):
    """An EHXPLLL of an ECP5: CLKI_DIV, CLKFB_DIV and CLKOP_DIV. Its limits are those of ecppll
    (Project Trellis)."""

    VCO = (400.0, 800.0)
    PHASE_DETECTOR = (3.125, 400.0)
    INPUT_DIVIDERS, FEEDBACK_DIVIDERS, OUTPUT_DIVIDERS = range(1, 129), range(1, 81), range(1, 129)

    def instance(self, source: Signal, made: Signal, locked: Signal) -> Instance:
        return Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self.source_mhz:.6f}",
            a_FREQUENCY_PIN_CLKOP=f"{self.mhz:.6f}",
            # What Lattice's tools and ecppll write for every frequency.
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED", p_FEEDBK_PATH="CLKOP",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKI_DIV=self.divide, p_CLKFB_DIV=self.multiply,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.output,
            p_CLKOP_CPHASE=self.output - 1, p_CLKOP_FPHASE=0,
            i_CLKI=source, i_CLKFB=made, o_CLKOP=made, o_LOCK=locked,
            i_RST=0, i_STDBY=0, i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1,
            i_PHASELOADREG=1, i_PLLWAKESYNC=0, i_ENCLKOP=0,
        )


class GowinPll(Pll):
    """An rPLL of a Gowin GW2A in speed grade C8/I7: IDIV_SEL and FBDIV_SEL, each one less than
    the divider, and ODIV_SEL. Its limits are those of the data sheet DS226, "PLL Switching
    Characteristics"; gowin_pack holds it to them, too."""

    VCO = (500.0, 1250.0)
    PHASE_DETECTOR = (3.0, 500.0)
    INPUT_DIVIDERS, FEEDBACK_DIVIDERS = range(1, 65), range(1, 65)
    OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)

    def instance(self, source: Signal, made: Signal, locked: Signal) -> Instance:
        return Instance(
            "rPLL",
            p_FCLKIN=f"{self.source_mhz:g}",
            p_IDIV_SEL=self.divide - 1, p_FBDIV_SEL=self.multiply - 1, p_ODIV_SEL=self.output,
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false",
            p_CLKFB_SEL="internal",
            i_CLKIN=source, o_CLKOUT=made, o_LOCK=locked,
            i_RESET=0, i_RESET_P=0, i_CLKFB=0, i_FBDSEL=0, i_IDSEL=0, i_ODSEL=0, i_PSDA=0,
            i_DUTYDA=0, i_FDLY=0,
        )

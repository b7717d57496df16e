# SPDX-License-Identifier: Apache-2.0
"""Clocks for the FPGAs of the boards."""

from dataclasses import dataclass

from amaranth.hdl import Instance, Signal

__all__ = ["Ecp5Pll"]

# In MHz, those of ecppll (Project Trellis).
VCO = (400.0, 800.0)
PHASE_DETECTOR = (3.125, 400.0)
INPUT_DIVIDERS, FEEDBACK_DIVIDERS, OUTPUT_DIVIDERS = range(1, 129), range(1, 81), range(1, 129)


@dataclass(frozen=True, kw_only=True)
class Ecp5Pll:
    """Dividers of an EHXPLLL that feeds its first output back.

    Members
    -------
    source_mhz : float
        Of the clock that comes in.
    divide, multiply, output : int
        Its CLKI_DIV, CLKFB_DIV and CLKOP_DIV.
    """

    source_mhz: float
    divide: int
    multiply: int
    output: int

    @property
    def mhz(self) -> float:
        return self.source_mhz / self.divide * self.multiply

    @classmethod
    def near(cls, source_mhz: float, mhz: float) -> "Ecp5Pll":
        """The one that comes nearest to ``mhz``, with the highest VCO; raises ValueError."""
        best = None
        for divide in INPUT_DIVIDERS:
            if not PHASE_DETECTOR[0] <= source_mhz / divide <= PHASE_DETECTOR[1]:
                continue
            for multiply in FEEDBACK_DIVIDERS:
                made = source_mhz / divide * multiply
                output = min(int(VCO[1] / made), OUTPUT_DIVIDERS[-1])
                if output in OUTPUT_DIVIDERS and VCO[0] <= made * output:
                    key = (abs(made - mhz), divide)
                    if best is None or key < best[0]:
                        best = key, cls(source_mhz=source_mhz, divide=divide, multiply=multiply,
                                        output=output)
        if best is None or best[0][0] > 0.02 * mhz:
            raise ValueError(f"mhz must be a clock that a PLL makes of {source_mhz:g} MHz, "
                             f"not {mhz!r}")
        return best[1]

    def instance(self, source: Signal, made: Signal, locked: Signal) -> Instance:
        """The PLL itself."""
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

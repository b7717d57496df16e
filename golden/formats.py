# SPDX-License-Identifier: Apache-2.0
"""Fixed-point codes and their integer / fraction split (spec: HDP section 1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

__all__ = ["CodeRange", "Digits", "Format"]

Digits = Literal["truncated", "rounded"]


class CodeRange:
    """What the codes of something with a ``width`` in bits can be."""

    if TYPE_CHECKING:       # else it would be the first field of a configuration
        width: int

    @property
    def min_code(self) -> int:
        return -(1 << (self.width - 1))

    @property
    def max_code(self) -> int:
        return (1 << (self.width - 1)) - 1

    def quantise(self, x, scale: float) -> np.ndarray:
        """Codes of real values: ``round(x / scale)``, clamped to ``max_code`` on both sides."""
        codes = np.rint(np.asarray(x, np.float64) / scale)
        return np.clip(codes, -self.max_code, self.max_code).astype(np.int64)

    def fill(self, x) -> tuple[np.ndarray, float]:
        """Codes of real values of which the largest is ``max_code``, and the real value of one."""
        unit = float(np.abs(x).max(initial=0)) / self.max_code or 1.0
        return self.quantise(x, unit), unit


@dataclass(frozen=True, kw_only=True)
class Format(CodeRange):
    """Codes of two digits: an integer part I of ``width - frac`` bits and a fraction F.

    Parameters
    ----------
    width : int
        Bits of a code (W), two's complement.
    frac : int
        Fraction bits of a code (FW).
    digits : "truncated" or "rounded"
        I is the code truncated toward zero, so that both digits have the sign of the code; or it
        is rounded to the nearest, half up, so that F is about half as large and has a sign of its
        own.
    """

    width: int
    frac: int
    digits: Digits = "truncated"

    @property
    def int_width(self) -> int:
        """Bits of the integer part I, IW = W - FW."""
        return self.width - self.frac

    @property
    def int_mag(self) -> int:
        """Bits of |I|."""
        return self.int_width - (self.digits == "rounded")

    @property
    def frac_mag(self) -> int:
        """Bits of |F| where it is held beside its sign: if rounded, the top bit is that of the
        lowest F alone, which is held as minus zero."""
        return self.frac - (self.digits == "rounded")

    @property
    def max_code(self) -> int:
        """The largest code whose integer part fits ``int_width`` bits, and of which the negative
        one does as well."""
        half = 1 << self.frac - 1 if self.digits == "rounded" else 0
        return super().max_code - half

    @property
    def min_code(self) -> int:
        """The smallest code: of truncated digits ``-2**(W-1)``, which the quantiser never makes,
        of rounded ones ``-max_code``."""
        return -self.max_code if self.digits == "rounded" else super().min_code

    def split(self, codes) -> tuple[np.ndarray, np.ndarray]:
        """``(I, F)`` with ``codes == (I << frac) + F``.

        Truncated: F has the sign of the code and ``|F| < 2**frac``; ``|code| < 2**frac`` has I = 0.
        Rounded: ``-2**(frac-1) <= F < 2**(frac-1)`` and ``|I| < 2**(IW-1)``.
        """
        x = np.asarray(codes, np.int64)
        if self.digits == "rounded":
            i = (x + (1 << self.frac - 1)) >> self.frac
        else:
            i = (x + np.where(x < 0, (1 << self.frac) - 1, 0)) >> self.frac
        return i, x - (i << self.frac)

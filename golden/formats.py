# SPDX-License-Identifier: Apache-2.0
"""Fixed-point codes and their integer / fraction split (spec: HDP section 1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

__all__ = ["CodeRange", "Format"]


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


@dataclass(frozen=True, kw_only=True)
class Format(CodeRange):
    """A two's complement code of ``width`` bits with ``frac`` fraction bits.

    Parameters
    ----------
    width : int
        Bits of a code (W).
    frac : int
        Fraction bits of a code (FW); the integer part has ``width - frac`` bits.
    """

    width: int
    frac: int

    @property
    def int_width(self) -> int:
        """Bits of the integer part I, IW = W - FW."""
        return self.width - self.frac

    def quantise(self, x, scale: float) -> np.ndarray:
        """Codes of real values: ``round(x / scale)``, clamped symmetrically.

        ``min_code`` is never produced, so that the magnitude fits ``width - 1`` bits.
        """
        codes = np.rint(np.asarray(x, np.float64) / scale)
        return np.clip(codes, -self.max_code, self.max_code).astype(np.int64)

    def split(self, codes) -> tuple[np.ndarray, np.ndarray]:
        """``(I, F)`` with ``codes == (I << frac) + F``, I truncated toward zero.

        F has the sign of the code and ``|F| < 2**frac``; ``|code| < 2**frac`` has I = 0.
        """
        x = np.asarray(codes, np.int64)
        i = (x + np.where(x < 0, (1 << self.frac) - 1, 0)) >> self.frac
        return i, x - (i << self.frac)

# SPDX-License-Identifier: Apache-2.0
"""Operand planes of LeOPArd: Q and V as codes, keys digit by digit.

Beside the kinds of :mod:`prunus.golden.layout` there is:

===== ===================================================================== ================
kind  a row holds                                                           container bits
===== ===================================================================== ================
k     digits of a key, the top one (sign-extended) first; of each digit     B, in words
      chunks of ``taps`` dimensions, a word each, the first dimension lowest
===== ===================================================================== ================

A word of a key takes as many whole beats as it needs; a beat with room for two words and more
holds as many words of one key as fit.
"""

import numpy as np

from ..layout import Plane
from ..survivors import SurvivorLayout
from . import digits
from .config import LeopardConfig

__all__ = ["PLANES", "LeopardLayout"]

PLANES = (Plane("q", "q", "v"), Plane("k", "k", "k"), Plane("v", "v", "v"))


class LeopardLayout(SurvivorLayout):
    """Row sizes and packing of the planes of a LeOPArd coprocessor."""

    config: LeopardConfig
    planes = PLANES

    @property
    def word_bits(self) -> int:
        """A digit of ``taps`` dimensions."""
        return self.config.taps * self.config.digit

    @property
    def word_beats(self) -> int:
        """Beats of a word."""
        return self.beats(self.word_bits)

    @property
    def beat_words(self) -> int:
        """Words of a beat; 1 if a word takes several."""
        return max(1, self.beat_bits // self.word_bits)

    def key_words(self, d: int) -> int:
        """Words of a key."""
        return self.config.digits * -(-d // self.config.taps)

    def row_beats(self, kind: str, d: int) -> int:
        if kind == "k":
            return -(-self.key_words(d) // self.beat_words) * self.word_beats
        return super().row_beats(kind, d)

    def pack(self, kind: str, codes) -> np.ndarray:
        """Rows of codes as bytes; of keys key by key, digit by digit, chunk by chunk."""
        if kind != "k":
            return super().pack(kind, codes)
        config, codes = self.config, self.checked(codes, self.config)
        rows, d = codes.shape
        planes = digits.planes(codes, width=config.width, digit=config.digit)
        planes = np.pad(planes, ((0, 0), (0, 0), (0, -d % config.taps)))
        chunks = planes.reshape(config.digits, rows, -1, config.taps).transpose(1, 0, 2, 3)
        words = chunks.reshape(rows, -1, config.taps)
        if self.beat_words == 1:
            packed = self.pack_bits(words.reshape(-1, config.taps), config.digit)
            return packed.reshape(rows, -1)
        words = np.pad(words, ((0, 0), (0, -words.shape[1] % self.beat_words), (0, 0)))
        packed = self.pack_bits(words.reshape(-1, self.beat_words * config.taps), config.digit)
        return packed.reshape(rows, -1)

# SPDX-License-Identifier: Apache-2.0
"""Bits of the memories of a LeOPArd core, as functions of its configuration."""

from .banks import bank_words
from .config import LeopardConfig
from .planes import LeopardLayout

__all__ = ["memory_bits"]

HEADS = 2


def _codes(read: int, config: LeopardConfig) -> int:
    """A buffer of codes of which ``read`` dimensions are read at a time."""
    layout = LeopardLayout(config)
    beat = min(layout.row_dims, layout.beat_bits // layout.v_bits)
    word, ratio = max(beat, read), max(beat, read) / min(beat, read)
    words = -(-config.d_max // word)
    if ratio not in [1 << n for n in range(7)]:
        words, word = 1, -(-config.d_max // beat) * beat        # whole rows
    rows = 1 << max(1, (config.l_max - 1).bit_length())
    return HEADS * rows * (1 << (words - 1).bit_length()) * word * config.width


def memory_bits(config: LeopardConfig) -> dict[str, int]:
    """Bits by what a memory holds; k is that of all dot-product units."""
    survivors = 2 << (config.l_max - 1).bit_length()
    return {
        "q": _codes(8, config),
        "k": HEADS * config.dpus * bank_words(config) * config.taps * config.digit,
        "v": _codes(config.taps, config),
        "survivors": survivors * ((config.l_max - 1).bit_length() + config.score_width),
    }

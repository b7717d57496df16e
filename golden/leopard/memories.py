# SPDX-License-Identifier: Apache-2.0
"""Bits of the memories of a LeOPArd core, as functions of its configuration."""

from ..survivors import HEADS, buffer_bits, ring_bits
from .banks import bank_words
from .config import LeopardConfig

__all__ = ["memory_bits"]


def memory_bits(config: LeopardConfig) -> dict[str, int]:
    """Bits by what a memory holds; k is that of all dot-product units."""
    return {
        "q": buffer_bits(8, config),
        "k": HEADS * config.dpus * bank_words(config) * config.taps * config.digit,
        "v": buffer_bits(config.taps, config),
        "survivors": ring_bits(config),
    }

# SPDX-License-Identifier: Apache-2.0
"""Bits of the memories of a Top-K core, as functions of its configuration."""

from ..survivors import buffer_bits, ring_bits
from .config import TopkConfig

__all__ = ["memory_bits"]


def memory_bits(config: TopkConfig) -> dict[str, int]:
    """Bits by what a memory holds."""
    operands = {name: buffer_bits(config.taps, config) for name in ("q", "k", "v")}
    return {**operands, "survivors": ring_bits(config)}

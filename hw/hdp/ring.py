# SPDX-License-Identifier: Apache-2.0
"""Buffers of blocks between the stages: rings in which rows lie one behind the other."""

from amaranth.hdl import Mux, Signal

from golden.config import Config

__all__ = ["ROWS", "free_entries", "ring_width"]

ROWS = 4        # rows of blocks that may be on their way between two stages


def ring_width(config: Config) -> int:
    """Bits of an index into a ring, which holds two of the longest rows or more shorter ones."""
    return config.block_width + 1


def free_entries(m, config: Config, *, taken, taken_columns, given, given_columns, name: str):
    """A register with the free entries of a ring; ``taken`` and ``given`` are strobes."""
    capacity = 2 * config.blocks
    free = Signal(range(capacity + 1), init=capacity, name=name)
    m.d.sync += free.eq(free - Mux(taken, taken_columns, 0) + Mux(given, given_columns, 0))
    return free

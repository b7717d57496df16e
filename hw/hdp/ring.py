# SPDX-License-Identifier: Apache-2.0
"""Buffers of blocks between the stages: rings in which rows lie one behind the other."""

from amaranth.hdl import Mux, Signal

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.groups import group_bits, group_width

__all__ = ["ROWS", "entry_width", "free_entries", "ring_width"]

ROWS = 4        # rows of blocks that may be on their way between two stages


def ring_width(config: HdpConfig) -> int:
    """Bits of an index into a ring of groups, which holds two of the longest rows or more shorter
    ones; each begins with a group of its own."""
    return group_width(config) + 1


def entry_width(config: HdpConfig) -> int:
    """Bits of the index of a block in such a ring."""
    return ring_width(config) + group_bits(config)


def free_entries(m, capacity: int, *, taken, taken_entries, given, given_entries, name: str):
    """A register with the free entries of a ring; ``taken`` and ``given`` are strobes."""
    free = Signal(range(capacity + 1), init=capacity, name=name)
    m.d.sync += free.eq(free - Mux(taken, taken_entries, 0) + Mux(given, given_entries, 0))
    return free

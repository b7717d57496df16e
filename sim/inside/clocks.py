# SPDX-License-Identifier: Apache-2.0
"""Waiting for cycles of the clock without waking in each."""

from cocotb.triggers import RisingEdge, Timer

__all__ = ["PERIOD_NS", "cycles"]

PERIOD_NS = 10


async def cycles(clock, count: int) -> None:
    """Until the rising edge that is the ``count``-th from now."""
    edge = RisingEdge(clock)
    if count > 2:
        await edge
        await Timer((count - 2) * PERIOD_NS + PERIOD_NS // 2, "ns")
        count = 1
    for _ in range(count):
        await edge

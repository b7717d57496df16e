# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through linear jobs, for an estimate of energy."""

from collections.abc import Sequence

from ...energy import Event, dot
from ..config import HdpConfig
from .compute import MULTIPLIER_BITS, LinearJob, Output
from .cost import product_of

__all__ = ["linear_events"]

SUM_BITS = 33           # of a sum with its bias


def linear_events(jobs: Sequence[LinearJob], config: HdpConfig) -> list[Event]:
    """Of a block of 2 rows x 2 channels each code is read once."""
    found: list[Event] = []
    for job in jobs:
        product = product_of(job)
        results = job.rows * job.channels
        found += dot("X x W", product.products, config.width, job.bits, config)
        found += [
            Event("memory", "X of a dimension", product.products // 2, "sram", config.width + 2),
            Event("memory", "W of a dimension", product.products // 2, "sram", job.bits + 1),
            Event("dram", "bytes", product.read_bytes(config) + product.write_bytes(), "dram", 8)]
        if job.target is not Output.WIDE:
            found.append(Event("values", "sum times multiplier", results, "multiply",
                               SUM_BITS * MULTIPLIER_BITS))
    return found

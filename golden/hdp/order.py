# SPDX-License-Identifier: Apache-2.0
"""In which order heads go into the table of a coprocessor with several cores."""

from collections.abc import Sequence

from .compute import HdpJob
from .config import HdpConfig

__all__ = ["longest_first", "table_order"]


def longest_first(jobs: Sequence[HdpJob]) -> list[int]:
    """Indices of ``jobs`` with the most work first, heads that share K and V side by side.

    Heads are handed out in the order of the table. The last ones decide how long some cores have
    nothing to do while others work, so these should be short (list scheduling, Graham 1969).
    """
    chains: list[list[int]] = []
    for n, job in enumerate(jobs):
        if job.same_kv and n:
            chains[-1].append(n)
        else:
            chains.append([n])

    def work(chain: list[int]) -> int:
        return sum(jobs[n].valid_q * jobs[n].valid_kv * jobs[n].d for n in chain)

    return [n for chain in sorted(chains, key=work, reverse=True) for n in chain]


def table_order(jobs: Sequence[HdpJob], config: HdpConfig) -> list[int]:
    """Indices of ``jobs`` in the order of the table; one core gains nothing by another."""
    return longest_first(jobs) if config.cores > 1 else list(range(len(jobs)))

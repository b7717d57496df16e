# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through heads on Top-K: see :mod:`prunus.golden.energy`."""

from collections.abc import Sequence

from ..energy import Event, dot, softmax_events, values
from ..survivors import whole_words
from .compute import TopkJob, TopkOutcome
from .config import TopkConfig

__all__ = ["events"]


def events(jobs: Sequence[TopkJob], results: Sequence[TopkOutcome],
           config: TopkConfig) -> list[Event]:
    """Of heads on Top-K: every visible key is read and scored at full width, its score compared
    with all places of the filter; a query of a single chunk stays where it was read, others are
    read again with each key.

    Operands come once in codes of W bits. That they are written is not counted.
    """
    found: list[Event] = []
    for job, result in zip(jobs, results, strict=True):
        keys, survivors = result.keys, result.survivors
        rows = int((result.row_survivors > 0).sum())
        read = whole_words(job.d, config)
        planes = (job.valid_q + 2 * job.valid_kv) * job.d
        found += dot("K times Q", keys * job.d, config.width, config.width, config)
        found += [
            Event("pruning", "score against a place", keys * config.k_max, "add",
                  config.score_width),
            Event("memory", "key", keys, "sram", config.width * read),
            Event("memory", "query", job.valid_q if job.d <= config.taps else keys, "sram",
                  config.width * read),
            Event("memory", "scores, there and back", 2 * survivors, "sram", config.score_width),
            Event("dram", "operands", planes, "dram", config.width),
            Event("dram", "output", job.l_q * job.d, "dram", config.out_width)]
        found += softmax_events(survivors, rows, job, config)
        found += values(survivors, survivors * read, config.width, job, config)
    return found

# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through heads on LeOPArd: see :mod:`prunus.golden.energy`."""

from collections.abc import Sequence

from ..energy import Event, dot, softmax_events, values
from ..survivors import whole_words
from .banks import copies
from .compute import LeopardJob, LeopardOutcome
from .config import LeopardConfig

__all__ = ["events"]


def events(jobs: Sequence[LeopardJob], results: Sequence[LeopardOutcome],
           config: LeopardConfig) -> list[Event]:
    """Of heads on LeOPArd, or its baseline: a digit of a key is a word, a query stays in registers.

    Operands come once in codes of W bits. That they are written is not counted, but what copies of
    keys take beyond it is, of heads that do not find their keys on the chip.
    """
    found: list[Event] = []
    for job, result in zip(jobs, results, strict=True):
        digits, survivors = result.digits_total, result.survivors
        rows = int((result.row_survivors > 0).sum())
        further = 0 if job.same_kv else copies(config, job.valid_kv, job.d) - 1
        read = whole_words(job.d, config)
        planes = (job.valid_q + 2 * job.valid_kv) * job.d
        found += dot("digit of K times Q", digits * job.d, config.width, config.digit, config)
        found.append(Event("scores", "digits of a key, added", digits, "add", config.score_width))
        if config.pruning:
            found.append(Event("pruning", "bound against threshold", digits, "add",
                                config.threshold_width))
        found += [
            Event("memory", "digit of a key", digits, "sram", config.digit * read),
            Event("memory", "digit of a further copy of a key, written",
                  further * job.valid_kv * config.digits, "sram", config.digit * read),
            Event("memory", "query", job.valid_q, "sram", config.width * job.d),
            Event("memory", "scores, there and back", 2 * survivors, "sram", config.score_width),
            Event("dram", "operands", planes, "dram", config.width),
            Event("dram", "output", job.l_q * job.d, "dram", config.out_width)]
        found += softmax_events(survivors, rows, job, config)
        found += values(survivors, survivors * read, config.width, job, config)
    return found

# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through heads on HDP: see :mod:`prunus.golden.energy`."""

from collections.abc import Iterator, Sequence

from ..energy import Event, dot, products, softmax_events, values
from ..records import STATUS_BYTES
from ..softmax import EXP_FRAC
from .compute import HdpJob, HdpOutcome, Importance
from .config import HdpConfig
from .planes import HdpLayout, held_planes
from .tiles import passes

__all__ = ["events"]

MASK = 1        # bits of a block


def events(jobs: Sequence[HdpJob], results: Sequence[HdpOutcome],
           config: HdpConfig) -> list[Event]:
    """Of heads on HDP; a block is two queries and two keys. It reads its keys; the queries of a row
    of blocks are read once."""
    layout = HdpLayout(config)
    found: list[Event] = []
    held = held_planes(jobs, results, config)
    mag = config.format.int_mag
    integer, fraction = mag + 1, config.format.frac_mag + 1     # with signs
    for job, result, planes in zip(jobs, results, held, strict=True):
        full = job.dense or job.exact
        integers, scores = passes(job, config, result.head_kept)
        visible = integers * result.blocks_total
        kept = result.blocks_kept if result.head_kept else 0
        scored = scores * kept
        rows = job.valid_q if kept else 0
        if visible:
            found += dot("I x I", 4 * visible * job.d, mag, mag, config)
            found += _pruning(visible, job, config)
            found.append(Event("memory", "I of a dimension",
                               (2 * visible + integers * job.valid_q) * job.d, "sram", integer))
        if full:
            found += dot("W x W", 4 * scored * job.d, config.width, config.width, config)
        else:
            found += dot("I x F and F x I", 8 * scored * job.d, mag, config.frac, config)
        found += [
            Event("memory", "I and F of a dimension",
                  (2 * scored + scores * rows) * job.d, "sram", integer + fraction),
            Event("memory", "scores, there and back", 8 * scored, "sram", config.score_width),
            Event("dram", "bytes", layout.read_bytes(job, result.head_kept, planes)
                  + layout.out_bytes(job.output()) + STATUS_BYTES, "dram", 8)]
        found += softmax_events(4 * kept + rows, rows, job, config)
        found += values(4 * kept, 2 * kept * job.d, config.width + 1, job, config)
        if not (job.drop or job.dense):
            found += products("values", "background times sum of V", rows * job.d, EXP_FRAC,
                                config.column_sum_width, config.accumulator_width)
    return found


def _pruning(blocks: int, job: HdpJob, config: HdpConfig) -> Iterator[Event]:
    """Sum of magnitudes, what else makes the importance of a block, comparison and masks."""
    yield Event("pruning", "theta of a block", 4 * blocks, "add", config.theta_width)
    if job.importance is Importance.DISTANCE:
        score = config.int_score_width
        yield Event("pruning", "best of two keys, of a row", 4 * blocks, "add", score)
        yield Event("pruning", "best against bound", 2 * blocks, "add", score)
        yield Event("memory", "best scores, there and back", 4 * blocks, "sram", score)
    else:
        yield Event("pruning", "minimum, maximum, sum", 3 * blocks, "add", config.theta_width)
        yield from products("pruning", "theta against threshold", blocks, config.theta_width,
                            config.block_width, config.theta_width + config.block_width)
        yield Event("memory", "thetas, there and back", 2 * blocks, "sram", config.theta_width)
    yield Event("memory", "mask, there and back", 2 * blocks, "sram", MASK)
    if config.keep_integer_scores:
        yield Event("memory", "integer scores, there and back", 8 * blocks, "sram",
                    config.int_score_width)

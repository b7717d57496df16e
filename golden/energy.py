# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through a head, and what that costs: an estimate of energy.

Products, sums, words of memory and exponentials are counted from masks and digits, which the
RTL has in common with the specification; the energy of each is a published one, scaled by its
bits. Clock, control, registers, wires and leakage are left out, so figures are for comparisons of
engines and not for a battery.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .hdp.compute import HdpJob, HdpResult
from .hdp.config import HdpConfig
from .hdp.planes import HdpLayout, held_planes
from .hdp.tiles import passes
from .jobs import AttentionJob
from .leopard.banks import copies
from .leopard.compute import LeopardJob, LeopardResult
from .leopard.config import LeopardConfig
from .softmax import EXP_FRAC, MANT_BITS, RECIP_BITS, SCALE_BITS

__all__ = ["GROUPS", "Costs", "Event", "hdp_events", "leopard_events", "picojoules"]

TABLE = Path(__file__).with_name("energy_45nm.toml")
GROUPS = ("scores", "pruning", "softmax", "values", "memory", "dram")
MASK = 1


@dataclass(frozen=True)
class Event:
    """Something that happens ``count`` times.

    Members
    -------
    group : str
        One of GROUPS.
    name : str
    count : int
    kind : str
        ``multiply``, ``add``, ``sram`` or ``dram``.
    bits : int
        Of a sum or a word; of a product, that of both widths.
    """

    group: str
    name: str
    count: int
    kind: str
    bits: int


@dataclass(frozen=True)
class Costs:
    """Picojoules per bit of a sum or word, and per product of two bits."""

    multiply: float
    add: float
    sram: float
    dram: float
    sources: dict[str, str]

    @classmethod
    def load(cls, path: Path = TABLE) -> "Costs":
        """From a table of ``pj``, ``bits`` and ``source`` for each kind."""
        with open(path, "rb") as file:
            table = tomllib.load(file)
        size = {kind: row["bits"] ** (2 if kind == "multiply" else 1)
                for kind, row in table.items()}
        return cls(**{kind: row["pj"] / size[kind] for kind, row in table.items()},
                   sources={kind: row["source"] for kind, row in table.items()})


def picojoules(events: Sequence[Event], costs: Costs) -> dict[str, float]:
    """Energy by group."""
    energy = dict.fromkeys(GROUPS, 0.0)
    for event in events:
        energy[event.group] += event.count * event.bits * getattr(costs, event.kind)
    return energy


def _products(group: str, name: str, count: int, a: int, b: int, total: int) -> Iterator[Event]:
    """Products of a and b bits, each added to a sum of ``total`` bits."""
    yield Event(group, name, count, "multiply", a * b)
    yield Event(group, f"{name}, added", count, "add", total)


def _dot(name: str, count: int, a: int, b: int, config) -> Iterator[Event]:
    """Products of a dot product, summed by a tree over the dimensions."""
    return _products("scores", name, count, a, b, a + b + (config.d_max - 1).bit_length())


def _softmax(exponentials: int, rows: int, job: AttentionJob, config) -> Iterator[Event]:
    """Exponentials, each the product with the scale and a quadratic, and rows times 1/sum."""
    yield from _products("softmax", "exponential: scale", exponentials, config.score_width,
                         SCALE_BITS, config.score_width)
    yield from _products("softmax", "exponential: quadratic", 2 * exponentials, EXP_FRAC,
                         EXP_FRAC, EXP_FRAC)
    yield Event("softmax", "exponential: sum of the row", exponentials, "add",
                config.denominator_width)
    yield Event("softmax", "output times reciprocal", rows * job.d, "multiply",
                (config.width + config.out_frac) * RECIP_BITS)


def _values(kept: int, reads: int, word: int, job: AttentionJob, config) -> Iterator[Event]:
    """P.V of so many pairs, for which V is read so often."""
    yield from _products("values", "weight times V", kept * job.d, MANT_BITS, config.width,
                         config.accumulator_width)
    yield Event("memory", "V", reads, "sram", word)


def hdp_events(jobs: Sequence[HdpJob], results: Sequence[HdpResult],
               config: HdpConfig) -> list[Event]:
    """Of heads on HDP; a block is two queries and two keys, and reads each once."""
    layout, events = HdpLayout(config), []
    held = held_planes(jobs, [result.head_kept for result in results], config)
    integer, fraction = config.int_width + 1, config.frac + 1       # in sign-magnitude
    for job, result, planes in zip(jobs, results, held, strict=True):
        full = job.dense or job.exact
        integers, scores = passes(job, config, result.head_kept)
        visible = integers * result.blocks_total
        kept = result.blocks_kept if result.head_kept else 0
        scored = scores * kept
        rows = job.valid_q if kept else 0
        if visible:
            events += _dot("I x I", 4 * visible * job.d, config.int_width, config.int_width,
                           config)
            events += _pruning(visible, config)
            events.append(Event("memory", "I of a dimension", 4 * visible * job.d, "sram",
                                integer))
        if full:
            events += _dot("W x W", 4 * scored * job.d, config.width, config.width, config)
        else:
            events += _dot("I x F and F x I", 8 * scored * job.d, config.int_width, config.frac,
                           config)
        events += [
            Event("memory", "I and F of a dimension", 4 * scored * job.d, "sram",
                  integer + fraction),
            Event("memory", "scores, there and back", 8 * scored, "sram", config.score_width),
            Event("dram", "bytes", layout.read_bytes(job, result.head_kept, planes)
                  + layout.write_bytes(job), "dram", 8)]
        events += _softmax(4 * kept + rows, rows, job, config)
        events += _values(4 * kept, 2 * kept * job.d, config.width + 1, job, config)
        if not job.drop:
            events += _products("values", "background times sum of V", rows * job.d, EXP_FRAC,
                                config.column_sum_width, config.accumulator_width)
    return events


def _pruning(blocks: int, config: HdpConfig) -> Iterator[Event]:
    """Sum of magnitudes, statistics, comparison and masks of blocks."""
    yield Event("pruning", "theta of a block", 4 * blocks, "add", config.theta_width)
    yield Event("pruning", "minimum, maximum, sum", 3 * blocks, "add", config.theta_width)
    yield from _products("pruning", "theta against threshold", blocks, config.theta_width,
                         config.block_width, config.theta_width + config.block_width)
    yield Event("memory", "thetas, there and back", 2 * blocks, "sram", config.theta_width)
    yield Event("memory", "mask, there and back", 2 * blocks, "sram", MASK)
    if config.keep_integer_scores:
        yield Event("memory", "integer scores, there and back", 8 * blocks, "sram",
                    config.int_score_width)


def leopard_events(jobs: Sequence[LeopardJob], results: Sequence[LeopardResult],
                   config: LeopardConfig) -> list[Event]:
    """Of heads on LeOPArd, or its baseline: a digit of a key is a word, a query stays in registers.

    Operands come once in codes of W bits. That they are written is not counted, but what copies of
    keys take beyond it is, of heads that do not find their keys on the chip.
    """
    events = []
    for job, result in zip(jobs, results, strict=True):
        digits, survivors = result.digits_total, result.survivors
        rows = int(result.mask.any(axis=1).sum())
        further = 0 if job.same_kv else copies(config, job.valid_kv, job.d) - 1
        planes = (job.valid_q + 2 * job.valid_kv) * job.d
        events += _dot("digit of K times Q", digits * job.d, config.width, config.digit, config)
        events.append(Event("scores", "digits of a key, added", digits, "add", config.score_width))
        if config.pruning:
            events.append(Event("pruning", "bound against threshold", digits, "add",
                                config.threshold_width))
        events += [
            Event("memory", "digit of a key", digits, "sram", config.digit * job.d),
            Event("memory", "digit of a further copy of a key, written",
                  further * job.valid_kv * config.digits, "sram", config.digit * job.d),
            Event("memory", "query", job.valid_q, "sram", config.width * job.d),
            Event("memory", "scores, there and back", 2 * survivors, "sram", config.score_width),
            Event("dram", "operands", planes, "dram", config.width),
            Event("dram", "output", job.l_q * job.d, "dram", config.out_width)]
        events += _softmax(survivors, rows, job, config)
        events += _values(survivors, survivors * job.d, config.width, job, config)
    return events

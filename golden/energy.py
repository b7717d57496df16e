# SPDX-License-Identifier: Apache-2.0
"""What happens on the way through a head, for an estimate of energy.

Products, sums, words of memory and exponentials are counted from masks and digits, which the
RTL has in common with the specification. :mod:`prunus.power.estimate` says what they cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .jobs import AttentionJob
from .softmax import EXP_FRAC, MANT_BITS, RECIP_BITS, SCALE_BITS

__all__ = ["GROUPS", "LOGIC", "Event", "dot", "products", "softmax_events", "values"]

LOGIC = ("scores", "pruning", "softmax", "values")
GROUPS = (*LOGIC, "memory", "clock", "dram")


@dataclass(frozen=True)
class Event:
    """Something that happens ``count`` times.

    Members
    -------
    group : str
        One of GROUPS; none is of the clock.
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


def products(group: str, name: str, count: int, a: int, b: int, total: int) -> Iterator[Event]:
    """Products of a and b bits, each added to a sum of ``total`` bits."""
    yield Event(group, name, count, "multiply", a * b)
    yield Event(group, f"{name}, added", count, "add", total)


def dot(name: str, count: int, a: int, b: int, config) -> Iterator[Event]:
    """Products of a dot product, summed by a tree over the dimensions."""
    return products("scores", name, count, a, b, a + b + (config.d_max - 1).bit_length())


def softmax_events(exponentials: int, rows: int, job: AttentionJob, config) -> Iterator[Event]:
    """Exponentials, each the product with the scale and a quadratic, and rows times 1/sum."""
    yield from products("softmax", "exponential: scale", exponentials, config.score_width,
                         SCALE_BITS, config.score_width)
    yield from products("softmax", "exponential: quadratic", 2 * exponentials, EXP_FRAC,
                         EXP_FRAC, EXP_FRAC)
    yield Event("softmax", "exponential: sum of the row", exponentials, "add",
                config.denominator_width)
    yield Event("softmax", "output times reciprocal", rows * job.d, "multiply",
                (config.width + config.out_frac) * RECIP_BITS)


def values(kept: int, reads: int, word: int, job: AttentionJob, config) -> Iterator[Event]:
    """P.V of so many pairs, for which V is read so often."""
    yield from products("values", "weight times V", kept * job.d, MANT_BITS, config.width,
                         config.accumulator_width)
    yield Event("memory", "V", reads, "sram", word)

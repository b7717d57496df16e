# SPDX-License-Identifier: Apache-2.0
"""What goes between the blocks of the back end, from survivors to output rows."""

from amaranth.hdl import C, signed
from amaranth.lib import data

from golden.leopard.config import LeopardConfig
from golden.softmax import MANT_BITS, RECIP_BITS
from hw.softmax.quantise import SHIFT_INDEX_BITS

__all__ = ["PIECE", "SLOTS", "TAG", "chunk_count", "entry_layout", "ring_depth",
           "row_result_layout", "scored_row_layout", "slot_of", "values_layout", "weight_layout"]

PIECE = 8           # dimensions of a query that come at a time
SLOTS = 3           # jobs in a core: one is loaded, one computed, one written
TAG = 3             # bits that tell whose row it is: the bank of its queries, its job's slot


def chunk_count(config: LeopardConfig, d8):
    """Chunks of a digit of 8*d8 dimensions, an expression."""
    return sum((d8 > n * config.taps // PIECE for n in range(1, config.chunks)), C(1))


def slot_of(tag):
    """The slot of the job that a row belongs to."""
    return tag[1:]


def ring_depth(config: LeopardConfig) -> int:
    """Survivors that wait for the end of their row or for their turn: those of two of the longest
    rows."""
    return 2 << (config.l_max - 1).bit_length()


def entry_layout(config: LeopardConfig) -> data.StructLayout:
    """A survivor that waits."""
    return data.StructLayout({"key": range(config.l_max), "score": signed(config.score_width)})


def scored_row_layout(config: LeopardConfig) -> data.StructLayout:
    """A row whose survivors are all there: how many, and the largest score (of none: anything)."""
    return data.StructLayout({
        "count": config.length_width, "top": signed(config.score_width), "tag": TAG})


def weight_layout(config: LeopardConfig) -> data.StructLayout:
    """The weight of a survivor, ``mag << (SHIFT_STEP * shift)``.

    A row without survivors has one entry all the same, ``none``, with weight 0 and no key.
    """
    return data.StructLayout({
        "key": range(config.l_max), "mag": MANT_BITS, "shift": SHIFT_INDEX_BITS, "first": 1,
        "last": 1, "none": 1, "tag": TAG})


def row_result_layout() -> data.StructLayout:
    """The reciprocal of a row's denominator, see :class:`hw.softmax.reciprocal.Reciprocal`."""
    return data.StructLayout({"r": RECIP_BITS + 1, "p": 5, "empty": 1, "tag": TAG})


def values_layout(config: LeopardConfig) -> data.ArrayLayout:
    """A chunk of a row of P.V."""
    return data.ArrayLayout(signed(config.accumulator_width), config.taps)

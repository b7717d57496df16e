# SPDX-License-Identifier: Apache-2.0
"""What the blocks of an HDP core hand to each other."""

from amaranth.hdl import signed
from amaranth.lib import data, enum

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.arith.multiplier import digit_layout
from prunus.hw.hdp.linear.layouts import SUM
from prunus.hw.hdp.ring import entry_width
from prunus.hw.hdp.softmax_layouts import weight_entry_layout

__all__ = [
    "Mode", "chunk_shape", "fraction_layout", "fraction_word", "head_layout", "integer_dims",
    "integer_layout", "integer_scores_layout", "integer_word", "op_layout", "product_width",
    "products_layout", "row_layout", "row_tag_layout", "score_row_layout", "scores_layout",
    "smallest_read", "sparsity_row_layout", "sum_width", "tag_layout", "value_layout",
    "value_op_layout",
]


class Mode(enum.Enum, shape=2):
    """What the array does in a cycle."""

    INTEGER = 0     # 4T dimensions of IQ.IK, shared by the blocks of a group
    FRACTION = 1    # 2T dimensions of FQ.IK + IQ.FK
    FULL = 2        # T dimensions of the full product, FQ.FK only if exact
    VALUE = 3       # T dimensions of weights.V


def integer_layout(config: HdpConfig) -> data.StructLayout:
    """I in sign-magnitude; -2**(IW-1), of truncated codes, makes the magnitude as wide as I."""
    return digit_layout(config.format.int_mag)


def fraction_layout(config: HdpConfig) -> data.StructLayout:
    """F in sign-magnitude. Truncated, the sign is that of the code, also of 0; rounded, minus zero
    is the lowest F, the only one whose magnitude has another bit."""
    return digit_layout(config.format.frac_mag)


def value_layout(config: HdpConfig) -> data.StructLayout:
    """A V code in sign-magnitude."""
    return digit_layout(config.width)


def integer_dims(config: HdpConfig) -> int:
    """Dimensions of each block in an integer operation."""
    return 4 * config.taps // config.group


def integer_word(config: HdpConfig) -> int:
    """Dimensions that a read of an integer plane gives: those of any mode, as far as there are."""
    return integer_dims(config) if config.group == 1 else fraction_word(config)


def fraction_word(config: HdpConfig) -> int:
    """Dimensions that a read of a fraction plane gives."""
    if config.group == 1:
        return 2 * config.taps
    return min(2 * config.taps, 64 if config.d_max <= 64 else 128)


def smallest_read(config: HdpConfig) -> int:
    """Dimensions that any mode needs at least, of words of the integer and fraction planes."""
    return min(integer_dims(config), config.taps, fraction_word(config))


def row_layout(config: HdpConfig) -> data.StructLayout:
    """A row of blocks: its index, the visible keys of its two queries and its block columns."""
    return data.StructLayout({
        "row": config.block_width,
        "limit": data.ArrayLayout(config.held_width, 2),
        "columns": range(config.blocks + 1),
        "last": 1,
    })


def tag_layout(config: HdpConfig) -> data.StructLayout:
    """What travels with a block of scores, or a group of integer scores, through the array.

    ``column`` is the (first) block. ``visible`` has a bit per element, index 2*query + key, of all
    blocks of a group, the first lowest, or in the other modes of the one block; a block without
    a visible element does not exist. ``distance`` is the importance of the head. ``integer`` says
    that the integer scores are (or are to be) kept, at ``entry`` of the integer score buffer.
    """
    return data.StructLayout({
        "column": config.block_width,
        "visible": 4 * config.group,
        "last": 1,
        "distance": 1,
        "integer": 1,
        "entry": entry_width(config),
    })


def op_layout(config: HdpConfig) -> data.StructLayout:
    """One cycle of the array on queries (row of blocks) and keys (block column or, in the integer
    mode, the first one of a group)."""
    return data.StructLayout({
        "mode": Mode,
        "exact": 1,
        "bank": 1,
        "row": config.block_width,
        "column": config.block_width,
        "chunk": chunk_shape(config),
        "first": 1,
        "last": 1,
        "tag": tag_layout(config),
    })


def sparsity_row_layout(config: HdpConfig) -> data.StructLayout:
    """A row of blocks handed to the sparsity engine."""
    return data.StructLayout({
        "bank": 1,
        "row": config.block_width,
        "columns": range(config.blocks + 1),
        "last": 1,
    })


def head_layout(config: HdpConfig) -> data.StructLayout:
    """What the engine knows of a head so far."""
    return data.StructLayout({
        "theta": config.theta_head_width,
        "kept": 2 * config.block_width + 1,
        "total": 2 * config.block_width + 1,
    })


def value_op_layout(config: HdpConfig) -> data.StructLayout:
    """One cycle of P.V: weights of two queries for two keys, T dimensions from ``chunk``.

    With ``background`` only the word of V is wanted, for the sums of causal rows.
    """
    return data.StructLayout({
        "bank": 1,
        "column": config.block_width,
        "chunk": chunk_shape(config),
        "first": 1,
        "last": 1,
        "background": 1,
        "w": weight_entry_layout(config).members["row"],
    })


def score_row_layout(config: HdpConfig) -> data.StructLayout:
    """A row of blocks whose kept scores are under way.

    ``columns``: blocks that it sees; if none, no score will come. Only a row of a tile may also
    have ``none`` that is kept, though perhaps kept ``integer`` scores.
    """
    tiled = {"none": 1, "integer": 1} if config.tile else {}
    return data.StructLayout({
        "tag": row_tag_layout(config),
        "columns": range(config.blocks + 1),
        "drop": 1,
        "mant": 16,
        "shift": 6,
        **tiled,
    })


def row_tag_layout(config: HdpConfig) -> data.StructLayout:
    """What softmax hands through from the scores to the value path."""
    return data.StructLayout({
        "bank": 1,
        "row": config.block_width,
        "limit": data.ArrayLayout(config.held_width, 2),
        "last": 1,
    })


def chunk_shape(config: HdpConfig):
    """Index of a chunk of T dimensions or, in a wide array, of an integer operation (or of more
    dimensions, then it is smaller)."""
    return range(max(2, -(-config.d_max // min(config.taps, integer_dims(config)))))


def product_width(config: HdpConfig) -> int:
    """Signed bits of what the array makes of scores, in units of 2**(-2 * low_width)."""
    return config.score_width + 2 * config.lift


def sum_width(config: HdpConfig) -> int:
    """Signed bits of a sum of products in the array."""
    return max(product_width(config), SUM) if config.linear else product_width(config)


def products_layout(config: HdpConfig) -> data.ArrayLayout:
    """Fraction or full products of a block as the array gives them, index 2*query + key."""
    return data.ArrayLayout(signed(product_width(config)), 4)


def scores_layout(config: HdpConfig) -> data.ArrayLayout:
    """Four scores of a block, index 2*query + key."""
    return data.ArrayLayout(signed(config.score_width), 4)


def integer_scores_layout(config: HdpConfig) -> data.ArrayLayout:
    """Four integer scores of each block of a group."""
    return data.ArrayLayout(data.ArrayLayout(signed(config.int_score_width), 4), config.group)

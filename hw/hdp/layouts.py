# SPDX-License-Identifier: Apache-2.0
"""What the blocks of an HDP core hand to each other."""

from amaranth.hdl import signed
from amaranth.lib import data, enum

from golden.config import Config
from hw.arith.multiplier import digit_layout
from hw.hdp.ring import ring_width
from hw.softmax.layouts import weight_entry_layout

__all__ = [
    "Mode", "chunk_shape", "fraction_layout", "head_layout", "integer_layout", "op_layout",
    "row_layout", "row_tag_layout", "score_row_layout", "scores_layout", "sparsity_row_layout",
    "tag_layout", "value_layout", "value_op_layout",
]


class Mode(enum.Enum, shape=2):
    """What the array does in a cycle."""

    INTEGER = 0     # 4T dimensions of IQ.IK
    FRACTION = 1    # 2T dimensions of FQ.IK + IQ.FK
    FULL = 2        # T dimensions of the full product, FQ.FK only if exact
    VALUE = 3       # T dimensions of weights.V


def integer_layout(config: Config) -> data.StructLayout:
    """I in sign-magnitude; -2**(IW-1) makes the magnitude as wide as I."""
    return digit_layout(config.int_width)


def fraction_layout(config: Config) -> data.StructLayout:
    """|F| and the sign of the code."""
    return digit_layout(config.frac)


def value_layout(config: Config) -> data.StructLayout:
    """A V code in sign-magnitude."""
    return digit_layout(config.width)


def row_layout(config: Config) -> data.StructLayout:
    """A row of blocks: its index, the visible keys of its two queries and its block columns."""
    return data.StructLayout({
        "row": config.block_width,
        "limit": data.ArrayLayout(config.length_width, 2),
        "columns": range(config.blocks + 1),
        "last": 1,
    })


def tag_layout(config: Config) -> data.StructLayout:
    """What travels with a block of scores through the array.

    ``visible`` has a bit per element, index 2*query + key; ``integer`` says that the integer
    scores are (or are to be) kept, at ``entry`` of the integer score buffer.
    """
    return data.StructLayout({
        "column": config.block_width,
        "visible": 4,
        "last": 1,
        "integer": 1,
        "entry": ring_width(config),
    })


def op_layout(config: Config) -> data.StructLayout:
    """One cycle of the array on queries (row of blocks) and keys (block column)."""
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


def sparsity_row_layout(config: Config) -> data.StructLayout:
    """A row of blocks handed to the sparsity engine."""
    return data.StructLayout({
        "bank": 1,
        "row": config.block_width,
        "columns": range(config.blocks + 1),
        "last": 1,
    })


def head_layout(config: Config) -> data.StructLayout:
    """What the engine knows of a head so far."""
    return data.StructLayout({
        "theta": config.theta_head_width,
        "kept": 2 * config.block_width + 1,
        "total": 2 * config.block_width + 1,
    })


def value_op_layout(config: Config) -> data.StructLayout:
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


def score_row_layout(config: Config) -> data.StructLayout:
    """A row of blocks whose kept scores are under way.

    ``columns``: blocks that it sees; if none, no score will come.
    """
    return data.StructLayout({
        "tag": row_tag_layout(config),
        "columns": range(config.blocks + 1),
        "drop": 1,
        "mant": 16,
        "shift": 6,
    })


def row_tag_layout(config: Config) -> data.StructLayout:
    """What softmax hands through from the scores to the value path."""
    return data.StructLayout({
        "bank": 1,
        "row": config.block_width,
        "limit": data.ArrayLayout(config.length_width, 2),
        "last": 1,
    })


def chunk_shape(config: Config):
    """Index of a chunk of T dimensions."""
    return range(max(2, -(-config.d_max // config.taps)))


def scores_layout(config: Config) -> data.ArrayLayout:
    """Four scores of a block, index 2*query + key."""
    return data.ArrayLayout(signed(config.score_width), 4)

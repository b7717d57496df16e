# SPDX-License-Identifier: Apache-2.0
"""What goes into the softmax unit and what comes out, as functions of the configuration."""

from amaranth.hdl import signed
from amaranth.lib.data import ArrayLayout, StructLayout

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.softmax import EXP_FRAC, MANT_BITS, RECIP_BITS, SCALE_BITS
from prunus.hw.softmax.quantise import SHIFT_INDEX_BITS

__all__ = [
    "item_layout", "row_background_layout",
    "row_result_layout", "row_token_layout", "score_entry_layout", "score_index_width",
    "weight_entry_layout", "weight_index_width", "weight_pair_layout",
]

def weight_index_width(config: HdpConfig) -> int:
    """Bits of an index into the weight buffer, a ring."""
    return config.block_width + 1


def score_index_width(config: HdpConfig) -> int:
    """Bits of an index into the score buffer, a ring."""
    return config.block_width + 1


def score_entry_layout(config: HdpConfig) -> StructLayout:
    """A kept block: its column of blocks and its scores, ``score[2*row + key]``."""
    return StructLayout({
        "column": config.block_width,
        "score": ArrayLayout(signed(config.score_width), 4),
    })


def weight_pair_layout() -> StructLayout:
    """One query's weights of a block's two keys: ``+-mag << (SHIFT_STEP * shift)``."""
    return StructLayout({
        "shift": SHIFT_INDEX_BITS,
        "mant": ArrayLayout(StructLayout({"sign": 1, "mag": MANT_BITS}), 2),
    })


def weight_entry_layout(config: HdpConfig) -> StructLayout:
    """A kept block: its column of blocks and the weights of its two queries."""
    return StructLayout({
        "column": config.block_width,
        "row": ArrayLayout(weight_pair_layout(), 2),
    })


def row_token_layout(config: HdpConfig, tag_width: int) -> StructLayout:
    """A block row whose scores are complete.

    ``limit`` is the number of keys each query sees. ``some`` and ``hides``: there are kept keys,
    and pruned ones; ``top`` the largest kept score (anything where there is none). ``count``
    entries lie in the score buffer from ``base`` on. ``mant`` and ``shift`` encode the scale.

    Of a row in tiles, ``some``, ``hides`` and ``top`` are those of all its tiles, the rest those
    of this one, which is ``row`` of its strip and ``resumes`` what an earlier tile has begun.
    """
    tiled = {"row": config.block_width, "resumes": 1} if config.tile else {}
    return StructLayout({
        "base": score_index_width(config),
        "count": range(config.blocks + 1),
        "limit": ArrayLayout(config.held_width, 2),
        "some": ArrayLayout(1, 2),
        "hides": ArrayLayout(1, 2),
        "top": ArrayLayout(signed(config.score_width), 2),
        "drop": 1,
        "mant": SCALE_BITS,
        "shift": 6,
        "tag": tag_width,
        **tiled,
    })


def item_layout(config: HdpConfig) -> StructLayout:
    """What ``softmax_lanes`` exponentials of a block are; its four come in ``phase`` order.

    Lane n of a phase holds element ``phase * softmax_lanes + n``, counted as ``2*row + key``. An
    element that is not ``seen`` counts as 0. The first block of a row is not one of its entries
    but the ``background``, the exponential of a score of 0 in all four places; ``first`` is its
    first phase and ``last`` the last phase of the row. The flags are 0 without ``valid``.
    """
    return StructLayout({
        "valid": 1,
        "first": 1,
        "last": 1,
        "background": 1,
        "phase": range(4 // config.softmax_lanes),
        "column": config.block_width,
        "seen": ArrayLayout(1, config.softmax_lanes),
    })


def row_background_layout(config: HdpConfig, tag_width: int) -> StructLayout:
    """What the end of a row needs of its token; each query sees ``limit`` keys."""
    tiled = {"row": config.block_width, "resumes": 1} if config.tile else {}
    return StructLayout({
        "count": range(config.blocks + 1),
        "limit": ArrayLayout(config.held_width, 2),
        "tag": tag_width,
        **tiled,
    })


def row_result_layout(config: HdpConfig, tag_width: int) -> StructLayout:
    """A block row whose ``count`` weights are complete in the weight buffer from ``base`` on.

    ``e0`` is the weight of the background, ``r`` and ``p`` the reciprocal of the denominator;
    a query that is ``empty`` sees nothing and its output is zero.
    """
    return StructLayout({
        "base": weight_index_width(config),
        "count": range(config.blocks + 1),
        "e0": ArrayLayout(EXP_FRAC, 2),
        "r": ArrayLayout(RECIP_BITS + 1, 2),
        "p": ArrayLayout(5, 2),
        "empty": ArrayLayout(1, 2),
        "tag": tag_width,
    })

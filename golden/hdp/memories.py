# SPDX-License-Identifier: Apache-2.0
"""The memories of an HDP core: how many bits, and how they grow with the longest head.

Planes and what waits between stages grow with l_max, the mask with its square, or with ``tile``
where there is one; then only the row statistics, a few bytes for two queries, grow with l_max.
Small queues, and parameters and tables of linear layers, do not grow and are left out.
"""

from ..softmax import MANT_BITS
from .config import HdpConfig
from .planes import HdpLayout

__all__ = ["memory_bits"]

HEADS = 2                       # in a core
ROWS = 2                        # of the longest, between two stages
SHIFT_BITS = 3                  # of a pair of weights


def _power(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << (n - 1).bit_length()


def _plane(bits: int, read: int, beat: int, pairs: int, config: HdpConfig) -> int:
    """Of both heads: words that a read or a beat fills, of several pairs of rows at a time."""
    word = max(read, beat)
    reads = max(2, _power(-(-config.held_rows // (2 * pairs))))
    return HEADS * _power(-(-config.d_max // word)) * word * reads * 2 * pairs * bits


def memory_bits(config: HdpConfig) -> dict[str, int]:
    """Bits by what a memory holds, of one core; q_i to v are the operand buffers."""
    layout, group, taps = HdpLayout(config), config.group, config.taps
    beat = {plane: min(layout.row_dims, config.axi_data_width // bits) for plane, bits in (
        ("i", layout.i_bits), ("f", layout.f_bits), ("v", layout.v_bits))}
    # Dimensions of a read: of a fraction operation, of an integer one where that is more.
    fraction = 2 * taps if group == 1 else min(2 * taps, 64 if config.d_max <= 64 else 128)
    integer = 4 * taps if group == 1 else fraction
    i, f, v = (mag + 1 for mag in (config.format.int_mag, config.format.frac_mag, config.width))
    groups = max(2, _power(-(-config.blocks // group)))                 # of a row
    column = config.block_width
    bits = {
        "q_i": _plane(i, integer, beat["i"], 1, config),
        "k_i": _plane(i, integer, beat["i"], group, config),
        "q_f": _plane(f, fraction, beat["f"], 1, config),
        "k_f": _plane(f, fraction, beat["f"], 1, config),
        "v": _plane(v, taps, beat["v"], 1, config),
        "mask": HEADS * (1 << column) * groups * group,
        # Theta, or the best scores of both queries, each with a sign.
        "importance": ROWS * groups * group * (2 * config.theta_width + 1),
    }
    if config.keep_integer_scores:
        bits["integer scores"] = ROWS * groups * group * 4 * config.int_score_width
    bits["scores"] = ROWS * (1 << column) * (column + 4 * config.score_width)
    if config.tile:
        rows = -(-config.l_max // config.tile)
        bits["row statistics"] = _power(rows) * config.blocks * (
            (config.l_max // 2).bit_length() + config.theta_width + config.all_block_width
            + 2 * (config.theta_width + 1))
        bits["row tops"] = config.blocks * 2 * (config.score_width + 2)
        bits["denominators"] = config.blocks * 2 * config.denominator_width
        places = _power(config.d_max // config.output_lanes)
        bits["row sums"] = (config.blocks * 2 * places * config.output_lanes
                            * config.accumulator_width)
    bits["weights"] = ROWS * (1 << column) * (column + 2 * (2 * (MANT_BITS + 1) + SHIFT_BITS))
    return bits

# SPDX-License-Identifier: Apache-2.0
"""Groups: the adjacent blocks of a row that one integer operation covers."""

from prunus.golden.hdp.config import HdpConfig

__all__ = ["LOOKAHEAD", "group_bits", "group_count", "group_width"]

# Cycles before a block's fraction products at which its integer scores are looked up: what leaves
# the memory is late in its cycle, and where it is a group's the block's own are to be chosen.
LOOKAHEAD = 2


def group_bits(config: HdpConfig) -> int:
    """Bits of a block's place in its group."""
    return config.group.bit_length() - 1


def group_width(config: HdpConfig) -> int:
    """Bits of the index of a group in its row."""
    return max(1, (group_count(config, config.blocks) - 1).bit_length())


def group_count(config: HdpConfig, columns):
    """Groups that so many blocks make, the last one not always full; of a number or a value."""
    return columns if config.group == 1 else (columns + config.group - 1) >> group_bits(config)

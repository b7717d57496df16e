# SPDX-License-Identifier: Apache-2.0
"""Latencies of blocks of the hardware that depend on the configuration."""

from ..config import HdpConfig

__all__ = ["Latency"]


class Latency:
    """In cycles.

    Parameters
    ----------
    config : HdpConfig
    """

    def __init__(self, config: HdpConfig):
        self._config = config

    @property
    def score(self) -> int:
        """Array: a block's last operation to its scores, adding two levels per cycle."""
        return 5 + -(-(self._config.taps - 1).bit_length() // 2)

    @property
    def value(self) -> int:
        """Array, or ValueArray: a chunk's last operation to its values."""
        return 3 if self._config.own_values else 7

    @property
    def statistics(self) -> int:
        """SparsityEngine: a row's last group to its statistics."""
        return 3 if self._config.group == 1 else 4

    @property
    def mask_bit(self) -> int:
        """MaskScanner: the announcement of a row to its first operation."""
        return 5 if self._config.group == 1 else 6

    @property
    def exponential(self) -> int:
        """SoftmaxUnit: a row's token to its first exponential."""
        return 11 + self._multiplier(self._config.score_width)

    @property
    def reciprocal(self) -> int:
        """SoftmaxUnit: a row's exponentials to its result."""
        return 13

    @property
    def output(self) -> int:
        """RowOutput: the last dimensions of a beat to the beat."""
        scaled = self._config.width + self._config.out_frac + 3
        return 10 + self._multiplier(self._config.column_sum_width) + self._multiplier(scaled)

    @staticmethod
    def _multiplier(width: int) -> int:
        """A multiplier of a signed number; a wide one is cut in two."""
        return 2 if width > 18 else 1

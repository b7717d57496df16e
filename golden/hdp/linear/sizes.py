# SPDX-License-Identifier: Apache-2.0
"""How linear jobs lie in the operand buffers: rings of granules, strips of rows, tiles of channels.

X lies in the buffers of Q, both banks as one ring. A pair of rows takes whole *granules* of
``granule`` dimensions. W lies in the buffers of K, a *tile* of channels at a time: in one half
while the next one comes to the other, or in both where a half is too small. A *strip* is as many
rows of X as are in work together; weights are read once per strip.
"""

from dataclasses import dataclass

from ..config import HdpConfig

__all__ = ["LONGEST", "MOST_TILE", "RECORD_BYTES", "TABLE_BYTES", "Sizes"]

LONGEST = 4096          # rows, dimensions, channels
MOST_TILE = 64          # channels
RECORD_BYTES = 8        # bias, multiplier and shift of a channel
TABLE_BYTES = 256


@dataclass(frozen=True)
class Sizes:
    """Of a configuration with linear jobs."""

    config: HdpConfig

    @property
    def unit(self) -> int:
        """Codes that are written together, and the least tile: two beats."""
        return self.config.axi_data_width // 4

    @property
    def granule(self) -> int:
        """Dimensions of a word of the buffers of Q and K."""
        return max(self.unit, 4 * self.config.taps)

    @property
    def ring(self) -> int:
        """Granules of pairs of rows that the buffers of Q, or of K, hold."""
        return self.config.held_rows * self.config.d_max // self.granule

    @property
    def longest_k(self) -> int:
        """Dimensions of a channel of which the buffers hold the least tile."""
        return min(LONGEST, 2 * self.ring * self.granule // self.unit)

    def granules(self, dims):
        """Of a row; of a number or a value."""
        return (dims + self.granule - 1) >> (self.granule.bit_length() - 1)

    def pairs(self, rows: int, dims: int) -> int:
        """Granules of the ring that so many rows take."""
        return -(-rows // 2) * self.granules(dims)

    def strip(self, rows: int, dims: int, step: int = 2) -> int:
        """Rows of a strip: as many as the ring holds, the strips about as long, each a multiple of
        ``step`` (but the last)."""
        most = 2 * (self.ring // self.granules(dims)) // step * step
        if not most:
            return step
        strips = -(-rows // most)
        return -(-rows // (strips * step)) * step

    def tile(self, channels: int, k: int, run: int | None = None) -> int:
        """Channels of a tile: as many as a half holds, else both; a multiple of ``run``, if any."""
        step = self.unit if run is None else max(self.unit, run)
        wanted = min(MOST_TILE, -(-channels // step) * step) // step * step
        for half in (2, 1):
            most = 2 * (self.ring // half // self.granules(k)) // step * step
            if most:
                return min(wanted, most)
        return step

# SPDX-License-Identifier: Apache-2.0
"""What the tiles of a head have counted together."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.tiler import Phase

__all__ = ["READ_BEATS", "HeadTotals", "tile_counts_layout", "total_counts_layout"]

READ_BEATS = 24         # bits of the beats that a tile, or a head that needs none, reads


def tile_counts_layout(config: HdpConfig) -> data.StructLayout:
    """Of a tile, or a head that needs none."""
    return _layout(config, config.block_width, READ_BEATS)


def total_counts_layout(config: HdpConfig) -> data.StructLayout:
    """Of all tiles of a head, as wide as the status record shows it."""
    beat_bytes = config.axi_data_width // 8
    return _layout(config, config.all_block_width,
                   32 - (beat_bytes - 1).bit_length() if config.tile else READ_BEATS)


def _layout(config: HdpConfig, block_width: int, read_beats: int) -> data.StructLayout:
    return data.StructLayout({
        "theta_head": config.theta_head_width, "blocks_kept": 2 * block_width + 1,
        "blocks_total": 2 * block_width + 1, "read_beats": read_beats, "bus_error": 1,
    })


class HeadTotals(wiring.Component):
    """Adds up the tiles of a head; latency 1.

    Thetas and visible blocks are those of the phase STATS; kept blocks, and all blocks of a dense
    head, those of TOP; beats and bus errors those of every phase.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    clear, add : In(1)
        Strobes: the head is over, else a tile in that ``phase`` of a head that is ``dense`` or not.
    phase, dense, tile : In
    total : Out(total_counts_layout)
    """

    def __init__(self, *, config: HdpConfig):
        super().__init__({
            "clear": In(1), "add": In(1), "phase": In(Phase), "dense": In(1),
            "tile": In(tile_counts_layout(config)), "total": Out(total_counts_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        tile, total = self.tile, self.total
        stats, top = self.phase == Phase.STATS, self.phase == Phase.TOP
        with m.If(self.clear):
            m.d.sync += total.eq(0)
        with m.Elif(self.add):
            m.d.sync += [
                total.bus_error.eq(total.bus_error | tile.bus_error),
                total.read_beats.eq(total.read_beats + tile.read_beats),
            ]
            with m.If(stats):
                m.d.sync += total.theta_head.eq(total.theta_head + tile.theta_head)
            with m.If(stats | (top & self.dense)):
                m.d.sync += total.blocks_total.eq(total.blocks_total + tile.blocks_total)
            with m.If(top):
                m.d.sync += total.blocks_kept.eq(total.blocks_kept + tile.blocks_kept)
        return m

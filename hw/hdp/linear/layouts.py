# SPDX-License-Identifier: Apache-2.0
"""What the blocks of linear jobs hand to each other."""

from amaranth.hdl import Cat
from amaranth.lib import data, enum

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.compute import MULTIPLIER_BITS, SHIFT_BITS
from prunus.golden.hdp.linear.kind import LinearKind
from prunus.golden.hdp.linear.sizes import LONGEST, MOST_TILE, TABLE_BYTES, Sizes
from prunus.golden.records import WORD_BITS
from prunus.golden.registers import INDEX_BITS

__all__ = [
    "LENGTH", "PAIRS", "SUM", "WORD_BLOCKS", "Plane", "block_tag_layout", "chunk_bits",
    "command_layout", "granule_bits", "job_layout", "linear_fields", "op_layout", "place_bits",
    "place_chunk", "place_write", "record_layout", "table_layout", "word_layout",
]

LENGTH = LONGEST.bit_length()       # bits of a number of rows, dimensions or channels
PAIRS = MOST_TILE // 2              # of channels in a tile
SUM = 28                            # signed bits of a sum of LONGEST products of codes
WORD_BLOCKS = 8                     # blocks of 2 x 2 in a word of 16 codes for each of two lanes


class Plane(enum.Enum, shape=3):
    """What the loader fetches."""

    X = 0
    W8 = 1
    W4 = 2
    CHANNELS = 3
    TABLE = 4
    RESIDUAL = 5
    WORDS = 6       # X of output words of heads


def linear_fields() -> dict[str, int]:
    """Bits of the fields of a descriptor but for opcode and addresses."""
    kind = LinearKind()
    return {field.name: field.width for field in kind.descriptor
            if field.name not in ("opcode", *kind.addresses)}


def job_layout(config: HdpConfig) -> data.StructLayout:
    """A job in work.

    ``channels`` and ``dims``: all groups'. ``x_granules``, ``w_granules``: of a pair of rows of X,
    of channels of W. ``half``: a tile of W takes half of the buffers.
    """
    return data.StructLayout({
        **linear_fields(),
        **dict.fromkeys(LinearKind().addresses, config.axi_address_width),
        "index": INDEX_BITS, "error": 8,
        "channels": LENGTH, "dims": LENGTH,
        "x_granules": granule_bits(config), "w_granules": granule_bits(config), "half": 1,
    })


def granule_bits(config: HdpConfig) -> int:
    """Bits of a number of granules, up to all of them."""
    return Sizes(config).ring.bit_length()


def place_bits(config: HdpConfig) -> int:
    """Bits of a place in the buffers of Q or K: which unit of a pair of rows."""
    sizes = Sizes(config)
    return (sizes.ring * sizes.granule // sizes.unit - 1).bit_length()


def chunk_bits(config: HdpConfig) -> int:
    """Bits of a chunk of T dimensions of a pair of rows in the buffers of Q or K."""
    sizes = Sizes(config)
    return (sizes.ring * sizes.granule // config.taps - 1).bit_length()


def place_write(config: HdpConfig, place, parity):
    """(bank, row, beat) of a buffer for a place."""
    beats = (config.d_max // Sizes(config).unit).bit_length() - 1
    return place[-1], Cat(parity, place[beats:-1]), place[:beats]


def place_chunk(config: HdpConfig, chunk):
    """(bank, pair, chunk) of a buffer for a chunk."""
    bits = (config.d_max // config.taps).bit_length() - 1
    return chunk[-1], chunk[bits:-1], chunk[:bits]


def command_layout(config: HdpConfig) -> data.StructLayout:
    """Fetch ``beats`` beats.

    Of X and W these are rows of ``row_beats``, which go to granule ``base`` and on, ``stride``
    granules for each pair, from unit ``first`` of a row on; ``ends`` what there is of X. Of
    parameters they are those of the channels of a tile and go to ``slot``. Of the residual they
    are a word for lane ``slot``, and if it ``ends`` there is all that a word of results needs.
    """
    return data.StructLayout({
        "plane": Plane, "bank": 1, "slot": 1, "address": config.axi_address_width, "refused": 1,
        "beats": 20, "row_beats": 10, "base": granule_bits(config) - 1,
        "stride": granule_bits(config), "index": INDEX_BITS, "ends": 1,
        "first": place_bits(config),
    })


def record_layout() -> data.StructLayout:
    """Bias, multiplier and shift of a channel, as they lie in memory."""
    return data.StructLayout({"bias": WORD_BITS, "multiplier": MULTIPLIER_BITS,
                              "shift": SHIFT_BITS})


def table_layout(config: HdpConfig) -> data.StructLayout:
    """Entries of the table of a job, as many as a beat has."""
    return data.StructLayout({
        "en": 1, "job": 1, "index": range(TABLE_BYTES * 8 // config.axi_data_width),
        "data": config.axi_data_width})


def block_tag_layout() -> data.StructLayout:
    """What travels with a block of 2 rows x 2 channels.

    ``pair`` of channels in the tile of ``slot``; ``ends`` a word; ``single``: there is no second
    row; ``job``: its slot of the unit.
    """
    return data.StructLayout({"pair": range(PAIRS), "slot": 1, "ends": 1, "single": 1, "job": 1})


def op_layout(config: HdpConfig) -> data.StructLayout:
    """One cycle of the array: chunks of T dimensions of a pair of rows and a pair of channels, two
    of each if ``narrow``."""
    return data.StructLayout({
        "x": chunk_bits(config), "w": chunk_bits(config), "narrow": 1, "first": 1, "last": 1,
        "tag": block_tag_layout(),
    })


def word_layout() -> data.StructLayout:
    """Results that lie side by side, of both lanes: 16 codes or 4 sums each; of a ``short`` one
    there are 8 codes."""
    return data.StructLayout({"lanes": data.ArrayLayout(128, 2), "short": 1, "single": 1})

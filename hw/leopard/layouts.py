# SPDX-License-Identifier: Apache-2.0
"""What goes between the blocks of the LeOPArd engine, and the sizes of what they hold."""

from amaranth.hdl import C, Mux, signed
from amaranth.lib import data

from prunus.golden.leopard.banks import bank_words, copy_counts, key_stride, most_keys
from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.kind import LeopardKind
from prunus.hw.survivors.layouts import PIECE, FrontEnd

__all__ = ["PENDING", "address_width", "copies_index", "copies_range", "digits_width",
           "firsts_layout", "front_end", "of_chunks", "place_layout", "query_layout", "row_layout",
           "row_numbers", "slot_layout", "stride_of", "stride_range", "tap_layout"]

PENDING = 32        # keys of a dot-product unit that are begun and not yet handed on


def of_chunks(config: LeopardConfig, d8, values):
    """The value for as many chunks as 8*d8 dimensions have, of those for 1, 2..., an expression."""
    result = C(values[-1])
    for n in range(config.chunks - 1, 0, -1):
        result = Mux(d8 > n * config.taps // PIECE, result, values[n - 1])
    return result


def stride_range(config: LeopardConfig) -> range:
    """Of the words that a key takes in a bank."""
    return range(key_stride(config, config.d_max) + 1)


def stride_of(config: LeopardConfig, d8):
    """Words that a key of 8*d8 dimensions takes in a bank, an expression."""
    return of_chunks(config, d8, [key_stride(config, (n + 1) * config.taps)
                                  for n in range(config.chunks)])


def copies_range(config: LeopardConfig) -> range:
    """Of the number of copies of a head's keys, which stands for 2 to the power of it."""
    return range(max(2, len(copy_counts(config))))


def copies_index(config: LeopardConfig, keys, d8):
    """That number, see :func:`prunus.golden.leopard.banks.copies`, an expression."""
    index = C(0)
    for count in copy_counts(config)[1:]:
        index = index + (keys <= of_chunks(config, d8, [
            most_keys(config, count, (n + 1) * config.taps) for n in range(config.chunks)]))
    return index


def address_width(config: LeopardConfig) -> int:
    """Bits of the address of a word in such a bank, which holds two heads."""
    return (2 * bank_words(config) - 1).bit_length()


def row_numbers(config: LeopardConfig) -> range:
    """What rows are counted in, round and round: all and none of ``config.rows`` differ."""
    return range(2 * config.rows)


def digits_width(config: LeopardConfig) -> int:
    """Bits of the number of digits of all keys of a row."""
    return (config.l_max * config.digits).bit_length()


def front_end(config: LeopardConfig) -> FrontEnd:
    """T_int of a job, the digits that a row took, and words of keys that are read."""
    return FrontEnd(record=LeopardKind.status, fields={"threshold": signed(config.threshold_width)},
                    counts={"digits": digits_width(config)},
                    words=("key_words", range(config.dpus + 1)))


def tap_layout(config: LeopardConfig) -> data.StructLayout:
    """A dimension of a query: |q| and q > 0. |-2**(W-1)| fits."""
    return data.StructLayout({"mag": config.width, "positive": 1})


def query_layout(config: LeopardConfig) -> data.ArrayLayout:
    """``PIECE`` dimensions of a query as they are in memory."""
    return data.ArrayLayout(signed(config.width), PIECE)


def place_layout(config: LeopardConfig) -> data.StructLayout:
    """Where a chunk of a query is: the row's slot and the chunk within it."""
    return data.StructLayout({"chunk": range(max(2, config.chunks)), "slot": range(config.rows)})


def row_layout(config: LeopardConfig, tag_width: int) -> data.StructLayout:
    """A row to be scored against the first ``keys`` keys in ``bank``.

    ``copies`` is how many of each there are, as :func:`copies_index` has it; ``d8`` is d / 8,
    ``threshold`` T_int; ``tag`` comes back with the row's end. Its lowest bit tells for whom words
    are counted.
    """
    return data.StructLayout({
        "keys": config.length_width, "d8": range(config.d_max // 8 + 1), "bank": 1,
        "copies": copies_range(config),
        "threshold": signed(config.threshold_width), "tag": tag_width,
    })


def slot_layout(config: LeopardConfig) -> data.StructLayout:
    """What the dot-product units know of a row, all of them alike.

    ``start`` is what no key can exceed, M_0, less T_int; ``base`` the address of a unit's first
    key, ``stride`` the words of a key and ``last_chunk`` the chunks of a digit less one.
    """
    return data.StructLayout({
        "keys": config.length_width, "base": address_width(config),
        "stride": stride_range(config),
        "last_chunk": range(max(2, config.chunks)),
        "start": signed(config.score_width + 1),
    })


def firsts_layout(config: LeopardConfig) -> data.ArrayLayout:
    """The first key of a dot-product unit in each slot's row. Every N_QK-th behind it is its own,
    too."""
    return data.ArrayLayout(range(max(2, config.dpus)), config.rows)

# SPDX-License-Identifier: Apache-2.0
"""What goes between the blocks of the LeOPArd engine, and the sizes of what they hold."""

from amaranth.hdl import C, Mux, signed
from amaranth.lib import data

from golden.leopard_banks import bank_words, copy_counts, key_stride, most_keys
from golden.leopard_config import LeopardConfig
from golden.softmax import MANT_BITS, RECIP_BITS
from hw.softmax.layouts import SHIFT_INDEX_BITS

__all__ = ["PENDING", "PIECE", "SLOTS", "TAG", "address_width", "chunk_count", "copies_index",
           "copies_range", "digits_width", "entry_layout", "firsts_layout", "levels_latency",
           "of_chunks", "place_layout", "query_layout", "ring_depth", "row_layout", "row_numbers",
           "row_result_layout", "scored_row_layout", "slot_layout", "slot_of", "stride_of",
           "stride_range", "survivor_layout", "tap_layout", "values_layout", "weight_layout"]

PIECE = 8           # dimensions of a query that come at a time
SLOTS = 3           # jobs in a core: one is loaded, one computed, one written
TAG = 3             # bits that tell whose row it is: the bank of its queries, its job's slot
PENDING = 32        # keys of a dot-product unit that are begun and not yet handed on


def chunk_count(config: LeopardConfig, d8):
    """Chunks of a digit of 8*d8 dimensions, an expression."""
    return sum((d8 > n * config.taps // PIECE for n in range(1, config.chunks)), C(1))


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
    """That number, see :func:`golden.leopard_banks.copies`, an expression."""
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


def levels_latency(terms: int) -> int:
    """Cycles of a sum of so many terms with a register after every two levels of adders."""
    return -(-(terms - 1).bit_length() // 2)


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


def survivor_layout(config: LeopardConfig, tag_width: int) -> data.StructLayout:
    """A survivor: its key and score. Or, with ``end``, the end of a row: its survivors, the digits
    that it took and the row's tag. What belongs to the other kind means nothing."""
    return data.StructLayout({
        "end": 1, "key": range(config.l_max), "score": signed(config.score_width),
        "survivors": config.length_width, "digits": digits_width(config), "tag": tag_width,
    })


def slot_of(tag):
    """The slot of the job that a row belongs to."""
    return tag[1:]


# -- from survivors to output rows ----------------------------------------------------------------
def ring_depth(config: LeopardConfig) -> int:
    """Survivors that wait for the end of their row or for their turn: those of two of the longest
    rows."""
    return 2 << (config.l_max - 1).bit_length()


def entry_layout(config: LeopardConfig) -> data.StructLayout:
    """A survivor that waits."""
    return data.StructLayout({"key": range(config.l_max), "score": signed(config.score_width)})


def scored_row_layout(config: LeopardConfig) -> data.StructLayout:
    """A row whose survivors are all there: how many, and the largest score (of none: anything)."""
    return data.StructLayout({
        "count": config.length_width, "top": signed(config.score_width), "tag": TAG})


def weight_layout(config: LeopardConfig) -> data.StructLayout:
    """The weight of a survivor, ``mag << (SHIFT_STEP * shift)``.

    A row without survivors has one entry all the same, ``none``, with weight 0 and no key.
    """
    return data.StructLayout({
        "key": range(config.l_max), "mag": MANT_BITS, "shift": SHIFT_INDEX_BITS, "first": 1,
        "last": 1, "none": 1, "tag": TAG})


def row_result_layout() -> data.StructLayout:
    """The reciprocal of a row's denominator, see :class:`hw.softmax.reciprocal.Reciprocal`."""
    return data.StructLayout({"r": RECIP_BITS + 1, "p": 5, "empty": 1, "tag": TAG})


def values_layout(config: LeopardConfig) -> data.ArrayLayout:
    """A chunk of a row of P.V."""
    return data.ArrayLayout(signed(config.accumulator_width), config.taps)

# SPDX-License-Identifier: Apache-2.0
"""Where the keys of a head are on the chip, and which dot-product unit reads which of them.

Each unit has a bank of its own. Key j is in bank ``j mod N_QK``, behind those before it. If every
query found its keys there, a unit whose keys survive often would be the last one in all rows. So a
head that leaves room for them has two or four ``copies`` of its keys: copy c of key j is in bank
``(j + c * N_QK // copies) mod N_QK``, in the c-th part of the bank. Row i reads copy ``i mod
copies``, and units are ahead of each other by several rows, so that what one has more to do in a
row it has less in the next ones. Which unit reads a key changes neither outputs nor counts.

Words that a beat brings an even number of are written two at a time, so a key takes an even number
of words of a bank then.
"""

from .config import LeopardConfig

__all__ = ["MOST_COPIES", "abreast", "bank_words", "copies", "copy_counts", "key_stride",
           "most_keys", "region_words", "turn", "unit_of"]

MOST_COPIES = 4


def abreast(config: LeopardConfig) -> int:
    """Words of a key that are written in a cycle: 2 if a beat has an even number of them, or 1."""
    words = config.axi_data_width // (config.taps * config.digit)
    return 2 if words and words % 2 == 0 else 1


def key_stride(config: LeopardConfig, d: int) -> int:
    """Words that a key of d dimensions takes in a bank."""
    words = config.digits * -(-d // config.taps)
    return -(-words // abreast(config)) * abreast(config)


def bank_words(config: LeopardConfig) -> int:
    """Words that the keys of the longest head take in the bank of a dot-product unit."""
    return -(-config.l_max // config.dpus) * key_stride(config, config.d_max)


def copy_counts(config: LeopardConfig) -> tuple[int, ...]:
    """The copies of its keys that a head may have: 1, 2, 4, but not more than banks."""
    return tuple(1 << n for n in range(MOST_COPIES.bit_length())
                 if 1 << n <= min(MOST_COPIES, config.dpus))


def region_words(config: LeopardConfig, count: int) -> int:
    """Words of a bank from one of ``count`` copies to the next."""
    return bank_words(config) // abreast(config) // count * abreast(config)


def most_keys(config: LeopardConfig, count: int, d: int) -> int:
    """Keys of d dimensions of which ``count`` copies fit."""
    return region_words(config, count) // key_stride(config, d) * config.dpus


def copies(config: LeopardConfig, keys: int, d: int) -> int:
    """Copies of ``keys`` valid keys of d dimensions: as many as fit."""
    return max(count for count in copy_counts(config)
               if count == 1 or keys <= most_keys(config, count, d))


def turn(config: LeopardConfig, count: int, row: int) -> int:
    """By how many banks the copy that a row reads is further on than the first one.

    ``row`` counts all rows that the coprocessor has computed, whosesoever they are.
    """
    return row % count * (config.dpus // count)


def unit_of(config: LeopardConfig, key: int, count: int, row: int) -> int:
    """The unit that reads a key for a row."""
    return (key + turn(config, count, row)) % config.dpus

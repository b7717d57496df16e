# SPDX-License-Identifier: Apache-2.0
"""Rows and keys for the tests of the LeOPArd engine, and what the specification makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prunus.golden.leopard import digits
from prunus.golden.leopard.banks import copies, copy_counts, unit_of
from prunus.golden.leopard.compute import threshold_limits
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.keys import beat_words, part_width, word_beats, word_width

__all__ = ["Row", "busiest", "codes", "copies_number", "key_beats", "key_words", "pieces",
           "row_bound"]


def codes(rng: np.random.Generator, config: LeopardConfig, *shape: int) -> np.ndarray:
    """Random codes, a few of them extreme."""
    values = rng.integers(config.min_code, config.max_code + 1, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice(
        [config.min_code, config.max_code, 0, -1, 1], shape), values)


def key_words(key, config: LeopardConfig) -> list[int]:
    """The words of a key as its bank holds them."""
    b, taps = config.digit, config.taps
    words = []
    for plane in digits.planes(key, width=config.width, digit=b):
        for first in range(0, len(key), taps):
            words.append(sum((int(d) & (1 << b) - 1) << n * b
                             for n, d in enumerate(plane[first : first + taps])))
    return words


def key_beats(keys, config: LeopardConfig) -> list[int]:
    """The beats of keys as :class:`prunus.hw.leopard.keys.KeyWriter` takes them."""
    beats = []
    for key in keys:
        words = key_words(key, config)
        if (several := beat_words(config)) > 1:
            beats += [sum(word << n * word_width(config)
                          for n, word in enumerate(words[at : at + several]))
                      for at in range(0, len(words), several)]
        else:
            size = part_width(config)
            beats += [word >> n * size & (1 << size) - 1 for word in words
                      for n in range(word_beats(config))]
    return beats


def copies_number(config: LeopardConfig, keys: int, d: int) -> int:
    """How many copies of its keys a head has, as blocks tell each other."""
    return copy_counts(config).index(copies(config, keys, d))


def pieces(q) -> list[list[int]]:
    """A query as it is sent."""
    return np.asarray(q).reshape(-1, 8).tolist()


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A query against the first keys of a head.

    Parameters
    ----------
    q : ndarray of int, (d,)
    k : ndarray of int, (keys of the head, d)
    keys : int
        Those that the row sees.
    threshold : int
    bank, tag : int
    """

    q: np.ndarray
    k: np.ndarray
    keys: int
    threshold: int
    bank: int = 0
    tag: int = 0

    def copies(self, config: LeopardConfig) -> int:
        """Of its head's keys."""
        return copies(config, *self.k.shape)

    def command(self, config: LeopardConfig) -> dict:
        return {"keys": self.keys, "d8": len(self.q) // 8, "bank": self.bank,
                "copies": copies_number(config, *self.k.shape), "threshold": self.threshold,
                "tag": self.tag}

    def decided(self, config: LeopardConfig):
        """Survivors as (key, score), and the digits of each key."""
        threshold = self.threshold if config.pruning else threshold_limits(config)[0]
        taken, scores = digits.terminate(self.q[None], self.k[: self.keys], threshold,
                                         width=config.width, digit=config.digit)
        return ([(j, int(s)) for j, s in enumerate(scores[0]) if s >= threshold],
                taken[0])

    def slots(self, config: LeopardConfig) -> tuple[int, int]:
        """Words that the row reads, and its survivors."""
        survivors, taken = self.decided(config)
        return int(taken.sum()) * -(-len(self.q) // config.taps), len(survivors)


def row_bound(rows: Sequence[Row], config: LeopardConfig) -> float:
    """The sum over rows of ``max(words / N_QK, survivors)``."""
    return float(sum(max(words / config.dpus, survivors)
                     for words, survivors in (row.slots(config) for row in rows)))


def busiest(rows: Sequence[Row], config: LeopardConfig, first: int = 0) -> int:
    """Words that the dot-product unit with the most work reads in these rows, which are rows
    ``first``, ``first + 1``... of all."""
    units = np.zeros(config.dpus, int)
    for n, row in enumerate(rows, first):
        taken = row.decided(config)[1] * -(-len(row.q) // config.taps)
        for key, words in enumerate(taken):
            units[unit_of(config, key, row.copies(config), n)] += words
    return int(units.max())

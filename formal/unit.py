# SPDX-License-Identifier: Apache-2.0
"""What a dot-product unit must do with a row, as a circuit that watches it.

The unit with its own pipeline, query store and places. Queries, keys and threshold are constants
of which nothing is known; the circuit works out what :mod:`prunus.golden.leopard.digits` says of
them and compares what comes out, and which words were asked for.
"""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.config import LeopardConfig
from prunus.golden.leopard.digits import unread
from prunus.hw.leopard import dpu
from prunus.hw.survivors.layouts import PIECE

__all__ = ["UnitWatch", "key_words", "specified"]


def total(terms):
    """A sum of signed terms that never wraps."""
    result = C(0, signed(1))
    for term in terms:
        result = result + term
    return result


class UnitWatch(wiring.Component):
    """A row of ``keys`` keys in ``d`` dimensions; those that are not ``live`` have q = 0.

    Parameters
    ----------
    config : LeopardConfig
        With one unit.
    keys, live : int
    cycles : int
        After which the row must have ended.
    ok_key, ok_score, ok_row, ok_digits, ok_words, ok_ended : Out(1)
        A survivor is one and none comes twice; its score; at the end all have come; as many digits
        were counted and words asked for as it takes to decide; the end is in time.
    """

    def __init__(self, *, config: LeopardConfig, keys: int, live: int, cycles: int):
        self._config, self._keys, self._live, self._cycles = config, keys, live, cycles
        d = config.taps * config.chunks
        super().__init__({
            "any_q": In(data.ArrayLayout(signed(config.width), live)),
            "any_k": In(data.ArrayLayout(signed(config.width), keys * d)),
            "any_threshold": In(signed(config.threshold_width)),
            "noise": In(config.taps * config.digit),
            **{name: Out(1) for name in ("ok_key", "ok_score", "ok_row", "ok_digits", "ok_words",
                                         "ok_ended")},
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.unit = unit = dpu.DotProductUnit(config=config)
        d = config.taps * config.chunks
        q = [Signal(signed(config.width), name=f"q_{n}") for n in range(d)]
        # Those with a value are as far apart as can be: in all chunks and parts of the tree.
        m.d.comb += [q[n * d // self._live].eq(self.any_q[n]) for n in range(self._live)]
        k = []
        for j in range(self._keys):
            k.append([Signal(signed(config.padded_width), name=f"k_{j}_{n}") for n in range(d)])
            m.d.comb += [code.eq(self.any_k[d * j + n]) for n, code in enumerate(k[-1])]
        time = Signal(range(self._cycles + 1))
        m.d.sync += time.eq(Mux(time == self._cycles, time, time + 1))
        self._load(m, unit, q, time)
        self._answer(m, unit, k)
        self._compare(m, unit, q, k, time)
        return m

    def _load(self, m, unit, q, time):
        """Writes the query, then says that the row is there."""
        config, lanes = self._config, self._config.taps // PIECE
        pieces = lanes * config.chunks
        positive = [Mux(x > 0, x, 0) for x in q]
        magnitude = [Mux(x < 0, -x, x) for x in q]
        slot = unit.slots[0]
        with m.Switch(time):
            for n in range(pieces):
                with m.Case(n):
                    m.d.comb += [unit.write.en.eq(1), unit.write.lane.eq(n % lanes),
                                 unit.write.place.chunk.eq(n // lanes)]
                    m.d.comb += [tap.eq(Cat(magnitude[PIECE * n + i][: config.width],
                                            q[PIECE * n + i] > 0))
                                 for i, tap in enumerate(unit.write.taps)]
        m.d.comb += [
            unit.loaded.eq(time >= pieces), slot.keys.eq(self._keys),
            slot.stride.eq(config.digits * config.chunks), slot.last_chunk.eq(config.chunks - 1),
            slot.start.eq((total(magnitude) << config.width - 1) - total(positive)
                          - self.any_threshold),
        ]

    def _answer(self, m, unit, k):
        """A bank; what is not asked for is noise."""
        words = [word for key in k for word in key_words(self._config, key)]
        banked = Array(words)
        read, asked = Signal(len(words[0])), Signal()
        m.d.sync += asked.eq(unit.en)
        m.d.sync += read.eq(Mux(unit.en, banked[unit.address], self.noise))
        m.d.sync += unit.data.eq(Mux(asked, read, self.noise))

    def _compare(self, m, unit, q, k, time):
        config, count = self._config, self._keys
        seen, wanted = Signal(count), Signal(count)
        scores, spent = [], []
        for n, key in enumerate(k):
            digits, score = specified(m, config, q, key, self.any_threshold, str(n))
            scores.append(score)
            spent.append(digits)
            m.d.comb += wanted[n].eq(score >= self.any_threshold)
        offer, mine = unit.offer, Signal()
        m.d.comb += [mine.eq(offer.valid & ~offer.ahead), unit.take.eq(mine)]
        excess = (Array(scores)[offer.key] - self.any_threshold)[: config.score_width]
        with m.If(mine):
            m.d.sync += seen.eq(seen | (1 << offer.key))
        over = Signal()                         # the row, for the first time
        ended = Signal()
        m.d.comb += over.eq(unit.ended & ~mine & ~ended)
        m.d.sync += ended.eq(ended | over)
        asked = [Signal(range(config.digits * config.chunks + 2), name=f"asked_{n}")
                 for n in range(count)]
        stride = config.digits * config.chunks
        for n, words in enumerate(asked):       # in order, none twice
            with m.If(unit.en & (unit.address == n * stride + words)):
                m.d.sync += words.eq(words + 1)
        right = Cat(unit.address == n * stride + words for n, words in enumerate(asked))
        m.d.comb += [
            self.ok_key.eq(~mine | ((offer.key < count) & ~ended
                                    & (wanted & ~seen).bit_select(offer.key, 1))),
            self.ok_score.eq(~mine | (offer.excess == excess)),
            self.ok_row.eq(~over | (seen == wanted)),
            self.ok_digits.eq(~over | (unit.digits == sum(spent))),
            self.ok_words.eq((~unit.en | right.any()) & (~over | Cat(
                words == digits * config.chunks
                for words, digits in zip(asked, spent, strict=True)).all())),
            self.ok_ended.eq((time != self._cycles) | ended),
        ]


def specified(m, config: LeopardConfig, q, key, threshold, label: str):
    """Digits and score of a key: golden's bounds, each from the whole key."""
    below = []
    positive = total(Mux(x > 0, x, 0) for x in q)
    for t in range(1, config.digits + 1):
        r = unread(t, config.width, config.digit)
        read = [(code >> r) << r for code in key]
        bound = Signal(signed(config.score_width + 2), name=f"u_{label}_{t}")
        m.d.comb += bound.eq(total(x * y for x, y in zip(q, read, strict=True))
                             + ((1 << r) - 1) * positive)
        below.append(bound < threshold)
    digits = Signal(range(config.digits + 1), name=f"digits_{label}")
    m.d.comb += digits.eq(config.digits)
    for t in range(config.digits, 0, -1):
        with m.If(below[t - 1]):
            m.d.comb += digits.eq(t)
    return digits, bound


def key_words(config: LeopardConfig, key):
    """The words of a key as a bank holds them, of codes of ``padded_width`` bits."""
    words = []
    for t in range(1, config.digits + 1):
        r = unread(t, config.width, config.digit)
        digits = [code[r : r + config.digit] for code in key]
        words += [Cat(digits[n : n + config.taps]) for n in range(0, len(digits), config.taps)]
    return words

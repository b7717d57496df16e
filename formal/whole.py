# SPDX-License-Identifier: Apache-2.0
"""What the QK unit must do with a few rows, as a circuit that watches it.

Loader, units, banks and merger together. Keys are written, with as many copies as fit, then rows
loaded as fast as they are taken: one that sees no key, so that where there are copies those after
it have another turn, and then the others. Queries, keys and thresholds are constants of which
nothing is known; the end of the first row is taken at once, other output in any cycles.
"""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.leopard.banks import abreast, copies, copy_counts, key_stride, region_words, turn
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard import qk
from prunus.hw.survivors.layouts import PIECE

from .unit import key_words, specified

__all__ = ["WholeWatch"]

LIVE = 3        # the dimension whose q is not 0


class WholeWatch(wiring.Component):
    """A row without keys, then some that see the same keys; ``PIECE`` dimensions, of which one has
    a q that is not 0.

    Parameters
    ----------
    config : LeopardConfig
    rows, keys : int
    ok_survivor, ok_end : Out(1)
        A survivor is one of the row, comes once and has its score; at a row's end all have come,
        and survivors, digits and tag are the row's.
    ok_words : Out(1)
        At the end of the last row as many words were asked for as it takes to decide.
    never_ended : Out(1)
        The last row has not ended: to be refuted.
    """

    def __init__(self, *, config: LeopardConfig, rows: int, keys: int):
        self._config, self._rows, self._keys = config, rows, keys
        super().__init__({
            "any_q": In(data.ArrayLayout(signed(config.width), rows)),
            "any_k": In(data.ArrayLayout(signed(config.width), keys * PIECE)),
            "any_threshold": In(data.ArrayLayout(signed(config.threshold_width), rows)),
            "ready": In(1),
            **{name: Out(1) for name in ("ok_survivor", "ok_end", "ok_words", "never_ended")},
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.qk = unit = qk.QKUnit(config=config, tag_width=2)
        k = []
        for j in range(self._keys):
            k.append([Signal(signed(config.padded_width), name=f"k_{j}_{n}")
                      for n in range(PIECE)])
            m.d.comb += [code.eq(self.any_k[PIECE * j + n]) for n, code in enumerate(k[-1])]
        written = self._write(m, unit, k)
        row, last = Signal(range(self._rows + 2)), self._rows
        count = copies(config, self._keys, PIECE)
        m.d.comb += [
            unit.row.valid.eq(written & (row <= last)),
            unit.row.payload.keys.eq(Mux(row == 0, 0, self._keys)),
            unit.row.payload.copies.eq(copy_counts(config).index(count)),
            unit.row.payload.d8.eq(1), unit.row.payload.tag.eq(row),
            unit.row.payload.threshold.eq(Array([C(0), *self.any_threshold])[row]),
            unit.query.valid.eq(unit.row.valid),
            unit.query.payload[LIVE].eq(Array([C(0), *self.any_q])[row]),
            unit.o.ready.eq(self.ready | (unit.o.payload.tag == 0)),
        ]
        with m.If(unit.row.valid & unit.row.ready):
            m.d.sync += row.eq(row + 1)
        self._compare(m, unit, k)
        return m

    def _write(self, m, unit, k):
        """A word or two per cycle, of all copies; whether all are written."""
        config, side = self._config, abreast(self._config)
        count = copies(config, self._keys, PIECE)
        words = []
        for j, key in enumerate(k):
            listed = key_words(config, key)
            words += [(j, n, listed[n : n + side]) for n in range(0, len(listed), side)]
        time = Signal(range(len(words) + 1))
        with m.Switch(time):
            for at, (j, n, several) in enumerate(words):
                with m.Case(at):
                    first = j // config.dpus * key_stride(config, PIECE) + n
                    m.d.comb += unit.write.data.eq(Cat(*several))
                    for copy in range(count):
                        bank = (j + turn(config, count, copy)) % config.dpus
                        m.d.comb += [
                            unit.write.en[bank].eq(1),
                            unit.write.address[bank].eq(
                                first + copy * region_words(config, count)),
                        ]
        with m.If(time != len(words)):
            m.d.sync += time.eq(time + 1)
        return time == len(words)

    def _compare(self, m, unit, k):
        config, count = self._config, self._keys
        wanted, spent, scores = [C(0)], [C(0)], [Array([C(0)] * count)]
        for r in range(self._rows):
            q = [self.any_q[r] if n == LIVE else C(0) for n in range(PIECE)]
            threshold = self.any_threshold[r]
            pairs = [specified(m, config, q, key, threshold, f"{r}_{j}")
                     for j, key in enumerate(k)]
            wanted.append(Cat(score >= threshold for _, score in pairs))
            spent.append(sum(digits for digits, _ in pairs))
            scores.append(Array([score for _, score in pairs]))
        row, seen, words = Signal(range(self._rows + 2)), Signal(count), Signal(8)
        o, moves = unit.o.payload, Signal()
        m.d.comb += moves.eq(unit.o.valid & unit.o.ready)
        with m.If(moves):
            m.d.sync += [row.eq(row + o.end), seen.eq(Mux(o.end, 0, seen | (1 << o.key)))]
        m.d.sync += words.eq(words + unit.words[0] + unit.words[1])
        mine, more = Signal(count), Signal()
        m.d.comb += [mine.eq(Array(wanted)[row]), more.eq(row <= self._rows)]
        m.d.comb += [
            self.ok_survivor.eq(~moves | o.end | (
                more & (o.key < count) & (mine & ~seen).bit_select(o.key, 1)
                & (o.score == Array(scores)[row][o.key]))),
            self.ok_end.eq(~moves | ~o.end | (
                more & (seen == mine) & (o.survivors == sum(mine))
                & (o.digits == Array(spent)[row]) & (o.tag == row))),
            self.ok_words.eq(more | (words == sum(spent))),
            self.never_ended.eq(more),
        ]

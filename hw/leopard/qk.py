# SPDX-License-Identifier: Apache-2.0
"""The QK unit: queries and keys in, survivors out."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.dpu import DotProductUnit
from prunus.hw.leopard.keys import KeyBank, write_layout
from prunus.hw.leopard.layouts import front_end, query_layout, row_layout
from prunus.hw.leopard.merge import Merger
from prunus.hw.leopard.query import RowLoader
from prunus.hw.survivors.layouts import survivor_layout

__all__ = ["QKUnit"]


class QKUnit(wiring.Component):
    """N_QK dot-product units over banks of keys, one query row after the other.

    Key j belongs to unit ``j mod N_QK``, or in each row to another one, if there are copies of keys
    in several banks: see :mod:`prunus.golden.leopard.banks`. Each unit asks for a word of keys in
    every cycle in which it has a key, and for none that it does not need. A unit that has begun all
    its keys of a row begins those of the next one in the same cycle, of up to ``config.rows`` rows
    at a time; survivors leave row by row all the same, those of a unit in the order of their keys.
    When survivors are not taken, units stop beginning keys once ``PENDING`` of theirs wait::

        query, row -> RowLoader -+-> DotProductUnit <-> KeyBank <- write
                                 +-> DotProductUnit <-> KeyBank <- write
                                 :         |
                                 +-------> Merger -> o

    Parameters
    ----------
    config : LeopardConfig
    tag_width : int
        Bits that accompany a row.

    Members
    -------
    row : In(stream of row_layout)
    query : In(stream of query_layout)
        The query of each row, d / 8 pieces; see :class:`prunus.hw.leopard.query.RowLoader`.
    write : In(write_layout)
        From :class:`prunus.hw.leopard.keys.KeyWriter`: into the half that no row under way reads.
    o : Out(stream of survivor_layout)
        The survivors of a row, then its end; when that has come the row reads no keys any more.
    words : Out(2 x)
        Words of keys that were asked for two cycles before, for rows with an even tag and for
        those with an odd one.
    """

    def __init__(self, *, config: LeopardConfig, tag_width: int):
        self._config, self._tag_width = config, tag_width
        super().__init__({
            "row": In(stream.Signature(row_layout(config, tag_width))),
            "query": In(stream.Signature(query_layout(config))),
            "write": In(write_layout(config)),
            "o": Out(stream.Signature(survivor_layout(config, front_end(config), tag_width))),
            "words": Out(data.ArrayLayout(range(config.dpus + 1), 2)),
        })

    def elaborate(self, platform):
        m = Module()
        config, tag_width = self._config, self._tag_width
        m.submodules.loader = loader = RowLoader(config=config, tag_width=tag_width)
        m.submodules.merger = merger = Merger(config=config, tag_width=tag_width)
        connect(m, flipped(self.row), loader.row)
        connect(m, flipped(self.query), loader.query)
        connect(m, merger.o, flipped(self.o))
        m.d.comb += [
            loader.freed.eq(merger.row),
            merger.thresholds.eq(loader.thresholds), merger.tags.eq(loader.tags),
        ]
        units = []
        for n in range(config.dpus):
            m.submodules[f"unit_{n}"] = unit = DotProductUnit(config=config)
            m.submodules[f"bank_{n}"] = bank = KeyBank(config=config)
            units.append(unit)
            m.d.comb += [
                unit.slots.eq(loader.slots), unit.firsts.eq(loader.firsts[n]),
                unit.loaded.eq(loader.loaded), unit.write.eq(loader.write),
                unit.take.eq(merger.take[n]), unit.advance.eq(merger.advance),
                merger.offers[n].eq(unit.offer), merger.digits[n].eq(unit.digits),
                bank.write_en.eq(self.write.en[n]), bank.write_address.eq(self.write.address[n]),
                bank.write_part.eq(self.write.part), bank.write_data.eq(self.write.data),
                bank.en.eq(unit.en), bank.address.eq(unit.address), unit.data.eq(bank.data),
            ]
        m.d.comb += merger.ended.eq(Cat(unit.ended for unit in units))
        odd = Signal(config.rows)               # tags by slot
        m.d.comb += odd.eq(Cat(tag[0] for tag in loader.tags))
        asked = [Signal(config.dpus, name=name) for name in ("asked_even", "asked_odd")]
        for n, unit in enumerate(units):
            m.d.sync += [which[n].eq(unit.en & (odd.bit_select(unit.slot, 1) == parity))
                         for parity, which in enumerate(asked)]
        m.d.sync += [words.eq(sum(which)) for words, which in zip(self.words, asked, strict=True)]
        return m

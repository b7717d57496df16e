# SPDX-License-Identifier: Apache-2.0
"""Walks the rows of blocks of a head and works out what each may see."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.layouts import row_layout

__all__ = ["RowWalker"]


class RowWalker(wiring.Component):
    """The rows of blocks of a head in order, one every 3 cycles, prefetched.

    Query i of a head sees the keys below ``limit = valid_kv``, or, when causal, below
    ``clip(i + 1 + offset, 0, valid_kv)``; a padded query sees none.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    start : In(1)
        Strobe while idle. The job's fields below are held until the last row has been taken;
        ``valid_q`` and ``valid_kv`` are not zero.
    valid_q, valid_kv, offset, causal : In
    o : Out(stream of row_layout)
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "valid_q": In(config.held_width),
            "valid_kv": In(config.held_width),
            "offset": In(signed(config.length_width + 2)),
            "causal": In(1),
            "o": Out(stream.Signature(row_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        row = Signal(self._config.block_width)
        query = Signal(self._config.held_width + 1)
        reach = [Signal(signed(self._config.length_width + 2), name=f"reach_{i}") for i in range(2)]
        payload = self.o.payload

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [row.eq(0), query.eq(0)]
                with m.If(self.start):
                    m.next = "REACH"
            with m.State("REACH"):
                # How many keys a causal query sees, before clipping.
                base = Signal(signed(self._config.length_width + 2))
                m.d.comb += base.eq(query + self.offset)
                m.d.sync += [reach[0].eq(base + 1), reach[1].eq(base + 2)]
                m.next = "LIMIT"
            with m.State("LIMIT"):
                with m.If(~self.o.valid | self.o.ready):
                    for i in range(2):
                        seen = Mux(reach[i] < 0, 0,
                                   Mux(reach[i] > self.valid_kv, self.valid_kv, reach[i]))
                        m.d.sync += payload.limit[i].eq(
                            Mux(query + i < self.valid_q,
                                Mux(self.causal, seen, self.valid_kv), 0))
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                # The second query sees at least what the first sees, unless it is padding.
                wider = Mux(payload.limit[1] > payload.limit[0], payload.limit[1], payload.limit[0])
                last = query + 2 >= self.valid_q
                m.d.sync += [
                    payload.row.eq(row),
                    payload.columns.eq((wider + 1) >> 1),
                    payload.last.eq(last),
                    self.o.valid.eq(1),
                    row.eq(row + 1),
                    query.eq(query + 2),
                ]
                m.next = "REACH"
                with m.If(last):
                    m.next = "IDLE"
        return m

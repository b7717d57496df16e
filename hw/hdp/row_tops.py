# SPDX-License-Identifier: Apache-2.0
"""What softmax must know of rows that come in tiles."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.layouts import row_tag_layout
from prunus.hw.hdp.softmax_layouts import row_token_layout
from prunus.hw.hdp.tiler import Phase

__all__ = ["RowTops"]


class RowTops(wiring.Component):
    """Gathers the largest scores of the rows of a strip, for the tokens of its second pass.

    Tokens of heads that are not in tiles pass in the same cycle, the others wait a cycle for the
    memory. Those of the phase TOP end here; they wait as if they went on, since a token that is
    taken frees the scores of the row before it, which softmax may still read. Those of VALUE
    go on with what TOP has gathered.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    i, o : streams of row_token_layout
    bank : Out(1)
        The tile of the token; for it:
    phase, first : In
    gathered, ended : Out(1)
        Strobes: a token of the phase TOP has ended here, and the last one of ``bank``.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        token = stream.Signature(row_token_layout(config, row_tag_layout(config).size))
        super().__init__({
            "i": In(token), "o": Out(token), "bank": Out(1), "phase": In(Phase), "first": In(1),
            "gathered": Out(1), "ended": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        top_shape = signed(config.score_width)
        row = data.StructLayout({
            "top": data.ArrayLayout(top_shape, 2),
            "some": data.ArrayLayout(1, 2), "hides": data.ArrayLayout(1, 2),
        })
        m.submodules.rows = rows = memory.Memory(shape=row, depth=config.blocks, init=[])
        write = rows.write_port()
        read = rows.read_port()
        token, out = self.i.payload, self.o.payload
        tag = data.View(row_tag_layout(config), token.tag)
        old = read.data
        gathers = Signal()
        known = Signal()
        m.d.comb += [
            self.bank.eq(tag.bank),
            read.addr.eq(tag.row), write.addr.eq(tag.row),
            gathers.eq(self.phase == Phase.TOP),
            self.o.valid.eq(self.i.valid & ~gathers & (known | (self.phase == Phase.WHOLE))),
            self.i.ready.eq(self.o.ready & (known | (self.phase == Phase.WHOLE))),
            write.en.eq(self.i.valid & self.i.ready & gathers),
            self.gathered.eq(write.en), self.ended.eq(write.en & tag.last),
            out.eq(token),
            out.resumes.eq(~self.first),
        ]
        m.d.sync += known.eq(self.i.valid & ~self.i.ready)
        for q in range(2):
            before = old.some[q] & ~self.first
            higher = Signal(name=f"higher_{q}")
            m.d.comb += [
                higher.eq(token.some[q] & (~before | (token.top[q] > old.top[q]))),
                write.data.top[q].eq(Mux(higher, token.top[q], old.top[q])),
                write.data.some[q].eq(token.some[q] | before),
                write.data.hides[q].eq(token.hides[q] | (old.hides[q] & ~self.first)),
            ]
        with m.If(self.phase == Phase.VALUE):
            m.d.comb += [
                Cat(out.top.as_value(), out.some.as_value(), out.hides.as_value()).eq(
                    old.as_value()),
            ]
        return m

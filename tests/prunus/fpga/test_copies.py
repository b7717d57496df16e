# SPDX-License-Identifier: Apache-2.0
"""Copies of a register are still there in the netlist of a board."""

import json

import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.fpga import flow
from prunus.synth.tools import yosys

WIDTH = 5


class _Copy(wiring.Component):
    i: In(WIDTH)
    o: Out(WIDTH)

    def __init__(self, attrs):
        super().__init__()
        self._attrs = attrs

    def elaborate(self, platform):
        m = Module()
        mine = Signal(WIDTH, attrs=self._attrs)
        m.d.sync += mine.eq(self.i)
        m.d.comb += self.o.eq(mine)
        return m


class _Top(wiring.Component):
    i: In(WIDTH)
    o: Out(3 * WIDTH)

    def __init__(self, attrs):
        super().__init__()
        self._attrs = attrs

    def elaborate(self, platform):
        m = Module()
        for n in range(3):
            m.submodules[f"copy_{n}"] = copy = _Copy(self._attrs)
            m.d.comb += [copy.i.eq(self.i), self.o.word_select(n, WIDTH).eq(copy.o)]
        return m


@pytest.mark.parametrize("attrs, copies", [({"keep": 1}, 3), ({}, 1)])
@pytest.mark.parametrize("convert, file", [(rtlil.convert, "top.il"),
                                           (verilog.convert, "system.v")])
def test_copies(tmp_path, convert, file, attrs, copies):
    for name in ("top.il", "system.v"):
        (tmp_path / name).write_text("")
    (tmp_path / file).write_text(convert(_Top(attrs), name="top"))
    yosys(flow._SCRIPT, tmp_path)
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    assert [cell["type"] for cell in cells].count("TRELLIS_FF") == copies * WIDTH

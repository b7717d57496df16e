# SPDX-License-Identifier: Apache-2.0
"""Copies of a register are still there in the netlist of a board."""

import json

import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.fpga.vendors import FLOWS
from prunus.hw.parts.copies import kept_copy
from prunus.synth.tools import yosys

WIDTH = 5


class _Copy(wiring.Component):
    i: In(WIDTH)
    o: Out(WIDTH)

    def __init__(self, keep):
        super().__init__()
        self._keep = keep

    def elaborate(self, platform):
        m = Module()
        copy = Signal(WIDTH)
        if self._keep:
            copy = kept_copy(m, self.i, "mine")
        else:
            m.d.sync += copy.eq(self.i)
        m.d.comb += self.o.eq(copy)
        return m


class _Top(wiring.Component):
    i: In(WIDTH)
    o: Out(3 * WIDTH)

    def __init__(self, keep):
        super().__init__()
        self._keep = keep

    def elaborate(self, platform):
        m = Module()
        for n in range(3):
            m.submodules[f"copy_{n}"] = copy = _Copy(self._keep)
            m.d.comb += [copy.i.eq(self.i), self.o.word_select(n, WIDTH).eq(copy.o)]
        return m


@pytest.mark.parametrize("keep, copies", [(True, 3), (False, 1)])
@pytest.mark.parametrize("convert, file", [(rtlil.convert, "top.il"),
                                           (verilog.convert, "system.v")])
def test_copies(tmp_path, convert, file, keep, copies):
    for name in ("top.il", "system.v"):
        (tmp_path / name).write_text("")
    (tmp_path / file).write_text(convert(_Top(keep), name="top"))
    yosys(FLOWS["ecp5"].script, tmp_path)
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    assert [cell["type"] for cell in cells].count("TRELLIS_FF") == copies * WIDTH

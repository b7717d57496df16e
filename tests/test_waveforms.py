# SPDX-License-Identifier: Apache-2.0
"""Waveforms of block tests."""

from amaranth.hdl import Module, Signal

from tests.hw.helpers import simulate
from tests.waveforms import name_of, record


def test_the_file_of_a_test():
    name = "tests/hw/test_top.py::test_reader"
    assert name_of(f"{name}[2-a b]") == "hw-test_top.py-test_reader-2-a-b.vcd"
    assert name_of(f"{name}[0.5]") != name_of(f"{name}[05]")


def test_a_simulation_is_recorded(monkeypatch, tmp_path):
    path = tmp_path / "new" / "wave.vcd"
    record(monkeypatch, path)
    for cycles in (3, 5):
        m = Module()
        counted = Signal(4, name="counted")
        m.d.sync += counted.eq(counted + 1)

        async def testbench(ctx, cycles=cycles):
            await ctx.tick().repeat(cycles)

        simulate(m, testbench)
    text = path.read_text()
    assert "$var" in text and " counted " in text
    assert "b101 " in text and "b110 " not in text        # five cycles: the last one

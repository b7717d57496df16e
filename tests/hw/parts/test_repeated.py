# SPDX-License-Identifier: Apache-2.0
"""Repeated blocks: one inside for all of a kind, in the Verilog what the simulator sees."""

import re
from itertools import count

import pytest
from amaranth.hdl import EnableInserter, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from prunus.golden.hdp.config import HdpConfig
from prunus.hw.parts.repeated import Repeated
from prunus.hw.verilog.emit import to_verilog

NARROW, WIDE = HdpConfig(name="narrow", width=8), HdpConfig(name="wide", width=12)


class Counter(Repeated):
    """Counts by the width of a code."""

    built = 0

    def __init__(self, *, config: HdpConfig):
        super().__init__({"en": In(1), "count": Out(8)}, config=config)

    def build(self):
        Counter.built += 1
        m = Module()
        with m.If(self.en):
            m.d.sync += self.count.eq(self.count + self._config.width)
        return m


class Bank(wiring.Component):
    """Counters that are enabled one by one."""

    en: In(4)
    total: Out(10)

    def __init__(self, *, wrap=lambda block: block):
        self._wrap = wrap
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        counters = [Counter(config=config) for config in (NARROW, NARROW, WIDE, NARROW)]
        for n, counter in enumerate(counters):
            m.submodules[f"counter_{n}"] = self._wrap(counter)
            m.d.comb += counter.en.eq(self.en[n])
        m.d.comb += self.total.eq(sum(counter.count for counter in counters))
        return m


def test_each_kind_is_built_once_and_has_one_module():
    Counter.built = 0
    verilog, _ = to_verilog(Bank(), "bank")
    assert Counter.built == 2
    modules = re.findall(r"^module (\S+?)\s*\(", verilog, re.M)
    assert sorted(modules) == ["bank", "bank__counter_counter_0", "bank__counter_counter_2"]
    instances = re.findall(r"^  bank__counter_(counter_\d) (counter_\d) \(", verilog, re.M)
    assert instances == [
        ("counter_0", "counter_0"), ("counter_0", "counter_1"), ("counter_2", "counter_2"),
        ("counter_0", "counter_3")]


def test_each_instance_has_its_own_connections():
    verilog, _ = to_verilog(Bank(), "bank")
    pins = [dict(re.findall(r"\.(\w+)\((.*?)\)", text)) for text in re.findall(
        r" counter_\d \((.*?)\);", verilog, re.S)]
    assert [p["en"] for p in pins] == [f"en[{n}]" for n in range(4)]
    assert len({p["count"] for p in pins}) == 4
    assert {(p["clk"], p["rst"]) for p in pins} == {("clk", "rst")}


def test_simulation_has_all_of_them():
    bank = Bank()

    async def testbench(ctx):
        for en, total in ((0b0001, 8), (0b1111, 8 + 36), (0b0100, 44 + 12), (0b1010, 56 + 16)):
            ctx.set(bank.en, en)
            await ctx.tick()
            assert ctx.get(bank.total) == total

    simulator = Simulator(bank)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("which", range(4))
def test_an_inserter_around_one_is_refused(which):
    """Also where it is not the one that is built."""
    numbers = count()

    def wrap(block):
        return EnableInserter(bank.en[0])(block) if next(numbers) == which else block

    bank = Bank(wrap=wrap)
    with pytest.raises(ValueError, match=rf"bank\.counter_{which} is a repeated block.*: en_1"):
        to_verilog(bank, "bank")

# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from prunus.hw.shell.axi import AXI4, AXI4Lite, AXI4Read, AXI4Write, connect_flat, flat_members
from tests.hw.helpers import refusal

AXI4_NAMES = """awid awaddr awlen awsize awburst awlock awcache awprot awqos awvalid
    awready wdata wstrb wlast wvalid wready bid bresp bvalid bready
    arid araddr arlen arsize arburst arlock arcache arprot arqos arvalid
    arready rid rdata rresp rlast rvalid rready""".split()
LITE_NAMES = """awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready
    araddr arprot arvalid arready rdata rresp rvalid rready""".split()
FROM_SLAVE = {"awready", "wready", "bid", "bresp", "bvalid", "arready", "rid", "rdata", "rresp",
              "rlast", "rvalid"}


@pytest.mark.parametrize("signature, names",
                         [(AXI4(32, 128), AXI4_NAMES), (AXI4Lite(8), LITE_NAMES)])
def test_names_and_directions(signature, names):
    assert set(signature.members) == set(names)
    for name, member in signature.members.items():
        assert member.flow is (In if name in FROM_SLAVE else Out), name


def test_widths():
    widths = {name: member.shape for name, member in AXI4(40, 128).members.items()}
    assert widths["awaddr"] == widths["araddr"] == 40
    assert widths["wdata"] == widths["rdata"] == 128
    assert widths["wstrb"] == 16
    assert widths["awid"] == 1


@pytest.mark.parametrize("make, text", [
    (lambda: AXI4(32, 48), "data_width must be one of 8, 16, 32, 64, 128, 256, 512, 1024, not 48"),
    (lambda: AXI4Lite(8, 128), "data_width must be one of 32, 64, not 128"),
])
def test_bad_width(make, text):
    assert refusal(make) == text


class _Master(wiring.Component):
    """Drives every output with a value of its name, and keeps its inputs."""

    def __init__(self, signature):
        super().__init__({"axi": Out(signature)})

    def elaborate(self, platform):
        m = Module()
        for name, member in self.axi.signature.members.items():
            if member.flow is Out:
                m.d.comb += getattr(self.axi, name).eq(_value(name, member))
        return m


class _Slave(wiring.Component):
    def __init__(self, signature):
        super().__init__({"bus": In(signature), "sum": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.bus.rdata.eq(0x1234), self.bus.rvalid.eq(1),
                     self.sum.eq(self.bus.awaddr + self.bus.wdata)]
        return m


def _value(name, member):
    return (sum(name.encode()) * 2654435761) & ((1 << member.shape) - 1)


class _Top(wiring.Component):
    """Ports of a whole AXI4 from two halves, and of an AXI4-Lite slave."""

    def __init__(self):
        super().__init__({**flat_members("m_axi", AXI4(32, 64)),
                          **flat_members("s_axil", AXI4Lite(8).flip())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = _Master(AXI4Read(32, 64))
        m.submodules.writer = writer = _Master(AXI4Write(32, 64))
        m.submodules.slave = self.slave = _Slave(AXI4Lite(8))
        connect_flat(m, self, "m_axi", reader.axi)
        connect_flat(m, self, "m_axi", writer.axi)
        connect_flat(m, self, "s_axil", self.slave.bus)
        self.reader = reader
        return m


def test_connect_flat():
    top = _Top()
    assert set(top.signature.members) == (
        {f"m_axi_{name}" for name in AXI4_NAMES} | {f"s_axil_{name}" for name in LITE_NAMES})

    async def testbench(ctx):
        for name, member in AXI4(32, 64).members.items():
            if member.flow is Out:
                assert ctx.get(getattr(top, f"m_axi_{name}")) == _value(name, member), name
        ctx.set(top.m_axi_rdata, 0x0123456789ABCDEF)
        ctx.set(top.s_axil_awaddr, 0x20)
        ctx.set(top.s_axil_wdata, 0x300)
        assert ctx.get(top.reader.axi.rdata) == 0x0123456789ABCDEF
        assert ctx.get(top.slave.sum) == 0x320
        assert ctx.get(top.s_axil_rdata) == 0x1234
        assert ctx.get(top.s_axil_rvalid) == 1

    simulator = Simulator(top)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("ports, text", [
    ({}, "the component needs a port m_axi_arid of Out(1), not None"),
    (flat_members("m_axi", AXI4(32, 64).flip()),
     "the component needs a port m_axi_arid of Out(1), not In(1)"),
    (flat_members("m_axi", AXI4(32, 128)),
     "the component needs a port m_axi_rdata of In(64), not In(128)"),
])
def test_connect_flat_mismatch(ports, text):
    def make():
        connect_flat(Module(), wiring.Component(ports), "m_axi", _Master(AXI4Read(32, 64)).axi)

    assert refusal(make) == text

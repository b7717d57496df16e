# SPDX-License-Identifier: Apache-2.0
"""The emitted coprocessor as a component of an Amaranth design."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.hw.shell.axi import AXI4, AXI4Lite

__all__ = ["CoprocessorInstance", "bus_pins"]


def bus_pins(prefix: str, neighbour) -> list[tuple]:
    """Pins of an :class:`amaranth.hdl.Instance` whose ports ``{prefix}_{name}`` are a bus.

    Parameters
    ----------
    prefix : str
    neighbour : interface
        The bus at the other end: that of the component which the instance talks to. It may have
        some of the channels only.
    """
    return [("i" if member.flow is Out else "o", f"{prefix}_{name}", getattr(neighbour, name))
            for name, member in neighbour.signature.members.items()]


class CoprocessorInstance(wiring.Component):
    """An instance of the module that :func:`prunus.hw.verilog.emit.emit` writes.

    The module's text belongs to the files of the design. So the text that is tested is the text
    that is synthesised, whatever becomes of the design around it. The clock is that of domain
    ``sync``, and so is the reset.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    control : In(AXI4Lite)
        Registers.
    memory : Out(AXI4)
        Where operands, results and descriptors lie.
    irq : Out(1)
        A doorbell's work is done.
    """

    def __init__(self, *, config: EngineConfig):
        self._config = config
        super().__init__({
            "control": In(AXI4Lite(registers.ADDRESS_BITS)),
            "memory": Out(AXI4(config.axi_address_width, config.axi_data_width)),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.instance = Instance(
            self._config.name, ("i", "clk", ClockSignal()), ("i", "rst", ResetSignal()),
            ("o", "irq", self.irq), *bus_pins("s_axil", wiring.flipped(self.control)),
            *bus_pins("m_axi", wiring.flipped(self.memory)))
        return m

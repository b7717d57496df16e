# SPDX-License-Identifier: Apache-2.0
"""All of a board but its clock: host link, memory, coprocessor."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.hw.instance import bus_pins
from prunus.hw.shell.bursts import ADDRESS_WIDTH
from prunus.hw.verilog.emit import emit, to_verilog

from .frames import SlipDecoder, SlipEncoder
from .link import Link
from .ram import BlockMemory
from .uart import UartReceiver, UartTransmitter

__all__ = ["System", "check_addresses", "emit_system", "system_name"]


def system_name(config: EngineConfig) -> str:
    """Of the module."""
    return f"{config.name}__system"


def check_addresses(config: EngineConfig) -> None:
    """Raise ValueError for a coprocessor whose addresses the link and the memory do not have."""
    if config.wide:
        raise ValueError(f"axi_address_width must be {ADDRESS_WIDTH} on a board, not "
                         f"{config.axi_address_width}")


class System(wiring.Component):
    """A coprocessor with block RAM for a memory, reached over a serial line. ::

        rx -> UartReceiver -> SlipDecoder -> Link <- SlipEncoder <- ... tx
                                             |  |
                        coprocessor <- s_axil+  +-> BlockMemory <- m_axi coprocessor

    The coprocessor is an instance of the module that ``prunus.hw.verilog.emit`` writes, so what is
    simulated, synthesised and given away is the same text.

    Parameters
    ----------
    config : EngineConfig
    divisor : int
        Clock cycles of a bit on the line.
    memory_bytes : int

    Members
    -------
    rx, tx
        The line.
    irq : Out(1)
        The coprocessor's interrupt.
    error : Out(1)
        A request was refused in this session.

    Raises
    ------
    ValueError
        Addresses have more than 32 bits.
    """

    def __init__(self, *, config: EngineConfig, divisor: int, memory_bytes: int):
        check_addresses(config)
        self._config = config
        self._divisor, self._memory_bytes = divisor, memory_bytes
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "irq": Out(1),
                          "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.receiver = receiver = UartReceiver(divisor=self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self._divisor)
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.link = link = Link(config=config, memory_bytes=self._memory_bytes)
        m.submodules.memory = memory = BlockMemory(config=config, size=self._memory_bytes)
        wiring.connect(m, receiver.o, decoder.i)
        wiring.connect(m, decoder.o, link.i)
        wiring.connect(m, link.o, encoder.i)
        wiring.connect(m, encoder.o, transmitter.i)
        wiring.connect(m, link.access, memory.host)
        reset = Signal(init=1)          # so it is high in a reset of all, too
        m.d.sync += reset.eq(link.reset)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx),
                     link.word_valid.eq(memory.host_valid), link.word.eq(memory.host_word),
                     memory.reset.eq(reset), self.error.eq(link.error)]
        self._connect(m, link, memory, reset)
        return m

    def _connect(self, m, link, memory, reset):
        """The coprocessor by its ports."""
        m.submodules.coprocessor = Instance(
            self._config.name, ("i", "clk", ClockSignal()), ("i", "rst", reset),
            ("o", "irq", self.irq), *bus_pins("s_axil", link.lite),
            *bus_pins("m_axi", memory.write), *bus_pins("m_axi", memory.read))


def emit_system(config: EngineConfig, *, divisor: int, memory_bytes: int) -> str:
    """Verilog of a system, the coprocessor in it; its top is called ``system_name(config)``."""
    system = System(config=config, divisor=divisor, memory_bytes=memory_bytes)
    around, _ = to_verilog(system, system_name(config))
    return f"{emit(config).verilog}\n{around}"

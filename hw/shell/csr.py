# SPDX-License-Identifier: Apache-2.0
"""The registers a host sees over AXI4-Lite."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.records import DESCRIPTOR_BYTES
from prunus.golden.registers import Status

from .axi import AXI4Lite, Resp

__all__ = ["Csr", "counter_layout"]


def counter_layout(config: EngineConfig | None = None) -> data.StructLayout:
    """The 32-bit counters of the register map, by name; those of HDP by default."""
    return data.StructLayout(dict.fromkeys(registers.counter_names(config), 32))


class Csr(wiring.Component):
    """The register map of ``prunus.golden.registers`` as an AXI4-Lite slave.

    A write is answered 2 cycles after the later of its address and its data, a read 3 cycles
    after its address; one write per 2 cycles and one read per 3, independent of each other.

    Bits 1:0 of an address are ignored. Byte strobes hold for every writable register, a doorbell
    with some strobes rings with the rest of its last value; a write without any strobe changes
    nothing. A refused doorbell leaves the register as it was.

    Parameters
    ----------
    config : EngineConfig
        Gives the registers and the constants.

    Members
    -------
    bus : In(AXI4Lite)
        The host's side.
    start : Out(1)
        Strobe: a doorbell was accepted. ``table`` and ``count`` are valid.
    table : Out(32)
        Address of the descriptor table, a multiple of 64 at ``start``. Follows the register,
        which the host may write while busy.
    count : Out(32)
        Descriptors of the last accepted doorbell.
    done : In(1)
        Strobe: the table is worked off. Clears busy and makes the interrupt pending; if the host
        clears it in the same cycle it stays pending.
    write_error : In(1)
        Strobe: a write was answered with an error. Shows in the status register until the next
        accepted doorbell.
    counters : In(counter_layout(config))
        What the counter registers read.
    irq : Out(1)
        The interrupt is pending and enabled.
    """

    def __init__(self, *, config: EngineConfig):
        self._constants = registers.constants(config)
        self._registers = registers.register_map(config)
        counters = counter_layout(config)
        super().__init__({
            "bus": In(AXI4Lite(registers.ADDRESS_BITS)),
            "start": Out(1),
            "table": Out(32),
            "count": Out(32),
            "done": In(1),
            "write_error": In(1),
            "counters": In(counters),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        pending = Signal()
        busy = Signal()
        write_error = Signal()
        status = Signal(len(Status))
        m.d.comb += [status[Status.BUSY].eq(busy), status[Status.IRQ].eq(pending),
                     status[Status.WRITE_ERROR].eq(write_error)]
        values = {"irq_enable": enable, "status": status, "table": self.table,
                  "doorbell": self.count}
        for name, value in self._constants.items():
            values[name] = value
        for name, _ in self.counters.shape():
            values[name] = self.counters[name]
        self._read(m, values)
        self._write(m, enable, pending, busy)
        with m.If(self.start):
            m.d.sync += write_error.eq(0)
        with m.Elif(self.write_error):
            m.d.sync += write_error.eq(1)
        m.d.sync += self.irq.eq(pending & enable)
        return m

    def _read(self, m, values):
        bus = self.bus
        held = Signal()
        word = Signal(registers.ADDRESS_BITS - 2)
        m.d.comb += bus.arready.eq(~held)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [held.eq(1), word.eq(bus.araddr[2:])]
        # In two steps, as what is read comes from all over the chip: of eight words, then of all.
        by_word = {register.address >> 2: values[register.name] for register in self._registers}
        eights = {}
        for n in sorted({at >> 3 for at in by_word}):
            eights[n] = Signal(32, name=f"eight_{n}", reset_less=True)
            with m.Switch(word[:3]):
                for at, value in by_word.items():
                    if at >> 3 == n:
                        with m.Case(at & 7):
                            m.d.sync += eights[n].eq(value)
        chosen = Signal()
        m.d.sync += chosen.eq(held)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(held & chosen & (~bus.rvalid | bus.rready)):
            m.d.sync += [held.eq(0), chosen.eq(0), bus.rvalid.eq(1), bus.rdata.eq(0),
                         bus.rresp.eq(Resp.SLVERR)]
            with m.Switch(word):
                for at in by_word:
                    with m.Case(at):
                        m.d.sync += [bus.rdata.eq(eights[at >> 3]), bus.rresp.eq(Resp.OKAY)]

    def _write(self, m, enable, pending, busy):
        """Address and data are held as they come; once both are there, the write is done."""
        bus = self.bus
        have_address = Signal()
        have_data = Signal()
        word = Signal(registers.ADDRESS_BITS - 2)
        value = Signal(32)
        strobe = Signal(4)
        commit = Signal()
        m.d.comb += [
            bus.awready.eq(~have_address),
            bus.wready.eq(~have_data),
            commit.eq(have_address & have_data & (~bus.bvalid | bus.bready)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [have_address.eq(1), word.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [have_data.eq(1), value.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        def merged(old):
            return Cat(Mux(strobe[n], value[8 * n : 8 * n + 8], old[8 * n : 8 * n + 8])
                       for n in range(4))

        m.d.sync += self.start.eq(0)
        with m.If(commit):
            m.d.sync += [have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(Resp.OKAY)]
            with m.Switch(word):
                for register in self._registers:
                    with m.Case(register.address >> 2):
                        if register.name == "irq_enable":
                            with m.If(strobe[0]):
                                m.d.sync += enable.eq(value[0])
                        elif register.name == "status":
                            with m.If(strobe[0] & value[Status.IRQ]):
                                m.d.sync += pending.eq(0)
                        elif register.name == "table":
                            m.d.sync += self.table.eq(merged(self.table))
                        elif register.name == "doorbell":
                            self._ring(m, merged(self.count), strobe.any(), busy)
                with m.Default():
                    m.d.sync += bus.bresp.eq(Resp.SLVERR)
        with m.If(self.done):
            m.d.sync += [busy.eq(0), pending.eq(1)]

    def _ring(self, m, count, written, busy):
        misaligned = (self.table & (DESCRIPTOR_BYTES - 1)) != 0
        with m.If(written):
            with m.If(busy | misaligned | (count == 0)):
                m.d.sync += self.bus.bresp.eq(Resp.SLVERR)
            with m.Else():
                m.d.sync += [self.count.eq(count), self.start.eq(1), busy.eq(1)]

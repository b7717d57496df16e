# SPDX-License-Identifier: Apache-2.0
"""The registers a host sees over AXI4-Lite."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.records import WORD_BITS
from prunus.golden.registers import HIGH, Status

from .axi import AXI4Lite, Resp
from .bursts import WINDOW_LOW, windows_layout
from .faults import fault_layout

__all__ = ["Csr", "counter_layout"]


def counter_layout(config: EngineConfig | None = None) -> data.StructLayout:
    """The 32-bit counters of the register map, by name; those of HDP by default."""
    return data.StructLayout(dict.fromkeys(registers.counter_names(config), 32))


def _words(name: str, value, low: int = WORD_BITS) -> dict:
    """The registers of a number: its ``low`` lower bits, and the others if there are any."""
    if len(value) <= low:
        return {name: value}
    return {name: value[:low], name + HIGH: value[low:]}


class Csr(wiring.Component):
    """The register map of ``prunus.golden.registers`` as an AXI4-Lite slave.

    A write is answered 2 cycles after the later of its address and its data, a read 3 cycles
    after its address; one write per 2 cycles and one read per 3, independent of each other.

    Bits 1:0 of an address are ignored. Byte strobes hold for every writable register, a doorbell
    with some strobes rings with the rest of its last value; a write without any strobe changes
    nothing. A refused doorbell leaves the register as it was, and so does a window that is locked
    or in use.

    Parameters
    ----------
    config : EngineConfig
        Gives the registers, the constants and the bits of an address.

    Members
    -------
    bus : In(AXI4Lite)
        The host's side.
    start : Out(1)
        Strobe: a doorbell was accepted. ``table`` and ``count`` are valid.
    table : Out
        Address of the descriptor table, a multiple of a descriptor's size at ``start``. Follows
        the register, which the host may write while busy.
    count : Out(16)
        Descriptors of the last accepted doorbell.
    abort : Out(1)
        Strobe: the host wants it.
    timeout : Out(32)
    windows : Out(3 x base and limit)
        In the order of ``registers.WINDOWS``, in units of ``WINDOW_BYTES``. They change only while
        nothing is in work.
    done : In(1)
        Strobe: the table is worked off, or ended. Clears busy and makes the interrupt pending; if
        the host clears it in the same cycle it stays pending.
    restart : In(1)
        Strobe: an abort is over. Clears busy.
    halted, aborting, outstanding : In(1)
        For the status register. No doorbell is accepted while halted or aborting.
    write_error : In(1)
        Strobe: a write was answered with an error or refused. Shows in the status register until
        the next accepted doorbell.
    fault : In(fault_layout())
        The first error.
    error : In(1)
        Strobe: there was one. Makes the interrupt of errors pending.
    job : In(16)
    counters : In(counter_layout(config))
        What the counter registers read.
    irq : Out(1)
        An interrupt is pending and enabled.
    """

    def __init__(self, *, config: EngineConfig):
        self._constants = registers.constants(config)
        self._registers = registers.register_map(config)
        self._align = config.descriptor_bytes
        counters, width = counter_layout(config), config.axi_address_width
        super().__init__({
            "bus": In(AXI4Lite(registers.ADDRESS_BITS)),
            "start": Out(1),
            "table": Out(width),
            "count": Out(registers.INDEX_BITS),
            "abort": Out(1),
            "timeout": Out(32, init=registers.TIMEOUT),
            "windows": Out(data.ArrayLayout(windows_layout(width).elem_shape,
                                            len(registers.WINDOWS))),
            "done": In(1),
            "restart": In(1),
            **dict.fromkeys(("halted", "aborting", "outstanding", "write_error", "error"), In(1)),
            "fault": In(fault_layout(width)),
            "job": In(registers.INDEX_BITS),
            "counters": In(counters),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        enable = Signal(2)      # of the end of a table, of an error
        pending = Signal(2)
        busy = Signal()
        write_error = Signal()
        locked = Signal()
        status = Signal(len(Status))
        m.d.comb += [
            status[Status.BUSY].eq(busy), status[Status.IRQ].eq(pending[0]),
            status[Status.WRITE_ERROR].eq(write_error), status[Status.ERROR].eq(pending[1]),
            status[Status.HALTED].eq(self.halted), status[Status.ABORTING].eq(self.aborting),
            status[Status.OUTSTANDING].eq(self.outstanding),
        ]
        fault = self.fault
        values = {
            "irq_enable": enable, "status": status, "doorbell": self.count,
            "control": C(0), "timeout": self.timeout, "job": self.job, "lock": locked,
            "error": Cat(Cat(fault.cause)[:8], C(0, 8 - len(Cat(fault.cause))), fault.response,
                         C(0, 6), fault.job),
            **_words("table", self.table), **_words("error_address", fault.address),
        }
        self._plain = {"timeout": self.timeout, **_words("table", self.table)}
        # Bits of a base reset to zeros, those of a limit to ones.
        self._bounds = {}
        for n, window in enumerate(registers.WINDOWS):
            for end, fill in (("base", 0), ("limit", ~0)):
                bound = Signal.like(self.windows[n][end], name=f"{window}_{end}", init=fill)
                m.d.comb += self.windows[n][end].eq(bound)
                name = f"{window}_{end}"
                self._bounds |= _words(name, bound, WORD_BITS - WINDOW_LOW)
                values |= _words(name, bound, WORD_BITS - WINDOW_LOW)
                values[name] = Cat(C(fill, WINDOW_LOW), values[name])
        for name, value in self._constants.items():
            values[name] = value
        for name, _ in self.counters.shape():
            values[name] = self.counters[name]
        self._read(m, values)
        self._write(m, values, enable, pending, busy, locked)
        with m.If(self.start):
            m.d.sync += write_error.eq(0)
        with m.Elif(self.write_error):
            m.d.sync += write_error.eq(1)
        m.d.sync += self.irq.eq((pending & enable).any())
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
            with m.If(held), m.Switch(word[:3]):
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

    def _write(self, m, values, enable, pending, busy, locked):
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

        m.d.sync += [self.start.eq(0), self.abort.eq(0)]
        with m.If(commit):
            m.d.sync += [have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(Resp.OKAY)]
            with m.Switch(word):
                for register in self._registers:
                    name = register.name
                    with m.Case(register.address >> 2):
                        if name == "irq_enable":
                            with m.If(strobe[0]):
                                m.d.sync += enable.eq(value)
                        elif name == "status":
                            with m.If(strobe[0]):
                                m.d.sync += pending.eq(pending & ~Cat(value[Status.IRQ],
                                                                      value[Status.ERROR]))
                        elif name in self._plain:
                            old = self._plain[name]
                            m.d.sync += old.eq(merged(old))
                        elif name == "control":
                            m.d.sync += self.abort.eq(strobe[0] & value[0])
                        elif name == "lock":
                            m.d.sync += locked.eq(locked | (strobe[0] & value[0]))
                        elif name in self._bounds:
                            with m.If(locked | busy | self.halted | self.aborting):
                                m.d.sync += bus.bresp.eq(Resp.SLVERR)
                            with m.Else():
                                bound = self._bounds[name]
                                m.d.sync += bound.eq(Cat(merged(values[name]))[
                                    0 if name.endswith(HIGH) else WINDOW_LOW:])
                        elif name == "doorbell":
                            self._ring(m, Cat(merged(Cat(self.count, C(0, 16)))), strobe.any(),
                                       busy)
                with m.Default():
                    m.d.sync += bus.bresp.eq(Resp.SLVERR)
        with m.If(self.done | self.restart):
            m.d.sync += busy.eq(0)
        with m.If(self.done):
            m.d.sync += pending[0].eq(1)
        with m.If(self.error):
            m.d.sync += pending[1].eq(1)

    def _ring(self, m, count, written, busy):
        misaligned = (self.table & (self._align - 1)) != 0
        with m.If(written):
            with m.If(busy | self.halted | self.aborting | self.abort | misaligned | (count == 0)
                      | (count > registers.COUNT_MAX)):
                m.d.sync += self.bus.bresp.eq(Resp.SLVERR)
            with m.Else():
                m.d.sync += [self.count.eq(count), self.start.eq(1), busy.eq(1)]

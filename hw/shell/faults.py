# SPDX-License-Identifier: Apache-2.0
"""What went wrong on the bus or in a descriptor, for the error registers."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.registers import INDEX_BITS, Cause

from .bursts import ADDRESS_WIDTH

__all__ = ["FirstFault", "fault_layout"]


def fault_layout(address_width: int = ADDRESS_WIDTH) -> data.StructLayout:
    """A strobe ``valid``, and beside it the cause, the response of the bus and the address of the
    burst, if there was one, and the index of the job."""
    return data.StructLayout({"valid": 1, "cause": Cause, "response": 2, "job": INDEX_BITS,
                              "address": address_width})


class FirstFault(wiring.Component):
    """The first of the faults since ``clear``. Of several in a cycle the first of the list.

    Parameters
    ----------
    sources : int
    address_width : int
        Bits of an address.

    Members
    -------
    i : In(sources x fault_layout())
    clear : In(1)
    o : Out(fault_layout())
        Held; ``valid`` once there is one.
    any : Out(1)
        Strobe: there was another one, a cycle ago.
    """

    def __init__(self, *, sources: int, address_width: int = ADDRESS_WIDTH):
        fault = fault_layout(address_width)
        super().__init__({"i": In(fault).array(sources), "clear": In(1), "o": Out(fault),
                          "any": Out(1)})

    def elaborate(self, platform):
        m = Module()
        any_ = Signal()
        first = Signal.like(self.o)
        for fault in reversed(list(self.i)):
            with m.If(fault.valid):
                m.d.comb += [any_.eq(1), first.eq(fault)]
        m.d.sync += self.any.eq(any_)
        with m.If(self.clear):
            m.d.sync += self.o.eq(0)
        with m.Elif(any_ & ~self.o.valid):
            m.d.sync += self.o.eq(first)
        return m

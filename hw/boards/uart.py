# SPDX-License-Identifier: Apache-2.0
"""A serial line: a start bit, eight data bits with the lowest first, a stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["Strobed", "UartReceiver", "UartTransmitter", "check_divisor", "received_layout"]

LEAST_DIVISOR = 4


def check_divisor(divisor: int) -> int:
    """``divisor`` if it can be used, cycles per bit; raises ValueError."""
    if not LEAST_DIVISOR <= divisor <= 1 << 16:
        raise ValueError(f"divisor must lie in {LEAST_DIVISOR}..{1 << 16}, not {divisor!r}")
    return divisor


def received_layout() -> data.StructLayout:
    """A byte from the line; ``error`` if its stop bit was missing."""
    return data.StructLayout({"data": 8, "error": 1})


class Strobed(wiring.Signature):
    """A stream that cannot be held up: its payload is there for the cycles in which it is valid.

    Parameters
    ----------
    shape : shape-like
        Of the payload.
    """

    def __init__(self, shape):
        super().__init__({"valid": Out(1), "payload": Out(shape)})


class UartReceiver(wiring.Component):
    """Bytes from a serial line, whether anyone wants them or not.

    A byte comes out in the middle of its stop bit and 3 cycles. A start bit that is gone by its
    middle was noise.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, asynchronous.
    o : Strobed of received_layout()
    """

    def __init__(self, *, divisor: int):
        self._divisor = check_divisor(divisor)
        super().__init__({
            "rx": In(1, init=1),
            "o": Out(Strobed(received_layout())),
        })

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self._divisor))
        bits = Signal(9)                # the eight data bits; that of the start falls out
        left = Signal(range(10))
        m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(~line):
                    m.d.sync += [timer.eq(self._divisor // 2 - 1), left.eq(9)]
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self._divisor - 1), bits.eq(Cat(bits[1:], line)),
                                 left.eq(left - 1)]
                    with m.If((left == 9) & line):
                        m.next = "IDLE"
                    with m.Elif(left == 0):
                        m.d.sync += [self.o.valid.eq(1), self.o.payload.data.eq(bits[1:]),
                                     self.o.payload.error.eq(~line)]
                        m.next = "STOP"
            with m.State("STOP"):       # after a missing stop bit the line must first be idle
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a serial line, ten bits each without a pause between them.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least 4.

    Members
    -------
    i : stream of 8 bits
    tx : Out(1)
        The line.
    """

    def __init__(self, *, divisor: int):
        self._divisor = check_divisor(divisor)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(9, init=0x1FF)
        left = Signal(range(10))
        m.d.comb += self.i.ready.eq((left == 0) & (timer == 0))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1), self.tx.eq(bits[0]),
                         bits.eq(Cat(bits[1:], 1))]
        with m.Elif(self.i.valid):
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(9), self.tx.eq(0),
                         bits.eq(Cat(self.i.payload, 1))]
        return m

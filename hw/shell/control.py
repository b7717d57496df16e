# SPDX-License-Identifier: Apache-2.0
"""Ends a table before its time: on request, or when the memory does not answer."""

from amaranth.hdl import C, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from prunus.hw.parts.counter import count

__all__ = ["Control"]


class Control(wiring.Component):
    """Stops both DMAs, waits until the bus owes nothing, and resets all that works on jobs.

    An abort is over in the third cycle in which ``outstanding`` is low. Without it nothing is
    reset: answers that come later would be taken for those of the next table.

    Members
    -------
    abort : In(1)
        Strobe: end the table, or what is left of one.
    outstanding, moved : In(1)
        Something is under way on the bus of the memory; a transfer took place.
    timeout : In(32)
        So many cycles in a row with something under way and no transfer end the table; 0 for never.
    running : In(1)
        There is a table to be ended.
    stop : Out(1)
        No further burst may go out.
    restart : Out(1)
        Reset of all that works on jobs, for a cycle.
    aborting : Out(1)
        From the cycle after ``abort`` until all is as after a reset.
    halted : Out(1)
        A table was ended for want of answers; until the next abort.
    timed_out : Out(1)
        Strobe: this is it.
    """

    abort: In(1)
    outstanding: In(1)
    moved: In(1)
    timeout: In(32)
    running: In(1)
    stop: Out(1)
    restart: Out(1)
    aborting: Out(1)
    halted: Out(1)
    timed_out: Out(1)

    def elaborate(self, platform):
        m = Module()
        silent = Signal(32)
        over = Signal()
        count(m, silent, C(1), self.moved | ~self.outstanding)
        m.d.sync += over.eq(self.outstanding & ~self.moved & (silent == self.timeout)
                            & (self.timeout != 0))
        m.d.comb += [
            self.timed_out.eq(over & self.running & ~self.stop),
            self.stop.eq(self.aborting | self.halted),
        ]
        with m.If(self.timed_out):
            m.d.sync += self.halted.eq(1)
        drained = Signal()
        m.d.sync += [drained.eq(self.aborting & ~self.outstanding & ~self.restart),
                     self.restart.eq(drained & ~self.restart)]
        with m.If(self.restart):
            m.d.sync += [self.aborting.eq(0), self.halted.eq(0), drained.eq(0)]
        with m.If(self.abort):
            m.d.sync += self.aborting.eq(1)
        return m

# SPDX-License-Identifier: Apache-2.0
"""Which core computes which head."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config

from .arbiter import lowest
from .descriptor import descriptor_layout

__all__ = ["JobRouter"]


class JobRouter(wiring.Component):
    """Gives each job to a core that has none, else to one that soon needs another.

    No latency, one job per cycle. A core holds two jobs, so that the operands of one are loaded
    while the other is computed. The last jobs of a table, as many as there are cores, wait for a
    hungry core: one given earlier could wait behind a long head while another core runs dry. The
    hungry core will be through first, and there is still time to load. Jobs before these are given
    earlier if nobody waits for the bus, which spreads their loads over time; the last ones make up
    for it if some core got the longer ones.

    Parameters
    ----------
    config : Config
        Gives the number of cores.

    Members
    -------
    start, count : In
        Strobe: a table of ``count`` jobs begins.
    job : In(stream of descriptor_layout)
    cores : Out(cores x stream of descriptor_layout)
        A core with less than two jobs must be ready.
    done : In(cores)
        Strobe: a core is through with a job.
    quiet : In(1)
        No core waits to read.
    hungry : In(cores)
        A core with one job can do with a second one. Low from the cycle after it got its job.
    """

    def __init__(self, *, config: Config):
        job = stream.Signature(descriptor_layout(config))
        super().__init__({
            "start": In(1), "count": In(32), "job": In(job), "cores": Out(job).array(config.cores),
            "done": In(config.cores), "hungry": In(config.cores), "quiet": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        free, one, choice = (Signal.like(self.done, name=name)
                             for name in ("free", "one", "choice"))
        hungry = Signal.like(self.done)
        left, early = Signal(32), Signal()
        m.d.comb += [
            hungry.eq(one & self.hungry),
            choice.eq(Mux(free.any(), lowest(free), Mux(hungry.any(), lowest(hungry),
                                                        Mux(early & self.quiet, lowest(one), 0)))),
            self.job.ready.eq(choice.any()),
        ]
        # Jobs that are lost on the way here count as left: some more are given early then.
        with m.If(self.start):
            m.d.sync += left.eq(self.count)
        with m.Elif(self.job.valid & self.job.ready):
            m.d.sync += left.eq(left - 1)
        m.d.sync += early.eq(left > len(self.done))
        for n, core in enumerate(self.cores):
            count = Signal(range(3), name=f"count_{n}")
            m.d.comb += [
                free[n].eq(count == 0), one[n].eq(count == 1),
                core.valid.eq(self.job.valid & choice[n]), core.payload.eq(self.job.payload),
            ]
            m.d.sync += count.eq(count + core.valid - self.done[n])
        return m

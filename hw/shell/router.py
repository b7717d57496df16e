# SPDX-License-Identifier: Apache-2.0
"""Which core computes which head."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .arbiter import lowest
from .descriptor import descriptor_layout

__all__ = ["JobRouter"]


class JobRouter(wiring.Component):
    """Gives each job to a core that has none, else to one that soon needs another.

    No latency, one job per cycle. A core holds two jobs, so that the operands of one are loaded
    while the other is computed. A second job given at once would wait behind a long first one
    while another core runs dry; given when a core is hungry, it goes to the core that will be
    through first and comes early enough to be loaded. A job with ``same_kv`` goes where the job
    before it went.

    Parameters
    ----------
    config : EngineConfig
        Gives the number of cores.

    Members
    -------
    job : In(stream of descriptor_layout)
    cores : Out(cores x stream of descriptor_layout)
        A core with less than two jobs must be ready.
    done : In(cores)
        Strobe: a core is through with a job.
    hungry : In(cores)
        A core with one job can do with a second one. Low from the cycle after it got its job.
    """

    def __init__(self, *, config: EngineConfig):
        job = stream.Signature(descriptor_layout(config))
        super().__init__({
            "job": In(job), "cores": Out(job).array(config.cores),
            "done": In(config.cores), "hungry": In(config.cores),
        })

    def elaborate(self, platform):
        m = Module()
        free, one, choice, last = (Signal.like(self.done, name=name)
                                   for name in ("free", "one", "choice", "last"))
        m.d.comb += [
            choice.eq(Mux(self.job.payload.same_kv, last & (free | one),
                          Mux(free.any(), lowest(free), lowest(one & self.hungry)))),
            self.job.ready.eq(choice.any()),
        ]
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += last.eq(choice)
        for n, core in enumerate(self.cores):
            count = Signal(range(3), name=f"count_{n}")
            m.d.comb += [
                free[n].eq(count == 0), one[n].eq(count == 1),
                core.valid.eq(self.job.valid & choice[n]), core.payload.eq(self.job.payload),
            ]
            m.d.sync += count.eq(count + core.valid - self.done[n])
        return m

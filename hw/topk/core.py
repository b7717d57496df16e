# SPDX-License-Identifier: Apache-2.0
"""A Top-K core: jobs in, memory traffic out."""

from amaranth.lib import data, wiring

from prunus.golden.topk import EVENTS
from prunus.golden.topk.config import TopkConfig
from prunus.hw.survivors.core import SurvivorCore
from prunus.hw.survivors.layouts import slot_of
from prunus.hw.survivors.loader import PlaneLoader
from prunus.hw.topk.best import BestFilter
from prunus.hw.topk.layouts import front_end
from prunus.hw.topk.scores import ScoreUnit

__all__ = ["TopkCore", "events_layout"]


def events_layout(config: TopkConfig) -> data.StructLayout:
    """What each counter of ``prunus.golden.topk.EVENTS`` grows by in a cycle."""
    return data.StructLayout({
        name: config.length_width if name == "survivors" else 1 for name in EVENTS})


class TopkCore(SurvivorCore):
    """A core whose front end keeps the K best keys of each row::

        Scheduler -> ScoreUnit -> BestFilter -> RowCollector
        PlaneLoader -> buffers of q, k and v

    Parameters
    ----------
    config : TopkConfig

    Members
    -------
    events : Out(events_layout)
    job, read_req, read, write_req, write, done, failed
        See :class:`prunus.hw.survivors.core.SurvivorCore`.
    """

    def __init__(self, *, config: TopkConfig):
        super().__init__(config=config, front=front_end(config), events=events_layout(config))

    def _loader(self):
        return PlaneLoader(config=self._config)

    def _front_end(self, m):
        config = self._config
        m.submodules.scores = self.scores = ScoreUnit(config=config)
        m.submodules.best = best = BestFilter(config=config)
        wiring.connect(m, self.scheduler.head, self.scores.head)
        wiring.connect(m, self.scores.o, best.i)
        m.d.comb += best.top_k.eq(self.scheduler.jobs[slot_of(best.tag)].top_k)
        return best.o

    def _buffers(self, m):
        for name, client in (("q", self.scores.query), ("k", self.scores.key)):
            self._buffer(m, name, self._config.taps, client, client.bank)

    def _count(self, m, events):
        m.d.sync += events.keys.eq(self.scores.scored)

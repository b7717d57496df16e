# SPDX-License-Identifier: Apache-2.0
"""A LeOPArd core: jobs in, memory traffic out."""

from amaranth.lib import data, wiring

from prunus.golden.leopard import EVENTS
from prunus.golden.leopard.config import LeopardConfig
from prunus.hw.leopard.layouts import digits_width, front_end
from prunus.hw.leopard.loader import Loader
from prunus.hw.leopard.qk import QKUnit
from prunus.hw.leopard.row_issue import RowIssue
from prunus.hw.survivors.core import SurvivorCore
from prunus.hw.survivors.layouts import PIECE, TAG

__all__ = ["LeopardCore", "events_layout"]


def events_layout(config: LeopardConfig) -> data.StructLayout:
    """What each counter of ``prunus.golden.leopard.EVENTS`` grows by in a cycle."""
    widths = {"digits": digits_width(config), "survivors": config.length_width,
              "key_words": range(2 * config.dpus + 1)}
    return data.StructLayout({name: widths.get(name, 1) for name in EVENTS})


class LeopardCore(SurvivorCore):
    """A core whose front end drops keys as soon as they are below the threshold::

        Scheduler -> RowIssue -> QKUnit -> RowCollector
        Loader -> KeyBank, buffers of q and v

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    events : Out(events_layout)
    job, read_req, read, write_req, write, done, failed
        See :class:`prunus.hw.survivors.core.SurvivorCore`.
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__(config=config, front=front_end(config), events=events_layout(config))

    def _loader(self):
        return Loader(config=self._config)

    def _front_end(self, m):
        config = self._config
        m.submodules.issue = self.issue = issue = RowIssue(config=config)
        m.submodules.qk = self.qk = QKUnit(config=config, tag_width=TAG)
        wiring.connect(m, self.scheduler.head, issue.head)
        wiring.connect(m, issue.rows, self.qk.row)
        wiring.connect(m, issue.query, self.qk.query)
        m.d.comb += self.scheduler.words.eq(self.qk.words)
        return self.qk.o

    @property
    def counts(self) -> dict:
        """What each counter of the engine grows by in a cycle."""
        return {name: self.events[name] for name in EVENTS}

    def _buffers(self, m):
        self._buffer(m, "q", PIECE, self.issue, self.issue.bank)
        m.d.comb += self.qk.write.eq(self.loader.keys)

    def _count(self, m, events):
        m.d.sync += events.key_words.eq(self.qk.words[0] + self.qk.words[1])

# SPDX-License-Identifier: Apache-2.0
"""A LeOPArd core: jobs in, memory traffic out."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from golden.leopard import EVENTS
from golden.leopard.config import LeopardConfig
from hw.leopard.layouts import digits_width, front_end
from hw.leopard.loader import Loader
from hw.leopard.qk import QKUnit
from hw.leopard.row_issue import RowIssue
from hw.parts.repeated import Repeated
from hw.shell.core import core_ports
from hw.survivors.buffers import CodeBuffer
from hw.survivors.collector import RowCollector
from hw.survivors.layouts import PIECE, TAG, slot_of
from hw.survivors.loader import beat_dims, tag_layout
from hw.survivors.result_writer import ResultWriter
from hw.survivors.row_output import RowOutput
from hw.survivors.scheduler import Scheduler
from hw.survivors.value_unit import ValueUnit
from hw.survivors.weights import RowWeights

__all__ = ["LeopardCore", "events_layout"]


def events_layout(config: LeopardConfig) -> data.StructLayout:
    """What each counter of ``golden.leopard.EVENTS`` grows by in a cycle."""
    widths = {"digits": digits_width(config), "survivors": config.length_width,
              "key_words": range(2 * config.dpus + 1)}
    return data.StructLayout({name: widths.get(name, 1) for name in EVENTS})


class LeopardCore(Repeated):
    """Works off heads in order, three at a time.

    One is loaded, one is computed, of one the last rows are written. The front end and the back end
    work on different rows, and rows of the next head follow those of the last one without a
    pause::

        job -> Scheduler -> Loader -> KeyBank, buffers of q and v
                   |
                   +-> RowIssue -> QKUnit -> RowCollector -> RowWeights -> ValueUnit -> RowOutput
                                                                           ResultWriter <---+

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    job : In(stream of descriptor_layout)
        Accepted as soon as a slot is free. Jobs with an error get their status record only.
    read_req, read : streams
        To and from the read DMA.
    write_req, write : Out(streams)
        To the write DMA.
    done, failed : Out(1)
        ``done`` strobes when a head's status record has been handed over, ``failed`` with it.
    events : Out(events_layout)
    """

    def __init__(self, *, config: LeopardConfig):
        super().__init__({
            **core_ports(config, tag_layout().size),
            "events": Out(events_layout(config)),
        }, config=config)

    def build(self):
        m = Module()
        config, front = self._config, front_end(self._config)
        m.submodules.scheduler = self.scheduler = Scheduler(config=config, front=front)
        m.submodules.loader = self.loader = Loader(config=config)
        m.submodules.issue = self.issue = RowIssue(config=config)
        m.submodules.qk = self.qk = QKUnit(config=config, tag_width=TAG)
        m.submodules.collector = self.collector = RowCollector(config=config, front=front)
        m.submodules.weights = self.weights = RowWeights(config=config)
        m.submodules.value_unit = self.values = ValueUnit(config=config)
        m.submodules.row_output = self.rows = RowOutput(config=config)
        m.submodules.results = self.results = ResultWriter(config=config, front=front)
        self._buffers(m)
        self._joints(m)
        self._jobs(m)
        self._events(m)
        return m

    @property
    def counts(self) -> dict:
        """What each counter of the engine grows by in a cycle."""
        return {name: self.events[name] for name in EVENTS}

    def _buffers(self, m):
        config, loader = self._config, self.loader
        for name, read, client in (("q", PIECE, self.issue), ("v", config.taps, self.values)):
            buffer = CodeBuffer(width=config.width, beat=beat_dims(config), read=read,
                                rows=config.l_max, d_max=config.d_max)
            m.submodules[f"buffer_{name}"] = buffer
            m.d.comb += [
                buffer.write_en.eq(loader.write[name]), buffer.write_bank.eq(loader.write.bank),
                buffer.write_row.eq(loader.write.row), buffer.write_beat.eq(loader.write.beat),
                buffer.write_data.eq(loader.codes),
                buffer.en.eq(client.en), buffer.row.eq(client.row),
                buffer.chunk.eq(client.chunk), client.data.eq(buffer.data),
                buffer.bank.eq(self.issue.bank if name == "q" else self.values.row_bank),
            ]
        m.d.comb += self.qk.write.eq(loader.keys)

    def _joints(self, m):
        """Stage to stage."""
        connect, flipped = wiring.connect, wiring.flipped
        connect(m, self.scheduler.command, self.loader.command)
        connect(m, self.scheduler.head, self.issue.head)
        connect(m, self.issue.rows, self.qk.row)
        connect(m, self.issue.query, self.qk.query)
        connect(m, self.qk.o, self.collector.i)
        connect(m, self.collector.row, self.weights.row)
        connect(m, self.weights.o, self.values.i)
        connect(m, self.weights.result, self.rows.result)
        connect(m, self.values.o, self.rows.values)
        connect(m, self.rows.o, self.results.rows)
        connect(m, self.scheduler.result, self.results.job)
        connect(m, flipped(self.job), self.scheduler.job)
        connect(m, self.loader.req, flipped(self.read_req))
        connect(m, flipped(self.read), self.loader.beats)
        connect(m, self.results.req, flipped(self.write_req))
        connect(m, self.results.o, flipped(self.write))
        m.d.comb += [
            self.collector.address.eq(self.weights.address),
            self.weights.entry.eq(self.collector.entry),
            self.collector.freed.eq(self.weights.freed),
        ]

    def _jobs(self, m):
        """The scheduler, and what each stage needs of its row's job."""
        scheduler, loader, survivor = self.scheduler, self.loader, self.qk.o
        jobs = scheduler.jobs
        weighed, valued, normalised = (slot_of(stream.payload.tag) for stream in (
            self.weights.row, self.values.i, self.rows.result))
        m.d.comb += [
            self.weights.mant.eq(jobs[weighed].mant), self.weights.shift.eq(jobs[weighed].shift),
            self.values.d8.eq(jobs[valued].d8),
            self.values.bank.eq(scheduler.kv.bit_select(valued, 1)),
            self.rows.d8.eq(jobs[normalised].d8),
            scheduler.loaded.eq(loader.done), scheduler.loaded_tag.eq(loader.done_tag),
            scheduler.beat.eq(loader.beat), scheduler.beat_tag.eq(loader.beat_tag),
            scheduler.bus_error.eq(loader.error),
            scheduler.ended.eq(survivor.valid & survivor.ready & survivor.payload.end),
            scheduler.ended_slot.eq(slot_of(survivor.payload.tag)),
            scheduler.survivors.eq(survivor.payload.survivors),
            scheduler.digits.eq(survivor.payload.digits), scheduler.words.eq(self.qk.words),
            scheduler.valued.eq(self.values.i.valid & self.values.i.ready
                                & self.values.i.payload.last),
            scheduler.valued_slot.eq(valued),
            self.results.status.eq(scheduler.status),
            self.done.eq(scheduler.done), self.failed.eq(scheduler.failed),
        ]

    def _events(self, m):
        """From registers: counters are far away."""
        events, scheduler = Signal(events_layout(self._config)), self.scheduler
        m.d.comb += self.events.eq(events)
        with m.If(scheduler.ended):
            m.d.sync += [events.digits.eq(scheduler.digits),
                         events.survivors.eq(scheduler.survivors)]
        with m.Else():
            m.d.sync += [events.digits.eq(0), events.survivors.eq(0)]
        m.d.sync += [events.key_words.eq(self.qk.words[0] + self.qk.words[1]),
                     events.value_words.eq(self.values.en),
                     events.idle_dma.eq(scheduler.loading)]

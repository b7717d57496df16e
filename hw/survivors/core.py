# SPDX-License-Identifier: Apache-2.0
"""A core whose front end hands over survivors: jobs in, memory traffic out."""

from abc import abstractmethod

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from prunus.golden.survivors import SurvivorConfig
from prunus.hw.parts.repeated import Repeated
from prunus.hw.shell.core import core_ports
from prunus.hw.survivors.buffers import CodeBuffer
from prunus.hw.survivors.collector import RowCollector
from prunus.hw.survivors.layouts import FrontEnd, slot_of
from prunus.hw.survivors.loader import PlaneLoader, beat_dims, tag_layout
from prunus.hw.survivors.result_writer import ResultWriter
from prunus.hw.survivors.row_output import RowOutput
from prunus.hw.survivors.scheduler import Scheduler
from prunus.hw.survivors.value_unit import ValueUnit
from prunus.hw.survivors.weights import RowWeights

__all__ = ["SurvivorCore"]


class SurvivorCore(Repeated):
    """Works off heads in order, three at a time.

    One is loaded, one is computed, of one the last rows are written. The front end and the back end
    work on different rows, and rows of the next head follow those of the last one without a
    pause::

        job -> Scheduler -> loader -> buffers
                   |
                   +-> front end -> RowCollector -> RowWeights -> ValueUnit -> RowOutput
                                                                  ResultWriter <---+

    Parameters
    ----------
    config : SurvivorConfig
    front : FrontEnd
    events : StructLayout
        What each counter of the engine grows by in a cycle.

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
    events : Out
    """

    def __init__(self, *, config: SurvivorConfig, front: FrontEnd, events: data.StructLayout):
        self._front, self._events_layout = front, events
        super().__init__({
            **core_ports(config, tag_layout().size),
            "events": Out(events),
        }, config=config)

    @property
    def counts(self) -> dict:
        """What each counter of the engine grows by in a cycle."""
        return {name: self.events[name] for name, _ in self._events_layout}

    # -- what an engine adds ------------------------------------------------------------------
    @abstractmethod
    def _loader(self) -> PlaneLoader:
        """Of its planes."""

    @abstractmethod
    def _front_end(self, m):
        """Its blocks, from ``scheduler.head`` to the stream of survivors, which it returns."""

    @abstractmethod
    def _buffers(self, m):
        """Where its planes of queries and keys go; see :meth:`_buffer`."""

    @abstractmethod
    def _count(self, m, events):
        """Drives the members of ``events`` that are its own, from registers."""

    # -----------------------------------------------------------------------------------------
    def build(self):
        m = Module()
        config, front = self._config, self._front
        m.submodules.scheduler = self.scheduler = Scheduler(config=config, front=front)
        m.submodules.loader = self.loader = self._loader()
        self.survivors = self._front_end(m)
        m.submodules.collector = self.collector = RowCollector(config=config, front=front)
        m.submodules.weights = self.weights = RowWeights(config=config)
        m.submodules.value_unit = self.values = ValueUnit(config=config)
        m.submodules.row_output = self.rows = RowOutput(config=config)
        m.submodules.results = self.results = ResultWriter(config=config, front=front)
        self._buffers(m)
        self._buffer(m, "v", config.taps, self.values, self.values.row_bank)
        self._joints(m)
        self._jobs(m)
        self._events(m)
        return m

    def _buffer(self, m, name: str, read: int, client, bank):
        """The buffer of a plane of codes, ``read`` dimensions of which ``client`` reads."""
        config, loader = self._config, self.loader
        buffer = CodeBuffer(width=config.width, beat=beat_dims(config), read=read,
                            rows=config.l_max, d_max=config.d_max,
                            single_port=config.memories == "macro")
        m.submodules[f"buffer_{name}"] = buffer
        m.d.comb += [
            buffer.write_en.eq(loader.write[name]), buffer.write_bank.eq(loader.write.bank),
            buffer.write_row.eq(loader.write.row), buffer.write_beat.eq(loader.write.beat),
            buffer.write_data.eq(loader.codes),
            buffer.en.eq(client.en), buffer.row.eq(client.row),
            buffer.chunk.eq(client.chunk), client.data.eq(buffer.data), buffer.bank.eq(bank),
        ]

    def _joints(self, m):
        """Stage to stage."""
        connect, flipped = wiring.connect, wiring.flipped
        connect(m, self.scheduler.command, self.loader.command)
        connect(m, self.survivors, self.collector.i)
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
        scheduler, loader, survivor = self.scheduler, self.loader, self.survivors
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
            *(getattr(scheduler, name).eq(survivor.payload[name])
              for name in ("survivors", *self._front.counts)),
            scheduler.valued.eq(self.values.i.valid & self.values.i.ready
                                & self.values.i.payload.last),
            scheduler.valued_slot.eq(valued),
            self.results.status.eq(scheduler.status),
            self.done.eq(scheduler.done), self.failed.eq(scheduler.failed),
        ]

    def _events(self, m):
        """From registers: counters are far away."""
        events = Signal(self._events_layout)
        scheduler = self.scheduler
        m.d.comb += self.events.eq(events)
        of_rows = (*self._front.counts, "survivors")
        with m.If(scheduler.ended):
            for name in of_rows:
                m.d.sync += events[name].eq(getattr(scheduler, name))
        with m.Else():
            for name in of_rows:
                m.d.sync += events[name].eq(0)
        self._count(m, events)
        m.d.sync += [events.value_words.eq(self.values.en),
                     events.idle_dma.eq(scheduler.loading)]

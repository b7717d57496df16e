# SPDX-License-Identifier: Apache-2.0
"""Linear jobs in a core of HDP."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.sizes import Sizes
from prunus.golden.registers import INDEX_BITS
from prunus.hw.hdp.layouts import fraction_layout, integer_layout
from prunus.hw.hdp.linear.collector import WORDS, LinearCollector
from prunus.hw.hdp.linear.fetch import LinearFetch
from prunus.hw.hdp.linear.issue import LinearIssue
from prunus.hw.hdp.linear.layouts import (
    SUM,
    block_tag_layout,
    granule_bits,
    job_layout,
    op_layout,
    place_bits,
)
from prunus.hw.hdp.linear.loader import LinearLoader
from prunus.hw.hdp.linear.output import LinearOutput
from prunus.hw.hdp.linear.requantise import Requantiser, scale_layout
from prunus.hw.hdp.linear.residual import LinearResidual
from prunus.hw.hdp.loader import tag_layout
from prunus.hw.parts.pipeline import delayed
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.descriptor import descriptor_layout
from prunus.hw.shell.reader import read_beat_layout

__all__ = ["LinearUnit"]

BEHIND = 24     # cycles from an operation until its parameters have been read


class LinearUnit(wiring.Component):
    """Works off linear jobs in order, with the array and the operand buffers of a core.

    While one is computed the next one is loaded::

        job -> fetch -> loader -> buffers of Q (X) and K (W) -> issue -> array -+
                                                                                |
           memory, buffers of Q <- output <- collector <- requantiser <---------+

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    job : In(stream of descriptor_layout)
    busy : Out(1)
        There is a job.
    loading : Out(1)
        One waits for what it reads.
    read_req, read, write_req, write : streams
        To and from the DMA.
    done, failed : Out(1)
        Strobes: the status record has been handed over, and tells of an error.
    x_write, w_write : Out
        Strobe, place, row of a pair; ``keep`` what lies beside. With ``x_i`` and ``x_f``, or
        ``w_i`` and ``w_f``, digits of 16 codes; those of ``narrow`` weights have no ``w_f``.
    en, op : Out
        Operations of the array.
    early, valid, tag, sums : In
        Of a block, two cycles before it; a block.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        tag, width = tag_layout().size, config.axi_address_width
        unit = Sizes(config).unit
        write = data.StructLayout({"en": 1, "parity": 1, "keep": 1, "narrow": 1,
                                   "place": place_bits(config)})
        i = data.ArrayLayout(integer_layout(config), unit)
        f = data.ArrayLayout(fraction_layout(config), unit)
        super().__init__({
            "job": In(stream.Signature(descriptor_layout(config))),
            "busy": Out(1), "loading": Out(1),
            "read_req": Out(stream.Signature(request_layout(tag, width))),
            "read": In(stream.Signature(read_beat_layout(config, tag))),
            "write_req": Out(stream.Signature(request_layout(address_width=width))),
            "write": Out(stream.Signature(data.StructLayout({"data": config.axi_data_width}))),
            "done": Out(1), "failed": Out(1),
            "x_write": Out(write), "w_write": Out(write),
            "x_i": Out(i), "x_f": Out(f), "w_i": Out(i), "w_f": Out(f),
            "en": Out(1), "op": Out(op_layout(config)),
            "early": In(block_tag_layout()), "valid": In(1), "tag": In(block_tag_layout()),
            "sums": In(data.ArrayLayout(signed(SUM), 4)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.fetch = self.fetch = LinearFetch(config=config)
        m.submodules.residual = self.residual = LinearResidual(config=config)
        m.submodules.loader = self.loader = LinearLoader(config=config)
        m.submodules.issue = self.issue = LinearIssue(config=config)
        m.submodules.requantiser = self.requantiser = Requantiser(config=config)
        m.submodules.collector = self.collector = LinearCollector()
        m.submodules.output = self.output = LinearOutput(config=config)
        jobs = Signal(data.ArrayLayout(job_layout(config), 2))
        self._slots(m, jobs)
        self._room(m)
        self._memory(m)
        self._results(m, jobs)
        return m

    def _slots(self, m, jobs):
        """Two jobs; each stage takes the slots in turn."""
        sizes, given = Sizes(self._config), self.job.payload
        busy = Signal(2)
        bad = Signal(2)
        into = Signal()
        behind = Signal()
        # The index of the job whose X is held, one bit longer, so that no other table has it.
        holds = Signal()
        held_for = Signal(INDEX_BITS + 1)
        y_base = Signal(data.ArrayLayout(granule_bits(self._config) - 1, 2))
        read_beats, clipped = (Signal(data.ArrayLayout(32, 2), name=name)
                               for name in ("read_beats", "clipped"))
        # Products of the fields are there a cycle after the job is offered.
        job = jobs[into]
        sums = Signal(data.StructLayout({"channels": 16, "dims": 16}))
        offered = Signal()
        m.d.sync += [sums.channels.eq(given.groups * given.span),
                     sums.dims.eq(given.groups * given.k), offered.eq(self.job.valid)]
        taken = Signal()
        m.d.comb += [self.job.ready.eq(offered & ~busy.bit_select(into, 1)),
                     taken.eq(self.job.valid & self.job.ready), self.busy.eq(busy.any())]
        w_granules = sizes.granules(given.k)
        with m.If(taken):
            m.d.sync += [
                *(job[name].eq(given[name]) for name, _ in job.shape()
                  if name in dict(given.shape())),
                job.channels.eq(sums.channels), job.dims.eq(sums.dims),
                job.x_granules.eq(sizes.granules(sums.dims)), job.w_granules.eq(w_granules),
                job.half.eq((given.tile >> 1) * w_granules <= sizes.ring // 2),
                busy.bit_select(into, 1).eq(1), bad.bit_select(into, 1).eq(0),
                read_beats[into].eq(self._config.descriptor_bytes * 8
                                    // self._config.axi_data_width),
                clipped[into].eq(0), into.eq(~into), offered.eq(0),
            ]
        self._stages = {}
        for name in ("fetch", "residual", "issue"):
            stage, at, passed = getattr(self, name), Signal(name=f"{name}_at"), Signal(
                2, name=f"{name}_passed")
            m.d.comb += [stage.valid.eq((busy & ~passed).bit_select(at, 1)),
                         stage.job.eq(jobs[at]), stage.bank.eq(at)]
            with m.If(stage.taken):
                m.d.sync += [at.eq(~at), passed.bit_select(at, 1).eq(1)]
            with m.If(taken):
                m.d.sync += passed.bit_select(into, 1).eq(0)
            self._stages[name] = at, passed
        fetch_at, passed = self._stages["fetch"]
        # Until what is held is written, nothing but its own job may take the place behind its X.
        waits = (fetch_at != behind) & jobs[behind].held_y & ~jobs[fetch_at].held_x
        m.d.comb += self.fetch.valid.eq((busy & ~passed).bit_select(fetch_at, 1) & ~waits)
        # What is held lies behind the only strip of its job.
        with m.If(self.fetch.claim):
            m.d.sync += y_base[fetch_at].eq(self.fetch.base + self.fetch.claimed)
        output = self.output
        is_bad = Signal()
        lacks_x = Signal()
        m.d.comb += [
            lacks_x.eq(jobs[behind].held_x & ~(holds & (held_for == jobs[behind].index))),
            is_bad.eq(bad.bit_select(behind, 1) | lacks_x),
            output.valid.eq(busy.bit_select(behind, 1)), output.job.eq(jobs[behind]),
            output.base.eq(y_base[behind]), output.bad.eq(is_bad),
            output.read_beats.eq(read_beats[behind]), output.clipped.eq(clipped[behind]),
            self.done.eq(output.taken), self.failed.eq(output.taken & output.failed),
            # Of the jobs in the slots the one before is over.
            self.issue.held_there.eq(self._stages["issue"][0] == behind),
        ]
        with m.If(output.taken):
            m.d.sync += [busy.bit_select(behind, 1).eq(0), behind.eq(~behind),
                         holds.eq(jobs[behind].held_y & ~output.failed),
                         held_for.eq(jobs[behind].index + 1)]
        loader, result = self.loader, self.requantiser.o
        with m.If(loader.beat):
            m.d.sync += read_beats[loader.bank].eq(read_beats[loader.bank] + 1)
            with m.If(loader.error):
                m.d.sync += bad.bit_select(loader.bank, 1).eq(1)
        off = result.clipped[0] + (result.clipped[1] & ~result.single)
        with m.If(self.requantiser.o_valid):
            m.d.sync += clipped[result.job].eq(clipped[result.job] + off)

    def _room(self, m):
        """What is free of the buffers, and what has come."""
        config, fetch, issue, loader = self._config, self.fetch, self.issue, self.loader
        ring = Sizes(config).ring
        room = Signal(granule_bits(config), init=ring)
        halves = Signal(2, init=2)
        freed_tile = delayed(m, issue.free_tile, BEHIND, name="free_tile", reset_less=False)[-1]
        # X has been read long before other X comes; parameters of channels are read later.
        m.d.sync += [room.eq(room - Mux(fetch.claim, fetch.claimed, 0)
                             + Mux(issue.free, issue.freed, 0)),
                     halves.eq(halves - fetch.claim_tile + freed_tile)]
        m.d.comb += [fetch.room.eq(room), fetch.halves.eq(halves)]
        # A beat can be read two cycles after it is written.
        strips = Signal(8)
        tiles = Signal(3)
        words = Signal(range(WORDS + 2))
        there = delayed(m, loader.loaded.as_value(), 2, name="loaded", reset_less=False)[-1]
        m.d.sync += [
            strips.eq(strips + there[0] - issue.take_strip),
            tiles.eq(tiles + there[1] - issue.take_tile),
            words.eq(words + issue.word - (self.collector.o.valid & self.collector.o.ready)),
        ]
        m.d.comb += [
            issue.strip_there.eq(strips != 0), issue.tile_there.eq(tiles != 0),
            issue.may.eq((words < WORDS) & (~issue.job.residual | self.residual.there)),
            self.residual.word.eq(issue.word & issue.job.residual),
            self.en.eq(issue.en), self.op.eq(issue.op), self.loading.eq(self.busy & ~issue.en),
        ]

    def _memory(self, m):
        fetch, residual, loader, output = self.fetch, self.residual, self.loader, self.output
        first = residual.command.valid
        m.d.comb += [
            loader.command.valid.eq(first | fetch.command.valid),
            loader.command.payload.eq(Mux(first, residual.command.payload,
                                          fetch.command.payload)),
            residual.command.ready.eq(loader.command.ready),
            fetch.command.ready.eq(loader.command.ready & ~first),
        ]
        wiring.connect(m, loader.req, wiring.flipped(self.read_req))
        wiring.connect(m, wiring.flipped(self.read), loader.beats)
        wiring.connect(m, output.req, wiring.flipped(self.write_req))
        wiring.connect(m, output.o, wiring.flipped(self.write))
        m.d.comb += [
            self.w_write.en.eq(loader.write.w), self.w_write.parity.eq(loader.write.parity),
            self.w_write.place.eq(loader.write.place), self.w_write.narrow.eq(loader.write.narrow),
            self.w_i.eq(loader.i), self.w_f.eq(loader.f),
        ]
        # X comes from memory or from a job before, never from both at once.
        held = output.write.en
        m.d.comb += [
            self.x_write.en.eq(loader.write.x | held), self.x_write.keep.eq(held),
            self.x_write.parity.eq(Mux(held, output.write.parity, loader.write.parity)),
            self.x_write.place.eq(Mux(held, output.write.place, loader.write.place)),
            self.x_i.eq(Mux(held, output.i, loader.i)), self.x_f.eq(Mux(held, output.f, loader.f)),
        ]

    def _results(self, m, jobs):
        requantiser, loader, residual = self.requantiser, self.loader, self.residual
        collector = self.collector
        m.d.comb += [
            requantiser.channel.eq(loader.channel), requantiser.table.eq(loader.table),
            requantiser.early.eq(self.early), requantiser.valid.eq(self.valid),
            requantiser.tag.eq(self.tag), requantiser.sums.eq(self.sums),
            *(requantiser.jobs[n][name].eq(jobs[n][name]) for n in range(2)
              for name, _ in scale_layout()),
            residual.beat.eq(loader.residual), requantiser.residual.eq(residual.o),
            residual.take.eq(requantiser.take_residual), residual.end.eq(requantiser.end_residual),
            residual.single.eq(requantiser.single_residual),
            collector.valid.eq(requantiser.o_valid), collector.i.eq(requantiser.o),
            collector.wide.eq(Array(jobs)[requantiser.o.job].wide),
        ]
        wiring.connect(m, collector.o, self.output.word)

# SPDX-License-Identifier: Apache-2.0
"""An HDP core: jobs in, memory traffic out."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out

from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.config import HdpConfig
from prunus.hw.hdp.array import Array, select_layout
from prunus.hw.hdp.buffers import PlaneBuffer
from prunus.hw.hdp.column_sum import ColumnSum
from prunus.hw.hdp.fetch import FetchUponMask
from prunus.hw.hdp.groups import group_bits, group_width
from prunus.hw.hdp.integer_pass import IntegerPass
from prunus.hw.hdp.issue import Issue
from prunus.hw.hdp.layouts import (
    Mode,
    fraction_layout,
    fraction_word,
    integer_dims,
    integer_layout,
    integer_word,
    row_tag_layout,
    smallest_read,
    value_layout,
)
from prunus.hw.hdp.linear.layouts import place_chunk, place_write
from prunus.hw.hdp.linear.unit import LinearUnit
from prunus.hw.hdp.loader import Loader, beat_dims, tag_layout
from prunus.hw.hdp.occupancy import Occupancy
from prunus.hw.hdp.result_writer import ResultWriter
from prunus.hw.hdp.row_output import RowOutput
from prunus.hw.hdp.row_tops import RowTops
from prunus.hw.hdp.scheduler import Scheduler
from prunus.hw.hdp.score_adder import ScoreAdder
from prunus.hw.hdp.softmax import SoftmaxUnit
from prunus.hw.hdp.sparsity import SparsityEngine
from prunus.hw.hdp.tiler import Phase, Tiler
from prunus.hw.hdp.value_array import ValueArray
from prunus.hw.hdp.value_pass import ValuePass
from prunus.hw.parts.copies import kept_copy
from prunus.hw.parts.pipeline import delayed
from prunus.hw.parts.repeated import Repeated
from prunus.hw.shell.core import core_ports

__all__ = ["HdpCore"]


class HdpCore(Repeated):
    """Works off heads in order, two at a time.

    Each stage runs through the heads at its own pace; a head is in one of two banks of the operand
    buffers from the acceptance of its job to its status record::

        job -> tiler -> loader -> integer pass -+-> array -> sparsity engine -> mask
                          |       mask -> fetch upon mask -+-> array -> score adder -> softmax
                          |       weights -> value pass ---+-> array -> row output -> result writer
                          +-> buffers, column sums

    With ``HdpConfig.value_array`` "own" the last of these arrays is another one, a ValueArray.

    With ``HdpConfig.tile`` a head that is longer than the buffers goes through them tile by tile;
    the
    sparsity engine, a stage before softmax, softmax and row output each carry what they must know
    of a row from one tile to the next.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    job : In(stream of descriptor_layout)
        Accepted as soon as a bank is free, with tiles as soon as there are less than two jobs. Jobs
        with an error get their status record only.
    read_req, read : streams
        To and from the read DMA.
    write_req, write : Out(streams)
        To the write DMA.
    done, failed : Out(1)
        ``done`` strobes when a head's status record has been handed over, ``failed`` with it.
    hungry : Out(1)
        Only with several cores. The integer pass of the job that came last is in the second half
        of its rows or over, or it has none: it is time to load another one. Low from the cycle
        after one that takes a job with an integer pass.
    occupancy : Out(len(OCCUPANCY))
        What the array does, see :class:`Occupancy`.
    """

    def __init__(self, *, config: HdpConfig):
        super().__init__({
            **core_ports(config, tag_layout().size),
            **({"hungry": Out(1)} if config.cores > 1 else {}),
            "occupancy": Out(len(OCCUPANCY)),
        }, config=config)

    @property
    def counts(self) -> dict:
        """What each counter of the engine grows by in a cycle."""
        return {name: self.occupancy[n] for n, name in enumerate(OCCUPANCY)}

    def build(self):
        m = Module()
        config = self._config
        m.submodules.tiler = self.tiler = Tiler(config=config)
        m.submodules.scheduler = self.scheduler = Scheduler(config=config)
        m.submodules.loader = self.loader = Loader(config=config)
        m.submodules.integer_pass = self.integer = IntegerPass(config=config)
        m.submodules.sparsity = self.sparsity = SparsityEngine(config=config)
        m.submodules.fetch = self.fetch = FetchUponMask(config=config)
        m.submodules.issue = self.issue = Issue(config=config)
        m.submodules.array = self.array = Array(config=config)
        if config.own_values:
            m.submodules.value_array = self.value_array = ValueArray(config=config)
        m.submodules.score_adder = self.scores = ScoreAdder(config=config)
        m.submodules.softmax = self.softmax = SoftmaxUnit(
            config=config, tag_width=row_tag_layout(config).size)
        m.submodules.value_pass = self.values = ValuePass(config=config)
        m.submodules.column_sum = self.sums = ColumnSum(config=config)
        m.submodules.row_output = self.rows = RowOutput(config=config)
        m.submodules.results = self.results = ResultWriter(config=config)
        if config.linear:
            m.submodules.linear_unit = self.linear = LinearUnit(config=config)
        self._datapath(m, self._buffers(m))
        self._joints(m)
        self._mask(m)
        self._jobs(m)
        self._occupancy(m)
        if config.cores > 1:
            self._hunger(m)
        return m

    def _buffers(self, m):
        """The operand buffers, by plane."""
        config = self._config
        i_dims, f_dims, v_dims = beat_dims(config)
        i_word, f_word, loader = integer_word(config), fraction_word(config), self.loader
        step = smallest_read(config)
        planes = {}
        for name, shape, beat, read, source in (
                ("q_i", integer_layout(config), i_dims, i_word, loader.i),
                ("k_i", integer_layout(config), i_dims, i_word, loader.i),
                ("q_f", fraction_layout(config), f_dims, f_word, loader.f),
                ("k_f", fraction_layout(config), f_dims, f_word, loader.f),
                ("v", value_layout(config), v_dims, config.taps, loader.v)):
            buffer = PlaneBuffer(shape=shape, beat=beat, read=read, rows=config.held_rows,
                                 d_max=config.d_max, step=read if name == "v" else step,
                                 pairs=config.group if name == "k_i" else 1,
                                 keeps=config.linear and name[0] == "q",
                                 **self._macros(name))
            m.submodules[f"buffer_{name}"] = buffer
            m.d.comb += [
                buffer.write_en.eq(loader.write[name]),
                buffer.write_bank.eq(loader.write.bank if name[0] == "q" else loader.write.kv),
                buffer.write_row.eq(loader.write.row),
                buffer.write_beat.eq(loader.write.beat),
                buffer.write_data.eq(source),
            ]
            planes[name] = buffer
            if config.linear and name != "v":
                self._linear_write(m, buffer, name)
        return planes

    def _macros(self, name) -> dict:
        """How the buffer of a plane is made of SRAM macros.

        A bank is written before a head is begun and not while it is read, but for X and W of
        linear jobs. The queries of a row stay the same from block to block: in the integer pass,
        and in what follows it.
        """
        config = self._config
        if config.memories != "macro":
            return {}
        return {"single_port": name == "v" or not config.linear, "columns": name[0] != "q",
                "streams": {"q_i": 2, "q_f": 1}.get(name, 0)}

    def _linear_write(self, m, buffer, name):
        """X of linear jobs lies in the buffers of Q, W in those of K."""
        linear, (operand, kind) = self.linear, name.split("_")
        write, digits = ((linear.x_write, {"i": linear.x_i, "f": linear.x_f}) if operand == "q"
                         else (linear.w_write, {"i": linear.w_i, "f": linear.w_f}))
        bank, row, beat = place_write(self._config, write.place, write.parity)
        with m.If(linear.busy):
            m.d.comb += [
                buffer.write_en.eq(write.en & (~write.narrow if kind == "f" else 1)),
                buffer.write_bank.eq(bank), buffer.write_row.eq(row), buffer.write_beat.eq(beat),
                buffer.write_data.eq(digits[kind]),
            ]
            if operand == "q":
                m.d.comb += buffer.write_keep.eq(write.keep)

    def _datapath(self, m, planes):
        """Issue, buffers and array in line."""
        issue, array = self.issue, self.array
        op = issue.op
        config = self._config
        bits, t = group_bits(config), config.taps

        def steps(dims):
            """Where a chunk is that counts ``dims`` dimensions."""
            return op.chunk << (dims // smallest_read(config)).bit_length() - 1

        at = Mux(op.mode == Mode.INTEGER, steps(integer_dims(config)),
                 Mux(op.mode == Mode.FRACTION, steps(2 * t), steps(t)))
        mode, exact = op.mode, op.exact
        if config.linear:
            linear, its = self.linear.en, self.linear.op
            mode = Mux(linear, Mux(its.narrow, Mode.FRACTION, Mode.FULL), mode)
            exact = linear | exact

        def size(dims):
            """Of a read, in doublings of the smallest one."""
            return (min(dims, fraction_word(config)) // smallest_read(config)).bit_length() - 1

        scores = issue.en & (op.mode != Mode.VALUE)
        fractions = scores & (op.mode != Mode.INTEGER)
        reads = {"q_i": scores, "k_i": scores, "q_f": fractions, "k_f": fractions,
                 "v": issue.background | (issue.value_en if config.own_values
                                          else issue.en & (op.mode == Mode.VALUE))}
        for name, pair, chunk in (("q_i", op.row, at), ("k_i", op.column >> bits, at),
                                  ("q_f", op.row, at), ("k_f", op.column, at),
                                  ("v", op.column, op.chunk)):
            buffer = planes[name]
            bank, column, part = op.bank, pair, chunk
            if name == "v":
                bank = self._of_values(op.bank, issue.value_op.bank)
            if name[0] != "q":
                bank = self.scheduler.kv.bit_select(bank, 1)
            if name == "v":
                column = self._of_values(column, issue.value_op.column)
                part = self._of_values(part, issue.value_op.chunk)
            m.d.comb += [
                buffer.read_en.eq(reads[name]),
                buffer.read_bank.eq(bank), buffer.read_pair.eq(column),
                buffer.read_chunk.eq(part),
            ]
            if not (name == "v" and config.own_values):
                m.d.comb += array.operands[name].eq(buffer.read_data)
            if "read_size" in buffer.signature.members:
                m.d.comb += buffer.read_size.eq(
                    Mux(mode == Mode.INTEGER, (integer_dims(config) // smallest_read(config))
                        .bit_length() - 1, Mux(mode == Mode.FRACTION, size(2 * t), size(t))))
            if name == "q_i" and config.memories == "macro":
                m.d.comb += buffer.read_stream.eq(op.mode != Mode.INTEGER)
            if config.linear and name != "v":
                place = self.linear.op.x if name[0] == "q" else self.linear.op.w
                with m.If(self.linear.en):
                    m.d.comb += buffer.read_en.eq(~self.linear.op.narrow if name == "k_f" else 1)
                    m.d.comb += [port.eq(value) for port, value in zip(
                        (buffer.read_bank, buffer.read_pair, buffer.read_chunk),
                        place_chunk(config, place), strict=True)]
        # An operation waits for its operands.
        now = {"en": issue.en, "mode": op.mode, "first": op.first, "last": op.last, "tag": op.tag,
               **({} if config.own_values else {"w": issue.value_op.w}),
               "background": issue.background}
        if bits:
            now["place"] = op.column[:bits]
        if config.linear:
            now |= {"en": issue.en | linear, "mode": mode, "linear": linear,
                    "first": Mux(linear, its.first, op.first),
                    "last": Mux(linear, its.last, op.last), "linear_tag": its.tag.as_value()}
        strobes = {name: delayed(m, now.pop(name), PlaneBuffer.latency, name=name,
                                 reset_less=False) for name in ("en", "background")}
        late = {name: stages[-1] for name, stages in strobes.items()}
        late |= {name: delayed(m, value, PlaneBuffer.latency, name=name,
                               valid=strobes["en"])[-1]
                 for name, value in now.items()}
        m.d.comb += [getattr(array, name).eq(late[name])
                     for name in ("en", "mode", "first", "last", "tag",
                                  *(("linear", "linear_tag") if config.linear else ()))]
        if bits:
            m.d.comb += array.operands.place.eq(late["place"])
        select = Signal(select_layout(config))
        m.d.comb += [select.en.eq(strobes["en"][0]), select.mode.eq(mode), select.exact.eq(exact)]
        if config.linear:
            m.d.comb += select.narrow.eq(linear & its.narrow)
        early = delayed(m, select.as_value(), PlaneBuffer.latency - 1, name="select")[-1]
        for n, place in enumerate(place for row in array.select for tap in row for place in tap):
            m.d.comb += place.eq(kept_copy(m, early, f"select_{n}"))
        values = array
        if config.own_values:
            values = self._own_values(m, planes["v"])
        else:
            m.d.comb += array.operands.w.eq(late["w"])
        m.d.comb += [
            self.rows.value_valid.eq(values.value_valid), self.rows.value.eq(values.value),
            self.rows.fetch_valid.eq(late["background"]),
            self.rows.fetch.eq(planes["v"].read_data),
        ]

    def _of_values(self, of_op, of_value_op):
        """Where V is read: for the array's operation, or for one of the value pass."""
        if self._config.own_values:
            return of_value_op
        return Mux(self.issue.background, of_value_op, of_op)

    def _own_values(self, m, plane):
        """Operations of P.V in line with their words of V; the array of which they are."""
        issue, array = self.issue, self.value_array
        # Weights go in a cycle before the values.
        en = delayed(m, issue.value_en, PlaneBuffer.latency - 1, name="value_en", reset_less=False)
        m.d.comb += array.en.eq(en[-1])
        for name in ("first", "last", "w"):
            value = delayed(m, issue.value_op[name], PlaneBuffer.latency - 1, name=f"value_{name}",
                            valid=en, reset_less=name != "last")
            m.d.comb += getattr(array, name).eq(value[-1])
        m.d.comb += array.v.eq(plane.read_data)
        return array

    def _joints(self, m):
        """Stage to stage."""
        integer, sparsity, array, scores = self.integer, self.sparsity, self.array, self.scores
        wiring.connect(m, integer.op, self.issue.integer)
        wiring.connect(m, self.fetch.op, self.issue.score)
        wiring.connect(m, self.values.op, self.issue.value)
        wiring.connect(m, self.fetch.row, scores.row)
        if self._config.tile:
            self._tops(m)
        else:
            wiring.connect(m, scores.token, self.softmax.i)
        wiring.connect(m, self.softmax.o, self.values.result)
        wiring.connect(m, self.values.row, self.rows.row)
        m.d.comb += [
            sparsity.begin.eq(integer.begin), sparsity.row.eq(integer.row),
            sparsity.valid.eq(array.integer_valid), sparsity.tag.eq(array.score_tag),
            scores.integer_valid.eq(array.integer_valid),
            scores.score_valid.eq(array.score_valid),
            *([mine.eq(its) for mine, its in zip(scores.score, array.score, strict=True)]
              if self._config.linear else [scores.score.eq(array.score)]),
            scores.integer.eq(array.integer), sparsity.score.eq(array.integer),
            scores.tag.eq(array.score_tag), scores.early.eq(array.score_early),
            scores.early_valid.eq(array.score_early_valid),
            integer.row_masked.eq(sparsity.masked), integer.row_scored.eq(scores.row_scored),
            integer.masked_columns.eq(sparsity.masked_columns),
            integer.scored_columns.eq(scores.scored_columns),
            scores.score_en.eq(self.softmax.score_en),
            scores.score_addr.eq(self.softmax.score_addr),
            self.softmax.score_data.eq(scores.score_data),
            self.values.weight_en.eq(self.softmax.weight_en),
            self.values.weight_addr.eq(self.softmax.weight_addr),
            self.values.weight_data.eq(self.softmax.weight_data),
            self.softmax.row_read.eq(self.values.row_read),
            self.softmax.read_entries.eq(self.values.read_entries),
            self.values.chunk_taken.eq(self.rows.chunk_taken),
            self.sums.bank.eq(self.rows.sum_bank), self.sums.running.eq(self.rows.sum_running),
            self.sums.dimension.eq(self.rows.sum_dimension),
            self.rows.sum.eq(self.sums.sum),
            self.sums.add_en.eq(self.rows.add_en), self.sums.add_bank.eq(self.rows.add_bank),
            self.sums.add_dimension.eq(self.rows.add_dimension),
            self.sums.add_sum.eq(self.rows.add_sum),
            self.sums.load_en.eq(self.loader.write.v),
            self.sums.load_bank.eq(self.loader.write.kv),
            self.sums.load_row.eq(self.loader.write.row),
            self.sums.load_beat.eq(self.loader.write.beat),
            self.sums.load_data.eq(self.loader.v_codes),
        ]
        for n in range(2):
            wiring.connect(m, self.rows.o[n], self.results.rows[n])
        if self._config.linear:
            self._share(m)
        else:
            wiring.connect(m, self.loader.req, wiring.flipped(self.read_req))
            wiring.connect(m, wiring.flipped(self.read), self.loader.beats)
            wiring.connect(m, self.results.req, wiring.flipped(self.write_req))
            wiring.connect(m, self.results.o, wiring.flipped(self.write))

    def _share(self, m):
        """Both DMAs and the array, with linear jobs: these and heads do not overlap."""
        linear, array = self.linear, self.array
        mine = linear.busy
        for name, head, other in (("read_req", self.loader.req, linear.read_req),
                                  ("write_req", self.results.req, linear.write_req),
                                  ("write", self.results.o, linear.write)):
            out = getattr(self, name)
            m.d.comb += [out.valid.eq(Mux(mine, other.valid, head.valid)),
                         out.payload.eq(Mux(mine, other.payload, head.payload)),
                         head.ready.eq(out.ready & ~mine), other.ready.eq(out.ready & mine)]
        m.d.comb += [
            self.loader.beats.valid.eq(self.read.valid & ~mine),
            linear.read.valid.eq(self.read.valid & mine),
            self.loader.beats.payload.eq(self.read.payload),
            linear.read.payload.eq(self.read.payload), self.read.ready.eq(1),
            linear.early.eq(array.linear_early), linear.valid.eq(array.linear_valid),
            linear.tag.eq(array.linear_done),
            *(its.eq(score) for its, score in zip(linear.sums, array.score, strict=True)),
        ]

    def _tops(self, m):
        """From scores to softmax with tiles, and what else carries rows from one to the next."""
        m.submodules.tops = self.tops = tops = RowTops(config=self._config)
        scheduler, sparsity, values = self.scheduler, self.sparsity, self.values
        jobs = scheduler.jobs
        wiring.connect(m, self.scores.token, tops.i)
        wiring.connect(m, tops.o, self.softmax.i)
        m.d.comb += [
            tops.phase.eq(jobs[tops.bank].phase), tops.first.eq(jobs[tops.bank].first),
            sparsity.phase.eq(jobs[sparsity.bank].phase),
            sparsity.strip.eq(jobs[sparsity.bank].strip),
            sparsity.first.eq(jobs[sparsity.bank].first),
            values.first.eq(jobs[values.bank].first), values.last.eq(jobs[values.bank].last),
            scheduler.tops_ended.eq(tops.ended), scheduler.tops_bank.eq(tops.bank),
            scheduler.sums_ended.eq(self.rows.ended),
            scheduler.sums_bank.eq(self.rows.ended_bank),
            self.tiler.drained.eq(scheduler.drained), self.tiler.theta.eq(scheduler.theta),
        ]

    def _occupancy(self, m):
        """What the array does, for the counters."""
        own = self._config.own_values
        m.submodules.occupancy = occupancy = Occupancy(own_values=own)
        if own:
            m.d.comb += occupancy.value_en.eq(self.issue.value_en)
        row, result = self.fetch.row, self.softmax.o
        en, mode, loading = self.issue.en, self.issue.op.mode, self.scheduler.loading
        if self._config.linear:
            en, loading = en | self.linear.en, loading | self.linear.loading
            mode = Mux(self.linear.en, Mode.FULL, mode)
        m.d.comb += [
            occupancy.en.eq(en), occupancy.mode.eq(mode),
            occupancy.announced.eq(row.valid & row.ready),
            occupancy.gathered.eq(self.tops.gathered if self._config.tile else 0),
            occupancy.weighted.eq(result.valid & result.ready),
            occupancy.values_busy.eq(self.values.busy), occupancy.fetch_busy.eq(self.fetch.busy),
            occupancy.loading.eq(loading),
            occupancy.integer_busy.eq(self.integer.busy),
            occupancy.sparsity_busy.eq(self.sparsity.busy),
            self.occupancy.eq(occupancy.counts),
        ]

    def _mask(self, m):
        """A bit per block of both banks' heads, in words of a group."""
        config = self._config
        m.submodules.mask = mask = memory.Memory(
            shape=config.group, depth=2 << config.block_width + group_width(config), init=[])
        write = mask.write_port()
        read = mask.read_port()
        sparsity, fetch = self.sparsity, self.fetch
        m.d.comb += [
            write.addr.eq(Cat(sparsity.mask_group, sparsity.mask_row, sparsity.bank)),
            write.data.eq(sparsity.mask_bits), write.en.eq(sparsity.mask_en),
            read.addr.eq(Cat(fetch.mask_group, fetch.mask_row, fetch.bank)),
            read.en.eq(fetch.mask_read), fetch.mask_bits.eq(read.data),
        ]
        if config.tile:
            m.submodules.mask_some = some = memory.Memory(
                shape=1, depth=2 << config.block_width, init=[])
            write = some.write_port()
            read = some.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(Cat(sparsity.mask_row, sparsity.bank)),
                write.data.eq(sparsity.masked_some), write.en.eq(sparsity.masked),
                read.addr.eq(Cat(fetch.some_row, fetch.bank)), fetch.some.eq(read.data),
            ]

    def _jobs(self, m):
        """The scheduler and what each stage needs of its head's job."""
        scheduler, results = self.scheduler, self.results
        jobs = scheduler.jobs
        if self._config.linear:
            self._sort(m)
        else:
            wiring.connect(m, wiring.flipped(self.job), self.tiler.i)
        wiring.connect(m, self.tiler.o, scheduler.job)
        wiring.connect(m, scheduler.command, self.loader.command)
        wiring.connect(m, scheduler.result, results.job)
        integer, fetch, sparsity, values = self.integer, self.fetch, self.sparsity, self.values

        def fields(stage, bank, names):
            m.d.comb += [getattr(stage, name).eq(jobs[bank][name]) for name in names]

        fields(integer, scheduler.integer_bank, ("valid_q", "valid_kv", "offset", "causal",
                                                 "distance", "d8"))
        fields(sparsity, sparsity.bank, ("distance", "rho", "delta"))
        fields(fetch, scheduler.fetch_bank, ("valid_q", "valid_kv", "offset", "causal", "d8",
                                             "exact", "dense", "drop", "mant", "shift"))
        fields(values, values.bank, ("valid_kv", "offset", "causal", "d8"))
        value_job = jobs[values.bank]
        m.d.comb += [
            sparsity.clear.eq(scheduler.accepted),
            sparsity.clear_bank.eq(scheduler.accepted_bank),
            sparsity.tau.eq(jobs[sparsity.bank].tau_head),
            self.sums.base.eq(scheduler.sum_base[self.loader.write.bank]),
            values.loaded.eq(scheduler.v_loaded.bit_select(values.bank, 1)),
            values.background.eq(~value_job.drop),
            values.kv.eq(scheduler.kv.bit_select(values.bank, 1)),
            integer.start.eq(scheduler.integer_start), integer.bank.eq(scheduler.integer_bank),
            integer.keep.eq(scheduler.integer_keep),
            fetch.start.eq(scheduler.fetch_start), fetch.bank.eq(scheduler.fetch_bank),
            fetch.integer_rows.eq(scheduler.integer_rows),
            fetch.integer_from.eq(scheduler.integer_from),
            fetch.masked_rows.eq(scheduler.masked_rows),
            scheduler.loaded.eq(self.loader.done), scheduler.loaded_tag.eq(self.loader.done_tag),
            scheduler.beat.eq(self.loader.beat), scheduler.beat_tag.eq(self.loader.beat_tag),
            scheduler.bus_error.eq(self.loader.error),
            scheduler.integer_busy.eq(integer.busy), scheduler.integer_begin.eq(integer.begin),
            scheduler.integer_kept_row.eq(integer.kept_row),
            scheduler.integer_row.eq(integer.row.row),
            scheduler.masked.eq(sparsity.masked), scheduler.masked_bank.eq(sparsity.bank),
            scheduler.masked_row.eq(sparsity.mask_row), scheduler.reached.eq(sparsity.reached),
            scheduler.end_head.eq(sparsity.end_head), scheduler.heads.eq(sparsity.heads),
            scheduler.fetch_busy.eq(fetch.busy), scheduler.columns_en.eq(fetch.columns_en),
            scheduler.columns.eq(fetch.columns),
            results.error.eq(scheduler.result_error), results.complete.eq(scheduler.complete),
            results.status.eq(scheduler.status),
            # What the record tells counts: K and V of the next head may fail when it is on its way.
            self.done.eq(scheduler.done), self.failed.eq(scheduler.done & results.failed),
        ]
        if self._config.linear:
            m.d.comb += [self.done.eq(scheduler.done | self.linear.done),
                         self.failed.eq((scheduler.done & results.failed) | self.linear.failed)]

    def _sort(self, m):
        """Heads to the tiler, linear jobs to their unit, when the other one has nothing."""
        job, heads, linear = self.job, self.tiler.i, self.linear
        is_linear = job.payload.kind == 1
        m.d.comb += [
            *(heads.payload[name].eq(job.payload[name]) for name, _ in heads.payload.shape()),
            linear.job.payload.eq(job.payload),
            heads.valid.eq(job.valid & ~is_linear & ~linear.busy),
            linear.job.valid.eq(job.valid & is_linear & self.scheduler.drained),
            job.ready.eq(Mux(is_linear, linear.job.ready & linear.job.valid,
                             heads.ready & heads.valid)),
        ]

    def _hunger(self, m):
        """How far the job that came last is."""
        scheduler, integer, job = self.scheduler, self.integer, self.tiler.o.payload
        whole, ended = C(1), C(0)
        if self._config.tile:       # a head in tiles leaves nothing to be done at its end
            whole, ended = job.phase == Phase.WHOLE, job.phase == Phase.CLOSE
        last = Signal()
        of_head = Signal()
        half = Signal(self._config.block_width)
        # No integer pass begins before its operands are loaded, long after this is known.
        m.d.sync += half.eq((scheduler.jobs[last].valid_q + 1) >> 2)
        with m.If(scheduler.accepted):
            m.d.sync += [
                last.eq(scheduler.accepted_bank),
                self.hungry.eq(ended | (whole & ((job.error != 0) | job.dense | (job.valid_q == 0)
                                                 | (job.valid_kv == 0)))),
                of_head.eq(whole),
            ]
        with m.Elif(of_head & integer.begin & (scheduler.integer_bank == last)
                    & (integer.row.row >= half)):
            m.d.sync += self.hungry.eq(1)

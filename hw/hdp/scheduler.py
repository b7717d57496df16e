# SPDX-License-Identifier: Apache-2.0
"""Leads heads through the stages of a core."""

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.hdp.config import HdpConfig
from prunus.golden.records import Error
from prunus.hw.hdp.head_totals import READ_BEATS, HeadTotals, tile_counts_layout
from prunus.hw.hdp.layouts import head_layout
from prunus.hw.hdp.loader import Plane, command_layout, tag_layout
from prunus.hw.hdp.result_writer import result_job_layout, status_layout
from prunus.hw.hdp.tiler import Phase, in_phase, is_head, tile_layout

__all__ = ["Scheduler"]


class Scheduler(wiring.Component):
    """Two banks of jobs, how far each has come, and what each stage does next.

    Every stage takes the banks in turn. K and V have banks of their own, ``kv``: a job with the
    same ones as the job before uses that one's and loads only what is missing. A head's integer
    planes are loaded as soon as a bank is free; its fraction planes and V once it is known to be
    kept: at once if dense or with tau = 0, otherwise when theta_head reaches tau or the integer
    pass ends. Heads that are empty, in error or pruned pass the remaining stages without work.

    With ``HdpConfig.tile`` a job may be a tile. It takes the stages that its phase has; at CLOSE
    the
    head's status record is written, of what its tiles have counted.

    Parameters
    ----------
    config : HdpConfig

    Members
    -------
    job : In(stream of tile_layout)
    jobs : Out(2 x tile_layout)
        Per bank, stable while in work.
    accepted, accepted_bank : Out
        Strobe: a job enters that bank.
    kv : Out(2)
        Per bank of jobs, the bank of K and V.
    sum_base : Out(2 x)
        Keys that the column sums count at loading.
    command : Out(stream of command_layout)
    loaded, loaded_tag, beat, beat_tag, bus_error : In
        From the loader: a plane is complete; a beat came and whether with an error. An error in K
        or V is one of both heads, if they share them.
    v_loaded : Out(2)
    loading : Out(1)
        A head waits for planes that were asked for.
    integer_start, integer_bank, integer_keep : Out
    integer_busy, integer_begin, integer_kept_row, integer_row : In
        From the integer pass: it begins a row, with its integer scores kept or not.
    masked, masked_bank, masked_row, reached, end_head : In
        From the sparsity engine.
    fetch_start, fetch_bank, integer_rows, integer_from, masked_rows : Out
    fetch_busy, columns_en, columns : In
        To and from fetch upon mask.
    heads : In(2 x head_layout)
        Statistics of the sparsity engine.
    result : Out(stream of result_job_layout)
    result_error, complete, status : Out
        For the result writer, of the head of ``result``.
    done : Out(1)
        Strobe at the end of a head.
    tops_ended, tops_bank, sums_ended, sums_bank : In
        Only with tiles: the last row of a tile has ended in the phase TOP, or in VALUE in a tile
        that is not the last one of its strip.
    drained : Out(1)
    theta : Out
        Only with tiles: no bank has a job; sum of the thetas of the head in tiles so far.
    """

    def __init__(self, *, config: HdpConfig):
        self._config = config
        block, length = config.block_width, config.length_width
        super().__init__({
            "job": In(stream.Signature(tile_layout(config))),
            "jobs": Out(data.ArrayLayout(tile_layout(config), 2)),
            "accepted": Out(1),
            "accepted_bank": Out(1),
            "kv": Out(2),
            "sum_base": Out(data.ArrayLayout(length, 2)),
            "command": Out(stream.Signature(command_layout(config))),
            "loaded": In(1),
            "loaded_tag": In(tag_layout()),
            "beat": In(1),
            "beat_tag": In(tag_layout()),
            "bus_error": In(1),
            "v_loaded": Out(2),
            "loading": Out(1),
            "integer_start": Out(1),
            "integer_bank": Out(1),
            "integer_keep": Out(1),
            "integer_busy": In(1),
            "integer_begin": In(1),
            "integer_kept_row": In(1),
            "integer_row": In(block),
            "masked": In(1),
            "masked_bank": In(1),
            "masked_row": In(block),
            "reached": In(1),
            "end_head": In(1),
            "fetch_start": Out(1),
            "fetch_bank": Out(1),
            "fetch_busy": In(1),
            "integer_rows": Out(1),
            "integer_from": Out(block),
            "masked_rows": Out(range(config.blocks + 1)),
            "columns_en": In(1),
            "columns": In(range(config.blocks + 1)),
            "heads": In(data.ArrayLayout(head_layout(config), 2)),
            "result": Out(stream.Signature(result_job_layout(config))),
            "result_error": Out(8),
            "complete": Out(1),
            "status": Out(status_layout(config)),
            "done": Out(1),
            **({"tops_ended": In(1), "tops_bank": In(1), "sums_ended": In(1), "sums_bank": In(1),
                "theta": Out(config.theta_head_width)} if config.tile else {}),
            **({"drained": Out(1)} if config.tile or config.linear else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # How far the head of each bank has come.
        self._state = data.StructLayout({
            "busy": 1,               # there is one
            "kv": 1,                 # bank of its K and V
            "integer_asked": 1,      # its integer planes are under way
            "integer_loaded": 1,
            "integer_started": 1,
            "decided": 1,
            "kept": 1,               # if decided
            "rest_asked": 1,         # fraction planes and V are under way
            "fraction_loaded": 1,
            "v_loaded": 1,
            "same_v": 1,             # no V of its own is under way
            "fetched": 1,            # fetch upon mask has begun it or passed it over
            "computed": 1,           # ... begun: output rows will come
            "bus_error": 1,
            **({"ended": 1} if config.tile else {}),    # the last row of a tile has
            "integer_rows": 1,       # rows from integer_from on keep their integer scores
            "integer_from": config.block_width,
            "masked_rows": range(config.blocks + 1),
            "dense_blocks": 2 * config.block_width + 1,
            "read_beats": READ_BEATS,
        })
        banks = Signal(data.ArrayLayout(self._state, 2))
        self._banks = banks
        # Planes of K and V that are on the chip or under way, per bank of them.
        self._fails = Signal(2)         # in this cycle, by an error of the bus
        self._asked = Signal(data.ArrayLayout(
            data.StructLayout({"k_i": 1, "k_f": 1, "v": 1}), 2))
        self._idle = []
        for b in range(2):
            job = self.jobs[b]
            idle = Signal(name=f"idle_{b}")
            m.d.sync += idle.eq((job.error != 0) | (job.valid_q == 0) | (job.valid_kv == 0))
            self._idle.append(idle)
            m.d.comb += [self.v_loaded[b].eq(banks[b].v_loaded), self.kv[b].eq(banks[b].kv)]
        m.d.sync += self.loading.eq(sum(
            bank.busy & ((bank.integer_asked & ~bank.integer_loaded)
                         | (bank.rest_asked & ~bank.v_loaded)) for bank in banks) != 0)
        self._events(m)
        self._accept(m)
        self._load(m)
        self._integer(m)
        self._fetch(m)
        self._finish(m)
        return m

    def _pick(self, bank):
        """State, job and idleness of a bank."""
        return (self._banks[bank], self.jobs[bank],
                Mux(bank, self._idle[1], self._idle[0]))

    def _events(self, m):
        """What the stages report."""
        config, banks = self._config, self._banks
        loaded = banks[self.loaded_tag.bank]
        with m.If(self.loaded):
            with m.Switch(self.loaded_tag.plane):
                with m.Case(Plane.Q_I):
                    m.d.sync += loaded.integer_loaded.eq(1)
                with m.Case(Plane.Q_F):
                    # Planes come in the order in which they were asked for.
                    m.d.sync += [loaded.fraction_loaded.eq(1),
                                 loaded.v_loaded.eq(loaded.same_v)]
                with m.Case(Plane.V):
                    m.d.sync += loaded.v_loaded.eq(1)
        tag = self.beat_tag
        beat = banks[tag.bank]
        with m.If(self.beat):
            m.d.sync += beat.read_beats.eq(beat.read_beats + 1)
        of_q = (tag.plane == Plane.Q_I) | (tag.plane == Plane.Q_F)
        for b in range(2):
            m.d.comb += self._fails[b].eq(self.beat & self.bus_error & Mux(
                of_q, tag.bank == b, tag.kv == banks[b].kv))
            with m.If(self._fails[b]):
                m.d.sync += banks[b].bus_error.eq(1)
        begun = banks[self.integer_bank]
        with m.If(self.integer_begin & self.integer_kept_row & ~begun.integer_rows):
            m.d.sync += [begun.integer_rows.eq(1), begun.integer_from.eq(self.integer_row)]
        masked = banks[self.masked_bank]
        if config.tile:
            with m.If(self.tops_ended):
                m.d.sync += banks[self.tops_bank].ended.eq(1)
            with m.If(self.sums_ended):
                m.d.sync += banks[self.sums_bank].ended.eq(1)
        if config.tile or config.linear:
            m.d.comb += self.drained.eq(~(banks[0].busy | banks[1].busy))
        with m.If(self.reached):
            m.d.sync += [masked.decided.eq(1), masked.kept.eq(1)]
        with m.If(self.masked):
            m.d.sync += masked.masked_rows.eq(self.masked_row + 1)
        with m.If(self.end_head):
            m.d.sync += masked.decided.eq(1)
        # A cycle late, as it takes most of one to find out; nobody asks before the head is done.
        count = Signal()
        columns = Signal.like(self.columns)
        count_bank = Signal.like(self.fetch_bank)
        m.d.sync += [count.eq(self.columns_en), columns.eq(self.columns),
                     count_bank.eq(self.fetch_bank)]
        counted = banks[count_bank]
        with m.If(count):
            m.d.sync += counted.dense_blocks.eq(counted.dense_blocks + columns)

    def _accept(self, m):
        bank, same, kv = (Signal(name=name) for name in ("bank", "same", "kv"))
        state, before, last = self._banks[bank], self._banks[~bank], self.jobs[~bank]
        job = self.job.payload
        m.d.comb += same.eq(
            job.same_kv & (last.error == 0) & ~before.bus_error & (last.d8 == job.d8)
            & (last.valid_kv == job.valid_kv) & (last.causal == job.causal)
            & (~job.causal | (last.offset == job.offset)) & ~self._fails.bit_select(~bank, 1))
        m.d.comb += [
            # The bank that the job before does not use is free: the one before that is written.
            kv.eq(before.kv ^ ~same),
            self.job.ready.eq(~state.busy),
            self.accepted.eq(self.job.valid & self.job.ready),
            self.accepted_bank.eq(bank),
        ]
        with m.If(self.accepted):
            m.d.sync += [
                self.jobs[bank].eq(job), bank.eq(~bank),
                state.eq(0), state.busy.eq(1), state.kv.eq(kv),
                state.read_beats.eq(Mux(is_head(job), self._config.descriptor_bytes * 8
                                        // self._config.axi_data_width, 0)),
            ]
            with m.If(~same):
                m.d.sync += self._asked[kv].eq(0)
        for b in range(2):
            job = self.jobs[b]
            edge = Signal.like(job.offset, name=f"edge_{b}")
            m.d.sync += [
                edge.eq((job.offset + 1) & ~1),
                self.sum_base[b].eq(Mux(~job.causal | (edge > job.valid_kv), job.valid_kv,
                                        Mux(edge < 0, 0, edge))),
            ]

    def _load(self, m):
        """Integer planes of one head, or the other planes of an earlier one that is kept."""
        front = Signal()
        back = Signal()
        front_state, front_job, front_idle = self._pick(front)
        back_state, back_job, back_idle = self._pick(back)
        command = self.command.payload
        bank = Signal()
        job = self.jobs[bank]
        plane = Signal(Plane)
        queries = Signal()
        if self._config.tile:
            m.d.comb += command.refused.eq(job.beyond)
        addresses = {Plane.K_I: job.k_i, Plane.Q_I: job.q_i, Plane.K_F: job.k_f,
                     Plane.Q_F: job.q_f, Plane.V: job.v}
        m.d.comb += [
            command.bank.eq(bank), command.kv.eq(self._banks[bank].kv), command.d8.eq(job.d8),
            command.plane.eq(plane), command.job.eq(job.index),
            queries.eq((plane == Plane.Q_I) | (plane == Plane.Q_F)),
            command.rows.eq(Mux(queries, job.valid_q, job.valid_kv)),
        ]
        with m.Switch(plane):
            for which, address in addresses.items():
                with m.Case(which):
                    m.d.comb += command.address.eq(address)
        # A bank's idleness is known one cycle after it is accepted.
        fresh = Signal()
        m.d.sync += fresh.eq(self.accepted)
        asked = self._asked
        with m.FSM():
            with m.State("IDLE"):
                with m.If(back_state.busy & back_state.decided & ~back_state.rest_asked):
                    m.d.sync += [back_state.rest_asked.eq(1), bank.eq(back), back.eq(~back)]
                    with m.If(back_idle | ~back_state.kept):
                        m.d.sync += [back_state.fraction_loaded.eq(1), back_state.v_loaded.eq(1)]
                    with m.Else():
                        m.d.sync += back_state.same_v.eq(asked[back_state.kv].v
                                                         | in_phase(back_job, Phase.TOP))
                        m.next = "K_F"
                with m.Elif(front_state.busy & ~front_state.integer_asked & ~fresh):
                    m.d.sync += [front_state.integer_asked.eq(1), bank.eq(front),
                                 front.eq(~front)]
                    with m.If(front_idle):
                        m.d.sync += front_state.integer_loaded.eq(1)
                    with m.Else():
                        with m.If((front_job.dense | (front_job.tau_head == 0))
                                  & ~in_phase(front_job, Phase.STATS)):
                            m.d.sync += [front_state.decided.eq(1), front_state.kept.eq(1)]
                        m.next = "K_I"
            for state, following in (("K_I", "Q_I"), ("Q_I", "IDLE"), ("K_F", "Q_F"),
                                     ("Q_F", "V"), ("V", "IDLE")):
                with m.State(state):
                    there = C(0) if state[0] == "Q" else asked[command.kv][state.lower()]
                    unwanted = in_phase(job, Phase.TOP) if state == "V" else C(0)
                    m.d.comb += [self.command.valid.eq(~there & ~unwanted),
                                 plane.eq(Plane[state])]
                    with m.If(self.command.ready | there | unwanted):
                        m.next = following
                        if state[0] != "Q":
                            m.d.sync += asked[command.kv][state.lower()].eq(there | ~unwanted)

    def _integer(self, m):
        bank = Signal()
        state, job, idle = self._pick(bank)
        ready = (state.busy & state.integer_loaded & ~state.integer_started
                 & ~self.integer_busy & ~self.integer_start)
        active, active_job, _ = self._pick(self.integer_bank)
        if self._config.keep_integer_scores:
            m.d.comb += self.integer_keep.eq(active.kept & ~active_job.exact)
        m.d.sync += self.integer_start.eq(0)
        with m.If(ready):
            m.d.sync += [state.integer_started.eq(1), bank.eq(~bank)]
            with m.If(idle | state.bus_error):
                good = (job.error == 0) & ~state.bus_error
                m.d.sync += [state.decided.eq(1),
                             state.kept.eq(good & (job.dense | (job.tau_head == 0)))]
            with m.Elif(~job.dense):
                m.d.sync += [self.integer_start.eq(1), self.integer_bank.eq(bank)]

    def _fetch(self, m):
        bank = Signal()
        state, _, idle = self._pick(bank)
        active = self._banks[self.fetch_bank]
        m.d.comb += [
            self.integer_rows.eq(active.integer_rows),
            self.integer_from.eq(active.integer_from),
            self.masked_rows.eq(active.masked_rows),
        ]
        ready = (state.busy & state.integer_started & state.decided & state.fraction_loaded
                 & ~state.fetched & ~self.fetch_busy & ~self.fetch_start)
        m.d.sync += self.fetch_start.eq(0)
        with m.If(ready):
            m.d.sync += [state.fetched.eq(1), bank.eq(~bank)]
            # A kept head runs on after a bus error: integer scores that were kept must be used,
            # and nobody writes its rows.
            with m.If(state.kept & ~idle):
                m.d.sync += [state.computed.eq(1), self.fetch_start.eq(1),
                             self.fetch_bank.eq(bank)]

    def _finish(self, m):
        config = self._config
        bank = Signal()
        state, job, _ = self._pick(bank)
        result, head = self.result.payload, self.heads[bank]
        error = Signal(8)
        over = Signal()
        writes = Signal()
        bus_error = Signal()
        m.d.comb += [
            error.eq(Mux(job.error != 0, job.error, Mux(bus_error, Error.BUS, 0))),
            self.result.valid.eq(state.busy & state.fetched & writes),
            result.out.eq(job.out), result.status.eq(job.status), result.l_q.eq(job.l_q),
            result.valid_q.eq(job.valid_q), result.d8.eq(job.d8), result.index.eq(job.index),
            result.computed.eq(state.computed),
            self.result_error.eq(error),
            self.complete.eq(state.v_loaded),
            self.done.eq(over & is_head(job)),
        ]
        own = Signal(tile_counts_layout(config))
        m.d.comb += [
            own.theta_head.eq(head.theta), own.read_beats.eq(state.read_beats),
            own.bus_error.eq(state.bus_error),
            own.blocks_kept.eq(Mux(job.dense, state.dense_blocks, head.kept)),
            own.blocks_total.eq(Mux(job.dense, state.dense_blocks, head.total)),
            self.status.head_kept.eq(state.kept),
        ]
        taken = self.result.valid & self.result.ready
        counted = [name for name, _ in self.status.shape() if name != "head_kept"]
        if config.tile:
            m.submodules.totals = totals = HeadTotals(config=config)
            close, total = in_phase(job, Phase.CLOSE), totals.total
            silent = state.busy & state.fetched & ~writes & state.v_loaded & (
                state.ended | ~state.computed)
            m.d.comb += [
                totals.clear.eq(self.done), totals.add.eq(over), totals.tile.eq(own),
                totals.phase.eq(job.phase), totals.dense.eq(job.dense),
                self.theta.eq(total.theta_head), over.eq(taken | silent),
                writes.eq(is_head(job) | (in_phase(job, Phase.VALUE) & job.last)),
                result.record.eq(is_head(job)), result.refused.eq(job.beyond),
                bus_error.eq(own.bus_error | (close & total.bus_error)),
                *(self.status[name].eq(Mux(close, total[name], own[name])) for name in counted),
                self.status.read_beats.eq(Mux(close, total.read_beats, 0) + own.read_beats),
            ]
        else:
            m.d.comb += [
                writes.eq(1), over.eq(taken), bus_error.eq(own.bus_error),
                *(self.status[name].eq(own[name]) for name in counted),
            ]
        with m.If(over):
            m.d.sync += [state.busy.eq(0), bank.eq(~bank)]

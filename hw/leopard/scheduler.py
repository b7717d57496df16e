# SPDX-License-Identifier: Apache-2.0
"""Leads heads through a core."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.leopard_config import LeopardConfig
from golden.memory import DESCRIPTOR_BYTES, Error
from hw.leopard.layouts import TAG, digits_width
from hw.leopard.loader import Plane, command_layout, tag_layout
from hw.leopard.result_writer import result_job_layout, status_layout
from hw.leopard.row_issue import head_layout
from hw.shell.descriptor import descriptor_layout

__all__ = ["Scheduler"]


class Scheduler(wiring.Component):
    """Two banks of jobs: one is computed while the next one is loaded.

    Loading, computing and writing take the banks in turn, each at its own time. K and V have banks
    of their own, ``kv``: a job with the same ones as the job before uses that one's. Heads that are
    empty or in error pass without work. A head begins when all of its operands are there, so that
    an error of the bus is known before anything is written.

    Parameters
    ----------
    config : LeopardConfig

    Members
    -------
    job : In(stream of descriptor_layout)
        Taken as soon as a bank is free.
    jobs : Out(2 x descriptor_layout)
        Per bank, stable while in work.
    kv : Out(2)
        Per bank of jobs, the bank of K and V.
    command : Out(stream of command_layout)
    loaded, loaded_tag, beat, beat_tag, bus_error : In
        From the loader. An error in K or V is one of both heads, if they share them.
    head : Out(stream of head_layout)
        To the issue of rows.
    ended, ended_tag, survivors, digits : In
        Strobe: a row has left the front end.
    words : In(2 x)
        Words of keys that were read, by bank of jobs.
    result : Out(stream of result_job_layout)
    status : Out(status_layout)
        For the result writer, of the head of ``result``.
    done, failed : Out(1)
        Strobes at the end of a head.
    loading : Out(1)
        No head is computed, and one waits for operands that were asked for.
    """

    def __init__(self, *, config: LeopardConfig):
        self._config = config
        super().__init__({
            "job": In(stream.Signature(descriptor_layout(config))),
            "jobs": Out(data.ArrayLayout(descriptor_layout(config), 2)),
            "kv": Out(2),
            "command": Out(stream.Signature(command_layout(config))),
            "loaded": In(1),
            "loaded_tag": In(tag_layout()),
            "beat": In(1),
            "beat_tag": In(tag_layout()),
            "bus_error": In(1),
            "head": Out(stream.Signature(head_layout(config))),
            "ended": In(1),
            "ended_tag": In(TAG),
            "survivors": In(config.length_width),
            "digits": In(digits_width(config)),
            "words": In(data.ArrayLayout(range(config.dpus + 1), 2)),
            "result": Out(stream.Signature(result_job_layout(config))),
            "status": Out(status_layout()),
            "done": Out(1),
            "failed": Out(1),
            "loading": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # How far the head of each bank has come, and what it took.
        state = data.StructLayout({
            "busy": 1, "kv": 1, "idle": 1, "asked": 1, "loaded": 1, "started": 1, "computed": 1,
            "bus_error": 1,
        })
        self._banks = Signal(data.ArrayLayout(state, 2))
        self._counts = Signal(data.ArrayLayout(status_layout(), 2))
        self._held = Signal(2)      # K and V are on the chip or under way, per bank of them
        waiting = [bank.busy & bank.asked & ~bank.loaded for bank in self._banks]
        computing = [bank.busy & bank.computed for bank in self._banks]
        m.d.sync += self.loading.eq((waiting[0] | waiting[1]) & ~(computing[0] | computing[1]))
        self._count(m)
        self._accept(m)
        self._load(m)
        self._start(m)
        self._finish(m)
        return m

    def _count(self, m):
        """What the loader and the front end report."""
        of_q = self.beat_tag.plane == Plane.Q
        for b, (state, counts) in enumerate(zip(self._banks, self._counts, strict=True)):
            with m.If(self.beat & (self.beat_tag.bank == b)):
                m.d.sync += counts.read_beats.eq(counts.read_beats + 1)
            with m.If(self.beat & self.bus_error
                      & Mux(of_q, self.beat_tag.bank == b, self.beat_tag.kv == state.kv)):
                m.d.sync += state.bus_error.eq(1)
            with m.If(self.loaded & (self.loaded_tag.plane == Plane.Q)
                      & (self.loaded_tag.bank == b)):
                m.d.sync += state.loaded.eq(1)      # it comes last
            with m.If(self.ended & (self.ended_tag == b)):
                m.d.sync += [counts.survivors.eq(counts.survivors + self.survivors),
                             counts.digits.eq(counts.digits + self.digits)]
            m.d.sync += counts.key_words.eq(counts.key_words + self.words[b])

    def _accept(self, m):
        bank, job = Signal(), self.job.payload
        state, before, last = self._banks[bank], self._banks[~bank], self.jobs[~bank]
        same, kv = Signal(), Signal()
        m.d.comb += [
            same.eq(job.same_kv & (last.error == 0) & ~before.bus_error & (last.d8 == job.d8)
                    & (last.valid_kv == job.valid_kv)),
            # The bank that the job before does not use is free: the one before that is written.
            kv.eq(before.kv ^ ~same),
            self.job.ready.eq(~state.busy),
        ]
        for b in range(2):
            m.d.comb += self.kv[b].eq(self._banks[b].kv)
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                bank.eq(~bank), self.jobs[bank].eq(job), state.eq(0), state.busy.eq(1),
                state.kv.eq(kv), self._counts[bank].eq(0),
                state.idle.eq((job.error != 0) | (job.valid_q == 0) | (job.valid_kv == 0)),
                self._counts[bank].read_beats.eq(
                    DESCRIPTOR_BYTES * 8 // self._config.axi_data_width),
            ]
            with m.If(~same):
                m.d.sync += self._held.bit_select(kv, 1).eq(0)

    def _load(self, m):
        """K and V, unless they are there, then Q."""
        front, bank, command = Signal(), Signal(), self.command.payload
        state, job, kv = self._banks[front], self.jobs[bank], self._banks[bank].kv
        m.d.comb += [command.bank.eq(bank), command.kv.eq(kv), command.d8.eq(job.d8)]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(state.busy & ~state.asked):
                    m.d.sync += [state.asked.eq(1), bank.eq(front), front.eq(~front)]
                    with m.If(state.idle):
                        m.d.sync += state.loaded.eq(1)
                    with m.Else():
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "K"
                with m.If(self._held.bit_select(kv, 1)):
                    m.next = "Q"
            for plane, following in ((Plane.K, "V"), (Plane.V, "Q"), (Plane.Q, "IDLE")):
                rows = job.valid_q if plane is Plane.Q else job.valid_kv
                with m.State(plane.name):
                    m.d.comb += [
                        self.command.valid.eq(1), command.plane.eq(plane),
                        command.rows.eq(rows), command.address.eq(job[plane.name.lower()]),
                    ]
                    with m.If(self.command.ready):
                        m.next = following
                        if plane is Plane.V:
                            m.d.sync += self._held.bit_select(kv, 1).eq(1)

    def _start(self, m):
        """Heads whose operands are there, one after the other."""
        bank, running, head_bank = Signal(), Signal(), Signal()
        state, job = self._banks[bank], self.jobs[head_bank]
        head = self.head.payload
        m.d.comb += [
            self.head.valid.eq(running), head.bank.eq(head_bank),
            head.kv.eq(self.kv.bit_select(head_bank, 1)),
            *(head[name].eq(job[name])
              for name in ("valid_q", "valid_kv", "causal", "d8", "threshold")),
        ]
        with m.If(running):
            m.d.sync += running.eq(~self.head.ready)
        with m.Elif(state.busy & state.loaded & ~state.started):
            m.d.sync += [state.started.eq(1), bank.eq(~bank)]
            with m.If(~state.idle & ~state.bus_error):
                m.d.sync += [state.computed.eq(1), running.eq(1), head_bank.eq(bank)]

    def _finish(self, m):
        bank, result = Signal(), self.result.payload
        state, job = self._banks[bank], self.jobs[bank]
        error = Signal(8)
        m.d.comb += [
            error.eq(Mux(job.error != 0, job.error, Mux(state.bus_error, Error.BUS, 0))),
            self.result.valid.eq(state.busy & state.started),
            *(result[name].eq(job[name]) for name in ("out", "status", "l_q", "valid_q", "d8")),
            result.computed.eq(state.computed), result.error.eq(error),
            self.status.eq(self._counts[bank]),
            self.done.eq(self.result.valid & self.result.ready),
            self.failed.eq(self.done & (error != 0)),
        ]
        with m.If(self.done):
            m.d.sync += [state.busy.eq(0), bank.eq(~bank)]

# SPDX-License-Identifier: Apache-2.0
"""Leads heads through a core."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.records import Error
from prunus.golden.survivors import SurvivorConfig
from prunus.hw.shell.descriptor import descriptor_layout
from prunus.hw.survivors.layouts import SLOTS, FrontEnd, head_layout
from prunus.hw.survivors.loader import Plane, command_layout, tag_layout
from prunus.hw.survivors.result_writer import result_job_layout, status_layout

__all__ = ["Scheduler"]


def following(slot):
    """The slot after ``slot``, in turn."""
    return Mux(slot == SLOTS - 1, 0, slot + 1)[: len(slot)]


class Scheduler(wiring.Component):
    """Three slots of jobs: one is loaded, one computed, of one the last rows are written.

    Loading, computing and writing take the slots in turn, each at its own time. Operands have two
    banks each: those of queries are used in turn; a job with the same K and V as the job before
    uses that one's, ``kv``, others the other. A bank is written as soon as the job two before has
    left it: that of Q when its last row has entered the front end, that of K when it has left it,
    that of V when its last weight is taken; in this order they are loaded. Heads that are empty or
    in error pass without work. A head begins when all of its operands are there, so that an error
    of the bus is known before anything is written, and when the job two before has left the front
    end, where heads are told apart by their banks of queries.

    Parameters
    ----------
    config : SurvivorConfig
    front : FrontEnd

    Members
    -------
    job : In(stream of descriptor_layout)
        Taken as soon as a slot is free.
    jobs : Out(3 x descriptor_layout)
        Per slot, stable while in work.
    kv : Out(3)
        Per slot, the bank of K and V.
    command : Out(stream of command_layout)
    loaded, loaded_tag, beat, beat_tag, bus_error : In
        From the loader. An error in K or V is one of all heads that wait for them.
    head : Out(stream of head_layout)
        To the issue of rows.
    ended, ended_slot, survivors : In
        Strobe: a row has left the front end; beside them what else ``front.counts`` of it.
    valued, valued_slot : In
        Strobe: the last weight of a row has been taken.
    words : In(2 x)
        What ``front.words`` says, by bank of queries; only if it says anything.
    result : Out(stream of result_job_layout)
    status : Out(status_layout)
        For the result writer, of the head of ``result``.
    done, failed : Out(1)
        Strobes at the end of a head.
    loading : Out(1)
        No head is computed, and one waits for operands that were asked for.
    """

    def __init__(self, *, config: SurvivorConfig, front: FrontEnd):
        self._config, self._front = config, front
        super().__init__({
            "job": In(stream.Signature(descriptor_layout(config))),
            "jobs": Out(data.ArrayLayout(descriptor_layout(config), SLOTS)),
            "kv": Out(SLOTS),
            "command": Out(stream.Signature(command_layout(config))),
            "loaded": In(1),
            "loaded_tag": In(tag_layout()),
            "beat": In(1),
            "beat_tag": In(tag_layout()),
            "bus_error": In(1),
            "head": Out(stream.Signature(head_layout(config, front))),
            "ended": In(1),
            "ended_slot": In(range(SLOTS)),
            "survivors": In(config.length_width),
            **{name: In(shape) for name, shape in front.counts.items()},
            "valued": In(1),
            "valued_slot": In(range(SLOTS)),
            **({"words": In(data.ArrayLayout(front.words[1], 2))} if front.words else {}),
            "result": Out(stream.Signature(result_job_layout(config))),
            "status": Out(status_layout(front)),
            "done": Out(1),
            "failed": Out(1),
            "loading": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # How far the head of each slot has come, and what it took.
        state = data.StructLayout({
            "busy": 1,
            "q": 1, "kv": 1,    # banks
            "same": 1,          # K and V are the job's before
            "idle": 1,          # there is nothing to compute
            "fetches": 1,       # K and V
            "asked": 1, "loaded": 1, "bus_error": 1,
            "started": 1,       # computed, or passed over
            "computed": 1,
            "issued": 1,        # its rows have entered the front end, or there are none
            "scored": 1,        # they have left it, or there are none
            "valued": 1,        # its weights are taken, or there are none
        })
        self._slots = Signal(data.ArrayLayout(state, SLOTS))
        self._counts = Signal(data.ArrayLayout(status_layout(self._front), SLOTS))
        self._fails = Signal(SLOTS)     # in this cycle, by an error of the bus
        self._held = Signal(2)      # K and V are on the chip or under way, per bank of them
        waiting = [slot.busy & slot.asked & ~slot.loaded for slot in self._slots]
        computing = [slot.busy & slot.computed for slot in self._slots]
        m.d.sync += self.loading.eq(Cat(waiting).any() & ~Cat(computing).any())
        m.d.comb += [self.kv[n].eq(slot.kv) for n, slot in enumerate(self._slots)]
        self._count(m)
        self._rows(m)
        self._accept(m)
        self._load(m)
        self._start(m)
        self._finish(m)
        return m

    def _count(self, m):
        """What the loader and the front end report."""
        tag, front = self.beat_tag, self._front
        for n, (state, counts) in enumerate(zip(self._slots, self._counts, strict=True)):
            mine = tag.slot == n
            shared = (tag.plane != Plane.Q) & state.same & ~state.started & (tag.bank == state.kv)
            with m.If(self.beat & mine):
                m.d.sync += counts.read_beats.eq(counts.read_beats + 1)
            m.d.comb += self._fails[n].eq(self.beat & self.bus_error & (mine | shared))
            with m.If(self._fails[n]):
                m.d.sync += state.bus_error.eq(1)
            plane = self.loaded_tag.plane
            last = (plane == Plane.V) | ((plane == Plane.Q) & ~state.fetches)
            with m.If(self.loaded & (self.loaded_tag.slot == n) & last):
                m.d.sync += state.loaded.eq(1)
            with m.If(self.ended & (self.ended_slot == n)):
                m.d.sync += [counts[name].eq(counts[name] + getattr(self, name))
                             for name in ("survivors", *front.counts)]
            if front.words:
                # No two heads read keys for the same bank of queries at the same time.
                total = counts[front.words[0]]
                with m.If(state.computed & ~state.scored):
                    m.d.sync += total.eq(total + self.words[state.q])

    def _rows(self, m):
        """The ends of heads in the front end and in the value unit, where rows come in order."""
        for strobe, slot, end in ((self.ended, self.ended_slot, "scored"),
                                  (self.valued, self.valued_slot, "valued")):
            rows = Signal(self._config.length_width, name=f"{end}_rows")
            with m.If(strobe):
                m.d.sync += rows.eq(rows + 1)
                with m.If(rows == self.jobs[slot].valid_q - 1):
                    m.d.sync += [rows.eq(0), self._slots[slot][end].eq(1)]

    def _accept(self, m):
        slot = Signal(range(SLOTS))
        last_slot = Signal(range(SLOTS))
        job = self.job.payload
        state, before, last = self._slots[slot], self._slots[last_slot], self.jobs[last_slot]
        same = Signal()
        kv = Signal()
        m.d.comb += [
            same.eq(job.same_kv & (last.error == 0) & ~before.bus_error
                    & ~self._fails.bit_select(last_slot, 1) & (last.d8 == job.d8)
                    & (last.valid_kv == job.valid_kv)),
            kv.eq(before.kv ^ ~same),
            self.job.ready.eq(~state.busy),
        ]
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                slot.eq(following(slot)), last_slot.eq(slot),
                self.jobs[slot].eq(job), state.eq(0), state.busy.eq(1),
                state.q.eq(~before.q), state.kv.eq(kv), state.same.eq(same),
                state.idle.eq((job.error != 0) | (job.valid_q == 0) | (job.valid_kv == 0)),
                self._counts[slot].eq(0),
                self._counts[slot].read_beats.eq(
                    self._config.descriptor_bytes * 8 // self._config.axi_data_width),
            ]

    def _load(self, m):
        """Q, then K and V, unless they are there; into banks that the job two before has left."""
        front = Signal(range(SLOTS))
        slot = Signal(range(SLOTS))
        command = self.command.payload
        state, job, kv = self._slots[front], self.jobs[slot], self._slots[slot].kv
        # In its slot there may be the job after this one by now, which has not asked for anything.
        older = self._slots[following(slot)]
        gone = ~older.busy | ~older.asked
        m.d.comb += [command.slot.eq(slot), command.d8.eq(job.d8), command.job.eq(job.index)]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(state.busy & ~state.asked):
                    m.d.sync += [state.asked.eq(1), slot.eq(front), front.eq(following(front))]
                    # Not before: the job two before may still be asking for its own.
                    with m.If(~state.same):
                        m.d.sync += self._held.bit_select(state.kv, 1).eq(0)
                    with m.If(state.idle):
                        m.d.sync += state.loaded.eq(1)
                    with m.Else():
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += self._slots[slot].fetches.eq(~self._held.bit_select(kv, 1))
                m.next = "Q"
            for plane, left in ((Plane.Q, older.issued), (Plane.K, older.scored),
                                (Plane.V, older.valued)):
                rows = job.valid_q if plane is Plane.Q else job.valid_kv
                with m.State(plane.name):
                    m.d.comb += [
                        self.command.valid.eq(gone | left),
                        command.plane.eq(plane), command.rows.eq(rows),
                        command.bank.eq(self._slots[slot].q if plane is Plane.Q else kv),
                        command.address.eq(job[plane.name.lower()]),
                    ]
                    with m.If(self.command.valid & self.command.ready):
                        m.next = "V" if plane is Plane.K else "IDLE"
                        if plane is Plane.Q:
                            with m.If(self._slots[slot].fetches):
                                m.next = "K"
                        if plane is Plane.V:
                            m.d.sync += self._held.bit_select(kv, 1).eq(1)

    def _start(self, m):
        """Heads whose operands are there, one after the other."""
        slot = Signal(range(SLOTS))
        head_slot = Signal(range(SLOTS))
        running = Signal()
        state, job, head = self._slots[slot], self.jobs[head_slot], self.head.payload
        # In its slot there may be the job after this one by now, which does not start before it.
        older = self._slots[following(slot)]
        m.d.comb += [
            self.head.valid.eq(running), head.slot.eq(head_slot),
            head.bank.eq(self._slots[head_slot].q), head.kv.eq(self._slots[head_slot].kv),
            *(head[name].eq(job[name])
              for name in ("valid_q", "valid_kv", "causal", "d8", *self._front.fields)),
        ]
        with m.If(running):
            m.d.sync += running.eq(~self.head.ready)
            with m.If(self.head.ready):
                m.d.sync += self._slots[head_slot].issued.eq(1)
        with m.Elif(state.busy & state.loaded & ~state.started
                    & ~(older.busy & older.started & ~older.scored)):
            m.d.sync += [state.started.eq(1), slot.eq(following(slot))]
            with m.If(~state.idle & ~state.bus_error):
                m.d.sync += [state.computed.eq(1), running.eq(1), head_slot.eq(slot)]
            with m.Else():
                m.d.sync += [state.issued.eq(1), state.scored.eq(1), state.valued.eq(1)]

    def _finish(self, m):
        slot = Signal(range(SLOTS))
        result = self.result.payload
        state, job = self._slots[slot], self.jobs[slot]
        error = Signal(8)
        m.d.comb += [
            error.eq(Mux(job.error != 0, job.error, Mux(state.bus_error, Error.BUS, 0))),
            self.result.valid.eq(state.busy & state.started),
            *(result[name].eq(job[name])
              for name in ("out", "status", "l_q", "valid_q", "d8", "index")),
            result.computed.eq(state.computed), result.error.eq(error),
            self.status.eq(self._counts[slot]),
            self.done.eq(self.result.valid & self.result.ready),
            self.failed.eq(self.done & (error != 0)),
        ]
        with m.If(self.done):
            m.d.sync += [state.busy.eq(0), slot.eq(following(slot))]

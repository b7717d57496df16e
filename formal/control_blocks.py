# SPDX-License-Identifier: Apache-2.0
"""The blocks of the shell that hand out jobs and keep registers, watched."""

import z3
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden import registers
from prunus.golden.engines import load_config
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.hw.shell import axi, control, csr, descriptor, dispatch, faults, router

from .streams import NARROW, Claims, Queue, oks, show, soon, waits, wide

__all__ = ["ControlWatch", "CsrWatch", "DecoderWatch", "DispatcherWatch", "FaultWatch",
           "RouterWatch", "control_invariant", "csr_invariant", "decoder_invariant",
           "dispatcher_invariant", "fault_invariant", "router_invariant"]

CONFIG = load_config("hdp_tiny")
CORES = 3
SOURCES = 3
BEATS = DESCRIPTOR_BYTES * 8 // CONFIG.axi_data_width


class RouterWatch(wiring.Component):
    """Any jobs; cores end theirs when they like."""

    def __init__(self):
        self._config = CONFIG.model_copy(update={"cores": CORES})
        job = stream.Signature(descriptor.descriptor_layout(self._config))
        super().__init__({
            "job": In(job), "done": In(CORES), "hungry": In(CORES), "any_core": In(range(CORES)),
            "assume_core": Out(1), "assume_done": Out(1), "cover_out": Out(1),
            **oks("once", "same", "room", "served", "follows")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = router.JobRouter(config=self._config)
        wiring.connect(m, wiring.flipped(self.job), dut.job)
        counts = [Signal(2, name=f"jobs_{n}") for n in range(CORES)]
        given = Cat(core.valid for core in dut.cores)
        last = Signal(CORES, name="last_one")
        moves = self.job.valid & self.job.ready
        m.d.comb += [dut.done.eq(self.done), dut.hungry.eq(self.hungry),
                     *(core.ready.eq(1) for core in dut.cores),
                     self.assume_core.eq(self.any_core < CORES),
                     self.assume_done.eq(Cat(~self.done[n] | (counts[n] != 0)
                                             for n in range(CORES)).all()),
                     self.cover_out.eq(moves)]
        for n, core in enumerate(dut.cores):
            m.d.sync += counts[n].eq(counts[n] + core.valid - self.done[n])
        with m.If(moves):
            m.d.sync += last.eq(given)
        same_kv = self.job.payload.same_kv
        free = Cat(count == 0 for count in counts)
        room = Cat(count < 2 for count in counts)
        show(m, self, once=Mux(moves, given.any() & ((given & (given - 1)) == 0), ~given.any()),
            same=Cat(core.payload.as_value() == self.job.payload.as_value()
                     for core in dut.cores).all(),
            room=(given & ~room) == 0,
            served=self.job.ready | same_kv | ~free.any(),
            follows=~same_kv | ((given & ~last) == 0)
            & (self.job.ready == ((last & room) != 0)))
        return m


def router_invariant(step) -> Claims:
    yield "as many jobs as it counts", z3.And(*(
        z3.And(step(f"jobs_{n}") == step(f"dut.count_{n}"), z3.ULE(step(f"jobs_{n}"), 2))
        for n in range(CORES)))
    last = step("last_one")
    yield "the last one", z3.And(last == step("dut.last"), last & (last - 1) == 0)


class CsrWatch(wiring.Component):
    """Any host and any events inside."""

    def __init__(self):
        self._block = csr.Csr(config=CONFIG)
        self._events = ("done", "restart", "halted", "aborting", "outstanding", "write_error",
                        "error")
        super().__init__({
            "bus": In(axi.AXI4Lite(registers.ADDRESS_BITS)),
            **dict.fromkeys(self._events, In(1)), "cover_out": Out(1),
            **oks("write", "write_stays", "write_soon", "read", "read_stays", "read_soon")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.bus), dut.bus)
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in self._events]
        bus = dut.bus
        addresses, words, reads = (Signal(3, name=name)
                                   for name in ("addresses", "words", "reads"))
        written, read = bus.bvalid & bus.bready, bus.rvalid & bus.rready
        m.d.sync += [
            addresses.eq(addresses + (bus.awvalid & bus.awready) - written),
            words.eq(words + (bus.wvalid & bus.wready) - written),
            reads.eq(reads + (bus.arvalid & bus.arready) - read),
        ]
        m.d.comb += self.cover_out.eq(written)
        show(m, self, write=~bus.bvalid | ((addresses != 0) & (words != 0)),
            write_stays=waits(m, "b", bus.bvalid, bus.bready, bus.bresp),
            write_soon=soon(m, "write", (addresses != 0) & (words != 0) & ~bus.bvalid, 1),
            read=~bus.rvalid | (reads != 0),
            read_stays=waits(m, "r", bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp)),
            read_soon=soon(m, "read", (reads != 0) & ~bus.rvalid, 2))
        return m


def csr_invariant(step) -> Claims:
    def number(*names):
        return sum((wide(step(name), NARROW) for name in names), z3.BitVecVal(0, NARROW))

    yield "writes", z3.And(
        number("addresses") == number("dut.have_address", "dut.bus__bvalid"),
        number("words") == number("dut.have_data", "dut.bus__bvalid"))
    yield "reads", z3.And(number("reads") == number("dut.held", "dut.bus__rvalid"))
    yield "reads on their way", z3.Implies(
        z3.And(step("dut.bus__rvalid") == 0, step("dut.chosen") == 0),
        step("read_count") == 0)
    yield "chosen only what is held", z3.Implies(step("dut.chosen") == 1, step("dut.held") == 1)


class ControlWatch(wiring.Component):
    """Any bus, aborts at any time."""

    def __init__(self):
        self._names = ("abort", "outstanding", "moved", "running")
        super().__init__({**dict.fromkeys(self._names, In(1)), "any_timeout": In(32),
                          "cover_out": Out(1), **oks("quiet", "ends", "timeout", "stop")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = control.Control()
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in self._names]
        m.d.comb += [dut.timeout.eq(self.any_timeout), self.cover_out.eq(dut.restart)]
        owed, owed_before = (Signal(init=1, name=name) for name in ("owed", "owed_before"))
        silent = Signal(33, name="silence")
        m.d.sync += [owed.eq(self.outstanding), owed_before.eq(owed)]
        with m.If(self.moved | ~self.outstanding):
            m.d.sync += silent.eq(0)
        with m.Elif(~silent[32]):
            m.d.sync += silent.eq(silent + 1)
        show(m, self, quiet=~dut.restart | ~owed_before,
            ends=soon(m, "ends", dut.aborting & ~self.outstanding & ~dut.restart, 2),
            timeout=~dut.timed_out | (silent > self.any_timeout),
            stop=~(dut.aborting | dut.halted) | dut.stop)
        return m


def control_invariant(step) -> Claims:
    silent, mine = step("silence"), step("dut.silent")
    drained, restart = step("dut.drained") == 1, step("dut.restart") == 1
    yield "silence", z3.Implies(z3.Extract(32, 32, silent) == 0,
                                z3.Extract(31, 0, silent) == mine)
    yield "over", z3.Implies(step("dut.over") == 1, z3.And(
        z3.UGT(silent, z3.ZeroExt(1, z3.BitVec("any_timeout", 32))),
        z3.BitVec("any_timeout", 32) != 0))
    yield "drained", z3.And(z3.Implies(drained, z3.And(step("owed") == 0,
                                                       step("dut.aborting") == 1)),
                            z3.Implies(restart, step("owed_before") == 0))
    count = step("ends_count")
    yield "soon over", z3.ULE(count, z3.If(restart, z3.BitVecVal(2, 2),
                                           z3.If(drained, z3.BitVecVal(1, 2), 0)))


class FaultWatch(wiring.Component):
    """Any faults."""

    def __init__(self):
        super().__init__({"i": In(faults.fault_layout()).array(SOURCES), "clear": In(1),
                          "cover_out": Out(1), **oks("first", "any")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = faults.FirstFault(sources=SOURCES)
        m.d.comb += [dut.clear.eq(self.clear), *(mine.eq(its) for mine, its in zip(
            dut.i, self.i, strict=True))]
        kept = Signal(faults.fault_layout().size, name="kept")
        now = Signal.like(kept, name="now")
        with m.If(self.i[0].valid):
            m.d.comb += now.eq(self.i[0])
        for fault in self.i[1:]:
            with m.Elif(fault.valid):
                m.d.comb += now.eq(fault)
        came = Signal(name="came")
        m.d.sync += came.eq(now[0])
        with m.If(self.clear):
            m.d.sync += kept.eq(0)
        with m.Elif(now[0] & ~kept[0]):
            m.d.sync += kept.eq(now)
        m.d.comb += self.cover_out.eq(dut.o.valid)
        show(m, self, first=dut.o.as_value() == kept, any=dut.any == came)
        return m


def fault_invariant(step) -> Claims:
    yield from ()


class DecoderWatch(wiring.Component):
    """Any descriptors, of as many beats as they have."""

    def __init__(self):
        self._block = descriptor.DescriptorDecoder(config=CONFIG)
        beat = self._block.i.payload.shape()
        super().__init__({
            "i": In(stream.Signature(beat)), "ready": In(1), "any_beat": In(range(BEATS)),
            "word": Out(CONFIG.axi_data_width), "assume_last": Out(1), "cover_out": Out(1),
            **oks("known", "error", "stays", "soon")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        enters, leaves = Signal(), Signal()
        m.d.comb += [enters.eq(self.i.valid & self.i.ready), dut.o.ready.eq(self.ready),
                     leaves.eq(dut.o.valid & self.ready), self.cover_out.eq(leaves)]
        at = Signal(range(BEATS), name="at")
        word = Signal(CONFIG.axi_data_width, name="its_word")
        whole, failed = Signal(name="is_whole"), Signal(name="has_failed")
        beat = self.i.payload
        m.d.comb += [self.assume_last.eq(~self.i.valid | (beat.last == (at == BEATS - 1))),
                     self.word.eq(word)]
        with m.If(enters):
            m.d.sync += [at.eq(at + 1), failed.eq(failed | beat.error), whole.eq(beat.last)]
            with m.If(at == self.any_beat):
                m.d.sync += word.eq(beat.data)
        with m.If(leaves):
            m.d.sync += [whole.eq(0), failed.eq(0)]
        show(m, self, known=(~dut.o.valid | whole) & ~(enters & whole),
            error=~dut.o.valid | ((dut.o.payload.error == Error.BUS) == failed),
            stays=waits(m, "o", dut.o.valid, self.ready, Cat(dut.o.payload, dut.lost)),
            soon=soon(m, "soon", whole & ~dut.o.valid, 2))
        return m


def decoder_invariant(step) -> Claims:
    """In which state it is: 0 to 3 are to gather, to check, to choose and to offer."""
    state = step("dut.fsm_state")
    is_in = [state == n for n in range(4)]
    whole, failed = step("is_whole") == 1, step("has_failed") == 1
    raw, word = step("dut.raw"), step[step.system.outputs["word"]]
    yield "states", z3.And(whole == z3.Not(is_in[0]), step("dut.bus_error") == step("has_failed"),
                           z3.Implies(whole, step("at") == 0), step("at") == step("dut.beat"))
    yield "a bus error is told", z3.And(
        z3.Implies(is_in[2], (z3.Extract(Error.BUS, Error.BUS, step("dut.failed")) == 1)
                   == failed),
        z3.Implies(is_in[3], (step("dut.error") == Error.BUS) == failed))
    yield "soon offered", z3.Implies(whole, wide(step("soon_count"), NARROW) == z3.If(
        is_in[1], 0, z3.If(is_in[2], z3.BitVecVal(1, NARROW), z3.If(
            step("o_waited") == 1, 0, wide(step("soon_count"), NARROW)))))
    width = CONFIG.axi_data_width
    chosen = z3.BitVec("any_beat", (BEATS - 1).bit_length())
    at = step("at")
    for n in range(BEATS):
        low, high = n * width, min((n + 1) * width, raw.size()) - 1
        if low <= high:
            yield f"beat {n} lies in its words", z3.Implies(
                z3.And(chosen == n, z3.Or(whole, z3.UGT(at, n))),
                z3.Extract(high, low, raw) == z3.Extract(high - low, 0, word))


class DispatcherWatch(wiring.Component):
    """Any tables, of any descriptors; the memory answers when it likes."""

    def __init__(self, *, ahead: int):
        self._block = dispatch.Dispatcher(config=CONFIG, ahead=ahead)
        super().__init__({
            "start": In(1), "place": In(32), "number": In(registers.INDEX_BITS),
            "req_ready": In(1), "beats": In(stream.Signature(self._block.beats.payload.shape())),
            "ready": In(1), "assume_start": Out(1), "assume_beats": Out(1), "assume_count": Out(1),
            "cover_out": Out(1), **oks("address", "stays", "job", "room", "over")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.beats), dut.beats)
        count = Signal(registers.INDEX_BITS, name="its_count")
        left, handed = (Signal(registers.INDEX_BITS + 1, name=name) for name in ("left", "handed"))
        begin = Signal(33, name="its_address")
        due = Signal(NARROW, name="due")
        asks, hands = Signal(name="asks"), Signal(name="hands")
        m.d.comb += [
            dut.start.eq(self.start), dut.table.eq(self.place),
            dut.count.eq(Mux(self.start, self.number, count)), dut.req.ready.eq(self.req_ready),
            dut.job.ready.eq(self.ready), asks.eq(dut.req.valid & self.req_ready),
            hands.eq((dut.job.valid & self.ready) | dut.lost), self.cover_out.eq(hands),
            # A table begins after the one before was worked off.
            self.assume_start.eq(~self.start | ((left == 0) & (handed == 0))),
            self.assume_count.eq(~self.start | ((self.number != 0)
                                                & (self.place[:6] == 0))),
            self.assume_beats.eq(~self.beats.valid | ((due != 0) & (
                self.beats.payload.last == (due[:3] == 1))))]
        m.d.sync += due.eq(due + Mux(asks, BEATS, 0) - (self.beats.valid & self.beats.ready))
        with m.If(self.start):
            m.d.sync += [count.eq(self.number), left.eq(self.number), handed.eq(self.number),
                         begin.eq(self.place)]
        with m.Else():
            m.d.sync += handed.eq(handed - hands)
            with m.If(asks):
                m.d.sync += [left.eq(left - 1), begin.eq(begin + DESCRIPTOR_BYTES)]
        request, job = dut.req.payload, dut.job.payload
        show(m, self,
            address=~dut.req.valid | ((left != 0) & (request.address == begin[:32])
                                      & (request.refused == begin[32]) & request.record
                                      & (request.beats == BEATS)),
            stays=waits(m, "req", dut.req.valid, self.req_ready, request),
            job=~dut.job.valid | ((handed != 0) & (job.index == (count - handed)[:16])),
            room=~hands | (handed != 0), over=1)
        return m


def dispatcher_invariant(step, ahead: int) -> Claims:
    """In which state it is: 0 to 2 are idle, to request and to wait."""
    left, handed, due = (wide(step(name), 20) for name in ("left", "handed", "due"))
    count = wide(step("its_count"), 20)
    state, busy = step("dut.fsm_state"), step("dut.decoder.fsm_state") != 0
    idle, requests, waiting = (state == n for n in range(3))
    asked = step("dut.asked" if ahead == 1 else "dut.asked_1")
    at = wide(step("dut.decoder.beat"), 20)
    one, zero = z3.BitVecVal(1, 20), z3.BitVecVal(0, 20)
    yield "states", z3.And(
        z3.Or(idle, requests, waiting), z3.ULE(left, count), z3.ULE(left, handed),
        z3.ULE(handed, count),
        z3.Implies(idle, left == 0), z3.Implies(requests, left != 0),
        z3.Implies(z3.Not(idle), z3.And(
            step("dut.address") == step("its_address"), wide(asked, 20) == count - left)))
    yield "index", z3.Implies(handed != 0, wide(step("dut.index"), 20) == count - handed)
    yield "known", z3.And(
        z3.Implies(step("dut.known") == 1, step("dut.decoder.fsm_state") == 3),
        z3.Implies(busy, at == 0))
    decoding = z3.If(busy, one, zero)
    if ahead == 1:
        yield "one descriptor at a time", z3.And(
            handed - left == z3.If(waiting, one, zero),
            z3.If(waiting, due + at + z3.If(busy, z3.BitVecVal(BEATS, 20), zero) == BEATS,
                  z3.And(due == 0, at == 0, z3.Not(busy))))
        return
    queue = Queue(step, "dut.queue", ahead * BEATS + 1, buffered=True)
    room, inside = wide(step("dut.room"), 20), wide(queue.inside(), 20)
    under_way = ahead - room
    yield "the FIFO", queue.well()
    yield "room for each beat", z3.And(
        z3.ULE(room, ahead), z3.Implies(requests, room != 0),
        z3.Implies(waiting, under_way != 0),
        handed - left == under_way + decoding,
        inside + due + at == BEATS * under_way, z3.ULE(inside + due, ahead * BEATS))
    last = step.system.widths[step.system.names["dut.queue.r_data_reg"]] - 1
    yield "last beats", z3.And(*(
        z3.Implies(there, (z3.Extract(last, last, value) == 1)
                   == (z3.Extract(2, 0, at + n) == BEATS - 1))
        for n, (there, value) in enumerate((queue_there(queue, n), queue.at(
            z3.BitVecVal(n, NARROW))) for n in range(ahead * BEATS + 1))))


def queue_there(queue: Queue, number: int):
    """Whether there are more than so many."""
    return z3.UGT(queue.inside(), number)

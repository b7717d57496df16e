# SPDX-License-Identifier: Apache-2.0
"""The stream blocks, arbiters and FIFOs of the shell, watched: see :mod:`prunus.formal.streams`.

Every block has around it whatever its interface allows. Data and tags only pass through, so a beat
has 8 bits here, a burst 2 beats, a request up to 3 and a FIFO as few places as go with that; the
splitter has requests as long as in a coprocessor. Addresses have all their bits everywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import z3
from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engines import load_config
from prunus.hw.shell import arbiter, bursts, collector, reader, writer

from .control import field
from .streams import (
    NARROW,
    WIDE,
    Claims,
    Marked,
    Place,
    Queue,
    Run,
    element_is_inside,
    oks,
    request_is_inside,
    show,
    soon,
    waits,
    wide,
)

__all__ = ["CLIENTS", "CollectorWatch", "FifoWatch", "ReadArbiterWatch", "ReaderWatch",
           "SplitterWatch", "TurnWatch", "WriteArbiterWatch", "WriterWatch",
           "collector_invariant", "fifo_invariant", "read_arbiter_invariant", "reader_invariant",
           "small", "splitter_invariant", "turn_invariant", "write_arbiter_invariant",
           "writer_invariant"]

BURST = 2
CLIENTS = 3
CONFIG = load_config("hdp_tiny").model_copy(update={"axi_data_width": 8})
TAG = 2
BEAT = data.StructLayout({"data": CONFIG.axi_data_width})
LENGTH = 2      # bits of the beats of a request, in place of 20
MARKS = 2       # bursts that wait for beats, or for their response, in place of 16


@contextmanager
def small(bits: int = LENGTH, marks: int = MARKS) -> Iterator[None]:
    """With so many bits for the beats of a request, and so many bursts on their way."""
    with (patch.object(bursts, "BEATS_WIDTH", bits), patch.object(reader, "MARKS", marks),
          patch.object(writer, "OUTSTANDING", marks), patch.object(writer, "LENGTHS", marks)):
        yield


def _most() -> int:
    """Most beats of a request."""
    return (1 << bursts.BEATS_WIDTH) - 1


class FifoWatch(wiring.Component):
    """A FIFO of Amaranth with words of two bits."""

    def __init__(self, *, kind: str, depth: int):
        self._kind, self._depth = kind, depth
        super().__init__({"i": In(stream.Signature(2)), "ready": In(1), "mark": In(1),
                          **oks("known", "order", "soon"), "cover_out": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = getattr(fifo, self._kind)(width=2, depth=self._depth)
        m.d.comb += [queue.w_en.eq(self.i.valid), queue.w_data.eq(self.i.payload),
                     self.i.ready.eq(queue.w_rdy), queue.r_en.eq(self.ready)]
        leaves = Signal()
        m.d.comb += [leaves.eq(queue.r_rdy & self.ready), self.cover_out.eq(leaves)]
        marked = Marked(m, "word", mark=self.mark, enters=self.i.valid & queue.w_rdy,
                        entering=self.i.payload, leaves=leaves, leaving=queue.r_data,
                        most=self._depth)
        show(m, self, known=marked.known, order=marked.order,
            soon=soon(m, "soon", (marked.inside != 0) & ~queue.r_rdy, 1))
        return m


def fifo_invariant(step, kind, depth: int) -> Claims:
    queue = Queue(step, "fifo", depth, buffered=kind is fifo.SyncFIFOBuffered)
    inside, ahead = (wide(step(f"word_{name}"), NARROW) for name in ("inside", "ahead"))
    yield "the FIFO", queue.well()
    yield "so many are inside", inside == queue.inside()
    yield "where it is", z3.Implies(step("word_marked") == 1, z3.And(
        z3.ULT(ahead, inside), queue.at(ahead) == step("word_kept")))


class TurnWatch(wiring.Component):
    """A client who goes on wanting, and how many others were served since."""

    def __init__(self, *, clients: int):
        self._clients = clients
        super().__init__({"wants": In(clients), "take": In(1), "any_client": In(range(clients)),
                          "others": Out(range(clients + 1)), "cover_turn": Out(1),
                          "assume_client": Out(1), "assume_take": Out(1),
                          **oks("served", "one")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.turn = turn = arbiter.RoundRobin(clients=self._clients)
        wants, mine = (bits.bit_select(self.any_client, 1) for bits in (self.wants, turn.turn))
        m.d.comb += [turn.wants.eq(self.wants), turn.take.eq(self.take),
                     self.assume_client.eq(self.any_client < self._clients),
                     self.assume_take.eq(~self.take | self.wants.any()),
                     self.cover_turn.eq(mine)]
        others = Signal.like(self.others)
        m.d.comb += self.others.eq(others)
        with m.If(~wants | (self.take & mine)):
            m.d.sync += others.eq(0)
        with m.Elif(self.take):
            m.d.sync += others.eq(others + 1)
        show(m, self, served=others < self._clients,
            one=((turn.turn & (turn.turn - 1)) == 0) & ((turn.turn & ~self.wants) == 0)
            & (turn.turn.any() == self.wants.any()))
        return m


def turn_invariant(step, clients: int) -> Claims:
    """Those who may come before the client were not yet served."""
    after = step(next(name for name in step.system.names if name.endswith("after")))
    client = z3.BitVec("any_client", (clients - 1).bit_length())
    bits = [z3.Extract(n, n, after) == 1 for n in range(clients)]
    yield "those behind the last one", z3.And(
        *(z3.Implies(bits[n], bits[n + 1]) for n in range(clients - 1)))
    others = wide(step[step.system.outputs["others"]], NARROW)
    one, zero = z3.BitVecVal(1, others.size()), z3.BitVecVal(0, others.size())
    for c in range(clients):
        # Those in line before it, or all in line and then those from the first one on.
        before = sum((z3.If(z3.Implies(bits[c], bits[n]), one, zero)
                      if n < c else z3.If(z3.And(bits[n], z3.Not(bits[c])), one, zero)
                      for n in range(clients) if n != c), zero)
        yield f"turns before client {c}", z3.Implies(
            client == c, z3.ULE(others + before, clients - 1))


class ReadArbiterWatch(wiring.Component):
    """Requests of any client, and beats for any."""

    def __init__(self, *, clients: int):
        self._block = block = arbiter.ReadArbiter(config=CONFIG, clients=clients, tag_width=TAG)
        self._clients = clients
        super().__init__({
            "reqs": In(stream.Signature(bursts.request_layout(TAG))).array(clients),
            "i": In(stream.Signature(reader.read_beat_layout(CONFIG, block.wide_tag))),
            "ready": In(1), "readies": In(clients), "mark": In(1),
            "assume_owner": Out(1), "cover_out": Out(1),
            **oks("known", "order", "stays", "soon", "beats")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        for n in range(self._clients):
            wiring.connect(m, wiring.flipped(self.reqs[n]), dut.reqs[n])
            m.d.comb += dut.beats[n].ready.eq(self.readies[n])
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        entering = Signal(len(dut.req.payload.as_value()))
        for n, req in enumerate(self.reqs):
            with m.If(req.valid & req.ready):
                m.d.comb += entering.eq(Cat(req.payload, C(n, dut.wide_tag - TAG)))
        enters = Cat(req.valid & req.ready for req in self.reqs)
        leaves = Signal()
        m.d.comb += [dut.req.ready.eq(self.ready), leaves.eq(dut.req.valid & self.ready),
                     self.cover_out.eq(leaves)]
        marked = Marked(m, "request", mark=self.mark, enters=enters.any(), entering=entering,
                        leaves=leaves, leaving=dut.req.payload, most=1)
        owner = self.i.payload.tag[TAG:]
        beat = self.i.payload
        right = [
            (sink.valid == (self.i.valid & (owner == n)))
            & (~sink.valid | ((sink.payload.data == beat.data) & (sink.payload.last == beat.last)
                              & (sink.payload.error == beat.error)
                              & (sink.payload.tag == beat.tag[:TAG])))
            for n, sink in enumerate(dut.beats)]
        m.d.comb += self.assume_owner.eq(owner < self._clients)
        show(m, self, known=marked.known & ((enters & (enters - 1)) == 0), order=marked.order,
            stays=waits(m, "req", dut.req.valid, self.ready, dut.req.payload),
            soon=(marked.inside == 0) | dut.req.valid,
            beats=Cat(right).all() & (self.i.ready == self.readies.bit_select(owner, 1)))
        return m


def read_arbiter_invariant(step) -> Claims:
    yield from element_is_inside(step, "request", [Place(
        step("dut.req__valid") == 1, step("dut.req__payload"))])


class WriteArbiterWatch(wiring.Component):
    """Requests of any client, and beats of each whenever it has some."""

    def __init__(self, *, clients: int):
        self._block = arbiter.WriteArbiter(config=CONFIG, clients=clients)
        self._clients = clients
        super().__init__({
            "reqs": In(stream.Signature(bursts.request_layout())).array(clients),
            "i": In(stream.Signature(BEAT)).array(clients),
            "ready": In(1), "beat_ready": In(1), "mark": In(1),
            "assume_beats": Out(1), "cover_out": Out(1),
            **oks("known", "order", "stays", "beat_known", "beat_owner", "beat_after", "soon",
                    "data")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        for n in range(self._clients):
            wiring.connect(m, wiring.flipped(self.reqs[n]), dut.reqs[n])
            wiring.connect(m, wiring.flipped(self.i[n]), dut.i[n])
        entering = Signal(len(dut.req.payload.as_value()))
        owner = Signal(range(self._clients))
        beats = Signal(bursts.BEATS_WIDTH)
        for n, req in enumerate(self.reqs):
            with m.If(req.valid & req.ready):
                m.d.comb += [entering.eq(Cat(req.payload, C(n, dut.tag))), owner.eq(n),
                             beats.eq(req.payload.beats)]
        taken = Cat(req.valid & req.ready for req in self.reqs)
        gone, moves = Signal(), Signal()
        m.d.comb += [dut.req.ready.eq(self.ready), gone.eq(dut.req.valid & self.ready),
                     dut.o.ready.eq(self.beat_ready), moves.eq(dut.o.valid & self.beat_ready),
                     self.cover_out.eq(moves),
                     self.assume_beats.eq(Cat(~req.valid | (req.payload.beats != 0)
                                              for req in self.reqs).all())]
        marked = Marked(m, "request", mark=self.mark, enters=taken.any(), entering=entering,
                        leaves=gone, leaving=dut.req.payload, most=1)
        source, sent = Signal(range(self._clients)), Signal(8)
        sources = Cat(i.valid & i.ready for i in self.i)
        for n, i in enumerate(self.i):
            with m.If(i.valid & i.ready):
                m.d.comb += [source.eq(n), sent.eq(i.payload.data)]
        run = Run(m, "run", mark=self.mark, enters=taken.any(), beats=beats, entering=owner,
                  leaves=moves, leaving=source)
        # Beats of requests that the DMA has.
        told = Signal(WIDE)
        m.d.sync += told.eq(told + Mux(gone, dut.req.payload.beats, 0) - moves)
        show(m, self, known=marked.known & ((taken & (taken - 1)) == 0), order=marked.order,
            stays=waits(m, "req", dut.req.valid, self.ready, dut.req.payload),
            beat_known=run.known, beat_owner=run.right,
            beat_after=~moves | (told != 0),
            data=Mux(moves, ((sources & (sources - 1)) == 0) & sources.any()
                     & (dut.o.payload.data == sent), ~sources.any()),
            # One is offered whenever its client has it: at most a cycle after the one before.
            soon=soon(m, "idle", (told != 0) & (dut.i[0].ready == 0)
                      & ~Cat(i.ready for i in dut.i).any() & self.beat_ready
                      & Cat(i.valid for i in self.i).all(), 2))
        return m


def write_arbiter_invariant(step) -> Claims:
    queue = Queue(step, "dut.order", 4)
    yield "the FIFO", queue.well()
    holds, request = step("dut.holds") == 1, step("dut.req__payload")
    layout = bursts.request_layout((CLIENTS - 1).bit_length())
    ones = [z3.BitVecVal(1 << n, CLIENTS) for n in range(CLIENTS)]

    def place(there, owner, beats):
        kept = wide(step("run_kept"), CLIENTS)
        return Place(there, beats=beats, right=owner == z3.BitVecVal(1, CLIENTS) << kept)

    def parts(value):
        return (z3.Extract(CLIENTS - 1, 0, value),
                z3.Extract(value.size() - 1, CLIENTS, value))

    values = [(step("dut.moving") == 1, step("dut.current")), *queue.places]
    shares = [place(there, *parts(value)) for there, value in values]
    yield from element_is_inside(step, "request", [Place(holds, request)])
    yield from request_is_inside(step, "run", [
        *shares, place(holds, step("dut.owner"), field(request, layout, "beats"))],
        most=_most())
    at = z3.BitVecVal(0, WIDE)
    for share in shares:
        at = at + z3.If(share.there, share.size(WIDE), z3.BitVecVal(0, WIDE))
    yield "requests that the DMA has", step("told") == at
    owner = step("dut.owner")
    yield "owners", z3.And(
        z3.Implies(holds, z3.Or(*(z3.And(owner == one, field(request, layout, "tag") == n)
                                  for n, one in enumerate(ones)))),
        *(z3.Implies(there, z3.Or(*(parts(value)[0] == one for one in ones)))
          for there, value in values))


class SplitterWatch(wiring.Component):
    """Any requests, any windows, any bursts; addresses and lengths as in a coprocessor."""

    def __init__(self, *, burst: int = 16, bits: int = 64):
        self._config = CONFIG.model_copy(update={"axi_data_width": bits})
        self._block = bursts.BurstSplitter(config=self._config, burst=burst, tag_width=TAG)
        super().__init__({
            "i": In(stream.Signature(bursts.request_layout(TAG))), "ready": In(1), "mark": In(1),
            "any_windows": In(bursts.windows_layout()), "assume_request": Out(1),
            "cover_out": Out(1),
            **oks("known", "fields", "last", "address", "size", "refused", "stays", "soon")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        i, o, unit = self.i.payload, dut.o.payload, dut.unit
        leaves, enters = Signal(), Signal()
        m.d.comb += [dut.o.ready.eq(self.ready), leaves.eq(dut.o.valid & self.ready),
                     enters.eq(self.i.valid & self.i.ready), self.cover_out.eq(leaves),
                     dut.windows.eq(self.any_windows),
                     self.assume_request.eq((i.beats != 0) & (i.address[:unit] == 0))]
        run = Run(m, "run", mark=self.mark, enters=enters, beats=i.beats,
                  entering=Cat(i.job, i.record, i.tag), leaves=leaves,
                  leaving=Cat(o.job, o.record, o.tag), last=o.last, amount=o.beats,
                  bits=bursts.BEATS_WIDTH + 1)
        # Where its next burst begins, and whether all of it may be made, in whole numbers.
        width = bursts.ADDRESS_WIDTH
        address, bad = Signal(width + 1, name="its_address"), Signal(name="its_bad")
        window = self.any_windows[i.record]
        begin = i.address
        end = begin + (i.beats << unit) - 1
        size = bursts.WINDOW_LOW
        with m.If(enters & self.mark & ~run.marked):
            m.d.sync += [address.eq(begin), bad.eq(
                i.refused | (begin < window.base << size)
                | (end >= (window.limit + 1) << size))]
        with m.Elif(leaves & run.mine):
            m.d.sync += address.eq(address + (o.beats << unit))
        mine = ~(leaves & run.mine)
        first, last = o.address, o.address + (o.beats << unit) - 1
        show(m, self, known=run.known, fields=run.right, last=run.last,
            address=mine | (o.address == address[:width]),
            refused=mine | (o.refused == bad),
            size=~leaves | ((o.beats != 0) & (o.beats <= dut.burst)
                            & (first[12:] == last[12:])),
            stays=waits(m, "o", dut.o.valid, self.ready, o),
            soon=soon(m, "soon", (run.total != 0) & ~dut.o.valid, 1))
        return m


def splitter_invariant(step, unit: int, burst: int) -> Claims:
    request, offer = step("dut.request"), step("dut.o__payload")
    layouts = bursts.request_layout(TAG), bursts.burst_layout(burst, TAG)
    active, valid = step("dut.active") == 1, step("dut.o__valid") == 1
    kept, bits = step("run_kept"), step("run_total").size()
    address, bad = step("its_address"), step("its_bad") == 1
    width = bursts.ADDRESS_WIDTH

    def of(value, layout, name):
        return field(value, layout, name)

    def right(value, layout, begins):
        names = ("tag", "record", "job")
        return z3.And(kept == z3.Concat(*(of(value, layout, name) for name in names)),
                      of(value, layout, "address") == z3.Extract(width - 1, 0, begins))

    def beats(value, layout):
        return wide(of(value, layout, "beats"), bits)

    def size(beats):
        return z3.ZeroExt(width + 1 - bits, beats) << unit

    offered, asked = beats(offer, layouts[1]), beats(request, layouts[0])
    first = of(request, layouts[0], "address")
    record = of(request, layouts[0], "record")
    last = of(offer, layouts[1], "last") == 1
    # Of the marked request some may be offered already, or all of it, or all be to come.
    marked = step("run_marked") == 1
    is_mine = z3.And(marked, step("run_before") == 0)
    behind_it = z3.If(z3.And(valid, is_mine), address + size(offered), address)
    yield from request_is_inside(step, "run", [
        Place(valid, beats=offered, last=last, right=z3.And(
            right(offer, layouts[1], address), (of(offer, layouts[1], "refused") == 1) == bad)),
        Place(active, beats=asked, last=z3.BoolVal(True),
              right=right(request, layouts[0], behind_it))], most=_most())
    behind = step("dut.behind")
    numbers = behind.size()
    beyond, refused = step("dut.beyond") == 1, of(request, layouts[0], "refused") == 1
    number = z3.ZeroExt(numbers - (width - unit), z3.Extract(width - 1, unit, first))
    yield "aligned", z3.Implies(active, z3.Extract(unit - 1, 0, first) == 0) if unit \
        else z3.BoolVal(True)
    yield "behind it", z3.Implies(z3.And(active, z3.Not(beyond)),
                                  behind == number + z3.ZeroExt(numbers - asked.size(), asked))
    layout, one = bursts.windows_layout().elem_shape, bursts.windows_layout().elem_shape.size
    windows = z3.BitVec("any_windows", bursts.windows_layout().size)

    def bound(end):
        planes, records = (field(z3.Extract(one * n + one - 1, one * n, windows), layout, end)
                           for n in (0, 1))
        return z3.If(record == 1, records, planes)

    low = bursts.WINDOW_LOW
    limit = z3.ZeroExt(1, bound("limit")) + 1
    limit = z3.Concat(limit, z3.BitVecVal(0, low - unit)) if low > unit else limit
    now = z3.Or(refused, beyond, z3.ULT(z3.Extract(width - 1, low, first), bound("base")),
                z3.UGT(behind, limit))
    of_request = z3.And(marked, active, z3.UGT(step("run_before") + step("run_left"),
                                               z3.If(valid, offered, 0)))
    yield "whether it may be made", z3.Implies(of_request, now == bad)
    index = z3.Extract(width - 1, unit, of(offer, layouts[1], "address"))
    room = burst.bit_length() - 1
    at = z3.ZeroExt(bits - room, z3.Extract(room - 1, 0, index))
    yield "bursts end at multiples", z3.Implies(valid, z3.ULE(at + offered, burst))
    yield "aligned bursts", z3.Implies(valid, z3.Extract(
        unit - 1, 0, of(offer, layouts[1], "address")) == 0) if unit else z3.BoolVal(True)


class CollectorWatch(wiring.Component):
    """Any requests and any beats; beats are taken once their request was."""

    def __init__(self):
        self._block = collector.WriteCollector(config=CONFIG, burst=BURST)
        super().__init__({
            "req": In(stream.Signature(bursts.request_layout())),
            "i": In(stream.Signature(BEAT)), "ready": In(1), "beat_ready": In(1), "mark": In(1),
            "assume_request": Out(1), "assume_owed": Out(1), "cover_out": Out(1),
            **oks("known", "order", "stays", "beat_stays", "there", "soon", "idle")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.req), dut.req)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        enters, leaves, asks = Signal(), Signal(), Signal()
        m.d.comb += [
            dut.burst.ready.eq(self.ready), dut.o.ready.eq(self.beat_ready),
            enters.eq(self.i.valid & self.i.ready), leaves.eq(dut.o.valid & self.beat_ready),
            asks.eq(dut.burst.valid & self.ready), self.cover_out.eq(leaves),
            self.assume_request.eq(self.req.payload.beats != 0)]
        beat = Marked(m, "beat", mark=self.mark, enters=enters, entering=self.i.payload,
                      leaves=leaves, leaving=dut.o.payload, most=dut.depth + 1)
        # Beats that came and were not asked for yet; what is asked for is there, or has left.
        spare, owed = (Signal(NARROW, name=name) for name in ("spare", "owed"))
        beats = dut.burst.payload.beats
        m.d.sync += [spare.eq(spare + enters - Mux(asks, beats, 0)),
                     owed.eq(owed + Mux(asks, beats, 0) - leaves)]
        m.d.comb += self.assume_owed.eq(~leaves | (owed != 0))
        show(m, self, known=beat.known, order=beat.order,
            stays=waits(m, "burst", dut.burst.valid, self.ready, dut.burst.payload),
            beat_stays=waits(m, "o", dut.o.valid, self.beat_ready, dut.o.payload),
            there=~asks | (beats <= spare),
            soon=soon(m, "soon", (beat.inside != 0) & ~dut.o.valid, 2),
            idle=~dut.idle | (beat.inside == 0))
        return m


def collector_invariant(step) -> Claims:
    depth = 2 * BURST
    queue = Queue(step, "dut.fifo", depth, buffered=True)
    yield "the FIFO", queue.well()
    yield from element_is_inside(step, "beat", [
        Place(step("dut.o__valid") == 1, step("dut.o__payload")),
        *(Place(*place) for place in queue.places)])
    inside = wide(step("beat_inside"), NARROW)
    yield "beats not asked for", z3.And(
        step("spare") == wide(step("dut.unclaimed"), NARROW),
        step("spare") + step("owed") == inside, z3.ULE(step("spare"), inside))
    yield "beats inside", wide(step("dut.inside_"), NARROW) == inside
    yield "on their way", z3.Implies(step("dut.o__valid") == 0, z3.ULE(
        step("soon_count"), z3.If(queue.places[0][0], z3.BitVecVal(1, 2), 0)))


class ReaderWatch(wiring.Component):
    """Any requests, any windows; memory answers when it likes, but nothing it was not asked for."""

    def __init__(self):
        self._block = reader.Reader(config=CONFIG, tag_width=TAG, burst=BURST, depth=2 * BURST)
        super().__init__({
            "req": In(stream.Signature(bursts.request_layout(TAG))), "ready": In(1),
            "mark": In(1), "any_windows": In(bursts.windows_layout()), "stop": In(1),
            "arready": In(1), "rvalid": In(1), "rdata": In(CONFIG.axi_data_width),
            "rresp": In(2), "assume_request": Out(1), "assume_asked": Out(1), "rready": Out(1),
            "ar": Out(2), "cover_out": Out(1),
            **oks("known", "tag", "last", "error", "stays", "ar_stays", "data_known", "data",
                  "beat")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.req), dut.req)
        axi, o, request = dut.axi, dut.o.payload, self.req.payload
        enters, leaves = Signal(), Signal()
        m.d.comb += [
            dut.o.ready.eq(self.ready), dut.windows.eq(self.any_windows), dut.stop.eq(self.stop),
            axi.arready.eq(self.arready), axi.rvalid.eq(self.rvalid), axi.rdata.eq(self.rdata),
            axi.rresp.eq(self.rresp), self.assume_request.eq(request.beats != 0),
            enters.eq(self.req.valid & self.req.ready), leaves.eq(dut.o.valid & self.ready),
            self.cover_out.eq(leaves), self.rready.eq(axi.rready),
            self.ar.eq(Mux(axi.arvalid, axi.arlen + 1, 0))]
        asked = Signal(WIDE, name="asked")
        m.d.sync += asked.eq(asked + Mux(axi.arvalid & axi.arready, axi.arlen + 1, 0)
                             - (axi.rvalid & axi.rready))
        m.d.comb += self.assume_asked.eq(~axi.rvalid | (asked != 0))
        run = Run(m, "run", mark=self.mark, enters=enters, beats=request.beats,
                  entering=Cat(request.tag), leaves=leaves, leaving=Cat(o.tag), last=o.last)
        refused = Signal(name="its_refused")
        with m.If(enters & self.mark & ~run.marked):
            m.d.sync += refused.eq(request.refused)
        # A beat from the bus, or the error in the place of a refused one: rready is low for nothing
        # else, as the invariant says.
        shut, taken, taken_before = ~axi.rready, Signal(), Signal()
        m.d.comb += taken.eq(axi.rvalid & axi.rready)
        m.d.sync += taken_before.eq(taken)
        beat = Marked(m, "beat", mark=self.mark, enters=taken | shut,
                      entering=Cat(axi.rdata, axi.rresp[1] | shut),
                      leaves=leaves, leaving=Cat(o.data, o.error), most=dut.depth + 2)
        show(m, self, known=run.known, tag=run.right, last=run.last,
            error=~(leaves & run.mine & refused) | o.error,
            stays=waits(m, "o", dut.o.valid, self.ready, o),
            ar_stays=waits(m, "ar", axi.arvalid, self.arready, Cat(axi.araddr, axi.arlen)),
            data_known=beat.known, data=beat.order, beat=dut.beat == taken_before)
        return m


def _sum(places: list[Place]):
    total = z3.BitVecVal(0, WIDE)
    for place in places:
        total = total + z3.If(place.there, place.size(WIDE), z3.BitVecVal(0, WIDE))
    return total


def reader_invariant(step) -> Claims:
    depth, kept, refused = 2 * BURST, step("run_kept"), step("its_refused") == 0
    beats = Queue(step, "dut.fifo", depth + 1, buffered=True)
    marks = Queue(step, "dut.marks", MARKS)
    beat, burst = reader.read_beat_layout(CONFIG, TAG), bursts.burst_layout(BURST, TAG)
    request = bursts.request_layout(TAG)
    count = wide(step("dut.count"))
    zero = z3.BitVecVal(0, WIDE)

    def of(value, layout, name):
        return field(value, layout, name)

    def of_beat(there, value):
        return Place(there, last=of(value, beat, "last") == 1, right=z3.And(
            of(value, beat, "tag") == kept, z3.Or(refused, of(value, beat, "error") == 1)))

    def of_burst(there, value, less=zero, layout=burst, last=None):
        return Place(there, beats=wide(of(value, layout, "beats")) - less,
                     last=of(value, layout, "last") == 1 if last is None else last,
                     right=z3.And(of(value, layout, "tag") == kept,
                                  z3.Or(refused, of(value, layout, "refused") == 1)))

    held = [(step("dut.o__valid") == 1, step("dut.o__payload")), *beats.places]
    waiting = [of_burst(*place, less=zero if n else count) for n, place in enumerate(marks.places)]
    offer = (step("dut.bursts.o__valid") == 1, step("dut.bursts.o__payload"))
    rest = (step("dut.bursts.active") == 1, step("dut.bursts.request"))
    yield "the FIFO of beats", beats.well()
    yield "the FIFO of bursts", marks.well()
    yield from request_is_inside(step, "run", [
        *(of_beat(*place) for place in held), *waiting, of_burst(*offer),
        of_burst(*rest, layout=request, last=z3.BoolVal(True))], most=_most())
    answers = [Place(there, z3.Concat(of(value, beat, "error"), of(value, beat, "data")))
               for there, value in held]
    yield from element_is_inside(step, "beat", answers)
    yield "credit", wide(step("dut.credit")) == depth - _sum(
        [*(of_beat(*place) for place in beats.places), *waiting])
    yield "credits", z3.ULE(wide(step("dut.credit")), depth)
    yield "beats of a burst", z3.And(
        *(z3.Implies(there, z3.And(of(value, burst, "beats") != 0,
                                   z3.ULE(of(value, burst, "beats"), BURST)))
          for there, value in [offer, *marks.places]),
        z3.If(marks.places[0][0],
              z3.ULT(count, wide(of(marks.places[0][1], burst, "beats"))), count == 0))
    asked = [Place(z3.And(place.there, of(value, burst, "refused") == 0), beats=place.beats)
             for place, (_, value) in zip(waiting, marks.places, strict=True)]
    ar = step[step.system.outputs["ar"]]
    yield "bursts on the bus", z3.ULT(step("dut.axi__arlen"), BURST)
    yield "as many as are waited for are asked for", z3.And(
        z3.ULE(step("asked"), _sum(asked)), step("asked") + wide(ar) == _sum(asked))
    first = marks.places[0]
    yield "room for each beat", (step[step.system.outputs["rready"]] == 0) == z3.And(
        first[0], of(first[1], burst, "refused") == 1)


class WriterWatch(wiring.Component):
    """Any requests, beats and windows; the bus takes and answers when it likes. In calm runs
    nothing is refused and nothing answered with an error."""

    def __init__(self):
        self._block = writer.Writer(config=CONFIG, burst=BURST, tag_width=TAG)
        super().__init__({
            "req": In(stream.Signature(bursts.request_layout(TAG))),
            "i": In(stream.Signature(BEAT)), "mark": In(1), "stop": In(1), "any_calm": In(1),
            "any_windows": In(bursts.windows_layout()), "awready": In(1), "wready": In(1),
            "bvalid": In(1), "bresp": In(2),
            "assume_request": Out(1), "assume_calm": Out(1), "assume_owed": Out(1),
            "cover_out": Out(1),
            **oks("aw_known", "aw_order", "aw_stays", "w_known", "w_last", "w_stays",
                    "data_known", "data", "there", "open", "idle")})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._block
        wiring.connect(m, wiring.flipped(self.req), dut.req)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        axi, burst = dut.axi, dut._bursts.o.payload
        issue, asks, sends, enters, opened = (
            Signal(name=name) for name in ("issue", "asks", "sends", "enters", "opened"))
        aw, length = Cat(axi.awaddr, axi.awlen), Signal.like(axi.awlen)
        m.d.comb += [
            dut.windows.eq(self.any_windows), dut.stop.eq(self.stop),
            axi.awready.eq(self.awready), axi.wready.eq(self.wready),
            axi.bvalid.eq(self.bvalid), axi.bresp.eq(self.bresp),
            self.assume_request.eq(self.req.payload.beats != 0),
            issue.eq(dut._bursts.o.valid & dut._bursts.o.ready),
            opened.eq(issue & ~burst.refused),
            asks.eq(axi.awvalid & self.awready), sends.eq(axi.wvalid & self.wready),
            enters.eq(self.i.valid & self.i.ready), self.cover_out.eq(sends & axi.wlast),
            length.eq(burst.beats - 1),
            self.assume_calm.eq(~self.any_calm | (
                ~(issue & burst.refused) & ~(self.bvalid & self.bresp[1])))]
        address = Marked(m, "burst", mark=self.mark, enters=opened,
                         entering=Cat(burst.address, length),
                         leaves=asks, leaving=aw, most=2)
        run = Run(m, "run", mark=self.mark, enters=opened, beats=burst.beats, entering=C(0, 1),
                  leaves=sends, leaving=C(0, 1), last=axi.wlast)
        beat = Marked(m, "beat", mark=self.mark, enters=enters, entering=self.i.payload,
                      leaves=sends, leaving=axi.wdata, most=dut.depth + 2)
        spare, open_ = (Signal(NARROW, name=name) for name in ("spare", "open"))
        m.d.sync += [spare.eq(spare + enters - Mux(issue, burst.beats, 0)),
                     open_.eq(open_ + opened - self.bvalid)]
        m.d.comb += self.assume_owed.eq(~self.bvalid | (open_ != 0))
        calm = self.any_calm
        show(m, self, aw_known=address.known, aw_order=address.order,
            aw_stays=waits(m, "aw", axi.awvalid, self.awready, aw),
            w_known=run.known, w_last=run.last & run.right,
            w_stays=waits(m, "w", axi.wvalid, self.wready, Cat(axi.wdata, axi.wlast)),
            data_known=~calm | beat.known, data=~calm | beat.order,
            there=~issue | (burst.beats <= spare), open=open_ <= writer.OUTSTANDING,
            idle=~dut.idle | ((spare == 0) & (open_ == 0) & (run.total == axi.wvalid)))
        return m


def writer_invariant(step) -> Claims:
    beats = Queue(step, "dut.fifo", 4 * BURST + 1, buffered=True)
    lengths, answers = Queue(step, "dut.lengths", MARKS), Queue(step, "dut.answers", MARKS)
    burst = bursts.burst_layout(BURST, TAG)
    length = data.StructLayout({"beats": range(BURST + 1), "refused": 1, "record": 1,
                                "failed": 1})
    calm = z3.BitVec("any_calm", 1) == 1
    sent = step("dut.axi__wvalid") == 1
    left, refused = wide(step("dut.left")), step("dut.refused_1") == 1
    offered, offer = step("dut.bursts.o__valid") == 1, step("dut.bursts.o__payload")
    for name, queue in {"beats": beats, "lengths": lengths, "answers": answers}.items():
        yield f"the FIFO of {name}", queue.well()
    yield from element_is_inside(step, "burst", [
        Place(step("dut.axi__awvalid") == 1,
              z3.Concat(step("dut.axi__awlen"), step("dut.axi__awaddr")))])

    def of_length(there, value, any_kind=False):
        mine = z3.BoolVal(True) if any_kind else field(value, length, "refused") == 0
        return Place(z3.And(there, mine), beats=field(value, length, "beats"),
                     last=z3.BoolVal(True), right=step("run_kept") == 0)

    yield from request_is_inside(step, "run", [
        Place(sent, last=step("dut.axi__wlast") == 1, right=step("run_kept") == 0),
        Place(z3.And(left != 0, z3.Not(refused)), beats=left, last=z3.BoolVal(True),
              right=step("run_kept") == 0),
        *(of_length(*place) for place in lengths.places)], most=BURST)
    pending = step("dut.w_en_2") == 1
    held = [*beats.places, (pending, step("dut.w_data_2"))]
    known = [*element_is_inside(step, "beat", [Place(sent, step("dut.axi__wdata")),
                                               *(Place(*place) for place in held)])]
    for name, claim in known:
        yield name, z3.Implies(calm, claim)
    yield "calm", z3.Implies(calm, z3.And(
        step("dut.failed_1") == 0, step("dut.record_failed") == 0, step("dut.changed") == 0,
        z3.Not(z3.And(left != 0, refused)),
        *(z3.Implies(there, z3.And(field(value, length, "refused") == 0,
                                   field(value, length, "failed") == 0))
          for there, value in lengths.places)))
    level, full = beats.inside() + z3.ZeroExt(NARROW - 1, step("dut.w_en_2")), 4 * BURST
    yield "room for each beat", z3.And(
        z3.ULE(level, full + 1), z3.Implies(pending, z3.ULT(beats.level, full)),
        z3.Implies(beats.level == full, beats.places[0][0]))
    yield "a refused burst takes the beats it has", _sum([Place(*place) for place in held]) == (
        wide(step("dut.unclaimed")) + left + _sum(
            [of_length(*place, any_kind=True) for place in lengths.places]))
    yield "beats that no burst has", z3.And(
        step("spare") == wide(step("dut.unclaimed"), NARROW),
        z3.ULE(wide(step("dut.unclaimed")), _sum([Place(*place) for place in held])))
    yield "bursts without their response", step("open") == wide(step("dut.answers.w_level"),
                                                                 NARROW)
    yield "beats of a request", z3.Implies(
        step("dut.bursts.active") == 1,
        field(step("dut.bursts.request"), bursts.request_layout(TAG), "beats") != 0)
    yield "beats of a burst", z3.And(z3.ULE(left, BURST), *(
        z3.Implies(there, z3.And(field(value, layout, "beats") != 0,
                                 z3.ULE(field(value, layout, "beats"), BURST)))
        for there, value, layout in [(offered, offer, burst), *(
            (*place, length) for place in lengths.places)]))

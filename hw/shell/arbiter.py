# SPDX-License-Identifier: Apache-2.0
"""Shares one read DMA and one write DMA between clients, fairly."""

from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig

from .bursts import request_layout
from .reader import read_beat_layout

__all__ = ["ReadArbiter", "RoundRobin", "WriteArbiter", "lowest", "selected"]


def lowest(bits):
    """The lowest bit of ``bits`` that is set, alone."""
    return (bits & -bits)[: len(bits)]


def selected(choice, values):
    """The value whose bit of ``choice`` is set; of several values all bits, 0 of none."""
    return reduce(or_, (Mux(bit, value, 0) for bit, value in zip(choice, values, strict=True)))


class RoundRobin(wiring.Component):
    """Whose turn it is: the next one after the last that was taken who wants to.

    No latency.

    Parameters
    ----------
    clients : int
        At least 2.

    Members
    -------
    wants : In(clients)
    take : In(1)
        The turn was used; the client who had it becomes the last in line.
    turn : Out(clients)
        A bit at most; none if nobody wants to.

    Raises
    ------
    ValueError
        ``clients`` is out of range.
    """

    def __init__(self, *, clients: int):
        if clients < 2:
            raise ValueError(f"clients must be at least 2, not {clients!r}")
        super().__init__({"wants": In(clients), "take": In(1), "turn": Out(clients)})

    def elaborate(self, platform):
        m = Module()
        after = Signal.like(self.wants)         # those behind the last one
        later = Signal.like(self.wants)
        m.d.comb += [
            later.eq(self.wants & after),
            self.turn.eq(Mux(later.any(), lowest(later), lowest(self.wants))),
        ]
        with m.If(self.take):
            # What no lower bit precedes lies at or below the one taken.
            m.d.sync += after.eq(~(self.turn | (self.turn - 1)))
        return m


class ReadArbiter(wiring.Component):
    """Takes read requests in turn; gives their beats back to whoever asked.

    A request goes on a cycle after it was taken, one per cycle; beats pass in the same cycle. The
    client's number travels as the upper bits of the tag, the client's own tag as the lower ones.
    Beats come in the order of the requests, so a client that does not take its beats holds up the
    others: clients must have room for what they ask for.

    Parameters
    ----------
    config : EngineConfig
    clients : int
        At least 2.
    tag_width : int
        Bits of a client's own tag.

    Members
    -------
    reqs : In(clients x stream of request_layout(tag_width))
    beats : Out(clients x stream of read_beat_layout(config, tag_width))
    req, i : streams
        To and from the read DMA, with tags of ``wide_tag`` bits.
    """

    def __init__(self, *, config: EngineConfig, clients: int, tag_width: int):
        self._turn = RoundRobin(clients=clients)
        self._tag_width = tag_width
        self.wide_tag = tag_width + (clients - 1).bit_length()
        width = config.axi_address_width
        super().__init__({
            "reqs": In(stream.Signature(request_layout(tag_width, width))).array(clients),
            "beats": Out(stream.Signature(read_beat_layout(config, tag_width))).array(clients),
            "req": Out(stream.Signature(request_layout(self.wide_tag, width))),
            "i": In(stream.Signature(read_beat_layout(config, self.wide_tag))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.turn = turn = self._turn
        room = Signal()
        m.d.comb += [
            room.eq(~self.req.valid | self.req.ready),
            turn.wants.eq(Cat(req.valid for req in self.reqs)),
            turn.take.eq(room & turn.wants.any()),
        ]
        m.d.comb += [req.ready.eq(room & mine)
                     for req, mine in zip(self.reqs, turn.turn, strict=True)]
        bits = self.wide_tag - self._tag_width
        with m.If(room):
            m.d.sync += self.req.valid.eq(turn.wants.any())
            # The tag's upper bits are the topmost of a request.
            m.d.sync += self.req.payload.as_value().eq(selected(turn.turn, [
                Cat(req.payload, C(n, bits)) for n, req in enumerate(self.reqs)]))

        owner = self.i.payload.tag[self._tag_width :]
        readies = []
        for n, sink in enumerate(self.beats):
            mine = Signal(name=f"mine_{n}")
            m.d.comb += [
                mine.eq(owner == n),
                sink.valid.eq(self.i.valid & mine),
                sink.payload.data.eq(self.i.payload.data),
                sink.payload.tag.eq(self.i.payload.tag),
                sink.payload.last.eq(self.i.payload.last),
                sink.payload.error.eq(self.i.payload.error),
            ]
            readies.append(mine & sink.ready)
        m.d.comb += self.i.ready.eq(reduce(or_, readies))
        return m


class WriteArbiter(wiring.Component):
    """Takes write requests in turn, and then all beats of each.

    A request goes on a cycle after it was taken, its first beat two cycles later at the earliest.
    One beat per cycle, without gaps between requests of two beats and more: the next request is
    taken while the beats of the one before pass. A client that has no beats when it is its turn
    holds up the others: clients must have what they ask to write, as :class:`WriteCollector` has.

    Parameters
    ----------
    config : EngineConfig
    clients : int
        At least 2.

    Members
    -------
    reqs : In(clients x stream of request_layout())
    i : In(clients x stream)
        Beats: ``data``.
    req, o : Out(streams)
        To the write DMA, with the client's number for a tag of ``tag`` bits; a beat never comes
        before its request.
    """

    def __init__(self, *, config: EngineConfig, clients: int):
        self._clients = clients
        self.tag = (clients - 1).bit_length()
        self._turn = RoundRobin(clients=clients)
        width = config.axi_address_width
        request = stream.Signature(request_layout(address_width=width))
        self._request = request_layout(self.tag, width)
        beat = stream.Signature(data.StructLayout({"data": config.axi_data_width}))
        super().__init__({
            "reqs": In(request).array(clients), "i": In(beat).array(clients),
            "req": Out(stream.Signature(self._request)), "o": Out(beat),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.turn = turn = self._turn
        share = data.StructLayout({"owner": self._clients,
                                   "beats": self.req.payload.beats.shape()})
        # Whose beats follow each other to the DMA.
        m.submodules.order = order = fifo.SyncFIFO(width=share.size, depth=4)
        holds = Signal()
        held = Signal(self._request)
        owner = Signal(self._clients)
        room = Signal()
        m.d.comb += [
            self.req.valid.eq(holds & order.w_rdy), self.req.payload.eq(held),
            order.w_en.eq(self.req.valid & self.req.ready),
            order.w_data.eq(Cat(owner, held.beats)),
            room.eq(~holds | order.w_en),
            turn.wants.eq(Cat(req.valid for req in self.reqs)),
            turn.take.eq(room & turn.wants.any()),
        ]
        m.d.comb += [req.ready.eq(room & mine)
                     for req, mine in zip(self.reqs, turn.turn, strict=True)]
        with m.If(room):
            m.d.sync += [
                holds.eq(turn.wants.any()), owner.eq(turn.turn),
                # The tag is the topmost of a request.
                held.as_value().eq(selected(turn.turn, [
                    Cat(req.payload, C(n, self.tag)) for n, req in enumerate(self.reqs)])),
            ]
        self._move(m, order, share)
        return m

    def _move(self, m, order, share):
        """The beats of one share after the other."""
        moving = Signal()
        current = Signal(share)
        move = Signal()
        over = Signal()
        m.d.comb += [
            self.o.valid.eq(moving & selected(current.owner, [i.valid for i in self.i])),
            self.o.payload.data.eq(selected(current.owner, [i.payload.data for i in self.i])),
            move.eq(self.o.valid & self.o.ready),
            over.eq(~moving | (move & (current.beats == 1))),
            order.r_en.eq(over),
        ]
        m.d.comb += [i.ready.eq(moving & mine & self.o.ready)
                     for i, mine in zip(self.i, current.owner, strict=True)]
        with m.If(over):
            m.d.sync += [moving.eq(order.r_rdy), current.eq(order.r_data)]
        with m.Elif(move):
            m.d.sync += current.beats.eq(current.beats - 1)

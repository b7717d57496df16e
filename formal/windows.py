# SPDX-License-Identifier: Apache-2.0
"""The DMAs never ask for an address outside its window, by induction: for runs of any length.

Requests come at any time with any address on a beat, any length that is not 0, of either kind and
refused or not; the bus takes and answers what it likes, and both windows are anything. What is
shown of every address that is on the bus, in any state that can be:

- it and the last byte of its burst lie in the window of what it is about, records or planes, and
  the burst does not go on at address 0;
- the burst has as many beats as it may and crosses no border of 4 KB.
"""

from collections.abc import Iterator

import z3
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from prunus.golden.engine import EngineConfig
from prunus.hw.shell import reader, writer
from prunus.hw.shell.bursts import (
    WINDOW_LOW,
    burst_layout,
    request_layout,
    windows_layout,
)

from .control import field
from .query import Query
from .rtl import Step, System

__all__ = ["DMAS", "WindowWatch", "inside", "reachable"]

DMAS = {"read": "ar", "write": "aw"}
BURST, PAGE = 16, 12      # beats, bits of an address within 4 KB


class WindowWatch(wiring.Component):
    """A DMA with anything around it.

    Parameters
    ----------
    config : EngineConfig
    way : str
        ``read`` or ``write``.

    Members
    -------
    assume_request : Out(1)
        A request lies on a beat and has beats.
    on_bus, address, length, record : Out
        The address on the bus, if there is one, and what it is about.
    """

    def __init__(self, *, config: EngineConfig, way: str):
        self._config, self._way, width = config, way, config.axi_address_width
        super().__init__({
            "any_windows": In(windows_layout(width)),
            "req": In(stream.Signature(request_layout(1 if way == "read" else 0, width))),
            "bus": In(config.axi_data_width + 8), "ready": In(1), "stop": In(1),
            "data": In(config.axi_data_width), "valid": In(1),
            "assume_request": Out(1), "on_bus": Out(1), "address": Out(width),
            "length": Out(8), "record": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        if self._way == "read":
            dma = reader.Reader(config=self._config, depth=32)
            axi = dma.axi
            m.d.comb += [axi.arready.eq(self.ready), axi.rvalid.eq(self.bus[0]),
                         axi.rlast.eq(self.bus[1]), axi.rresp.eq(self.bus[2:4]),
                         axi.rdata.eq(self.bus[8:]), dma.o.ready.eq(self.valid)]
        else:
            dma = writer.Writer(config=self._config)
            axi = dma.axi
            m.d.comb += [axi.awready.eq(self.ready), axi.wready.eq(self.bus[0]),
                         axi.bvalid.eq(self.bus[1]), axi.bresp.eq(self.bus[2:4]),
                         dma.i.valid.eq(self.valid), dma.i.payload.data.eq(self.data)]
        m.submodules.dma = dma
        wiring.connect(m, wiring.flipped(self.req), dma.req)
        unit = (self._config.axi_data_width // 8).bit_length() - 1
        m.d.comb += [
            dma.windows.eq(self.any_windows), dma.stop.eq(self.stop),
            self.assume_request.eq((self.req.payload.beats != 0)
                                   & (self.req.payload.address[:unit] == 0)),
        ]
        burst = dma._bursts.o
        record = Signal()
        with m.If(burst.valid & burst.ready):
            m.d.sync += record.eq(burst.payload.record)
        channel = DMAS[self._way]
        m.d.comb += [
            self.record.eq(record), self.on_bus.eq(getattr(axi, f"{channel}valid")),
            self.address.eq(getattr(axi, f"{channel}addr")),
            self.length.eq(getattr(axi, f"{channel}len")),
        ]
        return m


class _State:
    """Registers of the DMA in one cycle, and what always holds."""

    def __init__(self, config: EngineConfig, way: str, values: Step):
        self.unit = (config.axi_data_width // 8).bit_length() - 1
        self.values = values
        tag = 1 if way == "read" else 0
        self.width = config.axi_address_width
        self.request = request_layout(tag, self.width)
        self.offer = burst_layout(BURST, tag, self.width)
        self.layout = windows_layout(self.width)
        self.windows = z3.BitVec("any_windows", self.layout.size)

    def window(self, record, end: str):
        """A bound of the window, in ``WINDOW_BYTES``."""
        layout, size = self.layout.elem_shape, self.layout.elem_shape.size
        planes, records = (field(z3.Extract(size * n + size - 1, size * n, self.windows), layout,
                                 end) for n in (0, 1))
        return z3.If(record == 1, records, planes)

    def burst(self, address, beats, record):
        """A burst is well. ``beats`` of any width."""
        beats = z3.ZeroExt(self.width + 1 - beats.size(), beats)
        first = z3.ZeroExt(1, address)
        last = first + (beats << self.unit) - 1
        return z3.And(
            z3.UGE(beats, 1), z3.ULE(beats, BURST),
            z3.Extract(self.unit - 1, 0, address) == 0,
            z3.Extract(self.width, self.width, last) == 0,
            z3.UGE(z3.Extract(self.width - 1, WINDOW_LOW, address),
                   self.window(record, "base")),
            z3.ULE(z3.Extract(self.width - 1, WINDOW_LOW, last),
                   self.window(record, "limit")),
            z3.Extract(self.width - 1, PAGE, address)
            == z3.Extract(self.width - 1, PAGE, last))

    def output(self, name):
        return self.values[self.values.system.outputs[name]]

    def on_the_bus(self):
        return z3.Implies(self.output("on_bus") == 1, self.burst(
            self.output("address"), z3.ZeroExt(1, self.output("length")) + 1,
            self.output("record")))

    def invariant(self) -> Iterator[tuple[str, z3.BoolRef]]:
        v = self.values
        active, request = v("dma.bursts.active") == 1, v("dma.bursts.request")

        def of(name):
            return field(request, self.request, name)

        behind = v("dma.bursts.behind")
        first = z3.Extract(self.width - 1, self.unit, of("address"))
        first = z3.ZeroExt(behind.size() - first.size(), first)
        beats = z3.ZeroExt(behind.size() - of("beats").size(), of("beats"))
        yield "request", z3.Implies(active, z3.And(
            of("beats") != 0, z3.Extract(self.unit - 1, 0, of("address")) == 0,
            z3.Or(v("dma.bursts.beyond") == 1, behind == first + beats)))
        yield "burst", z3.Implies(
            z3.And(v("dma.bursts.o__valid") == 1, self.offered("refused") == 0),
            self.burst(self.offered("address"), self.offered("beats"), self.offered("record")))
        yield "address on the bus", self.on_the_bus()

    def offered(self, name):
        """A field of the burst that is offered."""
        return field(self.values("dma.bursts.o__payload"), self.offer, name)


def _states(config: EngineConfig, way: str, system: System) -> tuple[_State, _State]:
    """Before and after a cycle from any state."""
    now = Step(system, system.free("0"), "0")
    later = Step(system, now.after(), "1")
    return _State(config, way, now), _State(config, way, later)


def inside(config: EngineConfig, way: str, system: System) -> Iterator[Query]:
    """It holds after a reset, and from each cycle to the next."""
    before, after = _states(config, way, system)
    first = _State(config, way, Step(system, system.reset(), "reset"))
    claims = tuple(first.invariant())
    yield Query("after reset", (), z3.And(*(claim for _, claim in claims)), bits=True, parts=claims)
    known = [claim for _, claim in before.invariant()]
    known += before.values.claims("assume_").values()
    for claim in after.invariant():
        yield Query(f"in each cycle: {claim[0]}", tuple(known), claim[1], bits=True,
                    parts=(claim,))


def reachable(config: EngineConfig, way: str, system: System) -> Iterator[Query]:
    """That no address comes to the bus from a state like these, to be refuted."""
    before, after = _states(config, way, system)
    known = [claim for _, claim in before.invariant()]
    known += before.values.claims("assume_").values()
    yield Query("no address", tuple(known), z3.Or(
        before.output("on_bus") == 1, after.output("on_bus") == 0), bits=True)

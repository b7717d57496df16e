# SPDX-License-Identifier: Apache-2.0
"""Drivers and monitors for the tests in Amaranth's simulator.

A ``stall`` is the chance per cycle that a side pauses; it needs an ``rng`` (random.Random) when it
is not 0.
"""

import gc
import warnings
from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import product
from random import Random
from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Signal, UnusedElaboratable
from amaranth.sim import Simulator

__all__ = ["AxiMemory", "LiteHost", "channel", "evaluate", "receive", "refusal", "send",
           "simulate", "stall_cases"]

PERIOD = 1e-8

# For pytest.mark.parametrize("stall_in, stall_out", stall_cases).
stall_cases = [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.5, 0.5)]


def simulate(dut, *testbenches, background=(), limit: int = 20_000):
    """Run until every one of ``testbenches`` has returned; more than ``limit`` cycles fail.

    Testbenches in ``background`` run on until then; they wait with a plain ``ctx.tick()``, since
    ``until`` and ``repeat`` cannot be left in the middle.
    """
    async def watchdog(ctx):
        await ctx.delay(limit * PERIOD)
        raise AssertionError(f"the testbenches did not finish in {limit} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(PERIOD)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in (*background, watchdog):
        simulator.add_testbench(testbench, background=True)
    simulator.run()


def evaluate(output, *inputs) -> list[tuple[int, ...]]:
    """``(*values, result)`` of a combinational expression for all values of its input signals."""
    m = Module()
    o = Signal(output.shape())
    m.d.comb += o.eq(output)
    axes = [range(-(1 << len(x) - 1), 1 << len(x) - 1) if x.shape().signed
            else range(1 << len(x)) for x in inputs]
    results = []

    async def testbench(ctx):
        for values in product(*axes):
            for x, value in zip(inputs, values, strict=True):
                ctx.set(x, value)
            results.append((*values, ctx.get(o)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return results


def refusal(make) -> str:
    """The text of the ValueError that ``make()`` raises."""
    text = None
    with warnings.catch_warnings():
        # What was built before the error is never used; it is dropped here and now.
        warnings.simplefilter("ignore", UnusedElaboratable)
        try:
            make()
        except ValueError as err:
            text = str(err)
        gc.collect()
    assert text is not None, "nothing was refused"
    return text


def _pause(rng, stall):
    return stall > 0 and rng.random() < stall


def channel(interface, prefix: str, *names: str) -> SimpleNamespace:
    """Members of an AXI channel as a stream for ``send`` and ``receive``.

    The payload is the bits of ``names``, the first lowest.
    """
    return SimpleNamespace(payload=Cat(getattr(interface, name) for name in names),
                           valid=getattr(interface, f"{prefix}valid"),
                           ready=getattr(interface, f"{prefix}ready"))


async def send(ctx, stream, payloads, rng=None, stall: float = 0.0):
    """Put ``payloads`` into ``stream``. Returns the cycles it took."""
    cycles = 0
    for payload in payloads:
        while _pause(rng, stall):
            await ctx.tick()
            cycles += 1
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        ready = False
        while not ready:
            _, _, ready = await ctx.tick().sample(stream.ready)
            cycles += 1
        ctx.set(stream.valid, 0)
    return cycles


async def receive(ctx, stream, count: int, rng=None, stall: float = 0.0):
    """Take ``count`` payloads from ``stream``; fails if it breaks the rules of a stream."""
    got = []
    offered = None
    while len(got) < count:
        ready = not _pause(rng, stall)
        ctx.set(stream.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        if offered is not None:
            assert valid, "valid fell before ready"
            assert payload == offered, "the payload changed before ready"
        offered = payload if valid and not ready else None
        if valid and ready:
            got.append(payload)
    ctx.set(stream.ready, 0)
    return got


class LiteHost:
    """The master's side of an AXI4-Lite bus, one access at a time."""

    def __init__(self, bus):
        self.aw = channel(bus, "aw", "awaddr")
        self.w = channel(bus, "w", "wdata", "wstrb")
        self.b = channel(bus, "b", "bresp")
        self.ar = channel(bus, "ar", "araddr")
        self.r = channel(bus, "r", "rdata", "rresp")

    async def write(self, ctx, address, value, strobe=0b1111):
        """The response."""
        await send(ctx, self.aw, [address])
        await send(ctx, self.w, [value | strobe << 32])
        return (await receive(ctx, self.b, 1))[0]

    async def read(self, ctx, address):
        """The value and the response."""
        await send(ctx, self.ar, [address])
        word = (await receive(ctx, self.r, 1))[0]
        return word & 0xFFFF_FFFF, word >> 32


@dataclass
class _Held:
    """Fails when a channel drops or changes what it offered before it was taken."""

    name: str
    offered: tuple | None = None

    def check(self, valid, ready, payload: tuple):
        if self.offered is not None:
            assert valid, f"{self.name}valid fell before {self.name}ready"
            assert payload == self.offered, f"{self.name} changed before {self.name}ready"
        self.offered = payload if valid and not ready else None


@dataclass
class AxiMemory:
    """An AXI4 memory that fails on every breach of the protocol it can see.

    Run ``reads`` and ``writes`` as background testbenches with the interface they serve.

    Parameters
    ----------
    data : bytearray
        Contents, from address 0.
    data_width : int
        Bits of a beat.
    burst : int
        Most beats of a burst that are allowed.
    latency : int
        Cycles from an address (of a write: from the last of address and data) to the first
        beat (to the response); at least 1.
    rng, stall
        Pauses of every channel.
    bad : container of int
        Beats at these addresses are answered with ``resp``, and bursts that write them.
    order : str
        ``free``; or ``aw``: data are taken only once their address was; or ``w``: an address is
        taken only once its data were.
    max_reads : int
        Bursts that wait for their data before a further address is taken.
    """

    data: bytearray
    data_width: int = 64
    burst: int = 16
    latency: int = 1
    rng: Random | None = None
    stall: float = 0.0
    bad: Container[int] = ()
    resp: int = 0b10
    order: str = "free"
    max_reads: int = 1 << 30
    read_bursts: list = field(default_factory=list)      # (address, beats), in order
    write_bursts: list = field(default_factory=list)

    @property
    def beat_bytes(self) -> int:
        return self.data_width // 8

    def _check_address(self, prefix, address, length, size, kind, identity):
        beats = length + 1
        assert identity == 0, f"{prefix}id is {identity}"
        assert kind == 1, f"{prefix}burst is {kind}, not INCR"
        assert 1 << size == self.beat_bytes, f"{prefix}size is {size}"
        assert address % self.beat_bytes == 0, f"{prefix}addr {address:#x} is not on a beat"
        assert beats <= self.burst, f"a burst of {beats} beats"
        last = address + beats * self.beat_bytes - 1
        assert address >> 12 == last >> 12, f"burst at {address:#x} crosses 4 KB"
        return address, beats

    async def reads(self, ctx, axi):
        """Serve AR and R."""
        held = _Held("ar")
        beats = deque()         # (due, address, last)
        cycle = waiting = 0
        valid = False
        while True:
            arready = not _pause(self.rng, self.stall) and waiting < self.max_reads
            ctx.set(axi.arready, arready)
            if not valid and beats and beats[0][0] <= cycle and not _pause(self.rng, self.stall):
                valid = True
                _, address, last = beats[0]
                word = self.data[address : address + self.beat_bytes]
                ctx.set(axi.rdata, int.from_bytes(word, "little"))
                ctx.set(axi.rlast, last)
                ctx.set(axi.rresp, self.resp if address in self.bad else 0)
            ctx.set(axi.rvalid, valid)
            _, _, arvalid, rready, *ar = await ctx.tick().sample(
                axi.arvalid, axi.rready, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.arid)
            cycle += 1
            held.check(arvalid, arready, tuple(ar))
            if valid and rready:
                waiting -= beats.popleft()[2]
                valid = False
            if arvalid and arready:
                address, count = self._check_address("ar", *ar)
                self.read_bursts.append((address, count))
                waiting += 1
                for n in range(count):
                    beats.append((cycle - 1 + self.latency, address + n * self.beat_bytes,
                                  n == count - 1))

    async def writes(self, ctx, axi):
        """Serve AW, W and B."""
        aw_held, w_held = _Held("aw"), _Held("w")
        addresses, words, answers = deque(), deque(), deque()
        ended = 0               # bursts whose data are all in
        taken = [0, 0]          # addresses and last beats since the beginning
        cycle = 0
        response = None
        while True:
            awready = not _pause(self.rng, self.stall) and (
                self.order != "w" or taken[0] < taken[1])
            wready = not _pause(self.rng, self.stall) and (
                self.order != "aw" or taken[1] < taken[0])
            ctx.set(axi.awready, awready)
            ctx.set(axi.wready, wready)
            if (response is None and answers and answers[0][0] <= cycle
                    and not _pause(self.rng, self.stall)):
                response = answers.popleft()[1]
                ctx.set(axi.bresp, response)
            ctx.set(axi.bvalid, response is not None)
            _, _, awvalid, wvalid, bready, wdata, wstrb, wlast, *aw = await ctx.tick().sample(
                axi.awvalid, axi.wvalid, axi.bready, axi.wdata, axi.wstrb, axi.wlast,
                axi.awaddr, axi.awlen, axi.awsize, axi.awburst, axi.awid)
            cycle += 1
            aw_held.check(awvalid, awready, tuple(aw))
            w_held.check(wvalid, wready, (wdata, wstrb, wlast))
            if response is not None and bready:
                response = None
            if awvalid and awready:
                addresses.append(self._check_address("aw", *aw))
                taken[0] += 1
            if wvalid and wready:
                assert wstrb == (1 << self.beat_bytes) - 1, f"wstrb is {wstrb:#x}"
                words.append((wdata, wlast))
                ended += wlast
                taken[1] += wlast
            while addresses and (len(words) >= addresses[0][1] or ended):
                answers.append((cycle - 1 + self.latency, self._store(addresses, words)))
                ended -= 1

    def _store(self, addresses, words):
        address, count = addresses.popleft()
        self.write_bursts.append((address, count))
        resp = 0
        for n in range(count):
            assert words, "wlast before the end of the burst"
            word, last = words.popleft()
            assert last == (n == count - 1), f"wlast is {last} at beat {n} of {count}"
            at = address + n * self.beat_bytes
            if at in self.bad:
                resp = self.resp
            self.data[at : at + self.beat_bytes] = word.to_bytes(self.beat_bytes, "little")
        return resp

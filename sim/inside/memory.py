# SPDX-License-Identifier: Apache-2.0
"""The memory of cocotbext-axi on m_axi, a second opinion on the one in C++."""

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from mmap import mmap

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import First, RisingEdge
from cocotbext.axi import AxiBus, AxiRamRead, AxiRamWrite

from .clocks import PERIOD_NS
from .monitors import watch

__all__ = ["PythonMemory", "Stalls"]

LONG_STALL = 1 / 256       # chance per cycle that a channel stops for LONG_CYCLES
LONG_CYCLES = (16, 64)
IDLE_CYCLES = 32           # stalls go to sleep after so many cycles without traffic
HOLD_CYCLES = 600          # held responses come if no other has for so many cycles


class _Places:
    """Which addresses a memory answers, and where their bytes lie in it.

    Parameters
    ----------
    places : sequence of (int, int, int)
        ``(first, size, address)``; pieces do not overlap.
    """

    def __init__(self, places: Sequence[tuple[int, int, int]]):
        self._places = sorted((address, size, first) for first, size, address in places)
        self._starts = [address for address, _, _ in self._places]

    def find(self, address: int, length: int) -> int | None:
        """Where ``length`` bytes from an address lie; None if they do not, or not all."""
        n = bisect_right(self._starts, address) - 1
        if n < 0:
            return None
        start, size, first = self._places[n]
        return first + address - start if address + length <= start + size else None


class _ReadPort(AxiRamRead):
    """Answers SLVERR outside the memory and in ``errors``, and counts bytes."""

    errors: Sequence[tuple[int, int]] = ()
    places = _Places(())
    bytes_moved = 0

    async def _read(self, address, length):
        self.bytes_moved += length
        at = self.places.find(address, length)
        if at is None:
            raise ValueError(f"read at {address:#x}, outside the memory")
        if any(first < address + length and address < end for first, end in self.errors):
            raise ValueError(f"read error wanted at {address:#x}")
        return self.mem[at : at + length]


class _WritePort(AxiRamWrite):
    """Answers SLVERR outside the memory, keeps the first such address, and counts bytes."""

    places = _Places(())
    bytes_moved = 0
    outside: int | None = None

    async def _write(self, address, data):
        self.bytes_moved += len(data)
        at = self.places.find(address, len(data))
        if at is None:
            self.outside = address if self.outside is None else self.outside
            raise ValueError(f"write at {address:#x}, outside the memory")
        self.mem[at : at + len(data)] = data


class Stalls:
    """Pauses channels at random while there is traffic; costs nothing in between.

    Parameters
    ----------
    clock : handle
    channels : sequence of cocotbext.axi sources and sinks
    probability : float
        That a channel pauses in a cycle; now and then a pause is long.
    """

    def __init__(self, clock, channels, *, probability: float, seed: int):
        self.edge = RisingEdge(clock)
        self.channels = list(channels)
        self.probability = probability
        self.seed = seed
        self.restart()

    def restart(self) -> None:
        """The pauses from now on are those of a new simulation."""
        self.random = random.Random(self.seed)
        self.until = [0] * len(self.channels)
        self.cycle = 0

    async def step(self) -> None:
        """One cycle."""
        draw = self.random.random
        for n, channel in enumerate(self.channels):
            if draw() < LONG_STALL:
                self.until[n] = self.cycle + self.random.randint(*LONG_CYCLES)
            channel.pause = draw() < self.probability or self.cycle < self.until[n]
        self.cycle += 1
        await self.edge

    async def run(self, starts, busy) -> None:
        """For ever: wake at an edge of ``starts``, sleep when not ``busy()``."""
        triggers = [RisingEdge(signal) for signal in starts]
        while True:
            while busy():
                for _ in range(IDLE_CYCLES):
                    await self.step()
            await First(*triggers)
            await self.step()


class PythonMemory:
    """A memory on m_axi, the clock, and the rules of both buses.

    Members
    -------
    contents : bytearray or mmap
    outside : int or None
        The first address of a write that met no contents.
    bytes_read, bytes_written : int
    """

    def __init__(self, dut, broken: Callable[[str], None]):
        self._dut, self._broken = dut, broken
        self.contents: bytearray | mmap = bytearray()
        bus = AxiBus.from_prefix(dut, "m_axi")
        self._reads = _ReadPort(bus.read, dut.clk, dut.rst, mem=self.contents)
        self._writes = _WritePort(bus.write, dut.clk, dut.rst, mem=self.contents)
        self._stalls: Stalls | None = None
        self._held = False
        self._hold = 0

    def start_clock(self) -> None:
        Clock(self._dut.clk, PERIOD_NS, "ns").start(start_high=False)

    def watch(self, constants: Mapping[str, int]) -> None:
        """Broken rules are told from now on, also ports that have other values than these with an
        address."""
        watch(self._dut, self._reads.byte_lanes, self._broken, constants)

    @property
    def bytes_read(self) -> int:
        return self._reads.bytes_moved

    @property
    def bytes_written(self) -> int:
        return self._writes.bytes_moved

    @property
    def outside(self) -> int | None:
        return self._writes.outside

    def fill(self, contents: bytearray | mmap, places: Sequence[tuple[int, int, int]]) -> None:
        """Memory has these contents, ``(first, size, address)`` of each piece, and no others."""
        self.contents = self._reads.mem = self._writes.mem = contents
        self._reads.places = self._writes.places = _Places(places)

    def fail(self, reads: Sequence[tuple[int, int]]) -> None:
        """Reads from ``first`` to ``end`` are answered with SLVERR, and no others."""
        self._reads.errors = reads

    def stall(self, probability: float, seed: int) -> None:
        """Channels pause at random from now on."""
        dut, reads, writes = self._dut, self._reads, self._writes
        channels = [reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel,
                    writes.b_channel]
        valid = [dut.m_axi_arvalid, dut.m_axi_awvalid, dut.m_axi_wvalid]
        sinks = [reads.ar_channel, writes.aw_channel, writes.w_channel]

        def busy() -> bool:
            return (any(signal.value for signal in valid) or not reads.r_channel.idle()
                    or not writes.b_channel.idle() or not all(sink.empty() for sink in sinks))

        self._stalls = Stalls(dut.clk, channels, probability=probability, seed=seed)
        cocotb.start_soon(self._stalls.run(valid, busy))

    def restart(self) -> None:
        """Nothing is left of what was before; called in a reset."""
        self._writes.outside = None
        if self._stalls:
            self._stalls.restart()

    def hold(self, count: int) -> None:
        """From now on write responses wait until there are so many, or until no more come."""
        self._hold = count
        if count and not self._held:
            self._held = True
            self._writes.b_channel.queue_occupancy_limit = -1   # the model stops writes at two
            cocotb.start_soon(self._holding())
        self._writes.b_channel.pause = bool(count)

    async def _holding(self) -> None:
        """For ever: pause the channel of responses as ``hold`` says."""
        channel, edge = self._writes.b_channel, RisingEdge(self._dut.clk)
        waiting, since = 0, 0
        while True:
            await edge
            if not self._hold:
                continue
            count = channel.count()
            since = since + 1 if count == waiting else 0
            waiting = count
            if count == 0:
                channel.pause = True
            elif count >= self._hold or since > HOLD_CYCLES:
                channel.pause = False

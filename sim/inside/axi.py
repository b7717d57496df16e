# SPDX-License-Identifier: Apache-2.0
"""The driver's transport in a cocotb simulation: a memory on m_axi, a master on s_axil."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from mmap import mmap

import cocotb
from cocotb.triggers import First, RisingEdge, SimTimeoutError, Timer, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRamRead, AxiRamWrite, AxiResp

from prunus.host.driver import BusError

__all__ = ["PERIOD_NS", "AxiTransport"]

PERIOD_NS = 10
LONG_STALL = 1 / 256       # chance per cycle that a channel stops for LONG_CYCLES
LONG_CYCLES = (16, 64)
IDLE_CYCLES = 32           # stalls go to sleep after so many cycles without traffic
LITE_CYCLES = 10_000       # a register access that takes more has failed
HOLD_CYCLES = 600         # held responses come if no other has for so many cycles


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


class _Stalls:
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


class AxiTransport:
    """Registers over AXI4-Lite, memory through the back door of the model on AXI4.

    Parameters
    ----------
    dut : handle
        The top.
    memory : bytearray or mmap, optional
        Contents of the memory. Without it :meth:`fill` gives them.
    base : int
        Address on the bus of its first byte.
    stall : float
        Probability of a pause, on every channel of both interfaces; 0 for none.
    seed : int
        Of the pauses.

    Members
    -------
    memory : bytearray or mmap
        :meth:`fill` gives it contents and says which addresses they have.
    """

    def __init__(self, dut, memory: bytearray | mmap | None = None, *, base: int = 0,
                 stall: float = 0.0, seed: int = 0):
        self.dut = dut
        self.memory = bytearray() if memory is None else memory
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        bus = AxiBus.from_prefix(dut, "m_axi")
        self.reads = _ReadPort(bus.read, dut.clk, dut.rst, mem=self.memory)
        self.writes = _WritePort(bus.write, dut.clk, dut.rst, mem=self.memory)
        self.reads.places = self.writes.places = _Places([(0, len(self.memory), base)])
        self.lite_stalls: _Stalls | None = None
        self.stalls: list[_Stalls] = []
        self.held = False
        self.hold = 0
        if stall:
            self._stall(stall, seed)

    def _stall(self, stall: float, seed: int) -> None:
        dut, reads, writes = self.dut, self.reads, self.writes
        write, read = self.lite.write_if, self.lite.read_if
        self.lite_stalls = _Stalls(
            dut.clk, [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                      read.r_channel], probability=stall, seed=seed)
        channels = [reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel,
                    writes.b_channel]
        valid = [dut.m_axi_arvalid, dut.m_axi_awvalid, dut.m_axi_wvalid]
        sinks = [reads.ar_channel, writes.aw_channel, writes.w_channel]

        def busy() -> bool:
            return (any(signal.value for signal in valid) or not reads.r_channel.idle()
                    or not writes.b_channel.idle() or not all(sink.empty() for sink in sinks))

        stalls = _Stalls(dut.clk, channels, probability=stall, seed=seed + 1)
        self.stalls = [self.lite_stalls, stalls]
        cocotb.start_soon(stalls.run(valid, busy))

    def restart(self) -> None:
        """Nothing is left of what was before; called in a reset."""
        self.writes.outside = None
        for stalls in self.stalls:
            stalls.restart()

    def fill(self, contents: bytes, places: Sequence[tuple[int, int, int]] = ()) -> None:
        """Memory has these contents, from address 0 or in ``places``, and no others."""
        self.memory[:] = contents
        self.reads.places = self.writes.places = _Places(places or [(0, len(contents), 0)])

    def hold_responses(self, count: int) -> None:
        """From now on write responses wait until there are so many, or until no more come."""
        self.hold = count
        if count and not self.held:
            self.held = True
            self.writes.b_channel.queue_occupancy_limit = -1    # the model stops writes at two
            cocotb.start_soon(self._holding())
        self.writes.b_channel.pause = bool(count)

    async def _holding(self) -> None:
        """For ever: pause the channel of responses as ``hold`` says."""
        channel, edge = self.writes.b_channel, RisingEdge(self.dut.clk)
        waiting, since = 0, 0
        while True:
            await edge
            if not self.hold:
                continue
            count = channel.count()
            since = since + 1 if count == waiting else 0
            waiting = count
            if count == 0:
                channel.pause = True
            elif count >= self.hold or since > HOLD_CYCLES:
                channel.pause = False

    async def _lite(self, access):
        """The response of a register access, with pauses during it if wanted."""
        if self.lite_stalls is None:
            return await self._in_time(access)
        return await self._in_time(self._stalled(access, self.lite_stalls))

    async def _in_time(self, access):
        try:
            return await with_timeout(access, LITE_CYCLES * PERIOD_NS, "ns")
        except SimTimeoutError:
            raise BusError(f"a register access was not answered in {LITE_CYCLES} cycles") from None

    async def _stalled(self, access, stalls: _Stalls):
        """With pauses."""
        task = cocotb.start_soon(access)
        while not task.done():
            await stalls.step()
        return task.result()

    async def try_read(self, address: int) -> tuple[int, int]:
        """``(value, response)``."""
        answer = await self._lite(self.lite.read(address, 4))
        return int.from_bytes(answer.data, "little"), int(answer.resp)

    async def try_write(self, address: int, value: int, size: int = 4) -> int:
        """The response."""
        answer = await self._lite(self.lite.write(address, value.to_bytes(size, "little")))
        return int(answer.resp)

    async def read_register(self, address: int) -> int:
        value, response = await self.try_read(address)
        if response != AxiResp.OKAY:
            raise BusError(f"read of register {address:#04x} answered {AxiResp(response).name}")
        return value

    async def write_register(self, address: int, value: int) -> None:
        response = await self.try_write(address, value)
        if response != AxiResp.OKAY:
            raise BusError(f"write of {value:#x} to register {address:#04x} answered "
                           f"{AxiResp(response).name}")

    async def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size])

    async def write_memory(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = data

    async def wait_irq(self, cycles: int | None = None) -> bool:
        irq = self.dut.irq
        if not irq.value:
            edge = RisingEdge(irq)
            if cycles is None:
                await edge
            else:
                await First(edge, Timer(cycles * PERIOD_NS, "ns"))
        return bool(irq.value)

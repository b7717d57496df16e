# SPDX-License-Identifier: Apache-2.0
"""The bench that runs inside the simulator: rings a doorbell for each request of a session."""

import os
from multiprocessing.connection import Connection

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer
from cocotb.utils import get_sim_time

from prunus.golden.image import Image
from prunus.host.driver import Driver, DriverError

from ..exchange import (
    CHANNEL,
    Access,
    BatchReply,
    BatchRequest,
    Failure,
    Progress,
    Ready,
    Setup,
)
from .axi import PERIOD_NS, AxiTransport
from .monitors import watch

__all__ = ["run"]

MARGIN = 4096              # bytes behind the image that must stay as they are
FILL = 0x5A


class _Bench:
    """One simulation."""

    def __init__(self, dut, setup: Setup, channel: Connection):
        self.dut = dut
        self.setup = setup
        self.channel = channel

    async def start(self) -> None:
        """Clock, reset, buses, monitors."""
        dut, setup = self.dut, self.setup
        dut.rst.value = 1
        dut.clk.value = 0
        await Timer(PERIOD_NS, "ns")
        self.transport = AxiTransport(dut, stall=setup.stall, seed=setup.seed)
        self.driver = Driver(self.transport, setup.config)
        Clock(dut.clk, PERIOD_NS, "ns").start(start_high=False)
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        watch(dut, setup.config.axi_data_width // 8)
        await self.driver.check()

    async def batch(self, batch: BatchRequest) -> BatchReply:
        """One doorbell."""
        transport, driver = self.transport, self.driver
        size = -(-len(batch.image) // MARGIN) * MARGIN + MARGIN
        transport.fill(bytes([FILL]) * size)
        transport.reads.errors = batch.read_errors
        reads, writes = transport.reads.bytes_moved, transport.writes.bytes_moved
        answers = {"before": await self._access(batch.before)}
        begin = get_sim_time("ns")
        await driver.start(Image(data=bytearray(batch.image), table=batch.table), batch.count)
        answers["during"] = await self._access(batch.during)
        if batch.reset:
            counters = await self._abort(*batch.reset)
        else:
            counters = await driver.finish(batch.cycles,
                                           self._progress if batch.progress else None)
        cycles = (get_sim_time("ns") - begin) / PERIOD_NS
        if self.dut.irq.value:
            raise DriverError("irq must be low after the interrupt was cleared")
        answers["after"] = await self._access(batch.after)
        self._check_memory(batch)
        image = np.frombuffer(bytes(transport.memory[: len(batch.image)]), np.uint8)
        return BatchReply(image=image, registers=counters, cycles=int(cycles), accesses=answers,
                          aborted=batch.reset is not None,
                          bus_read_bytes=transport.reads.bytes_moved - reads,
                          bus_write_bytes=transport.writes.bytes_moved - writes)

    async def _abort(self, after: int, cycles: int) -> dict[str, int]:
        """Reset all in the middle of a table; the counters, which must be 0 like the status. Or
        abort the table, if it is to last no cycle; then neither memory nor buses are reset."""
        dut, driver = self.dut, self.driver
        if after:
            await ClockCycles(dut.clk, after)
        if dut.irq.value:
            raise DriverError(f"the table was worked off {after} cycles after its doorbell, before "
                              "the reset")
        if not cycles:
            await driver.abort()
            if await driver.read("status"):
                raise DriverError(f"status must be 0 after an abort; {await driver.describe()}")
            return await driver.counters()
        dut.rst.value = 1
        await ClockCycles(dut.clk, cycles)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        counters = await driver.counters()
        if await driver.read("status") or any(counters.values()):
            raise DriverError(f"status and counters must be 0 after a reset; "
                              f"{await driver.describe()}")
        return counters

    async def _access(self, accesses: list[Access]) -> list[tuple[int, int, int]]:
        """``(value, response, irq)`` of each register access, irq as it is afterwards."""
        answers = []
        for access in accesses:
            if access.write:
                value = access.value
                response = await self.transport.try_write(access.address, value)
            else:
                value, response = await self.transport.try_read(access.address)
            await ClockCycles(self.dut.clk, 2)      # what is registered on its way to irq
            answers.append((value, response, int(self.dut.irq.value)))
        return answers

    def _progress(self, done: int) -> None:
        self.channel.send(Progress(done))

    def _check_memory(self, batch: BatchRequest) -> None:
        """Raise DriverError if anything but outputs and status records was written."""
        outside = self.transport.writes.outside
        if outside is not None:
            raise DriverError(f"the coprocessor wrote to {outside:#x}, outside the memory")
        memory = np.frombuffer(bytes(self.transport.memory), np.uint8)
        before = np.full(len(memory), FILL, np.uint8)
        before[: len(batch.image)] = batch.image
        changed = before != memory
        for address, size in batch.writable:
            changed[address : address + size] = False
        if changed.any():
            raise DriverError(f"the coprocessor wrote to {int(changed.argmax()):#x}, outside the "
                              "outputs and status records")


@cocotb.test()
async def run(dut):
    """Until the session sends None or closes its side; a driver's complaint ends it as well.

    Simulated time stands still while the session thinks.
    """
    channel = Connection(int(os.environ[CHANNEL]))
    try:
        bench = _Bench(dut, channel.recv(), channel)
        await bench.start()
        channel.send(Ready())
        while (batch := channel.recv()) is not None:
            channel.send(await bench.batch(batch))
    except DriverError as err:
        channel.send(Failure(str(err)))
    except (EOFError, ConnectionError):
        pass

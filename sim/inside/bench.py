# SPDX-License-Identifier: Apache-2.0
"""The bench that runs inside the simulator: rings a doorbell for each request of a session."""

import os
from collections.abc import Coroutine
from multiprocessing.connection import Connection

import cocotb
import numpy as np
from cocotb.triggers import Timer, gather
from cocotb.utils import get_sim_time

from prunus.golden.image import Image
from prunus.golden.registers import Cause, Status
from prunus.host.driver import Driver, DriverError

from ..exchange import (
    CHANNEL,
    Access,
    BatchReply,
    BatchRequest,
    Drawn,
    Failure,
    Faults,
    Progress,
    Ready,
    Restart,
    Setup,
    Side,
)
from .axi import AxiTransport
from .clocks import PERIOD_NS, cycles
from .memory import PythonMemory
from .monitors import attributes
from .native import NativeMemory

__all__ = ["run"]

MARGIN = 4096              # bytes behind the image that must stay as they are
FILL = 0x5A
MEMORIES: dict[str, type[NativeMemory] | type[PythonMemory]] = {
    "cpp": NativeMemory, "python": PythonMemory}


class _Bench:
    """One simulation."""

    def __init__(self, dut, setup: Setup, channel: Connection):
        self.dut = dut
        self.setup = setup
        self.channel = channel
        self.broken = False     # a rule of the bus

    def _broken(self, rule: str) -> None:
        """Said at once: the models of the bus may end the simulation in this very cycle. The
        session ends it, too, as soon as it hears of this."""
        if not self.broken:
            self.broken = True
            self.channel.send(Failure(rule, rule=True))

    async def answer(self, work: Coroutine) -> None:
        """Say what ``work`` returns; a Failure if it fails."""
        try:
            said = await work
        except DriverError as err:
            said = Failure(str(err))
        if not self.broken:
            self.channel.send(said)

    async def start(self) -> Ready:
        """Clock, reset, buses, monitors."""
        dut, setup = self.dut, self.setup
        dut.rst.value = 1
        dut.clk.value = 0
        await Timer(PERIOD_NS, "ns")
        self.memory = MEMORIES[setup.memory](dut, self._broken)
        self.transport = AxiTransport(dut, self.memory, stall=setup.stall, seed=setup.seed)
        self.driver = Driver(self.transport, setup.config)
        if setup.record:
            if not isinstance(self.memory, NativeMemory):
                raise DriverError("only the memory in C++ records ports")
            self.memory.record(setup.record)
        self.memory.start_clock()
        await cycles(dut.clk, 4)
        dut.rst.value = 0
        await cycles(dut.clk, 2)
        self.memory.watch(attributes(setup.config))
        await self.driver.check()
        return Ready()

    async def restart(self, inputs: dict[str, int]) -> Ready:
        """A reset like that at the start, with values for further inputs."""
        dut = self.dut
        for name, value in inputs.items():
            getattr(dut, name).value = value
        dut.rst.value = 1
        await cycles(dut.clk, 4)
        self.transport.restart()
        dut.rst.value = 0
        await cycles(dut.clk, 2)
        await self.driver.check()
        return Ready()

    async def batch(self, batch: BatchRequest) -> BatchReply:
        """One doorbell."""
        memory, driver = self.memory, self.driver
        size = -(-len(batch.image) // MARGIN) * MARGIN + MARGIN
        memory.fill(bytearray([FILL]) * size, batch.places or [(0, size, 0)])
        memory.hold(batch.hold)
        memory.fail(batch.read_errors)
        self._disturb(batch.faults)
        reads, writes = memory.bytes_read, memory.bytes_written
        answers = {"before": await self._access(batch.before)}
        begin = get_sim_time("ns")
        await driver.start(Image(data=bytearray(batch.image), table=batch.table), batch.count)
        answers["during"] = await self._access(batch.during)
        aborted, halted, served = False, False, 0
        if batch.faults.silence and await self._falls_silent(batch):
            counters = await self._recover(batch)
            aborted = halted = True
        elif batch.reset and not batch.faults.silence and await self._comes_in_time(batch):
            counters = await self._abort(batch.reset[1])
            aborted = True
        else:
            if batch.faults.interrupts:
                served = await self._serve(batch.cycles)
            counters = await driver.finish(batch.cycles,
                                           self._progress if batch.progress else None)
        taken = (get_sim_time("ns") - begin) / PERIOD_NS
        if self.dut.irq.value:
            raise DriverError("irq must be low after the interrupt was cleared")
        answers["after"] = await self._access(batch.after)
        self._check_memory(batch)
        image = np.frombuffer(bytes(memory.contents[: len(batch.image)]), np.uint8)
        return BatchReply(image=image, registers=counters, cycles=int(taken), accesses=answers,
                          aborted=aborted, halted=halted,
                          drawn=self._drawn(), served=served,
                          bus_read_bytes=memory.bytes_read - reads,
                          bus_write_bytes=memory.bytes_written - writes)

    def _disturb(self, faults: Faults) -> None:
        """Faults of the memory. Raises DriverError if there are none of this kind."""
        if isinstance(self.memory, NativeMemory):
            self.memory.disturb(faults)
        elif faults != Faults():
            raise DriverError("only the memory in C++ has faults")

    def _drawn(self) -> list[Drawn]:
        return self.memory.drawn() if isinstance(self.memory, NativeMemory) else []

    async def _over(self, after: int) -> bool:
        """Whether the table is worked off so many cycles from now."""
        if after:
            await cycles(self.dut.clk, after)
        return bool(self.dut.irq.value)

    async def _serve(self, limit: int) -> int:
        """Clear the interrupt of errors whenever it comes, until the table has ended; how often.
        """
        driver, served = self.driver, 0
        await driver.write("irq_enable", 3)
        while True:
            if not await self.transport.wait_irq(limit):
                raise DriverError(f"no interrupt after {limit} cycles; {await driver.describe()}")
            status = await driver.read("status")
            if not status & (1 << Status.ERROR | 1 << Status.IRQ):
                raise DriverError(f"irq is high for no cause; {await driver.describe()}")
            served += status >> Status.ERROR & 1
            if status >> Status.IRQ & 1:
                return served
            await driver.write("status", 1 << Status.ERROR)
            await cycles(self.dut.clk, 2)       # what is registered on its way to irq

    async def _falls_silent(self, batch: BatchRequest) -> bool:
        """Whether the table ends for want of answers; if not, it has ended well before.

        Raises DriverError if there is no interrupt, or if another error is told than there was.
        """
        assert isinstance(self.memory, NativeMemory) and batch.faults.silence
        side, after = batch.faults.silence
        if await self._over(after):
            return False
        self.memory.silence(Side(side))
        driver = self.driver
        if not await self.transport.wait_irq(batch.cycles):
            raise DriverError(f"no interrupt after {batch.cycles} cycles, though {Side(side).name} "
                              f"is silent; {await driver.describe()}")
        status = await driver.read("status")
        if not status >> Status.HALTED & 1:
            self.memory.silence()
            return False
        busy, wanted = 1 << Status.BUSY, 1 << Status.IRQ | 1 << Status.ERROR
        error, address = await driver.read("error"), await driver.read_address("error_address")
        job = error >> 16
        if (status & (busy | wanted) != wanted or error & 0xFFFF != Cause.TIMEOUT or address
                or job >= batch.count):
            raise DriverError(f"a table that ends for want of answers must tell so; "
                              f"{await driver.describe()}")
        return True

    async def _recover(self, batch: BatchRequest) -> dict[str, int]:
        """Abort, before the memory answers again or behind it, or reset; the counters."""
        assert isinstance(self.memory, NativeMemory)
        driver, early = self.driver, batch.faults.early
        if batch.reset:
            counters = await self._abort(batch.reset[1])
            self.memory.silence()
            return counters
        if early:
            await driver.write("control", 1)
            await cycles(self.dut.clk, 20)
        status = await driver.read("status")
        if early and status >> Status.OUTSTANDING & 1 and not status >> Status.ABORTING & 1:
            raise DriverError(f"an abort must wait for answers; {await driver.describe()}")
        self.memory.silence()
        await driver.abort()
        if await driver.read("status"):
            raise DriverError(f"status must be 0 after an abort; {await driver.describe()}")
        return await driver.counters()

    async def _comes_in_time(self, batch: BatchRequest) -> bool:
        """Wait for the time of the reset; whether the table is still being worked off then.

        Raises DriverError if it must be and is not.
        """
        assert batch.reset
        after = batch.reset[0]
        if await self._over(after):
            if batch.faults.late:
                return False
            raise DriverError(f"the table was worked off {after} cycles after its doorbell, before "
                              "the reset")
        return True

    async def _abort(self, length: int) -> dict[str, int]:
        """Reset all in the middle of a table; the counters, which must be 0 like the status. Or
        abort the table, if it is to last no cycle; then neither memory nor buses are reset."""
        dut, driver = self.dut, self.driver
        if not length:
            await driver.abort()
            if await driver.read("status"):
                raise DriverError(f"status must be 0 after an abort; {await driver.describe()}")
            return await driver.counters()
        dut.rst.value = 1
        await cycles(dut.clk, length)
        dut.rst.value = 0
        await cycles(dut.clk, 2)
        counters = await driver.counters()
        if await driver.read("status") or any(counters.values()):
            raise DriverError(f"status and counters must be 0 after a reset; "
                              f"{await driver.describe()}")
        return counters

    async def _access(self, accesses: list[Access]) -> list[tuple[int, int, int]]:
        """``(value, response, irq)`` of each register access, irq as it is afterwards."""
        answers: list[tuple[int, int, int]] = []
        groups: list[list[Access]] = []
        for access in accesses:
            if access.together and groups:
                groups[-1].append(access)
            else:
                groups.append([access])
        for group in groups:
            said = ([await self._try(group[0])] if len(group) == 1 else
                    await gather(*(self._try(access) for access in group)))
            await cycles(self.dut.clk, 2)      # what is registered on its way to irq
            answers += [(value, response, int(self.dut.irq.value)) for value, response in said]
        return answers

    async def _try(self, access: Access) -> tuple[int, int]:
        """``(value, response)`` of a register access."""
        if not access.write:
            return await self.transport.try_read(access.address)
        return access.value, await self.transport.try_write(access.address, access.value,
                                                            access.size)

    def _progress(self, done: int) -> None:
        self.channel.send(Progress(done))

    def _check_memory(self, batch: BatchRequest) -> None:
        """Raise DriverError if anything but outputs and status records was written."""
        outside = self.memory.outside
        if outside is not None:
            raise DriverError(f"the coprocessor wrote to {outside:#x}, outside the memory")
        memory = np.frombuffer(bytes(self.memory.contents), np.uint8)
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
    """Until the session sends None or closes its side.

    Simulated time stands still while the session thinks.
    """
    channel = Connection(int(os.environ[CHANNEL]))
    try:
        bench = _Bench(dut, channel.recv(), channel)
        await bench.answer(bench.start())
        while (message := channel.recv()) is not None:
            work = (bench.restart(message.inputs) if isinstance(message, Restart)
                    else bench.batch(message))
            await bench.answer(work)
    except (EOFError, ConnectionError):
        pass

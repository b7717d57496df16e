# SPDX-License-Identifier: Apache-2.0
"""The host driver: what any program does to have jobs computed, over any transport."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import load_config, preset_names
from prunus.golden.image import Image, build_image, out_bytes, read_results, relocated
from prunus.golden.jobs import Job
from prunus.golden.records import STATUS_BYTES, WORD_BITS
from prunus.golden.registers import HIGH, Status

__all__ = ["BusError", "Driver", "DriverError", "Transport", "writable_ranges"]

POLL_CYCLES = 20_000       # between two looks at jobs_done, if somebody wants to know
ABORT_POLLS = 10_000       # of the status, until an abort must be over


class DriverError(RuntimeError):
    """The coprocessor does not answer as it should; the text is for the user."""


class BusError(DriverError):
    """A register access was answered with an error."""


class Transport(Protocol):
    """How a host reaches registers, memory and the interrupt."""

    async def read_register(self, address: int) -> int: ...

    async def write_register(self, address: int, value: int) -> None: ...

    async def read_memory(self, address: int, size: int) -> bytes: ...

    async def write_memory(self, address: int, data: bytes) -> None: ...

    async def wait_irq(self, cycles: int | None) -> bool:
        """Wait until the interrupt is high, at most so many clock cycles; False if they pass."""
        ...


def writable_ranges(image: Image, jobs: Sequence[Job],
                    config: EngineConfig) -> list[tuple[int, int]]:
    """``(address, size)`` of what the coprocessor writes: outputs and status records."""
    sizes = [out_bytes(job, config) for job in jobs]
    return [*zip(image.out, sizes, strict=True),
            *((address, STATUS_BYTES) for address in image.status)]


def _identity(config: EngineConfig) -> dict[int, int]:
    """What the registers that tell coprocessors apart read, by address."""
    values = registers.constants(config)
    return {register.address: values[register.name] for register in registers.register_map(config)
            if register.name in values}


class Driver:
    """Runs tables of jobs on one coprocessor.

    Parameters
    ----------
    transport : Transport
    config : EngineConfig
        What the coprocessor was generated from; :meth:`check` compares.
    base : int
        Address of the transport's memory, as the coprocessor sees it.
    """

    def __init__(self, transport: Transport, config: EngineConfig, base: int = 0):
        self.transport = transport
        self.config = config
        self.base = base
        self._registers = {register.name: register
                           for register in registers.register_map(config)}

    async def read(self, name: str) -> int:
        return await self.transport.read_register(self._registers[name].address)

    async def write(self, name: str, value: int) -> None:
        await self.transport.write_register(self._registers[name].address, value)

    async def read_address(self, name: str) -> int:
        """A register that has an address, of two words if that is wide."""
        high = await self.read(name + HIGH) if self.config.wide else 0
        return await self.read(name) | high << WORD_BITS

    async def write_address(self, name: str, value: int) -> None:
        """Likewise."""
        if self.config.wide:
            await self.write(name + HIGH, value >> WORD_BITS)
        await self.write(name, value & (1 << WORD_BITS) - 1)

    async def check(self) -> None:
        """Raise DriverError unless this is the coprocessor of the configuration.

        What it is at, from a session before this one, is aborted.
        """
        for name, expected in registers.constants(self.config).items():
            value = await self.read(name)
            if value != expected:
                raise DriverError(f"register {name} must read {expected:#010x}, not {value:#010x}: "
                                  f"{await self._found(name)}")
        if await self.read("status"):
            await self.abort()

    async def _found(self, wrong: str) -> str:
        """What there is in place of the coprocessor, where register ``wrong`` is not as it must."""
        if wrong == "id":
            return "there is no coprocessor of Prunus behind these registers"
        if wrong == "version":
            return ("the hardware was made by another version of Prunus, with another memory "
                    "image; make it anew")
        if wrong == "revision":
            return "the hardware was made by another version of Prunus; make it anew"
        there = {address: await self.transport.read_register(address)
                 for address in _identity(self.config)}
        like = [name for name in preset_names() if _identity(load_config(name)) == there]
        other = f"that of {' or '.join(like)}" if like else "another one, of no preset"
        return f"the coprocessor is {other}, not that of {self.config.name}"

    async def abort(self) -> None:
        """End what is in work and wait until the memory has answered; no interrupt is left.

        Raises DriverError if the memory does not answer: nothing but a reset of both helps then.
        """
        await self.write("control", 1)
        for _ in range(ABORT_POLLS):
            if not await self.read("status") & 1 << Status.ABORTING:
                await self.write("status", 1 << Status.IRQ | 1 << Status.ERROR)
                return
        raise DriverError(f"the memory must answer what it was asked for before an abort is over; "
                          f"{await self.describe()}")

    async def start(self, image: Image, count: int) -> None:
        """Write the image and ring the doorbell for its first ``count`` descriptors.

        An interrupt that is still pending would be taken for that of this table, so it is cleared.
        """
        await self.transport.write_memory(0, relocated(image, self.config, self.base))
        await self.write_address("table", self.base + image.table)
        await self.write("irq_enable", 1)
        await self.write("status", 1 << Status.IRQ | 1 << Status.ERROR)
        await self.write("doorbell", count)

    async def finish(self, cycles: int | None = None,
                     progress: Callable[[int], None] | None = None) -> dict[str, int]:
        """Wait for the interrupt, clear it, and return the counters.

        ``progress`` is called now and then with the number of jobs done.
        """
        await self._wait(cycles, progress)
        busy, pending, error = (1 << bit for bit in (Status.BUSY, Status.IRQ, Status.ERROR))
        status = await self.read("status")
        if status >> Status.HALTED & 1:
            raise DriverError(f"the memory did not answer in time; {await self.describe()}")
        # Of errors, of writes too, the records tell.
        if status & ~(error | 1 << Status.WRITE_ERROR) != pending:
            raise DriverError(f"status must be idle with the interrupt pending; "
                              f"{await self.describe()}")
        await self.write("status", pending | error)
        if await self.read("status") & (busy | pending | error):
            raise DriverError(f"status must be clear after the interrupt was; "
                              f"{await self.describe()}")
        return await self.counters()

    async def _wait(self, cycles, progress) -> None:
        left = cycles
        while left is None or left > 0:
            step = POLL_CYCLES if progress and (left is None or left > POLL_CYCLES) else left
            if await self.transport.wait_irq(step):
                return
            left = None if left is None else left - step
            if progress:
                progress(await self.read("jobs_done"))
        raise DriverError(f"no interrupt after {cycles} cycles; {await self.describe()}")

    async def counters(self) -> dict[str, int]:
        return {name: await self.read(name) for name in registers.counter_names(self.config)}

    async def describe(self) -> str:
        """Status, counters and the first error in one line, for messages."""
        values = {"status": await self.read("status"), **await self.counters(),
                  "error": await self.read("error"),
                  "error_address": await self.read_address("error_address")}
        return ", ".join(f"{name} {value}" for name, value in values.items())

    async def run(self, jobs: Sequence[Job], cycles: int | None = None,
                  image: Image | None = None, progress: Callable[[int], None] | None = None):
        """``(results, counters)`` of jobs; a result is ``(out, Status)`` of the engine.

        ``image`` is for jobs that do not lie in memory as ``build_image`` places them.
        """
        image = image or build_image(jobs, self.config)
        await self.start(image, len(jobs))
        counters = await self.finish(cycles, progress)
        contents = np.frombuffer(bytes(image.data), np.uint8).copy()
        for address, size in writable_ranges(image, jobs, self.config):
            raw = await self.transport.read_memory(address, size)
            contents[address : address + size] = np.frombuffer(raw, np.uint8)
        return read_results(contents.tobytes(), image, jobs, self.config), counters

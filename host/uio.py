# SPDX-License-Identifier: Apache-2.0
"""The driver's transport on Linux beside the coprocessor: an SoC with an FPGA.

Registers are those of a UIO device or of /dev/mem. Memory is a buffer of u-dma-buf, a reserved
range of /dev/mem, or any file that can be mapped. Interrupts come through the UIO device.
"""

import contextlib
import mmap
import os
import re
import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from prunus.golden import registers
from prunus.golden.engine import EngineConfig
from prunus.golden.errors import InputError

from .coprocessor import Coprocessor
from .transport import IRQ_STATUS, deadline

__all__ = ["Interrupt", "Mapping", "Place", "Registers", "UioTransport", "find_memory",
           "find_registers", "open_uio", "transport"]

CLASSES = Path("/sys/class")        # of devices
MEM = "/dev/mem"                    # whose offsets are addresses
POLL_S = 0.0002
_PLACE = re.compile(r"(?P<path>[^@]+)(@(?P<address>\w+)(\+(?P<size>\w+))?)?")
_WORD = struct.Struct("=I")


@dataclass(frozen=True)
class Place:
    """``PATH``, ``PATH@ADDRESS`` or ``PATH@ADDRESS+SIZE``, as the command line has it.

    Members
    -------
    address : int or None
        Of the bus.
    size : int or None
        In bytes.
    """

    path: str
    address: int | None = None
    size: int | None = None

    @classmethod
    def parse(cls, text: str, what: str) -> "Place":
        """Raises InputError, which calls it ``what``."""
        found = _PLACE.fullmatch(text)
        with contextlib.suppress(ValueError):
            if found:
                address, size = (None if found[name] is None else int(found[name], 0)
                                 for name in ("address", "size"))
                return cls(found["path"], address, size)
        raise InputError(f"{what} must be PATH, PATH@ADDRESS or PATH@ADDRESS+SIZE, not {text!r}")


def _attribute(path: str, classes: Path, group: str, name: str) -> int | None:
    """A number that sysfs knows of a device; None if it does not."""
    try:
        text = (classes / group / Path(path).name / name).read_text(encoding="ascii")
        return int(text, 0)
    except (OSError, ValueError):
        return None


def find_registers(place: Place, classes: Path = CLASSES) -> tuple[int, int]:
    """``(offset, size)`` of the registers within what is mapped of their device."""
    size = place.size or _attribute(place.path, classes, "uio", "maps/map0/size")
    size = size or 1 << registers.ADDRESS_BITS
    if place.address is not None:
        return place.address, size
    return _attribute(place.path, classes, "uio", "maps/map0/offset") or 0, size


def find_memory(place: Place, config: EngineConfig, classes: Path = CLASSES) -> tuple[int, int]:
    """``(address, size)`` of a memory: what is said of it, or what u-dma-buf knows.

    Raises
    ------
    InputError
        When neither does, or a coprocessor of ``config`` does not reach all of it, or no
        descriptor can lie at its begin.
    """
    address, size = place.address, place.size
    if address is None:
        address = _attribute(place.path, classes, "u-dma-buf", "phys_addr")
    if size is None:
        size = _attribute(place.path, classes, "u-dma-buf", "size")
    if address is None or size is None:
        raise InputError(f"memory {place.path!r} is no u-dma-buf that tells its address and size: "
                         f"say {place.path}@ADDRESS+SIZE")
    align, bits = config.descriptor_bytes, config.axi_address_width
    if address % align or size <= 0 or address + size > 1 << bits:
        raise InputError(f"memory must begin at a multiple of {align} and end within {bits} bits, "
                         f"not {address:#x} with {size:#x} bytes")
    return address, size


class Mapping:
    """Bytes of a file or device in this process.

    Parameters
    ----------
    path : str
    offset, size : int

    Raises
    ------
    InputError
        When it cannot be opened or mapped.
    """

    def __init__(self, path: str, offset: int, size: int):
        first = offset % mmap.ALLOCATIONGRANULARITY
        try:
            # Devices map memory without a cache for a descriptor that is synchronous.
            self.file = os.open(path, os.O_RDWR | os.O_SYNC)
        except OSError as err:
            raise InputError(f"{path!r} cannot be opened: {err.strerror}") from None
        try:
            self._map = mmap.mmap(self.file, first + size, offset=offset - first)
        except (OSError, ValueError, OverflowError) as err:
            os.close(self.file)
            reason = getattr(err, "strerror", None) or err
            raise InputError(f"{size:#x} bytes of {path!r} at {offset:#x} cannot be mapped: "
                             f"{reason}") from None
        self.bytes = memoryview(self._map)[first : first + size]

    def close(self) -> None:
        with contextlib.suppress(BufferError):      # while views are in use it stays mapped
            self.bytes.release()
            self._map.close()
        os.close(self.file)


class Registers(Protocol):
    """32-bit accesses."""

    def read(self, offset: int) -> int: ...

    def write(self, offset: int, value: int) -> None: ...


class MappedRegisters:
    """Registers in this process. NumPy moves an aligned word by a single access."""

    def __init__(self, mapping: Mapping):
        self._words = np.frombuffer(mapping.bytes, np.uint32)

    def read(self, offset: int) -> int:
        return int(self._words[offset // 4])

    def write(self, offset: int, value: int) -> None:
        self._words[offset // 4] = value


class Interrupt:
    """The interrupt of a UIO device, whose file tells of each and masks it until it is enabled."""

    def __init__(self, file: int):
        self._file = file

    def wait(self, seconds: float | None) -> None:
        """Until one comes or the time has passed."""
        os.write(self._file, _WORD.pack(1))
        ready, _, _ = select.select([self._file], [], [], seconds)
        if ready:
            os.read(self._file, _WORD.size)


class UioTransport:
    """Registers and memory in this process, as :class:`prunus.host.driver.Transport` wants them.

    Its methods are coroutines that never wait for an event loop.

    Parameters
    ----------
    registers : Registers
    memory : memoryview
    interrupt : Interrupt or None
        Without one the pending bit is read again and again.
    """

    def __init__(self, registers: Registers, memory: memoryview, interrupt: Interrupt | None, *,
                 sleep: Callable[[float], None] = time.sleep,
                 clock: Callable[[], float] = time.monotonic):
        self._registers, self._memory, self._interrupt = registers, memory, interrupt
        self._sleep, self._clock = sleep, clock

    async def read_register(self, address: int) -> int:
        return self._registers.read(address)

    async def write_register(self, address: int, value: int) -> None:
        self._registers.write(address, value)

    async def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self._memory[address : address + size])

    async def write_memory(self, address: int, data: bytes) -> None:
        self._memory[address : address + len(data)] = data

    async def wait_irq(self, cycles: int | None) -> bool:
        end = deadline(cycles, self._clock)
        while True:
            if await self.read_register(IRQ_STATUS) >> registers.Status.IRQ & 1:
                return True
            left = end - self._clock()
            if left <= 0:
                return False
            if self._interrupt:
                self._interrupt.wait(None if left == float("inf") else left)
            else:
                self._sleep(POLL_S)


def transport(device: Place, registers: Mapping, memory: Mapping) -> UioTransport:
    """Of registers and memory that are mapped; /dev/mem has no interrupts."""
    interrupt = None if device.path == MEM else Interrupt(registers.file)
    return UioTransport(MappedRegisters(registers), memory.bytes, interrupt)


def open_uio(device: str, config: EngineConfig, *, memory: str) -> Coprocessor:
    """The coprocessor on this chip; close it, or use it in a ``with`` block.

    Parameters
    ----------
    device : str
        Registers: a UIO device such as /dev/uio0, or /dev/mem@ADDRESS.
    config : EngineConfig
    memory : str
        A buffer that the coprocessor reaches: a u-dma-buf such as /dev/udmabuf0, or
        PATH@ADDRESS+SIZE; of /dev/mem the bytes at ADDRESS, of others those from 0 on.

    Raises
    ------
    InputError
        One of them cannot be opened.
    DriverError
        Another coprocessor, or none.
    """
    place, buffer = Place.parse(device, "device"), Place.parse(memory, "memory")
    if place.path == MEM and place.address is None:
        raise InputError(f"device {MEM} needs the address of the registers: {MEM}@ADDRESS")
    offset, size = find_registers(place)
    base, room = find_memory(buffer, config)
    with contextlib.ExitStack() as stack:
        mapped = stack.enter_context(contextlib.closing(Mapping(place.path, offset, size)))
        held = stack.enter_context(contextlib.closing(
            Mapping(buffer.path, base if buffer.path == MEM else 0, room)))
        opened = Coprocessor(transport(place, mapped, held), config, memory_bytes=room, base=base)
        opened.at_end(stack.pop_all().close)
        return opened

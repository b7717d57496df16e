# SPDX-License-Identifier: Apache-2.0
"""The driver's transport over a link, and its serial port."""

import contextlib
import time
from collections.abc import Callable

from prunus.golden import registers
from prunus.golden.errors import InputError
from prunus.golden.link import LONGEST, Opcode

from .link import Link, LinkError

__all__ = ["IRQ_STATUS", "LinkTransport", "SerialLine", "deadline", "line_seconds"]

POLL_S = 0.002
LEAST_WAIT_S = 0.05
WRITE_S = 5.0               # that a port may take no bytes, beside the time of a frame on the line
CLOCK_HZ = 25e6             # the slowest clock of a board; a wait of so many cycles is no shorter
IRQ_STATUS = next(r.address for r in registers.SHARED if r.name == "status")


def deadline(cycles: int | None, clock: Callable[[], float]) -> float:
    """When so many clock cycles are over, on the slowest board; of None never."""
    return float("inf") if cycles is None else clock() + max(LEAST_WAIT_S, cycles / CLOCK_HZ)


def line_seconds(baud: int) -> float:
    """That the longest frames there and back take on the line, all bytes escaped."""
    return 2 * 2 * LONGEST * 10 / baud


class SerialLine:
    """A serial port by pyserial.

    Parameters
    ----------
    port : str
    baud : int
    write_s : float
        How long the port may take no bytes.

    Raises
    ------
    InputError
        When pyserial is not installed or the port cannot be opened.
    """

    def __init__(self, port: str, baud: int, write_s: float = WRITE_S):
        try:
            import serial
        except ModuleNotFoundError:
            from prunus.console import install_hint  # a driver needs nothing else of it

            raise InputError("backend serial needs the Python package 'pyserial': "
                             f"{install_hint('fpga')}") from None
        self._error, self._stalled = serial.SerialException, serial.SerialTimeoutException
        try:
            self._port = serial.Serial(port, baud, timeout=0, exclusive=True,
                                       write_timeout=write_s + line_seconds(baud))
        except (serial.SerialException, OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            raise InputError(f"port {port!r} cannot be opened at {baud} baud: {reason}") from None
        self._name = port
        self._port.reset_input_buffer()
        # USB converters hold short answers back for 16 ms; Linux can tell them not to.
        with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
            self._port.set_low_latency_mode(True)

    @contextlib.contextmanager
    def _reported(self):
        try:
            yield
        except self._stalled:
            with contextlib.suppress(self._error, OSError):
                self._port.reset_output_buffer()        # closing it would wait for these bytes
            raise LinkError(f"port {self._name!r} takes no more bytes: is the board connected, "
                            "powered and not halted?") from None
        except (self._error, OSError) as err:
            raise LinkError(f"port {self._name!r} is gone: {err}") from None

    def write(self, data: bytes) -> None:
        with self._reported():
            self._port.write(data)      # no flush: it has no time limit

    def read(self, timeout_s: float) -> bytes:
        with self._reported():
            self._port.timeout = timeout_s
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""

    def close(self) -> None:
        self._port.close()


class LinkTransport:
    """Registers and memory of a board, as :class:`prunus.host.driver.Transport` wants them.

    Its methods are coroutines that never wait for anything but the line.

    Parameters
    ----------
    link : Link
    sleep : callable
        Passes so many seconds, between two looks at the interrupt.
    """

    def __init__(self, link: Link, *, sleep: Callable[[float], None] = time.sleep,
                 clock: Callable[[], float] = time.monotonic):
        self.link = link
        self._sleep, self._clock = sleep, clock

    async def read_register(self, address: int) -> int:
        return int.from_bytes(self.link.request(Opcode.READ_REGISTER, address, length=4), "little")

    async def write_register(self, address: int, value: int) -> None:
        self.link.request(Opcode.WRITE_REGISTER, address, data=value.to_bytes(4, "little"))

    def _parts(self, address: int, size: int):
        """``(address, size)`` of requests for whole beats."""
        info = self.link.info
        if address % info.beat_bytes or size % info.beat_bytes:
            raise ValueError(f"address and size must be multiples of {info.beat_bytes}, "
                             f"not {address:#x} and {size}")
        most = info.payload_bytes // info.beat_bytes * info.beat_bytes
        for at in range(0, size, most):
            yield address + at, min(most, size - at)

    async def read_memory(self, address: int, size: int) -> bytes:
        return b"".join(self.link.request(Opcode.READ_MEMORY, at, length=part)
                        for at, part in self._parts(address, size))

    async def write_memory(self, address: int, data: bytes) -> None:
        for at, part in self._parts(address, len(data)):
            begin = at - address
            self.link.request(Opcode.WRITE_MEMORY, at, data=data[begin : begin + part])

    async def wait_irq(self, cycles: int | None) -> bool:
        """The pin does not reach the host, so this asks for the pending bit."""
        end = deadline(cycles, self._clock)
        while True:
            if await self.read_register(IRQ_STATUS) >> registers.Status.IRQ & 1:
                return True
            if self._clock() >= end:
                return False
            self._sleep(POLL_S)

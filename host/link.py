# SPDX-License-Identifier: Apache-2.0
"""The host's end of the link: requests that are answered, or an error, whatever the line does."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from prunus.golden.link import VERSION, FrameDecoder, Info, Opcode, Reply, Request, Status, frame

from .driver import BusError, DriverError

__all__ = ["Line", "Link", "LinkError"]

TIMEOUT_S = 1.0
RETRIES = 8
MOST_TIMEOUTS = 8
QUIET_S = 0.02          # how long a reply may still come after one that was damaged
# What a reply carries, by its request.
_TEXT: dict[int, str] = {
    Status.SESSION: "has lost this session: it was reset, or another program began one",
    Status.OPCODE: "does not know the request",
    Status.LENGTH: "refuses the length of the request",
    Status.ADDRESS: "refuses the address of the request",
}


class LinkError(DriverError):
    """The board does not answer, or not what it must; the text is for the user."""


class Line(Protocol):
    """A line of bytes that may lose or change some."""

    def write(self, data: bytes) -> None: ...

    def read(self, timeout_s: float) -> bytes:
        """What has come; waits so long for the first byte, and is empty if none comes."""
        ...


class Link:
    """One session with a board.

    A request is sent again until its reply comes; the board tells the same one from the next by
    its sequence number. A reply counts only if its CRC is right and it names session, sequence
    and opcode of the request, so what is left of earlier ones is passed over.

    Parameters
    ----------
    line : Line
    timeout_s : float
        How long to wait for a reply, the time on the line included. Once a session has begun,
        every further try waits twice as long as the one before: requests that are sent again too
        soon would pile up before a board that is only slow.
    retries : int
        How often to send a request again.

    Members
    -------
    info : Info
        What the board said of itself.
    repeated, damaged : int
        Requests sent again and frames with a wrong CRC, on either side, so far.
    """

    def __init__(self, line: Line, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES,
                 clock: Callable[[], float] = time.monotonic):
        self._line, self._clock = line, clock
        self._timeout_s, self._retries = timeout_s, retries
        self._decoder = FrameDecoder()
        self._bodies: deque[bytes | None] = deque()
        self._session = secrets.randbelow(256)
        self._sequence = secrets.randbelow(256)
        self.repeated = self.damaged = 0
        self._begun = False
        self.info = self._begin()
        self._begun = True

    def _begin(self) -> Info:
        reply = self._exchange(Opcode.SYNC)
        if reply.status != Status.OK:
            raise LinkError(f"the board refuses a session with status {reply.status}")
        version = reply.data[0] if reply.data else None
        if version != VERSION:
            raise LinkError(f"the board's link must have version {VERSION}, not {version}")
        return Info.unpack(reply.data)

    def request(self, opcode: Opcode, address: int, *, data: bytes = b"",
                length: int | None = None) -> bytes:
        """The data of the reply.

        Raises
        ------
        BusError
            The coprocessor answered the register access with an error.
        LinkError
            The board does not answer or refuses the request.
        """
        length = len(data) if length is None else length
        reply = self._exchange(opcode, address, length, data)
        what = f"{Opcode(opcode).name} of {length} bytes at {address:#x}"
        if reply.status == Status.BUS:
            raise BusError(f"{what} answered with a bus error")
        if reply.status != Status.OK:
            raise LinkError(f"{what}: the board "
                            f"{_TEXT.get(reply.status, f'gave status {reply.status}')}")
        expected = length if opcode in (Opcode.READ_REGISTER, Opcode.READ_MEMORY) else 0
        if len(reply.data) != expected:
            raise LinkError(f"{what}: the reply must have {expected} bytes, "
                            f"not {len(reply.data)}")
        return reply.data

    def _exchange(self, opcode: int, address: int = 0, length: int = 0,
                  data: bytes = b"") -> Reply:
        """Ask until there is a reply."""
        self._sequence = (self._sequence + 1) % 256
        request = Request(opcode=opcode, session=self._session, sequence=self._sequence,
                          address=address, length=length, data=data)
        raw, since, timeout_s = frame(request.pack()), self._clock(), self._timeout_s
        for attempt in range(self._retries + 1):
            self.repeated += attempt > 0
            self._line.write(raw)
            reply = self._await(request, timeout_s)
            if reply is not None:
                return reply
            if self._begun:
                timeout_s = min(2 * timeout_s, MOST_TIMEOUTS * self._timeout_s)
        raise LinkError(f"the board does not answer: {Opcode(opcode).name} was sent "
                        f"{self._retries + 1} times in {self._clock() - since:.1f} s")

    def _await(self, request: Request, timeout_s: float) -> Reply | None:
        """The reply to ``request``, or None if none came in time."""
        deadline = self._clock() + timeout_s
        while True:
            while not self._bodies:
                left = deadline - self._clock()
                if left <= 0:
                    return None
                self._bodies.extend(self._decoder.feed(self._line.read(left)))
            body = self._bodies.popleft()
            reply = _reply(body)
            if reply is None or reply.status == Status.CHECKSUM:
                # It may be the rest of something earlier, so the reply is still waited for.
                self.damaged += 1
                deadline = min(deadline, self._clock() + QUIET_S)
            elif (reply.opcode, reply.session, reply.sequence) == (
                    request.opcode, request.session, request.sequence):
                return reply


def _reply(body: bytes | None) -> Reply | None:
    if body is None:
        return None
    try:
        return Reply.unpack(body)
    except ValueError:
        return None

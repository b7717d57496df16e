# SPDX-License-Identifier: Apache-2.0
"""The host link of a board: frames over a serial line, one definition for hardware and drivers.

A frame is a body and its CRC-32 (of zlib and Ethernet, little-endian), SLIP-encoded (RFC 1055): END
stands before and after it, ESC in front of bytes that look like either. So after any garbage the
next END begins anew, and a frame of which a byte was lost or changed fails its CRC.

The body of a request is ``opcode, session, sequence, 0, address (4), length (2)``, then data; that
of a reply is ``opcode | REPLY, session, sequence, status``, then data; numbers are little-endian.
The host waits for the reply before the next request, which has the next sequence number. A request
that repeats the sequence number of the one before is the same one again: a register is not written
a second time, as the doorbell must not be rung twice.

SYNC begins a session: it resets the coprocessor (not the memory), and requests with another session
are refused from then on, also after the board lost it in a reset. A frame that fails its CRC is
answered with opcode, session and sequence 0 and status CHECKSUM.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["CRC_BYTES", "END", "ESC", "ESC_END", "ESC_ESC", "HEADER_BYTES", "INFO", "PAYLOAD_BYTES",
           "REPLY", "REPLY_BYTES", "VERSION", "FrameDecoder", "Info", "Opcode", "Reply", "Request",
           "Status", "frame", "unframe"]

VERSION = 1
END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD     # RFC 1055
CRC_BYTES = 4
PAYLOAD_BYTES = 1024        # most data of a frame
REPLY = 0x80
_HEADER = struct.Struct("<BBBxIH")
_REPLY = struct.Struct("<BBBB")
INFO = struct.Struct("<BBHI")
HEADER_BYTES, REPLY_BYTES = _HEADER.size, _REPLY.size
LONGEST = HEADER_BYTES + PAYLOAD_BYTES + CRC_BYTES


class Opcode(IntEnum):
    """What a request asks for."""

    SYNC = 1                # begin a session; length 0, answers with an Info
    READ_REGISTER = 2       # length 4
    WRITE_REGISTER = 3
    READ_MEMORY = 4         # address and length in whole beats, at most PAYLOAD_BYTES
    WRITE_MEMORY = 5


class Status(IntEnum):
    """How a request ended. All but OK and BUS say that nothing was done."""

    OK = 0
    CHECKSUM = 1            # the frame was damaged
    SESSION = 2             # of another session: SYNC first
    OPCODE = 3              # there is no such opcode
    LENGTH = 4              # not what the opcode wants, or what the frame has
    ADDRESS = 5             # outside the memory or the registers, or not aligned
    BUS = 6                 # the coprocessor answered the register access with an error


@dataclass(frozen=True, kw_only=True)
class Request:
    """The body of a frame from the host; ``data`` of writes alone."""

    opcode: int
    session: int = 0
    sequence: int = 0
    address: int = 0
    length: int = 0
    data: bytes = b""

    def pack(self) -> bytes:
        return _HEADER.pack(self.opcode, self.session, self.sequence, self.address,
                            self.length) + self.data

    @classmethod
    def unpack(cls, body: bytes) -> "Request":
        opcode, session, sequence, address, length = _HEADER.unpack_from(body)
        return cls(opcode=opcode, session=session, sequence=sequence, address=address,
                   length=length, data=body[HEADER_BYTES:])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The body of a frame from the board; ``opcode`` is that of the request."""

    opcode: int
    session: int
    sequence: int
    status: int
    data: bytes = b""

    def pack(self) -> bytes:
        return _REPLY.pack(self.opcode | REPLY, self.session, self.sequence,
                           self.status) + self.data

    @classmethod
    def unpack(cls, body: bytes) -> "Reply":
        """Raises ValueError for what is no reply, such as an echo of a request."""
        if len(body) < REPLY_BYTES or not body[0] & REPLY:
            raise ValueError(f"a reply must have {REPLY_BYTES} bytes and bit 7 of its first set, "
                             f"not {body[:REPLY_BYTES].hex(' ')!r}")
        opcode, session, sequence, status = _REPLY.unpack_from(body)
        return cls(opcode=opcode & ~REPLY, session=session, sequence=sequence, status=status,
                   data=body[REPLY_BYTES:])


@dataclass(frozen=True)
class Info:
    """What SYNC answers."""

    version: int
    beat_bytes: int
    payload_bytes: int
    memory_bytes: int

    def pack(self) -> bytes:
        return INFO.pack(self.version, self.beat_bytes, self.payload_bytes, self.memory_bytes)

    @classmethod
    def unpack(cls, data: bytes) -> "Info":
        return cls(*INFO.unpack(data))


def frame(body: bytes) -> bytes:
    """The bytes of a body on the line."""
    raw = body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    escaped = raw.replace(bytes([ESC]), bytes([ESC, ESC_ESC]))
    return bytes([END]) + escaped.replace(bytes([END]), bytes([ESC, ESC_END])) + bytes([END])


def unframe(raw: bytes) -> bytes | None:
    """The body of what stood between two ENDs, or None if it is damaged."""
    parts = raw.split(bytes([ESC]))
    for n, part in enumerate(parts[1:], 1):
        if not part or part[0] not in (ESC_END, ESC_ESC):
            return None
        parts[n] = bytes([END if part[0] == ESC_END else ESC]) + part[1:]
    body = b"".join(parts)
    if len(body) < CRC_BYTES:
        return None
    body, crc = body[:-CRC_BYTES], body[-CRC_BYTES:]
    return body if zlib.crc32(body).to_bytes(CRC_BYTES, "little") == crc else None


class FrameDecoder:
    """Takes bytes as they come and gives the bodies of whole frames, None for a damaged one."""

    def __init__(self):
        self._raw = bytearray()

    def feed(self, data: bytes) -> list[bytes | None]:
        *ended, rest = (bytes(self._raw) + data).split(bytes([END]))
        # What is longer than any frame escaped in full is noise; its beginning is enough.
        self._raw = bytearray(rest[: 2 * LONGEST + 1])
        return [unframe(raw) for raw in ended if raw]

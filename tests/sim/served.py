# SPDX-License-Identifier: Apache-2.0
"""A program's end of a served coprocessor, in Python."""

import socket
import struct

from prunus.sim.served import ANSWER, REQUEST, What

__all__ = ["ServedRegisters", "interrupts"]


def _connected(port: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(120)
    connection.connect(port)
    return connection


class ServedRegisters:
    """Registers behind the socket of a served coprocessor."""

    def __init__(self, port: str):
        self._socket = _connected(port)
        self.accesses = 0

    def _ask(self, what: What, offset: int, value: int = 0) -> int:
        self._socket.sendall(struct.pack(REQUEST, what, offset, value))
        raw = self._socket.recv(struct.calcsize(ANSWER), socket.MSG_WAITALL)
        response, value = struct.unpack(ANSWER, raw)
        assert response == 0
        self.accesses += 1
        return value

    def read(self, offset: int) -> int:
        return self._ask(What.READ, offset)

    def write(self, offset: int, value: int) -> None:
        self._ask(What.WRITE, offset, value)

    def wait(self) -> None:
        """Until the interrupt is high."""
        self._ask(What.WAIT, 0)

    def close(self) -> None:
        self._socket.close()


def interrupts(port: str) -> socket.socket:
    """A connection that is like the file of a UIO device."""
    connection = _connected(port)
    connection.sendall(struct.pack(REQUEST, What.IRQ, 0, 0))
    return connection

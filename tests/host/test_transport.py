# SPDX-License-Identifier: Apache-2.0
"""The serial port itself, by a pseudo-terminal that nobody reads."""

import os
import time
import tty

import pytest

from prunus.golden.errors import InputError
from prunus.host.link import LinkError
from prunus.host.transport import SerialLine, line_seconds

BAUD = 1_000_000


@pytest.fixture
def port():
    """The name of a port, and the end that a board would have."""
    board, host = os.openpty()
    tty.setraw(host)
    yield os.ttyname(host), board
    os.close(board)
    os.close(host)


def test_bytes_go_and_come(port):
    name, board = port
    line = SerialLine(name, BAUD)
    line.write(b"there")
    assert os.read(board, 100) == b"there"
    os.write(board, b"and back")
    assert line.read(5.0) == b"and back"
    assert line.read(0.01) == b""
    line.close()


def test_a_port_that_takes_no_bytes(port):
    name, _ = port
    line, begin = SerialLine(name, BAUD, write_s=0.2), time.monotonic()
    with pytest.raises(LinkError, match=f"^port '{name}' takes no more bytes: is the board conn"):
        for _ in range(1000):
            line.write(bytes(1000))
    assert 0.2 < time.monotonic() - begin < 10
    line.close()


def test_a_slow_line_has_more_time():
    assert line_seconds(300) > 30 > line_seconds(BAUD)


def test_a_port_that_is_none():
    with pytest.raises(InputError, match="port '/dev/none' cannot be opened at 1000000 baud: "):
        SerialLine("/dev/none", BAUD)

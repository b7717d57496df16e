# SPDX-License-Identifier: Apache-2.0
"""The serial port itself, by a pseudo-terminal that nobody reads."""

import os
import termios
import threading
import time
import tty
from functools import partial

import pytest

from prunus import cli
from prunus.golden.engines import load_config
from prunus.golden.errors import InputError
from prunus.heads import EXAMPLES
from prunus.host import coprocessor
from prunus.host.link import LinkError
from prunus.host.transport import SerialLine, line_seconds
from tests.host.board import FakeBoard

BAUD = 1_000_000


@pytest.fixture
def port():
    """The name of a port, the end that a board would have, and the other one."""
    board, host = os.openpty()
    tty.setraw(host)
    yield os.ttyname(host), board, host
    os.close(board)
    os.close(host)


def test_bytes_go_and_come(port):
    name, board, _ = port
    line = SerialLine(name, BAUD)
    line.write(b"there")
    assert os.read(board, 100) == b"there"
    os.write(board, b"and back")
    assert line.read(5.0) == b"and back"
    assert line.read(0.01) == b""
    line.close()


def test_a_port_that_takes_no_bytes(port):
    name, _, _ = port
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


@pytest.mark.parametrize("answers", [1, 10])
def test_the_command_ends_when_a_board_stalls(capfd, tmp_path, monkeypatch, port, answers):
    """It answers some requests, and from then on its USB side takes nothing."""
    name, board_end, host_end = port
    board = FakeBoard(load_config("leopard_tiny"), memory_bytes=1 << 16)
    monkeypatch.setattr(coprocessor, "SerialLine", partial(SerialLine, write_s=0.2))

    def serve():
        for left in reversed(range(answers)):
            while not (answer := board.read(0.0)):
                board.write(os.read(board_end, 4096))
            if not left:
                termios.tcflow(host_end, termios.TCOOFF)
            os.write(board_end, answer)

    threading.Thread(target=serve, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", str(EXAMPLES / "minilm_sentence.npz"), str(tmp_path / "out.npz"),
                  "--config", "leopard_tiny", "--backend", "serial", "--port", name])
    err = capfd.readouterr().err
    assert (stop.value.code, list(tmp_path.iterdir())) == (1, [])
    assert err == (f"error: port {name!r} takes no more bytes: is the board connected, powered and "
                   "not halted?\n")
    assert time.monotonic() - begin < 30

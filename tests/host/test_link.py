# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.engines import load_config
from prunus.golden.link import Opcode, Reply, Status, frame
from prunus.host import Link, LinkError
from prunus.host.driver import BusError, DriverError
from tests.host.board import ADDRESS, FakeBoard, spoiler

CONFIG = load_config("hdp_tiny")


def _link(board, **options):
    return Link(board, clock=board.clock, **options)


def _requests(board, kind):
    return [request for request in board.requests if request.opcode == kind]


def test_plain():
    board = FakeBoard(CONFIG)
    link = _link(board)
    assert (link.info.beat_bytes, link.info.memory_bytes) == (8, 1 << 16)
    link.request(Opcode.WRITE_MEMORY, 64, data=b"12345678")
    assert link.request(Opcode.READ_MEMORY, 64, length=8) == b"12345678"
    assert board.memory[64:72] == b"12345678"
    assert (link.repeated, link.damaged, board.now) == (0, 0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_line(seed):
    """What is written and read is right all the same, and a register is written once."""
    rng = Random(seed)
    board = FakeBoard(CONFIG, spoil=spoiler(seed, 0.3))
    link = _link(board, retries=30)
    expected = bytearray(1 << 10)
    link.request(Opcode.WRITE_MEMORY, 0, data=bytes(expected))
    for n in range(60):
        size, at = 8 * rng.randrange(1, 9), 8 * rng.randrange(100)
        data = rng.randbytes(size)
        link.request(Opcode.WRITE_MEMORY, at, data=data)
        expected[at : at + size] = data
        assert link.request(Opcode.READ_MEMORY, at, length=size) == data
        link.request(Opcode.WRITE_REGISTER, ADDRESS["table"], data=n.to_bytes(4, "little"))
        assert board.registers[ADDRESS["table"]] == n
    assert board.memory[: 1 << 10] == expected
    assert link.repeated > 20
    assert link.damaged > 10


def test_a_lost_reply_does_not_ring_twice():
    board = FakeBoard(CONFIG)
    board.hang = True
    link = _link(board)
    raw = board.write

    def lose(data):
        raw(data)
        board._answers.clear()
        board.write = raw

    board.write = lose
    link.request(Opcode.WRITE_REGISTER, ADDRESS["doorbell"], data=bytes([1, 0, 0, 0]))
    assert (board.rings, link.repeated) == (1, 1)
    assert len(_requests(board, Opcode.WRITE_REGISTER)) == 2


def test_replies_to_others_are_passed_over():
    """Of another session, another request, or late ones; even a reply to nobody."""
    board = FakeBoard(CONFIG)
    link = _link(board)
    session, sequence = board.session, board.requests[-1].sequence
    for other in ({"session": (session + 1) % 256}, {"sequence": sequence},
                  {"opcode": Opcode.SYNC}):
        fields = {"opcode": Opcode.READ_MEMORY, "session": session,
                  "sequence": (sequence + 1) % 256, "status": Status.OK, **other}
        board._answers.append(frame(Reply(data=b"wrong!!!", **fields).pack()))
    assert link.request(Opcode.READ_MEMORY, 0, length=8) == bytes(8)
    assert link.repeated == 0


@pytest.mark.parametrize("spoil", [lambda raw: b"", lambda raw: b"\xC0\x00\xC0",
                                   lambda raw: raw[:-3]], ids=["dead", "noise", "cut"])
def test_nobody_answers(spoil):
    board = FakeBoard(CONFIG, spoil=spoil)
    with pytest.raises(LinkError, match="does not answer: SYNC was sent 4 times in [0-8]"):
        _link(board, retries=3, timeout_s=2)
    assert board.now <= 4 * 2 + 0.1


def test_a_slow_board_is_not_buried():
    """Within a session a try waits longer than the one before."""
    board = FakeBoard(CONFIG)
    link = _link(board, retries=4, timeout_s=1)
    sent = []
    board.write = lambda raw: sent.append(board.now)
    with pytest.raises(LinkError, match="READ_MEMORY was sent 5 times in 23.0 s"):
        link.request(Opcode.READ_MEMORY, 0, length=8)
    assert sent == [0, 1, 3, 7, 15]


def test_an_echo_is_no_answer():
    board = FakeBoard(CONFIG)
    board.write = board._answers.append
    with pytest.raises(LinkError, match="does not answer"):
        _link(board)


def test_a_board_that_forgot_the_session():
    board = FakeBoard(CONFIG)
    link = _link(board)
    board.session = None
    with pytest.raises(LinkError, match="has lost this session: it was reset, or another"):
        link.request(Opcode.READ_MEMORY, 0, length=8)


@pytest.mark.parametrize(("status", "error", "text"), [
    (Status.BUS, BusError, "WRITE_REGISTER of 4 bytes at 0x24 answered with a bus error"),
    (Status.ADDRESS, LinkError, "the board refuses the address"),
    (Status.LENGTH, LinkError, "the board refuses the length"),
    (Status.OPCODE, LinkError, "does not know"), (99, LinkError, "gave status 99")])
def test_refusals(status, error, text):
    board = FakeBoard(CONFIG)
    link = _link(board)
    board._set = lambda address, value: status
    with pytest.raises(error, match=text) as caught:
        link.request(Opcode.WRITE_REGISTER, 0x24, data=bytes(4))
    assert isinstance(caught.value, DriverError)


def test_another_version_or_a_short_reply():
    board = FakeBoard(CONFIG)
    link = _link(board)
    board._answer = lambda request: (Status.OK, b"123")
    with pytest.raises(LinkError, match="the reply must have 8 bytes, not 3"):
        link.request(Opcode.READ_MEMORY, 0, length=8)
    with pytest.raises(LinkError, match="link must have version 1, not 49"):
        _link(board)

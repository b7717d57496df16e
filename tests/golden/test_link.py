# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden.link import (
    END,
    ESC,
    ESC_END,
    ESC_ESC,
    LONGEST,
    FrameDecoder,
    Info,
    Opcode,
    Reply,
    Request,
    frame,
    unframe,
)


def test_frames_of_a_known_body():
    """The CRC is the one everybody calls CRC-32: 0xCBF43926 of "123456789"."""
    assert frame(b"123456789") == b"\xC0123456789\x26\x39\xF4\xCB\xC0"


def test_escapes():
    raw = frame(bytes([END, ESC, 1]))
    assert raw[1:6] == bytes([ESC, ESC_END, ESC, ESC_ESC, 1])
    assert unframe(raw[1:-1]) == bytes([END, ESC, 1])


@pytest.mark.parametrize("raw", [b"", b"\x01\x02\x03", bytes([ESC]), bytes([ESC, 0x41]),
                                 frame(b"abc")[1:-2]], ids=str)
def test_damaged_frames(raw):
    assert unframe(raw) is None


def test_bodies():
    request = Request(opcode=Opcode.WRITE_MEMORY, session=7, sequence=200, address=0x12345678,
                      length=3, data=b"xyz")
    assert request.pack() == b"\x05\x07\xc8\x00\x78\x56\x34\x12\x03\x00xyz"
    assert Request.unpack(request.pack()) == request
    reply = Reply(opcode=Opcode.SYNC, session=7, sequence=200, status=0,
                  data=Info(1, 8, 1024, 1 << 17).pack())
    assert reply.pack()[:4] == b"\x81\x07\xc8\x00"
    assert Reply.unpack(reply.pack()) == reply
    assert Info.unpack(reply.data) == Info(1, 8, 1024, 1 << 17)


def test_a_request_is_no_reply():
    with pytest.raises(ValueError, match="bit 7 of its first set, not '02 00 00 00'"):
        Reply.unpack(Request(opcode=Opcode.READ_REGISTER).pack())
    with pytest.raises(ValueError, match="a reply must have 4 bytes"):
        Reply.unpack(b"\x81")


def test_decoder_in_pieces_and_in_noise():
    """Whatever comes between, whole frames are found, and nothing else passes for one."""
    rng = Random(5)
    for _ in range(50):
        bodies = [rng.randbytes(rng.randrange(1, 40)) for _ in range(4)]
        noise = [rng.randbytes(rng.randrange(20)) for _ in bodies]
        line = b"".join(n + frame(body) for n, body in zip(noise, bodies, strict=True))
        decoder, found = FrameDecoder(), []
        while line:
            size = rng.randrange(1, 9)
            found += decoder.feed(line[:size])
            line = line[size:]
        assert [body for body in found if body is not None] == bodies


def test_decoder_forgets_endless_noise():
    decoder = FrameDecoder()
    for _ in range(10):
        assert decoder.feed(bytes(LONGEST)) == []
    assert len(decoder._raw) <= 2 * LONGEST + 1
    assert decoder.feed(frame(b"hello")) == [None, b"hello"]

# SPDX-License-Identifier: Apache-2.0
"""The link with registers and a memory behind it, frame by frame."""

from random import Random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring

from prunus.golden import registers
from prunus.golden.engines import load_config
from prunus.golden.link import (
    END,
    PAYLOAD_BYTES,
    VERSION,
    FrameDecoder,
    Info,
    Opcode,
    Reply,
    Request,
    Status,
    frame,
)
from prunus.hw.boards.frames import SlipDecoder, SlipEncoder
from prunus.hw.boards.link import Link
from prunus.hw.boards.ram import BlockMemory
from prunus.hw.shell.csr import Csr
from tests.hw.helpers import receive, simulate

CONFIG = load_config("hdp_tiny")
SIZE = 1280
ADDRESS = {register.name: register.address for register in registers.register_map(CONFIG)}
LIMIT = 400_000


class _Board:
    """Link, memory and registers, and the host's end of the line."""

    def __init__(self, config=CONFIG):
        m = self.module = Module()
        m.submodules.decoder = self.decoder = SlipDecoder()
        m.submodules.encoder = self.encoder = SlipEncoder()
        m.submodules.link = self.link = link = Link(config=config, memory_bytes=SIZE)
        m.submodules.memory = memory = BlockMemory(config=config, size=SIZE)
        csr = self.csr = Csr(config=config)
        m.submodules.csr = ResetInserter(link.reset)(csr)
        wiring.connect(m, self.decoder.o, link.i)
        wiring.connect(m, link.o, self.encoder.i)
        wiring.connect(m, link.lite, csr.bus)
        wiring.connect(m, link.access, memory.host)
        m.d.comb += [link.word.eq(memory.host_word), link.word_valid.eq(memory.host_valid),
                     memory.reset.eq(link.reset)]
        self.rings = Signal(8)
        m.d.sync += self.rings.eq(self.rings + csr.start)
        self.replies = FrameDecoder()
        self.sequence = 0
        self.address = {register.name: register.address
                        for register in registers.register_map(config)}

    async def put(self, ctx, raw, pause=1):
        for byte in raw:
            ctx.set(self.decoder.i.payload, {"data": byte, "error": 0})
            ctx.set(self.decoder.i.valid, 1)
            await ctx.tick()
            ctx.set(self.decoder.i.valid, 0)
            await ctx.tick().repeat(pause)

    async def get(self, ctx) -> Reply:
        while True:
            bodies = self.replies.feed(bytes(await receive(ctx, self.encoder.o, 1)))
            if bodies:
                assert bodies[0] is not None
                return Reply.unpack(bodies[0])

    async def ask(self, ctx, opcode, address=0, data=b"", *, length=None, session=1,
                  repeat=False) -> Reply:
        """The reply to a request, which must be one to it."""
        self.sequence = (self.sequence + (not repeat)) % 256
        request = Request(opcode=opcode, session=session, sequence=self.sequence, address=address,
                          length=len(data) if length is None else length, data=data)
        await self.put(ctx, frame(request.pack()))
        reply = await self.get(ctx)
        assert (reply.opcode, reply.session, reply.sequence) == (
            request.opcode & 0x7F, request.session, request.sequence)
        return reply

    async def sync(self, ctx, session=1) -> Reply:
        return await self.ask(ctx, Opcode.SYNC, session=session)

    async def register(self, ctx, name) -> int:
        reply = await self.ask(ctx, Opcode.READ_REGISTER, self.address[name], length=4)
        assert reply.status == Status.OK
        return int.from_bytes(reply.data, "little")

    async def contents(self, ctx) -> bytes:
        parts = [await self.ask(ctx, Opcode.READ_MEMORY, at, length=min(PAYLOAD_BYTES, SIZE - at))
                 for at in range(0, SIZE, PAYLOAD_BYTES)]
        return b"".join(part.data for part in parts)

    def run(self, body):
        async def testbench(ctx):
            await body(ctx)

        simulate(self.module, testbench, limit=LIMIT)


@pytest.mark.parametrize("preset", ["hdp_tiny", "hdp_w12", "leopard_ae"])
def test_sync_registers_and_memory(preset):
    config = load_config(preset)
    board = _Board(config)
    rng = Random(1)
    beat = config.axi_data_width // 8

    async def body(ctx):
        reply = await board.sync(ctx)
        assert reply.status == Status.OK
        assert Info.unpack(reply.data) == Info(VERSION, beat, PAYLOAD_BYTES, SIZE)
        for name, value in registers.constants(config).items():
            assert await board.register(ctx, name) == value
        reply = await board.ask(ctx, Opcode.WRITE_REGISTER, ADDRESS["table"], b"\x40\x02\x00\x10")
        assert (reply.status, reply.data) == (Status.OK, b"")
        assert await board.register(ctx, "table") == 0x10000240
        expected = bytearray()
        for at in range(0, SIZE, PAYLOAD_BYTES):
            data = rng.randbytes(min(PAYLOAD_BYTES, SIZE - at))
            expected += data
            assert (await board.ask(ctx, Opcode.WRITE_MEMORY, at, data)).status == Status.OK
        for _ in range(10):
            size = beat * rng.randrange(1, 5)
            at = beat * rng.randrange((SIZE - size) // beat + 1)
            data = rng.randbytes(size)
            expected[at : at + size] = data
            assert (await board.ask(ctx, Opcode.WRITE_MEMORY, at, data)).status == Status.OK
            assert (await board.ask(ctx, Opcode.READ_MEMORY, at, length=size)).data == data
        assert await board.contents(ctx) == expected
        assert not ctx.get(board.link.error)

    board.run(body)


REFUSED = [
    (0, {}, Status.OPCODE), (6, {}, Status.OPCODE), (0x82, {}, Status.OPCODE),
    (Opcode.SYNC, {"length": 4}, Status.LENGTH), (Opcode.SYNC, {"data": b"1234"}, Status.LENGTH),
    (Opcode.READ_REGISTER, {"length": 8}, Status.LENGTH),
    (Opcode.READ_REGISTER, {"length": 0}, Status.LENGTH),
    (Opcode.READ_REGISTER, {"length": 4, "data": b"1234"}, Status.LENGTH),
    (Opcode.WRITE_REGISTER, {"data": b"12345"}, Status.LENGTH),
    (Opcode.WRITE_REGISTER, {"data": b"1234", "length": 8}, Status.LENGTH),
    (Opcode.WRITE_REGISTER, {"data": b"", "length": 4}, Status.LENGTH),
    (Opcode.WRITE_MEMORY, {"data": b"1234"}, Status.LENGTH),
    (Opcode.WRITE_MEMORY, {"data": b"", "length": 0}, Status.LENGTH),
    (Opcode.WRITE_MEMORY, {"data": bytes(8), "length": 16}, Status.LENGTH),
    (Opcode.READ_MEMORY, {"length": 12}, Status.LENGTH),
    (Opcode.READ_MEMORY, {"length": 0}, Status.LENGTH),
    (Opcode.READ_MEMORY, {"length": PAYLOAD_BYTES + 8}, Status.LENGTH),
    (Opcode.READ_REGISTER, {"address": 2, "length": 4}, Status.ADDRESS),
    (Opcode.READ_REGISTER, {"address": 256, "length": 4}, Status.ADDRESS),
    (Opcode.WRITE_REGISTER, {"address": 1 << 31, "data": b"1234"}, Status.ADDRESS),
    (Opcode.READ_MEMORY, {"address": 4, "length": 8}, Status.ADDRESS),
    (Opcode.READ_MEMORY, {"address": SIZE, "length": 8}, Status.ADDRESS),
    (Opcode.WRITE_MEMORY, {"address": SIZE - 8, "data": bytes(16)}, Status.ADDRESS),
    (Opcode.WRITE_MEMORY, {"address": (1 << 32) - 8, "data": bytes(16)}, Status.ADDRESS),
    (Opcode.READ_REGISTER, {"address": 0xFC, "length": 4}, Status.BUS),
    (Opcode.WRITE_REGISTER, {"address": 0xFC, "data": b"1234"}, Status.BUS),
    (Opcode.WRITE_REGISTER, {"address": ADDRESS["doorbell"], "data": bytes(4)}, Status.BUS),
]


def test_refusals():
    """Each leaves memory and registers alone and lights the error, which a SYNC puts out."""
    board = _Board()

    async def body(ctx):
        await board.sync(ctx)
        await board.ask(ctx, Opcode.WRITE_MEMORY, 0, bytes(range(256)) * 4)
        await board.ask(ctx, Opcode.WRITE_MEMORY, 1024, bytes(range(256)))
        for opcode, arguments, status in REFUSED:
            assert not ctx.get(board.link.error)
            reply = await board.ask(ctx, opcode, **arguments)
            assert (reply.status, reply.data) == (status, b""), (opcode, arguments)
            assert ctx.get(board.link.error)
            await board.sync(ctx)
        assert ctx.get(board.rings) == 0
        assert await board.contents(ctx) == bytes(range(256)) * (SIZE // 256)

    board.run(body)


def test_sessions():
    """Before a SYNC and with another session nothing is done; a SYNC resets the registers."""
    board = _Board()
    table = ADDRESS["table"]

    async def body(ctx):
        assert (await board.ask(ctx, Opcode.READ_REGISTER, length=4, session=0)).status == (
            Status.SESSION)
        assert not ctx.get(board.link.reset)
        await board.sync(ctx, session=9)
        for session, status in ((9, Status.OK), (8, Status.SESSION), (9, Status.OK)):
            reply = await board.ask(ctx, Opcode.WRITE_REGISTER, table,
                                    (64 * session).to_bytes(4, "little"), session=session)
            assert reply.status == status
        reply = await board.ask(ctx, Opcode.READ_REGISTER, table, length=4, session=9)
        assert int.from_bytes(reply.data, "little") == 64 * 9
        await board.sync(ctx, session=8)
        assert (await board.ask(ctx, Opcode.READ_REGISTER, table, length=4, session=9)
                ).status == Status.SESSION
        reply = await board.ask(ctx, Opcode.READ_REGISTER, table, length=4, session=8)
        assert (reply.status, reply.data) == (Status.OK, bytes(4))

    board.run(body)


def test_a_repeated_doorbell_rings_once():
    """With the same sequence number, whatever the answer was; with the next it is a new one."""
    board = _Board()
    bell, one = ADDRESS["doorbell"], (1).to_bytes(4, "little")

    async def body(ctx):
        await board.sync(ctx)
        assert (await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one)).status == Status.OK
        for _ in range(3):
            reply = await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one, repeat=True)
            assert reply.status == Status.OK
        assert ctx.get(board.rings) == 1
        for repeat in (False, True):        # the first run is not done
            reply = await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one, repeat=repeat)
            assert reply.status == Status.BUS
        ctx.set(board.csr.done, 1)
        await ctx.tick()
        ctx.set(board.csr.done, 0)
        reply = await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one, repeat=True)
        assert reply.status == Status.BUS
        assert ctx.get(board.rings) == 1
        assert (await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one)).status == Status.OK
        assert ctx.get(board.rings) == 2
        await board.register(ctx, "status")
        ctx.set(board.csr.done, 1)
        await ctx.tick()
        ctx.set(board.csr.done, 0)
        board.sequence -= 2         # the doorbell's number once more, but not at once
        assert (await board.ask(ctx, Opcode.WRITE_REGISTER, bell, one)).status == Status.OK
        assert ctx.get(board.rings) == 3

    board.run(body)


def _damaged(rng, request) -> tuple[bytes, bool]:
    """What arrives of a request, and whether it is whole."""
    raw = bytearray(frame(request.pack()))
    place = rng.randrange(1, len(raw) - 1)
    match rng.randrange(4):
        case 0:
            raw[place] ^= rng.randrange(1, 256)
        case 1:
            del raw[place]
        case 2:
            raw.insert(place, raw[place])
        case 3:
            return rng.randbytes(rng.randrange(9)) + bytes([END]) + raw, True
    return bytes(raw), False


def test_damaged_requests_change_nothing():
    """Bytes flipped, lost, doubled, and noise between: the memory is what whole frames made it."""
    board = _Board()
    rng = Random(7)
    expected = bytearray(256)
    replies, ended = [], []

    async def listen(ctx):
        ctx.set(board.encoder.o.ready, 1)
        decoder = FrameDecoder()
        while not ended:
            _, _, valid, byte = await ctx.tick().sample(board.encoder.o.valid,
                                                        board.encoder.o.payload)
            if valid:
                replies.extend(map(Reply.unpack, decoder.feed(bytes([byte]))))

    async def body(ctx):
        await board.put(ctx, frame(Request(opcode=Opcode.SYNC, session=1).pack()))
        await ctx.tick().repeat(60)
        await board.put(ctx, frame(Request(opcode=Opcode.WRITE_MEMORY, session=1, sequence=255,
                                           length=256, data=bytes(256)).pack()))
        await ctx.tick().repeat(700)
        for n in range(80):
            data = rng.randbytes(8 * rng.randrange(1, 3))
            at = 8 * rng.randrange((256 - len(data)) // 8 + 1)
            raw, whole = _damaged(rng, Request(
                opcode=Opcode.WRITE_MEMORY, session=1, sequence=n, address=at, length=len(data),
                data=data))
            if whole:
                expected[at : at + len(data)] = data
            await board.put(ctx, raw, pause=7)
            await ctx.tick().repeat(80)
        await board.put(ctx, bytes([END]))
        await ctx.tick().repeat(60)
        ended.append(True)
        await ctx.tick()
        ctx.set(board.encoder.o.ready, 0)
        board.sequence = 200
        reply = await board.ask(ctx, Opcode.READ_MEMORY, length=256)
        assert reply.data == expected

    simulate(board.module, body, background=(listen,), limit=LIMIT)
    bad = [reply for reply in replies if reply.status == Status.CHECKSUM]
    assert {(reply.opcode, reply.session, reply.sequence, reply.data) for reply in bad} == {
        (0, 0, 0, b"")}
    assert {reply.status for reply in replies} == {Status.OK, Status.CHECKSUM}
    assert len(bad) > 40

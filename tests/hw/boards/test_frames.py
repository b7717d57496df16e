# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from prunus.golden.link import END, ESC, PAYLOAD_BYTES, Opcode, Request, frame
from prunus.hw.boards.frames import FrameReceiver, FrameSender, SlipDecoder, SlipEncoder
from tests.hw.helpers import receive, send, simulate, stall_cases


async def speak(ctx, strobed, values, rng, error=0):
    """Put bytes into a Strobed with pauses between them."""
    for value in values:
        ctx.set(strobed.payload, {"data": value, "error": error})
        ctx.set(strobed.valid, 1)
        await ctx.tick()
        ctx.set(strobed.valid, 0)
        await ctx.tick().repeat(rng.choice([0, 0, 1, 5]) + 1)


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_sender(stall_in, stall_out):
    """Bodies become what prunus.golden.link says, escapes in the data and, by chance, in the
    CRC."""
    rng = Random(3)
    m = Module()
    m.submodules.sender = sender = FrameSender()
    m.submodules.encoder = encoder = SlipEncoder()
    wiring.connect(m, sender.o, encoder.i)
    bodies = [bytes([END]), bytes([ESC, END, END]), b"123456789",
              *(rng.randbytes(rng.randrange(1, 30)) for _ in range(40))]
    expected = b"".join(frame(body) for body in bodies)
    assert any(END in frame(body)[-6:-1] or ESC in frame(body)[-6:-2] for body in bodies)

    async def source(ctx):
        for body in bodies:
            await send(ctx, sender.i, [{"data": byte, "last": n == len(body) - 1}
                                       for n, byte in enumerate(body)], rng, stall_in)

    async def sink(ctx):
        assert bytes(await receive(ctx, encoder.o, len(expected), rng, stall_out)) == expected

    simulate(m, source, sink)


class _Bench:
    """A decoder and a receiver, with frames that come out noted and taken."""

    def __init__(self, hold: int = 0):
        self.module = Module()
        self.module.submodules.decoder = self.decoder = SlipDecoder()
        self.module.submodules.receiver = self.receiver = FrameReceiver()
        wiring.connect(self.module, self.decoder.o, self.receiver.i)
        self.hold = hold
        self.frames: list[tuple | None] = []

    async def take(self, ctx):
        frame, index = self.receiver.frame, self.receiver.index
        while True:
            ctx.set(frame.ready, 0)
            _, _, valid, p = await ctx.tick().sample(frame.valid, frame.payload)
            if not valid:
                continue
            data = bytearray()
            for n in range(p.size if p.good else 0):
                ctx.set(index, n)
                await ctx.tick()
                data.append(ctx.get(self.receiver.byte))
            for _ in range(self.hold):
                await ctx.tick()
            self.frames.append(Request(
                opcode=p.opcode, session=p.session, sequence=p.sequence, address=p.address,
                length=p.length, data=bytes(data)) if p.good else None)
            ctx.set(frame.ready, 1)
            await ctx.tick()

    def run(self, body):
        async def testbench(ctx):
            await body(ctx)
            await ctx.tick().repeat(2 * PAYLOAD_BYTES)

        simulate(self.module, testbench, background=(self.take,), limit=200_000)


def _request(rng, size):
    return Request(opcode=rng.choice(list(Opcode)), session=rng.randrange(256),
                   sequence=rng.randrange(256), address=rng.getrandbits(32),
                   length=rng.getrandbits(16), data=rng.randbytes(size))


@pytest.mark.parametrize("size", [0, 1, 40, PAYLOAD_BYTES])
def test_receiver(size):
    rng = Random(size)
    bench = _Bench()
    requests = [_request(rng, size) for _ in range(2)]

    async def body(ctx):
        for request in requests:
            await speak(ctx, bench.decoder.i, frame(request.pack()), rng)
            await ctx.tick().repeat(size + 20)

    bench.run(body)
    assert bench.frames == requests


def test_one_byte_too_many():
    rng = Random(2)
    bench = _Bench()
    good = _request(rng, 4)

    async def body(ctx):
        long = frame(_request(rng, PAYLOAD_BYTES + 1).pack())
        for raw in (long, frame(good.pack())):
            await speak(ctx, bench.decoder.i, raw, rng)
            await ctx.tick().repeat(30)

    bench.run(body)
    assert bench.frames == [None, good]


def test_damage_and_garbage():
    """No damaged frame passes for a good one, and the next good one always comes through."""
    rng = Random(9)
    bench = _Bench()
    good = [_request(rng, rng.choice([0, 4, 8])) for _ in range(60)]

    async def body(ctx):
        for n, request in enumerate(good):
            raw = bytearray(frame(_request(rng, 8).pack()))
            at = rng.randrange(len(raw))
            match n % 4:
                case 0:
                    raw[at] ^= 1 << rng.randrange(8)
                case 1:
                    del raw[at]
                case 2:
                    raw = rng.randbytes(rng.randrange(40))
                case 3:
                    raw = raw[:at]
            await speak(ctx, bench.decoder.i, raw, rng)
            await speak(ctx, bench.decoder.i, [END], rng)       # ... as the next one begins
            await ctx.tick().repeat(20)
            await speak(ctx, bench.decoder.i, frame(request.pack()), rng)
            await ctx.tick().repeat(20)

    bench.run(body)
    through = [found for found in bench.frames if found is not None]
    intact = [request for request in through if request not in good]
    assert [found for found in through if found in good] == good
    # All that may pass besides is a frame of which only an END was hit, or one doubled.
    assert len(intact) <= 4


def test_an_error_of_the_line_spoils_a_frame():
    rng = Random(4)
    bench = _Bench()
    good = _request(rng, 4)

    async def body(ctx):
        raw = frame(good.pack())
        await speak(ctx, bench.decoder.i, raw[:5], rng)
        await speak(ctx, bench.decoder.i, raw[5:6], rng, error=1)
        await speak(ctx, bench.decoder.i, raw[6:], rng)
        await ctx.tick().repeat(20)
        await speak(ctx, bench.decoder.i, raw, rng)

    bench.run(body)
    assert bench.frames == [None, good]


def test_what_comes_while_a_frame_waits_is_lost():
    """A frame that comes whole meanwhile leaves no trace; of one that ends later it is known."""
    rng = Random(6)
    bench = _Bench(hold=400)
    first, second, third, last = (_request(rng, 4) for _ in range(4))

    async def body(ctx):
        for request in (first, second):
            await speak(ctx, bench.decoder.i, frame(request.pack()), rng)
        raw = frame(third.pack())
        await speak(ctx, bench.decoder.i, raw[:8], rng)
        await ctx.tick().repeat(420)
        await speak(ctx, bench.decoder.i, raw[8:], rng)
        await ctx.tick().repeat(420)
        await speak(ctx, bench.decoder.i, frame(last.pack()), rng)

    bench.run(body)
    assert bench.frames == [first, None, last]

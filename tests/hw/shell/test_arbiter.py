# SPDX-License-Identifier: Apache-2.0
"""Sharing of the DMAs: nothing lost, each client in its order, nobody waits for ever."""

from collections import deque
from random import Random

import pytest
from amaranth.hdl import Signal

from prunus.golden.engines import load_config
from prunus.hw.shell.arbiter import ReadArbiter, RoundRobin, WriteArbiter, lowest, selected
from tests.hw.helpers import evaluate, receive, refusal, send, simulate, stall_cases

CONFIG = load_config("hdp_tiny")
CLIENTS = [2, 5]


def test_lowest_and_selected():
    bits = Signal(5)
    for value, alone in evaluate(lowest(bits), bits):
        assert alone == value & -value
    choice, values = Signal(2), [Signal(2, name="a"), Signal(2, name="b")]
    for c, a, b, got in evaluate(selected(choice, values), choice, *values):
        assert got == (a if c & 1 else 0) | (b if c & 2 else 0)


@pytest.mark.parametrize("clients", [2, 3, 9])
def test_turns(clients):
    """The next one who wants to after the last who had it, whatever is wanted in between."""
    rng = Random(clients)
    dut = RoundRobin(clients=clients)

    async def body(ctx):
        last = clients - 1
        for _ in range(400):
            wants = rng.getrandbits(clients) & rng.choice([-1, rng.getrandbits(clients)])
            ctx.set(dut.wants, wants)
            order = [(last + 1 + n) % clients for n in range(clients)]
            turn = next((n for n in order if wants >> n & 1), None)
            assert ctx.get(dut.turn) == (0 if turn is None else 1 << turn)
            take = turn is not None and rng.random() < 0.6
            ctx.set(dut.take, take)
            await ctx.tick()
            last = turn if take else last

    simulate(dut, body)


def test_too_few_clients():
    assert refusal(lambda: RoundRobin(clients=1)) == "clients must be at least 2, not 1"
    assert refusal(lambda: WriteArbiter(config=CONFIG, clients=0)) == \
        "clients must be at least 2, not 0"


def _requests(rng, client, count, **more):
    """Requests that tell whose they are and which."""
    return [{"address": client << 16 | n << 3, "beats": rng.choice([1, 1, 2, rng.randint(1, 9)]),
             **{name: draw() for name, draw in more.items()}} for n in range(count)]


def _client(request):
    return request.address >> 16


def _fair(order, counts):
    """While all clients have requests left, none is served twice before another once."""
    left = dict(enumerate(counts))
    round_ = set()
    for client in order:
        assert client not in round_
        round_.add(client)
        left[client] -= 1
        if not left[client]:
            return
        if len(round_) == len(counts):
            round_ = set()


@pytest.mark.parametrize("clients", CLIENTS)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_reads(clients, stall_in, stall_out):
    rng = Random(f"{clients}{stall_in}{stall_out}")
    width = 3
    dut = ReadArbiter(config=CONFIG, clients=clients, tag_width=width)
    wanted = [_requests(rng, n, rng.randint(8, 16), tag=lambda: rng.getrandbits(width))
              for n in range(clients)]
    total = sum(map(len, wanted))
    seen, pending = [], deque()

    def source(n):
        async def run(ctx):
            await send(ctx, dut.reqs[n], wanted[n], rng, stall_in)
        return run

    async def requests(ctx):
        for _ in range(total):
            [request] = await receive(ctx, dut.req, 1, rng, stall_out)
            seen.append(request)
            pending.append(request)

    async def answers(ctx):
        for _ in range(total):
            while not pending:
                await ctx.tick()
            request = pending.popleft()
            await send(ctx, dut.i, [
                {"data": request.address + beat, "tag": request.tag, "error": beat == 1,
                 "last": beat == request.beats - 1} for beat in range(request.beats)],
                rng, stall_in)

    def sink(n):
        async def run(ctx):
            expected = [{"data": r["address"] + beat, "tag": r["tag"], "error": beat == 1,
                         "last": beat == r["beats"] - 1}
                        for r in wanted[n] for beat in range(r["beats"])]
            got = await receive(ctx, dut.beats[n], len(expected), rng, stall_out)
            # The tag of a client is the lower part of what the DMA sees.
            assert [(b.data, b.tag, b.error, b.last) for b in got] == \
                [tuple(b[name] for name in ("data", "tag", "error", "last")) for b in expected]
        return run

    simulate(dut, requests, answers, *map(source, range(clients)), *map(sink, range(clients)))
    for n in range(clients):
        assert [(r.address, r.beats, r.tag) for r in seen if _client(r) == n] == \
            [(r["address"], r["beats"], n << width | r["tag"]) for r in wanted[n]]
    if not stall_in:
        _fair([_client(r) for r in seen], list(map(len, wanted)))


def test_a_read_request_per_cycle():
    """From all clients and from one alone; the first a cycle after it came."""
    for wanting in ([0, 1, 2], [1]):
        dut = ReadArbiter(config=CONFIG, clients=3, tag_width=1)

        async def body(ctx, dut=dut, wanting=wanting):
            ctx.set(dut.req.ready, 1)
            for n in wanting:
                ctx.set(dut.reqs[n].valid, 1)
                ctx.set(dut.reqs[n].payload.address, 64 * n)
            assert not ctx.get(dut.req.valid)
            for cycle in range(12):
                await ctx.tick()
                assert ctx.get(dut.req.valid)
                assert ctx.get(dut.req.payload.address) == 64 * wanting[cycle % len(wanting)]

        simulate(dut, body)


@pytest.mark.parametrize("clients", CLIENTS)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_writes(clients, stall_in, stall_out):
    """Beats of a client come late, early or while others have their turn."""
    rng = Random(f"{clients}{stall_in}{stall_out}")
    dut = WriteArbiter(config=CONFIG, clients=clients)
    wanted = [_requests(rng, n, rng.randint(8, 16)) for n in range(clients)]
    total = sum(map(len, wanted))
    seen, beats = [], []

    def source(n):
        async def run(ctx):
            await send(ctx, dut.reqs[n], wanted[n], rng, stall_in)
        return run

    def words(n):
        async def run(ctx):
            await send(ctx, dut.i[n], [{"data": r["address"] << 8 | beat} for r in wanted[n]
                                       for beat in range(r["beats"])], rng, stall_in)
        return run

    async def requests(ctx):
        for _ in range(total):
            seen.extend(await receive(ctx, dut.req, 1, rng, stall_out))

    async def sink(ctx):
        for _ in range(sum(r["beats"] for mine in wanted for r in mine)):
            [beat] = await receive(ctx, dut.o, 1, rng, stall_out)
            beats.append(beat.data)
            # No beat precedes its request.
            assert any(r.address == beat.data >> 8 for r in seen)

    simulate(dut, requests, sink, *map(source, range(clients)), *map(words, range(clients)))
    for n in range(clients):
        assert [(r.address, r.beats) for r in seen if _client(r) == n] == \
            [(r["address"], r["beats"]) for r in wanted[n]]
    assert beats == [r.address << 8 | beat for r in seen for beat in range(r.beats)]
    if not stall_in:
        _fair([_client(r) for r in seen], list(map(len, wanted)))


@pytest.mark.parametrize("beats", [2, 5, 16])
def test_a_write_beat_per_cycle(beats):
    """Across requests, whoever they come from; the first three cycles after its request."""
    dut = WriteArbiter(config=CONFIG, clients=3)

    async def body(ctx):
        for n in range(3):
            ctx.set(dut.reqs[n].valid, 1)
            ctx.set(dut.reqs[n].payload, {"address": 0, "beats": beats})
            ctx.set(dut.i[n].valid, 1)
            ctx.set(dut.i[n].payload.data, n)
        ctx.set(dut.req.ready, 1)
        ctx.set(dut.o.ready, 1)
        got = []
        for cycle in range(60):
            valid = ctx.get(dut.o.valid)
            assert valid == (cycle >= 3)
            if valid:
                got.append(ctx.get(dut.o.payload.data))
            await ctx.tick()
        assert got == [n // beats % 3 for n in range(len(got))]

    simulate(dut, body)

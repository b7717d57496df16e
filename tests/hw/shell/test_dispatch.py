# SPDX-License-Identifier: Apache-2.0
"""The dispatcher: which descriptors are read, in which order, and which jobs are lost."""

from random import Random

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import HdpJob
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.hdp.linear import LinearJob, LinearKind
from prunus.golden.records import Error
from prunus.hw.shell.dispatch import Dispatcher
from tests.hw.helpers import receive, refusal, send, simulate, stall_cases

CONFIGS = [load_config("hdp_tiny"),
           HdpConfig(name="wide", width=12, frac=8, d_max=24, l_max=8, axi_data_width=128),
           HdpConfig(name="widest", d_max=24, l_max=8, axi_data_width=512),
           HdpConfig(name="far", d_max=24, l_max=8, axi_address_width=64),
           HdpConfig(name="farther", d_max=24, l_max=8, axi_data_width=512, axi_address_width=40)]
ADDRESSES = ("q_i", "q_f", "k_i", "k_f", "v", "out", "status")


def _place(rng, config):
    return rng.getrandbits(config.axi_address_width - 6) << 6


def _values(words, config):
    return HdpKind().descriptor_of(config).unpack(words.tobytes())


def _descriptor(rng, kind, config, places=None):
    """The words of a descriptor, its beat with a bus error (or None), and what comes of it.

    ``places`` are its addresses, some of which are others now and then, by a bit or wholly.
    """
    l_q, l_kv, d = rng.randint(1, 8), rng.randint(1, 8), 8 * rng.randint(1, 3)
    q, k = np.zeros((l_q, d)), np.zeros((l_kv, d))
    job = HdpJob(q=q, k=k, v=k, scale=(rng.getrandbits(16), rng.randint(12, 63)),
              valid_q=rng.randint(0, l_q), rho=rng.randint(-127, 127),
              causal=rng.random() < 0.5, same_kv=rng.random() < 0.7, tau_head=rng.getrandbits(32))
    addresses = {name: _place(rng, config) for name in ADDRESSES}
    for name in places or ():
        if rng.random() < 0.95:
            addresses[name] = places[name] ^ (rng.random() < 0.05) << rng.randrange(
                6, config.axi_address_width)
    words = HdpKind().encode(job, addresses, config)
    error, bad_beat = Error.NONE, None
    if kind == "opcode":
        words[0] ^= rng.choice([2, 1 << 14])
        error = Error.OPCODE
    elif kind == "no place":
        words[12] |= 32
        error = Error.ALIGNMENT
    elif kind == "neither":
        words[0] |= 1 << 31
        words[12] |= 32
        error = Error.OPCODE
    elif kind == "zeros":
        words[:] = 0
        error = Error.OPCODE
    elif kind == "misaligned":
        words[11] |= 4
        error = Error.ALIGNMENT
    elif kind == "bus":
        bad_beat = rng.randrange(config.descriptor_bytes * 8 // config.axi_data_width)
        error = Error.BUS
    lost = kind in ("no place", "neither", "zeros", "bus")
    return words, bad_beat, lost, error, job


def _fields(job, words, error, config):
    """What must come out; with an error only the place of the record counts."""
    values = _values(words, config)
    if error:
        return {"error": error, "status": values["status"]}
    return {"error": 0, "l_q": job.l_q, "l_kv": job.l_kv, "valid_q": job.valid_q,
            "valid_kv": job.valid_kv, "d8": job.d // 8, "rho": job.rho, "mant": job.scale[0],
            "shift": job.scale[1], "tau_head": job.tau_head, "causal": int(job.causal),
            **{name: values[name] for name in ADDRESSES}}


async def _start(ctx, dut, table, count):
    ctx.set(dut.table, table)
    ctx.set(dut.count, count)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    ctx.set(dut.table, 0xDEAD_0000)     # the host may write the register meanwhile


@pytest.mark.parametrize("ahead", [1, 2, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_tables(config, ahead, stall_in, stall_out):
    """Three tables in turn, with descriptors of every kind."""
    rng = Random(f"{config.name}{ahead}{stall_in}{stall_out}")
    kinds = [["good", "opcode", "bus", "good", "no place", "misaligned", "good", "neither"],
             ["bus"], ["good", "good"], ["zeros", *["good"] * 20]]
    end, length = 1 << config.axi_address_width, config.descriptor_bytes
    places = {name: _place(rng, config) for name in ADDRESSES[2:5]}
    tables = [(_place(rng, config) // length * length,
               [_descriptor(rng, kind, config, places) for kind in table]) for table in kinds]
    tables[2] = (end - length, tables[2][1])    # goes on beyond the last address
    dut = Dispatcher(config=config, ahead=ahead)
    size = config.axi_data_width // 8
    lost, faults = [0], []

    async def reader(ctx):
        for table, entries in tables:
            for n, (words, bad_beat, *_) in enumerate(entries):
                [request] = await receive(ctx, dut.req, 1, rng, stall_out)
                address = (table + n * length) % end
                assert (request.address, request.beats) == (address, length // size)
                assert (request.job, request.record) == (n, 1)
                assert request.refused == (address < table)
                raw = words.astype("<u4").tobytes()
                beats = [{"data": int.from_bytes(raw[at : at + size], "little"),
                          "error": int(at // size == bad_beat),
                          "last": int(at + size == length)} for at in range(0, length, size)]
                await send(ctx, dut.beats, beats, rng, stall_in)

    async def core(ctx):
        before = 0
        for table, entries in tables:
            await _start(ctx, dut, table, len(entries))
            follows, seen = False, None
            for n, (words, _, gone, error, job) in enumerate(entries):
                if not gone:
                    [got] = await receive(ctx, dut.job, 1, rng, stall_out)
                    for name, value in _fields(job, words, error, config).items():
                        assert got[name] == value, name
                    values = _values(words, config)
                    same = follows and seen == [values[name] for name in ADDRESSES[2:5]]
                    assert got.same_kv == (job.same_kv and same)
                    assert got.index == n
                    seen = [values[name] for name in ADDRESSES[2:5]]
                follows = not gone
            # Each lost job strobes once, and then there is no more.
            before += sum(entry[2] for entry in entries)
            while lost[0] < before:
                await ctx.tick()
            for _ in range(20):
                await ctx.tick()
                assert not ctx.get(dut.req.valid) and not ctx.get(dut.job.valid)
            assert lost[0] == before

    async def watch(ctx):
        while True:
            _, _, strobe, fault = await ctx.tick().sample(dut.lost, dut.fault)
            lost[0] += strobe
            if fault.valid:
                faults.append((fault.job, fault.cause))

    simulate(dut, core, reader, background=[watch])
    assert faults == [(n, error) for _, entries in tables
                      for n, (_, _, _, error, _) in enumerate(entries)
                      if error not in (Error.NONE, Error.BUS)]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("ahead", [2, 5, 16])
def test_reads_ahead(config, ahead):
    """So many descriptors are asked for and their beats taken, whether jobs are or not."""
    dut = Dispatcher(config=config, ahead=ahead)
    rng = Random(ahead)
    count = config.descriptor_bytes * 8 // config.axi_data_width
    entries = [_descriptor(rng, "good", config) for _ in range(ahead + 4)]
    raw = [int.from_bytes(words.astype("<u4").tobytes(), "little") for words, *_ in entries]
    beats = [{"data": word >> n * config.axi_data_width & (1 << config.axi_data_width) - 1,
              "last": n == count - 1} for word in raw for n in range(count)]

    async def body(ctx):
        await _start(ctx, dut, 128, len(entries))
        ctx.set(dut.req.ready, 1)
        asked = 0
        for _ in range(3 * ahead + 20):
            _, _, valid = await ctx.tick().sample(dut.req.valid)
            asked += valid
        assert asked == ahead
        # All beats of these are taken at once; the first goes to the decoder and makes room.
        ctx.set(dut.req.ready, 0)
        assert await send(ctx, dut.beats, beats[: ahead * count]) == ahead * count
        ctx.set(dut.req.ready, 1)
        for _ in range(20):
            _, _, valid = await ctx.tick().sample(dut.req.valid)
            asked += valid
        assert asked == ahead + 1
        assert await send(ctx, dut.beats, beats[ahead * count :][:count]) == count
        # Once they are there, a job comes as many cycles after another as a descriptor needs.
        ctx.set(dut.job.ready, 1)
        cycles, times = 0, []
        while len(times) < ahead + 1:
            _, _, valid, status = await ctx.tick().sample(dut.job.valid, dut.job.payload.status)
            if valid:
                assert status == _values(entries[len(times)][0], config)["status"]
                times.append(cycles)
            cycles += 1
        assert {b - a for a, b in zip(times, times[1:], strict=False)} == {count + 4}

    simulate(dut, body)


def test_bad_arguments():
    text = refusal(lambda: Dispatcher(config=CONFIGS[0], ahead=0))
    assert text == "ahead must be at least 1, not 0"


# -- heads and linear jobs ------------------------------------------------------------------------
HEAT = load_config("heat_tiny")
LINEAR = LinearKind()


def _linear(rng, fence, places=None):
    """The words of a linear job. Where a head has the addresses of K and V it says ``places``."""
    x = np.zeros((4, 16), int)
    zeros = np.zeros(16, int)
    job = LinearJob(x=x, w=np.zeros((16, 16), int), bias=zeros, multiplier=zeros, shift=zeros,
                    fence=fence)
    words = LINEAR.encode(job, {name: _place(rng, HEAT) for name in LINEAR.addresses}, HEAT)
    for word, name in ((8, "k_i"), (9, "k_f"), (10, "v")):
        words[word] = places[name] if places else words[word]
    return words


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_fences(stall):
    """A job of another kind than the one before it, or with a fence, is not offered before all are
    over; no head shares what linear jobs have put where K and V were."""
    rng = Random(3)
    places = {name: 64 * (n + 1) for n, name in enumerate(ADDRESSES[2:5])}
    head = _descriptor(rng, "good", HEAT)[0]
    values = HdpKind().descriptor.unpack(head.tobytes())
    share = HdpKind().descriptor.pack(values | places | {"same_kv": 1})
    plain, fenced = (_linear(rng, fence, places) for fence in (False, True))
    bad, lost = head.copy(), head.copy()
    bad[0], lost[12] = bad[0] | 1 << 31, lost[12] | 32
    # Each descriptor, whether it waits, and whether it shares.
    table = [(share, 0, 0), (share, 0, 1), (plain, 1, 0), (plain, 0, 0), (share, 1, 0),
             (share, 0, 1), (fenced, 1, 0), (fenced, 1, 0), (plain, 0, 0), (fenced, 1, 0),
             (lost, 0, 0), (plain, 0, 0), (share, 1, 0), (lost, 0, 0), (share, 0, 0),
             (bad, 0, 0), (share, 0, 0)]
    dut = Dispatcher(config=HEAT, ahead=4)

    async def reader(ctx):
        for words, *_ in table:
            await receive(ctx, dut.req, 1, rng, stall)
            raw = words.astype("<u4").tobytes()
            beats = [{"data": int.from_bytes(raw[at : at + 8], "little"), "last": at == 56}
                     for at in range(0, 64, 8)]
            await send(ctx, dut.beats, beats, rng, stall)

    async def core(ctx):
        ctx.set(dut.drained, 1)
        await _start(ctx, dut, 128, len(table))
        for n, (words, waits, shares) in enumerate(table):
            if words is lost:
                continue
            ctx.set(dut.drained, 0)
            valid = False
            for _ in range(60):
                _, _, valid = await ctx.tick().sample(dut.job.valid)
                if valid:
                    break
            assert valid != waits
            ctx.set(dut.drained, waits)
            [job] = await receive(ctx, dut.job, 1, rng, stall)
            assert job.index == n
            assert (job.kind, job.same_kv) == (int(words[0]) & 0xFF == 16, shares)

    simulate(dut, core, reader)

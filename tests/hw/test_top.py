# SPDX-License-Identifier: Apache-2.0
"""The coprocessor over its buses: a host's registers on one side, memory on the other."""

import gc
import json
import warnings
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module, Shape, UnusedElaboratable
from amaranth.lib import stream
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from prunus.golden.engines import load_config
from prunus.golden.hdp import OCCUPANCY
from prunus.golden.hdp.compute import HdpJob, head
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.image import build_image, read_results
from prunus.golden.names import check_name
from prunus.golden.records import DESCRIPTOR_BYTES, Error
from prunus.golden.registers import Cause, Status, counter_names, register_map
from prunus.golden.softmax import encode_scale
from prunus.hw.hdp.loader import tag_layout
from prunus.hw.shell.bursts import request_layout
from prunus.hw.shell.reader import read_beat_layout
from prunus.hw.top import Top
from tests.hw.helpers import AxiMemory, LiteHost, simulate

PORTS = Path(__file__).with_name("hdp_edge_ports.json")
CONFIG = HdpConfig(name="little", width=8, frac=4, d_max=16, l_max=8, multipliers=8,
                softmax_lanes=1, axi_data_width=64)
ADDRESS = {register.name: register.address for register in register_map(CONFIG)}
OKAY, SLVERR = 0, 2
ERROR = 1 << Status.ERROR
STATUS_WORD, K_F_WORD, V_WORD, OUT_WORD = 12, 9, 10, 11


def test_no_configuration_has_the_name_of_a_port():
    for port in json.loads(PORTS.read_text(encoding="utf-8")):
        with pytest.raises(ValueError, match="name must be none of a port"):
            check_name(port["name"])


def test_ports_are_those_that_users_rely_on():
    """The emitted module has clock and reset, then inputs, then outputs of the signature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        members = Top(config=load_config("hdp_edge")).signature.members
        gc.collect()        # it is not elaborated
    directions = {name: "input" if member.flow is In else "output"
                  for name, member in members.items()}
    ports = [{"name": name, "direction": "input", "width": 1} for name in ("clk", "rst")]
    ports += [{"name": name, "direction": direction,
               "width": Shape.cast(members[name].shape).width}
              for direction in ("input", "output")
              for name in members if directions[name] == direction]
    assert ports == json.loads(PORTS.read_text(encoding="utf-8"))


class _Shared(Elaboratable):
    """The sharing of the reader, with nothing around it."""

    def __init__(self):
        tag = tag_layout().size

        def beats(tag_width):
            return stream.Signature(read_beat_layout(CONFIG, tag_width)).create()

        def requests(tag_width=1):
            return stream.Signature(request_layout(tag_width)).create()

        self.reader = SimpleNamespace(req=requests(tag + 1), o=beats(tag + 1))
        self.dispatcher = SimpleNamespace(req=requests(), beats=beats(1))
        self.core = SimpleNamespace(read_req=requests(tag), read=beats(tag))

    def elaborate(self, platform):
        m = Module()
        Top._share_reader(m, self.reader, self.dispatcher, self.core)
        return m


def test_sharing_of_the_reader():
    """Requests in one cycle and beats in another, for all that either side can want."""
    dut = _Shared()
    top_bit = 1 << tag_layout().size

    async def body(ctx):
        for wants in range(8):
            mine, core, ready = (wants >> n & 1 for n in range(3))
            ctx.set(dut.dispatcher.req.payload, {"address": 0x40, "beats": 8})
            ctx.set(dut.dispatcher.req.valid, mine)
            ctx.set(dut.core.read_req.payload, {"address": 0x99, "beats": 5, "tag": 6})
            ctx.set(dut.core.read_req.valid, core)
            ctx.set(dut.reader.req.ready, ready)
            assert ctx.get(dut.reader.req.valid) == (mine or core)
            assert mine & ctx.get(dut.dispatcher.req.ready) == mine & ready
            assert core & ctx.get(dut.core.read_req.ready) == core & ready & (1 - mine)
            request = ctx.get(dut.reader.req.payload)
            if mine or core:
                assert (request.address, request.beats, request.tag) == \
                    ((0x40, 8, 0) if mine else (0x99, 5, top_bit | 6))
        for wants in range(16):
            valid, for_core, mine, core = (wants >> n & 1 for n in range(4))
            beat = {"data": wants, "tag": for_core * top_bit | 5, "last": wants & 1, "error": 1}
            ctx.set(dut.reader.o.payload, beat)
            ctx.set(dut.reader.o.valid, valid)
            ctx.set(dut.dispatcher.beats.ready, mine)
            ctx.set(dut.core.read.ready, core)
            assert ctx.get(dut.dispatcher.beats.valid) == (valid & (1 - for_core))
            assert ctx.get(dut.core.read.valid) == (valid & for_core)
            assert ctx.get(dut.reader.o.ready) == (core if for_core else mine)
            for sink in (dut.dispatcher.beats, dut.core.read):
                got = ctx.get(sink.payload)
                assert (got.data, got.last, got.error) == (wants, wants & 1, 1)
            assert ctx.get(dut.core.read.payload.tag) == 5

    simulator = Simulator(dut)      # there is no clock
    simulator.add_testbench(body)
    simulator.run()


def _bus(dut, prefix):
    """The ports of a bus by their names on it."""
    return SimpleNamespace(**{name.removeprefix(prefix): getattr(dut, name)
                              for name in dut.signature.members if name.startswith(prefix)})


def _job(seed, l_q=5, l_kv=6, d=8, **fields):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.integers(-128, 128, (n, d)) for n in (l_q, l_kv, l_kv))
    return HdpJob(q=q, k=k, v=v, scale=encode_scale(0.001), **fields)


class _System:
    """A coprocessor, its memory with the image of some jobs, and a host."""

    def __init__(self, jobs, seed=0, stall=0.0, config=CONFIG):
        self.jobs = jobs
        self.dut = Top(config=config)
        self.image = build_image(jobs, config)
        self.bad = set()
        self.memory = AxiMemory(self.image.data, 64, latency=4, rng=Random(seed), stall=stall,
                                bad=self.bad)
        self.contents = b""
        self.host = LiteHost(_bus(self.dut, "s_axil_"))

    def word(self, job, index):
        """A word of a descriptor, as a view."""
        at = job * DESCRIPTOR_BYTES + 4 * index
        return np.frombuffer(self.image.data, "<u4", count=1, offset=at)

    async def write(self, ctx, name, value):
        assert await self.host.write(ctx, ADDRESS[name], value) == OKAY

    async def read(self, ctx, name):
        value, response = await self.host.read(ctx, ADDRESS[name])
        assert response == OKAY
        return value

    async def work(self, ctx, table, count):
        """Ring the doorbell and wait for the interrupt. Returns the cycles and the counters."""
        await self.write(ctx, "table", table)
        await self.write(ctx, "irq_enable", 1)
        await self.write(ctx, "doorbell", count)
        cycles = 0
        while not ctx.get(self.dut.irq):
            await ctx.tick()
            cycles += 1
        self.contents = bytes(self.memory.data)         # all is written by now
        return cycles, {name: await self.read(ctx, name) for name in counter_names(CONFIG)}

    def results(self):
        return read_results(self.contents, self.image, self.jobs, CONFIG)

    def run(self, body):
        axi = _bus(self.dut, "m_axi_")

        async def reads(ctx):
            await self.memory.reads(ctx, axi)

        async def writes(ctx):
            await self.memory.writes(ctx, axi)

        simulate(self.dut, body, background=[reads, writes], limit=6000)


def _slots(jobs):
    """Cycles of the array in heads with tau 0: integer pass, fraction pass and P.V."""
    integer = score = value = 0
    for job in jobs:
        result = head(job, CONFIG)
        d8, t = job.d // 8, CONFIG.taps
        integer += result.blocks_total * -(-8 * d8 // (4 * t))
        score += result.blocks_kept * -(-8 * d8 // (2 * t))
        rows = result.mask[: -(-job.valid_q // 2)]
        value += int(np.maximum(rows.sum(axis=1), 1).sum()) * -(-8 * d8 // t)
    return {"integer_slots": integer, "score_slots": score, "value_slots": value}


def _burst_bytes(bursts):
    return 8 * sum(beats for _, beats in bursts)


def test_good_and_bad_jobs_in_a_table():
    """Bad descriptors, reads answered with an error, and good jobs between them."""
    jobs = [_job(1, causal=True), _job(2), _job(3), _job(4), _job(5), _job(6, l_q=4),
            _job(7, d=16)]
    system = _System(jobs)
    system.memory.max_reads = 1
    errors = {1: Error.BUS, 2: Error.OPCODE, 3: None, 4: None, 5: Error.BUS}
    system.word(2, 0)[:] |= 1 << 20
    system.word(3, STATUS_WORD)[:] += 8             # no place for a record
    system.bad |= {4 * DESCRIPTOR_BYTES + 8,        # nobody knows where the record would be
                   int(system.word(1, V_WORD)[0]), int(system.word(5, K_F_WORD)[0])}
    before = bytes(system.image.data)

    async def body(ctx):
        cycles, counters = await system.work(ctx, system.image.table, len(jobs))
        assert await system.read(ctx, "status") == 2 | ERROR
        assert 0 <= cycles - counters.pop("cycles") <= 3
        assert (counters["jobs_done"], counters["jobs_failed"]) == (len(jobs), len(errors))
        assert counters["read_bytes"] == _burst_bytes(system.memory.read_bursts)
        assert counters["write_bytes"] == _burst_bytes(system.memory.write_bursts)

    system.run(body)
    for n, (job, (out, status)) in enumerate(zip(jobs, system.results(), strict=True)):
        if n not in errors:
            result = head(job, CONFIG)
            assert (out == result.out).all(), n
            assert status == HdpKind().record(job, result, CONFIG), n
            continue
        start, size = system.image.out[n], out.size * CONFIG.out_width // 8
        assert system.contents[start : start + size] == before[start : start + size]
        assert status.done == (errors[n] is not None), n
        assert status.error == (errors[n] or Error.NONE), n


def test_write_errors_and_counters():
    """The status register tells of a write error until the next doorbell, the counters of one."""
    jobs = [_job(8, rho=64), _job(9, causal=True, drop=True, d=16)]
    system = _System(jobs, seed=1, stall=0.2)

    async def body(ctx):
        out = int(system.word(0, OUT_WORD)[0])
        system.bad.add(out + 16)
        _, counters = await system.work(ctx, 0, 1)
        assert (counters["jobs_done"], counters["jobs_failed"]) == (1, 1)
        assert await system.read(ctx, "status") == 6 | ERROR
        assert await system.read(ctx, "error") == Cause.WRITE | 2 << 8
        assert await system.read(ctx, "error_address") == out       # of the burst
        at = int(system.word(0, STATUS_WORD)[0])
        record = bytes(system.memory.data[at : at + 64])
        assert record == bytes([1, Error.WRITE]) + bytes(62)
        system.bad.clear()
        system.memory.read_bursts.clear()
        system.memory.write_bursts.clear()

        await system.write(ctx, "status", 2 | ERROR)
        assert await system.read(ctx, "status") == 4
        for _ in range(3):
            await ctx.tick()
        assert not ctx.get(system.dut.irq)
        cycles, counters = await system.work(ctx, 0, len(jobs))
        assert await system.read(ctx, "status") == 2
        counted = counters.pop("cycles")
        assert 0 <= cycles - counted <= 3
        assert sum(counters[name] for name in OCCUPANCY) == counted
        idle = {name: counters.pop(name) for name in OCCUPANCY if "idle" in name}
        assert all(idle[name] for name in ("idle_softmax", "idle_dma", "idle_drain"))
        assert counters == {
            "jobs_done": 2, "jobs_failed": 0,
            "read_bytes": _burst_bytes(system.memory.read_bursts),
            "write_bytes": _burst_bytes(system.memory.write_bursts), **_slots(jobs)}

    system.run(body)
    for job, (out, status) in zip(jobs, system.results(), strict=True):
        result = head(job, CONFIG)
        assert (out == result.out).all()
        assert status == HdpKind().record(job, result, CONFIG)


def test_two_cores():
    """Heads and a bad one on both; the counters are those of one core."""
    jobs = [_job(n, rho=32, l_q=3 + n % 3, d=8 + 8 * (n % 2)) for n in range(6)]
    system = _System(jobs, seed=2, config=CONFIG.model_copy(update={"cores": 2, "name": "pair"}))
    system.word(3, 0)[:] |= 1 << 20
    good = [job for n, job in enumerate(jobs) if n != 3]

    async def body(ctx):
        assert await system.read(ctx, "multipliers") == 16
        for _ in range(2):
            system.memory.read_bursts.clear()
            system.memory.write_bursts.clear()
            cycles, counters = await system.work(ctx, system.image.table, len(jobs))
            counted = counters.pop("cycles")
            assert 0 <= cycles - counted <= 3
            assert sum(counters[name] for name in OCCUPANCY) == 2 * counted
            for name in OCCUPANCY:
                if "idle" in name:
                    del counters[name]
            assert counters == {
                "jobs_done": 6, "jobs_failed": 1,
                "read_bytes": _burst_bytes(system.memory.read_bursts),
                "write_bytes": _burst_bytes(system.memory.write_bursts), **_slots(good)}
            assert await system.read(ctx, "status") == 2 | ERROR
            await system.write(ctx, "status", 2 | ERROR)

    system.run(body)
    for n, (job, (out, status)) in enumerate(zip(jobs, system.results(), strict=True)):
        if n == 3:
            assert (status.done, status.error) == (True, Error.OPCODE)
            continue
        result = head(job, CONFIG)
        assert (out == result.out).all(), n
        assert status == HdpKind().record(job, result, CONFIG), n


@pytest.mark.parametrize("after", [0, 20, 90, 250])
def test_a_memory_that_falls_silent(after):
    """The table ends with an error; an abort is over when the memory has answered, and then all is
    as new."""
    jobs = [_job(10), _job(11, causal=True)]
    system = _System(jobs, seed=3)
    memory = system.memory

    async def body(ctx):
        await system.write(ctx, "timeout", 60)
        await system.write(ctx, "irq_enable", 3)
        await system.write(ctx, "doorbell", 2)
        for _ in range(after):
            await ctx.tick()
        memory.stall = 1.0
        cycles = 0
        while not ctx.get(system.dut.irq):
            await ctx.tick()
            cycles += 1
        assert 60 <= cycles < 400
        for _ in range(4):
            await ctx.tick()
        status = await system.read(ctx, "status")
        assert status == 1 << Status.IRQ | ERROR | 1 << Status.HALTED | 1 << Status.OUTSTANDING
        assert await system.read(ctx, "error") & 0xFF == Cause.TIMEOUT
        assert await system.host.write(ctx, ADDRESS["doorbell"], 2) == SLVERR
        await system.write(ctx, "status", 2 | ERROR)
        await system.write(ctx, "control", 1)
        for _ in range(100):
            await ctx.tick()
        assert await system.read(ctx, "status") >> Status.ABORTING & 1
        memory.stall = 0.0
        for _ in range(200):
            await ctx.tick()
        assert await system.read(ctx, "status") == 0
        assert not ctx.get(system.dut.irq)
        await system.work(ctx, system.image.table, 2)
        assert await system.read(ctx, "status") == 2
        assert await system.read(ctx, "error") == 0

    system.run(body)
    for job, (out, status) in zip(jobs, system.results(), strict=True):
        result = head(job, CONFIG)
        assert (out == result.out).all()
        assert status == HdpKind().record(job, result, CONFIG)


def test_keys_are_shared_by_address_only():
    """A job that says it has those of the one before, and means others, gets its own."""
    jobs = [_job(12), _job(13, same_kv=True)]
    system = _System([job.alone() for job in jobs], seed=4)
    system.word(1, 0)[:] |= 1 << 12

    async def body(ctx):
        await system.work(ctx, system.image.table, 2)

    system.run(body)
    for job, (out, _) in zip(jobs, system.results(), strict=True):
        assert (out == head(job, CONFIG).out).all()


def test_a_table_of_zeros():
    """No record anywhere, and a register that says why."""
    system = _System([_job(14)])
    system.image.data[:] = bytes(len(system.image.data))

    async def body(ctx):
        _, counters = await system.work(ctx, 0, 1)
        assert (counters["jobs_done"], counters["jobs_failed"]) == (1, 1)
        assert await system.read(ctx, "error") == Cause.OPCODE
        assert counters["write_bytes"] == 0 and not system.memory.write_bursts

    system.run(body)


def test_what_every_burst_says_of_itself():
    """AxPROT, AxCACHE and AxQOS are those of the configuration."""
    chosen = {"prot": 5, "cache": 11, "qos": 9}
    config = CONFIG.model_copy(update={f"axi_{name}": value for name, value in chosen.items()})
    system, seen = _System([_job(15)], config=config), set()

    async def body(ctx):
        await system.work(ctx, system.image.table, 1)
        for channel in ("ar", "aw"):
            seen.add(tuple(ctx.get(getattr(system.dut, f"m_axi_{channel}{name}"))
                           for name in chosen))

    system.run(body)
    assert seen == {tuple(chosen.values())}

# SPDX-License-Identifier: Apache-2.0
from random import Random

import pytest

from prunus.golden import registers
from prunus.golden.engines import load_config
from prunus.golden.registers import register_map
from prunus.hw.shell.csr import Csr, counter_layout
from tests.hw.helpers import LiteHost, receive, send, simulate, stall_cases

OKAY, SLVERR = 0b00, 0b10
CONFIG = load_config("hdp_edge")
ADDRESS = {register.name: register.address for register in register_map(CONFIG)}
UNMAPPED = [a for a in range(0, 256, 4) if a not in ADDRESS.values()]
COUNTERS = {name: 0x0101_0101 * (n + 1) for n, name in enumerate(registers.counter_names(CONFIG))}


class _Host(LiteHost):
    """Looks registers up by name."""

    async def check(self, ctx, **values):
        for name, value in values.items():
            assert await self.read(ctx, ADDRESS[name]) == (value, OKAY), name

# The registers that are neither constant nor counters, after a reset.
OTHERS = {
    "irq_enable": 0, "status": 0, "table": 0, "doorbell": 0, "control": 0, "job": 0, "error": 0,
    "timeout": registers.TIMEOUT, "error_address": 0, "lock": 0,
    **{f"{window}_base": 0 for window in registers.WINDOWS},
    **{f"{window}_limit": 0xFFFF_FFFF for window in registers.WINDOWS},
}


@pytest.fixture
def dut():
    return Csr(config=load_config("hdp_edge"))


def _bench(dut, body):
    host = _Host(dut.bus)

    async def testbench(ctx):
        await body(ctx, host)

    simulate(dut, testbench)


def test_counter_layout():
    assert [name for name, _ in counter_layout(CONFIG)] == [
        "jobs_done", "jobs_failed", "cycles", "read_bytes", "write_bytes", "integer_slots",
        "score_slots", "value_slots", "idle_softmax", "idle_operand", "idle_dma",
        "idle_threshold", "idle_drain"]


@pytest.mark.parametrize("preset", ["hdp_tiny", "hdp_edge", "hdp_w12"])
def test_every_register_after_reset(preset):
    config = load_config(preset)
    dut = Csr(config=config)

    async def body(ctx, host):
        ctx.set(dut.counters, COUNTERS)
        await host.check(ctx, **registers.constants(config), **OTHERS, **COUNTERS)
        assert not ctx.get(dut.irq)

    assert {*registers.constants(config), *OTHERS, *COUNTERS} == set(ADDRESS)
    _bench(dut, body)


def test_unmapped_addresses(dut):
    async def body(ctx, host):
        for address in UNMAPPED:
            assert await host.read(ctx, address) == (0, SLVERR), hex(address)
            assert await host.write(ctx, address, 0xFFFF_FFFF) == SLVERR, hex(address)
        await host.check(ctx, irq_enable=0, status=0, table=0, doorbell=0)

    _bench(dut, body)


def test_low_address_bits_are_ignored(dut):
    async def body(ctx, host):
        assert await host.write(ctx, ADDRESS["table"] + 2, 0x1234_5678) == OKAY
        assert await host.read(ctx, ADDRESS["table"] + 3) == (0x1234_5678, OKAY)

    _bench(dut, body)


def test_writes_to_read_only_registers_are_ignored(dut):
    async def body(ctx, host):
        ctx.set(dut.counters, COUNTERS)
        constants = registers.constants(load_config("hdp_edge"))
        for name in (*constants, *COUNTERS):
            assert await host.write(ctx, ADDRESS[name], 0xDEAD_BEEF) == OKAY
        await host.check(ctx, **constants, **COUNTERS, irq_enable=0, status=0, table=0,
                         doorbell=0)

    _bench(dut, body)


def test_byte_strobes(dut):
    async def body(ctx, host):
        rng = Random(1)
        table = 0
        for strobe in range(16):
            value = rng.getrandbits(32)
            mask = sum(0xFF << 8 * n for n in range(4) if strobe >> n & 1)
            table = table & ~mask | value & mask
            assert await host.write(ctx, ADDRESS["table"], value, strobe) == OKAY
            await host.check(ctx, table=table)
            assert ctx.get(dut.table) == table
            await host.write(ctx, ADDRESS["timeout"], 0)
            await host.write(ctx, ADDRESS["timeout"], value, strobe)
            await host.check(ctx, timeout=value & mask)
            assert ctx.get(dut.timeout) == value & mask
            await host.write(ctx, ADDRESS["irq_enable"], strobe & 1 ^ 1, 0b1110)
            await host.check(ctx, irq_enable=0)
        await host.write(ctx, ADDRESS["irq_enable"], 0xFFFF_FFFF, 0b0001)
        await host.check(ctx, irq_enable=3)
        await host.write(ctx, ADDRESS["irq_enable"], 0xFFFF_FFFD)
        await host.check(ctx, irq_enable=1)

    _bench(dut, body)


def test_doorbell(dut):
    """Every way to refuse it, one start per accepted write, and the way to done."""
    starts = []

    async def monitor(ctx):
        while True:
            _, _, start, table, count = await ctx.tick().sample(dut.start, dut.table, dut.count)
            if start:
                starts.append((table, count))

    async def done(ctx):
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)

    async def body(ctx):
        host = _Host(dut.bus)
        bell = ADDRESS["doorbell"]
        assert await host.write(ctx, bell, 0) == SLVERR
        for bit in range(6):
            await host.write(ctx, ADDRESS["table"], 0x8000_0000 | 1 << bit)
            assert await host.write(ctx, bell, 3) == SLVERR
        await host.check(ctx, doorbell=0, status=0)
        assert starts == []

        await host.write(ctx, ADDRESS["table"], 0x8000_0040)
        assert await host.write(ctx, bell, 3, 0) == OKAY        # no strobe, no doorbell
        assert starts == []
        assert await host.write(ctx, bell, 3) == OKAY
        await ctx.tick()
        assert starts == [(0x8000_0040, 3)]
        await host.check(ctx, doorbell=3, status=1)
        assert await host.write(ctx, bell, 4) == SLVERR
        await host.check(ctx, doorbell=3, status=1)
        await done(ctx)
        await host.check(ctx, status=2)

        assert await host.write(ctx, bell, 0) == SLVERR
        for count in (0x1_0000, 0x1_0001, 0xFFFF_FFFF):
            assert await host.write(ctx, bell, count) == SLVERR
        assert await host.write(ctx, bell, 0xFFFF) == OKAY          # the interrupt stays
        await host.check(ctx, doorbell=0xFFFF, status=3)
        await done(ctx)
        assert await host.write(ctx, bell, 0x0000_AA00, 0b0010) == OKAY
        await host.check(ctx, doorbell=0xAAFF, status=3)
        await done(ctx)
        for held in (dut.halted, dut.aborting):
            ctx.set(held, 1)
            assert await host.write(ctx, bell, 1) == SLVERR
            ctx.set(held, 0)
        assert starts == [(0x8000_0040, n) for n in (3, 0xFFFF, 0xAAFF)]

    simulate(dut, body, background=[monitor])


def test_interrupt(dut):
    async def body(ctx, host):
        async def done(ctx):
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)

        async def irq(ctx, value):
            for _ in range(3):
                await ctx.tick()
            assert ctx.get(dut.irq) == value

        await done(ctx)
        await irq(ctx, 0)
        await host.check(ctx, status=2)
        await host.write(ctx, ADDRESS["irq_enable"], 1)
        await irq(ctx, 1)
        for value, strobe in [(0, 15), (1, 15), (0xFFFF_FFFD, 15), (0xFFFF_FFFF, 0b1110)]:
            assert await host.write(ctx, ADDRESS["status"], value, strobe) == OKAY
            await irq(ctx, 1)
        assert await host.write(ctx, ADDRESS["status"], 2) == OKAY
        await irq(ctx, 0)
        await host.check(ctx, status=0)
        await done(ctx)
        await irq(ctx, 1)
        await host.write(ctx, ADDRESS["irq_enable"], 0)
        await irq(ctx, 0)
        await host.check(ctx, status=2)

    _bench(dut, body)


def test_abort(dut):
    """A strobe, and the table is over once all that worked on it was reset."""
    async def body(ctx, host):
        control = ADDRESS["control"]
        assert await host.write(ctx, ADDRESS["doorbell"], 1) == OKAY
        aborts = []

        async def write(value, strobe=15):
            await send(ctx, host.aw, [control])
            await send(ctx, host.w, [value | strobe << 32])
            for _ in range(6):
                _, _, abort = await ctx.tick().sample(dut.abort)
                aborts.append(abort)
            assert await receive(ctx, host.b, 1) == [OKAY]

        await write(0)
        await write(1, 0b1110)
        assert not any(aborts)
        await write(1)
        assert sum(aborts) == 1
        await host.check(ctx, control=0, status=1)
        ctx.set(dut.aborting, 1)
        ctx.set(dut.outstanding, 1)
        await host.check(ctx, status=1 | 1 << 5 | 1 << 6)
        ctx.set(dut.restart, 1)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        ctx.set(dut.aborting, 0)
        ctx.set(dut.outstanding, 0)
        ctx.set(dut.halted, 1)
        await host.check(ctx, status=1 << 4)

    _bench(dut, body)


def test_errors(dut):
    """Where the first one shows, and their interrupt."""
    async def body(ctx, host):
        ctx.set(dut.fault, {"valid": 1, "cause": registers.Cause.WINDOW, "response": 3,
                            "job": 0xABCD, "address": 0x1234_5678})
        ctx.set(dut.job, 0x7654)
        ctx.set(dut.error, 1)
        await ctx.tick()
        ctx.set(dut.error, 0)
        await host.check(ctx, error=0xABCD_0309, error_address=0x1234_5678, job=0x7654, status=8)
        for enable, irq in ((1, 0), (2, 1), (3, 1)):
            await host.write(ctx, ADDRESS["irq_enable"], enable)
            await ctx.tick()
            assert ctx.get(dut.irq) == irq
        assert await host.write(ctx, ADDRESS["status"], 2) == OKAY
        await host.check(ctx, status=8)
        assert await host.write(ctx, ADDRESS["status"], 8) == OKAY
        await host.check(ctx, status=0)
        await ctx.tick()
        assert not ctx.get(dut.irq)

    _bench(dut, body)


def test_windows(dut):
    """They lie on multiples of 64 bytes, and stay as they are in use or once locked."""
    async def body(ctx, host):
        names = [f"{window}_{end}" for window in registers.WINDOWS for end in ("base", "limit")]
        values = {}
        for n, name in enumerate(names):
            value = 0x1234_5678 + (n << 20)
            assert await host.write(ctx, ADDRESS[name], value) == OKAY
            values[name] = value & ~63 if name.endswith("base") else value | 63
            assert ctx.get(dut.windows[n // 2][name.split("_")[1]]) == value >> 6
        await host.check(ctx, **values)
        assert await host.write(ctx, ADDRESS["results_base"], 0xAA00, 0b0010) == OKAY
        values["results_base"] = values["results_base"] & ~0xFF00 | 0xAA00
        await host.check(ctx, **values)

        async def refused():
            for name in names:
                assert await host.write(ctx, ADDRESS[name], 0) == SLVERR
            await host.check(ctx, **values)

        for held in (dut.halted, dut.aborting):
            ctx.set(held, 1)
            await refused()
            ctx.set(held, 0)
        assert await host.write(ctx, ADDRESS["doorbell"], 1) == OKAY
        await refused()
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        assert await host.write(ctx, ADDRESS["lock"], 0) == OKAY
        await host.check(ctx, lock=0)
        assert await host.write(ctx, ADDRESS["lock"], 1) == OKAY
        assert await host.write(ctx, ADDRESS["lock"], 0) == OKAY
        await host.check(ctx, lock=1)
        await refused()

    _bench(dut, body)


@pytest.mark.parametrize("width", [40, 64])
def test_wide_addresses(width):
    """Upper words after a reset, written whole and in bytes, and in what they are for; a table
    begins at a multiple of 128."""
    config = CONFIG.model_copy(update={"axi_address_width": width})
    dut, at = Csr(config=config), {r.name: r.address for r in register_map(config)}
    most, names = (1 << width - 32) - 1, [f"{window}_{end}" for window in registers.WINDOWS
                                          for end in ("base", "limit")]

    async def body(ctx, host):
        async def check(**values):
            for name, value in values.items():
                assert await host.read(ctx, at[name]) == (value, OKAY), name

        await check(engine=1 | width - 32 << 8 | config.linear << 16, table_high=0,
                    error_address_high=0,
                    **{f"{name}_high": most if name.endswith("limit") else 0 for name in names})
        ctx.set(dut.fault, {"valid": 1, "address": 0xA500_0000_5A & (1 << width) - 1 | 3 << 36})
        await check(error_address_high=(0xA5 | 3 << 4) & most, error_address=0x5A)
        for n, name in enumerate(["table", *names]):
            assert await host.write(ctx, at[name], 0x1234_5678) == OKAY
            assert await host.write(ctx, at[f"{name}_high"], 0x8F00_00C1 + n) == OKAY
            await check(**{f"{name}_high": (0x8F00_00C1 + n) & most})
            value = ((0x8F00_00C1 + n) & most) << 32 | 0x1234_5678
            if n:
                assert ctx.get(dut.windows[(n - 1) // 2][name.split("_")[1]]) == value >> 6
            else:
                assert ctx.get(dut.table) == value
        await check(operands_base=0x1234_5640, operands_limit=0x1234_567F)
        assert await host.write(ctx, at["records_base_high"], 0x77, 0b1110) == OKAY
        await check(records_base_high=0xC1 + 5 & 0xFF if width == 40 else 0xC6)
        assert await host.write(ctx, at["table"], 64) == OKAY
        assert await host.write(ctx, at["doorbell"], 1) == SLVERR
        assert await host.write(ctx, at["table"], 128) == OKAY
        assert await host.write(ctx, at["doorbell"], 1) == OKAY
        for name in names:
            assert await host.write(ctx, at[f"{name}_high"], 0) == SLVERR

    _bench(dut, body)


def test_done_around_a_doorbell():
    """In whatever cycle done falls, the doorbell is either refused or starts anew."""
    answers = []
    for cycle in range(4, 12):
        dut = Csr(config=load_config("hdp_edge"))
        host = _Host(dut.bus)

        async def body(ctx, host=host):
            assert await host.write(ctx, ADDRESS["doorbell"], 1) == OKAY
            answers.append(await host.write(ctx, ADDRESS["doorbell"], 1))
            for _ in range(12):
                await ctx.tick()
            await host.check(ctx, status=3 if answers[-1] == OKAY else 2)

        async def done(ctx, dut=dut, cycle=cycle):
            for _ in range(cycle):
                await ctx.tick()
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)

        simulate(dut, body, done)
    assert answers == sorted(answers)
    assert set(answers) == {OKAY, SLVERR}


def test_write_error(dut):
    """It stays through everything but an accepted doorbell."""
    async def strobe(ctx, signal):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def body(ctx, host):
        bell = ADDRESS["doorbell"]
        assert await host.write(ctx, bell, 1) == OKAY
        await host.check(ctx, status=1)
        await strobe(ctx, dut.write_error)
        await host.check(ctx, status=5)
        assert await host.write(ctx, bell, 1) == SLVERR
        await host.check(ctx, status=5)
        await strobe(ctx, dut.done)
        assert await host.write(ctx, ADDRESS["status"], 0xFFFF_FFFF) == OKAY
        assert await host.write(ctx, bell, 0) == SLVERR
        await host.check(ctx, status=4)
        assert await host.write(ctx, bell, 1) == OKAY
        await host.check(ctx, status=1)
        ctx.set(dut.done, 1)                # the last response of all
        await strobe(ctx, dut.write_error)
        ctx.set(dut.done, 0)
        await host.check(ctx, status=6)

    _bench(dut, body)


def test_set_wins_over_clear(dut):
    async def body(ctx, host):
        ctx.set(dut.done, 1)        # in every cycle, so also in that of the clear
        await host.write(ctx, ADDRESS["status"], 2)
        ctx.set(dut.done, 0)
        await host.check(ctx, status=2)

    _bench(dut, body)


def _operations(rng, count):
    """Random writes and their responses, and the values the registers end with."""
    state = {"irq_enable": 0, "table": 0, "doorbell": 0}
    busy = False
    writes, responses = [], []
    for _ in range(count):
        name = rng.choice(["table", "doorbell", "irq_enable", "id", "cycles", "unmapped"])
        address = rng.choice(UNMAPPED) if name == "unmapped" else ADDRESS[name]
        value = rng.choice([0, 1, rng.getrandbits(32), rng.getrandbits(26) << 6])
        strobe = rng.choice([15, 15, rng.randrange(16)])
        mask = sum(0xFF << 8 * n for n in range(4) if strobe >> n & 1)
        writes.append((address, value | strobe << 32))
        response = SLVERR if name == "unmapped" else OKAY
        if name in state:
            merged = state[name] & ~mask | value & mask
            if name == "doorbell" and strobe:
                if busy or state["table"] % 64 or not 0 < merged < 1 << 16:
                    response, merged = SLVERR, state[name]
                else:
                    busy = True
            state[name] = merged & 3 if name == "irq_enable" else merged
        responses.append(response)
    return writes, responses, {**state, "status": int(busy)}


@pytest.mark.parametrize("stall_in, stall_out", stall_cases)
def test_all_channels_at_once(dut, stall_in, stall_out):
    """Reads and writes together, AW and W each at its own pace."""
    rng = Random(f"{stall_in}{stall_out}")
    host = _Host(dut.bus)
    writes, responses, state = _operations(rng, 200)
    constants = {**registers.constants(load_config("hdp_edge")), **COUNTERS}
    known = {ADDRESS[name]: value for name, value in constants.items()}
    reads = [rng.choice([*known, *UNMAPPED]) for _ in range(200)]
    answers = [known[a] if a in known else SLVERR << 32 for a in reads]
    finished = []

    async def aw(ctx):
        addresses = [address for address, _ in writes]
        cycles = await send(ctx, host.aw, addresses, rng, stall_in)
        assert stall_in or stall_out or cycles == 2 * len(writes) - 1

    async def w(ctx):
        await send(ctx, host.w, [word for _, word in writes], rng, stall_in / 2)

    async def b(ctx):
        assert await receive(ctx, host.b, len(writes), rng, stall_out) == responses
        finished.append("b")

    async def ar(ctx):
        ctx.set(dut.counters, COUNTERS)
        cycles = await send(ctx, host.ar, reads, rng, stall_in)
        assert stall_in or stall_out or cycles == 3 * len(reads) - 2

    async def r(ctx):
        assert await receive(ctx, host.r, len(reads), rng, stall_out) == answers
        finished.append("r")
        while len(finished) < 2:
            await ctx.tick()
        await host.check(ctx, **state)

    simulate(dut, aw, w, b, ar, r)


@pytest.mark.parametrize("first", ["aw", "w", "both"])
def test_address_and_data_in_any_order(dut, first):
    host = _Host(dut.bus)
    address, word = ADDRESS["table"], 0x40 | 15 << 32

    async def send_late(ctx, name, stream, payload):
        for _ in range(0 if first in (name, "both") else 6):
            await ctx.tick()
        assert await send(ctx, stream, [payload]) == 1      # taken at once, whatever came before

    async def aw(ctx):
        await send_late(ctx, "aw", host.aw, address)

    async def w(ctx):
        await send_late(ctx, "w", host.w, word)

    async def b(ctx):
        ctx.set(host.b.ready, 1)
        for cycle in range(20):
            _, _, valid, awready, wready = await ctx.tick().sample(
                host.b.valid, host.aw.ready, host.w.ready)
            assert valid == (cycle == (2 if first == "both" else 8))
        assert awready and wready
        assert ctx.get(dut.table) == 0x40

    simulate(dut, aw, w, b)


def test_read_latency(dut):
    host = _Host(dut.bus)

    async def body(ctx):
        await send(ctx, host.ar, [ADDRESS["id"]])
        for _ in range(2):
            assert not ctx.get(host.r.valid)
            await ctx.tick()
        assert ctx.get(host.r.valid)
        for _ in range(10):         # it waits for the host
            await ctx.tick()
            assert ctx.get(host.r.valid)
        assert await receive(ctx, host.r, 1) == [registers.ID]

    simulate(dut, body)

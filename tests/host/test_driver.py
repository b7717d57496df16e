# SPDX-License-Identifier: Apache-2.0
"""The driver over a transport made of a dictionary."""

import asyncio

import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import head
from prunus.golden.hdp.kind import HdpKind
from prunus.golden.hdp.planes import HdpLayout
from prunus.golden.image import Image, build_image
from prunus.golden.registers import Status, constants, counter_names, register_map
from prunus.host.driver import Driver, DriverError, writable_ranges
from prunus.sim.engines.hdp import random_jobs
from tests.sim.wide import widened

CONFIG = load_config("hdp_tiny")
AT = {register.name: register.address for register in register_map(CONFIG)}
JOBS = random_jobs(CONFIG, 3, 31)


class Fake:
    """A coprocessor that runs golden when the doorbell rings."""

    def __init__(self, waits=0, stuck=False):
        self.registers = dict.fromkeys(AT.values(), 0)
        self.registers |= {AT[name]: value for name, value in constants(CONFIG).items()}
        self.memory = bytearray(1 << 20)
        self.waits, self.stuck = waits, stuck
        self.asked = []
        self.polls = 0          # of the status until an abort is over
        self.aborts = 0

    async def read_register(self, address):
        if address == AT["status"] and self.registers[address] >> Status.ABORTING & 1:
            self.polls -= 1
            if not self.polls:
                self.registers[address] &= 1 << Status.IRQ | 1 << Status.ERROR
        return self.registers[address]

    async def write_register(self, address, value):
        if address == AT["status"]:
            if not self.stuck:
                self.registers[address] &= ~value
        else:
            self.registers[address] = value
        if address == AT["doorbell"]:
            self.work(value)
        if address == AT["control"]:
            self.aborts += value
            self.registers[AT["status"]] |= 1 << Status.ABORTING

    def work(self, count):
        image, layout = build_image(JOBS, CONFIG), HdpLayout(CONFIG)
        assert self.memory[: len(image.data)] == image.data
        assert count == len(JOBS)
        for job, out, status in zip(JOBS, image.out, image.status, strict=True):
            result = head(job, CONFIG)
            raw = layout.pack_bits(result.out, CONFIG.out_width).tobytes()
            self.memory[out : out + len(raw)] = raw
            want = HdpKind().record(job, result, CONFIG)
            words = [1, want.head_kept, want.theta_head, 0, want.blocks_kept, want.blocks_total,
                     want.read_bytes, want.write_bytes, *[0] * 8]
            self.memory[status : status + 64] = b"".join(w.to_bytes(4, "little") for w in words)
        self.registers[AT["status"]] = 2
        self.registers[AT["jobs_done"]] = count

    async def read_memory(self, address, size):
        return bytes(self.memory[address : address + size])

    async def write_memory(self, address, data):
        self.memory[address : address + len(data)] = data

    async def wait_irq(self, cycles):
        self.asked.append(cycles)
        self.waits -= 1
        return self.waits < 0


def test_runs_jobs_and_reads_only_what_was_written():
    fake = Fake()
    driver = Driver(fake, CONFIG)
    asyncio.run(driver.check())
    results, counters = asyncio.run(driver.run(JOBS))
    assert list(counters) == counter_names(CONFIG)
    assert counters["jobs_done"] == 3
    for job, (out, status) in zip(JOBS, results, strict=True):
        result = head(job, CONFIG)
        assert (out == result.out).all()
        assert status == HdpKind().record(job, result, CONFIG)
    assert fake.registers[AT["irq_enable"]] == 1


def test_writable_ranges():
    image = build_image(JOBS, CONFIG)
    ranges = writable_ranges(image, JOBS, CONFIG)
    assert sorted(address for address, _ in ranges) == sorted(image.out + image.status)
    assert all(set(image.data[a : a + size]) == {0xA5} for a, size in ranges)
    assert sum(size for _, size in ranges) == image.data.count(0xA5) - sum(
        image.data[at] == 0xA5 for at in range(len(image.data))
        if not any(a <= at < a + size for a, size in ranges))


def test_another_coprocessor_is_refused():
    fake = Fake()
    fake.registers[AT["version"]] = 7
    with pytest.raises(DriverError, match="register version must read 0x00000004, not 0x00000007"):
        asyncio.run(Driver(fake, CONFIG).check())


@pytest.mark.parametrize("status", [1, 2, 1 << 4 | 10, 1 << 5, 1 << 6 | 9])
def test_what_an_earlier_session_left_is_aborted(status):
    fake = Fake()
    fake.registers[AT["status"]], fake.polls = status, 5
    asyncio.run(Driver(fake, CONFIG).check())
    assert fake.aborts == 1
    assert fake.registers[AT["status"]] == 0
    results, _ = asyncio.run(Driver(fake, CONFIG).run(JOBS))
    assert len(results) == len(JOBS)


def test_a_fresh_coprocessor_is_not_aborted():
    fake = Fake()
    asyncio.run(Driver(fake, CONFIG).check())
    assert fake.aborts == 0


def test_an_abort_that_never_ends():
    fake = Fake()
    fake.registers[AT["status"]] = 1
    with pytest.raises(DriverError, match="the memory must answer what it was asked for before an "
                                          "abort is over; status 33, jobs_done 0, .*, error 0"):
        asyncio.run(Driver(fake, CONFIG).check())


def test_a_table_that_was_halted():
    fake = Fake()
    fake.registers[AT["status"]] = 1 << Status.HALTED | 10
    with pytest.raises(DriverError, match="the memory did not answer in time; status 26, "):
        asyncio.run(Driver(fake, CONFIG).finish())


class Slow(Fake):
    """Works a table off while a host waits; its interrupt is a level, as that of the hardware."""

    left = 0

    def work(self, count):
        self.left = count
        self.registers[AT["status"]] |= 1

    async def wait_irq(self, cycles):
        self.asked.append(cycles)
        if not self.registers[AT["status"]] & 2:
            super().work(self.left)
        return True


@pytest.mark.parametrize("pending", [0, 2])
def test_an_interrupt_of_before_is_not_taken_for_this_one(pending):
    """As of a host that went away before it cleared it."""
    fake = Slow()
    fake.registers[AT["status"]] = pending
    results, _ = asyncio.run(Driver(fake, CONFIG).run(JOBS))
    for job, (out, _) in zip(JOBS, results, strict=True):
        assert (out == head(job, CONFIG).out).all()


@pytest.mark.parametrize(("found", "told"), [
    ({"id": 0xFFFF_FFFF}, "register id must read 0x4e555250, not 0xffffffff: there is no "
                          "coprocessor of Prunus behind these registers"),
    ({"version": 3}, "the hardware was made by another version of Prunus, with another memory "
                     "image; make it anew"),
    ({"revision": 1}, "not 0x00000001: the hardware was made by another version of Prunus; make it "
                      "anew"),
    ("hdp_edge", "not 0x00400200: the coprocessor is that of hdp_edge, not that of hdp_tiny"),
    ("leopard_tiny", "not 0x00400208: the coprocessor is that of leopard_tiny, not that of "
                     "hdp_tiny"),
    ("topk_edge", "the coprocessor is that of topk_edge, not that of hdp_tiny"),
    ({"limits": 0x0008_0008}, "register limits must read 0x00200020, not 0x00080008: the "
                              "coprocessor is another one, of no preset, not that of hdp_tiny")])
def test_another_coprocessor_is_told_by_its_name(found, told):
    fake = Fake()
    if isinstance(found, str):
        config = load_config(found)
        fake.registers |= {r.address: constants(config)[r.name] for r in register_map(config)
                           if r.name in constants(config)}
    else:
        fake.registers |= {AT[name]: value for name, value in found.items()}
    with pytest.raises(DriverError) as refusal:
        asyncio.run(Driver(fake, CONFIG).check())
    assert str(refusal.value).endswith(told)


def test_no_interrupt_in_time_is_told_with_the_registers():
    fake = Fake(waits=3)
    fake.registers[AT["jobs_done"]] = 2
    with pytest.raises(DriverError, match="no interrupt after 70 cycles; status 0, jobs_done 2, "):
        asyncio.run(Driver(fake, CONFIG).finish(70))
    assert fake.asked == [70]


def test_progress_is_told_between_waits():
    fake, seen = Fake(waits=2), []
    driver = Driver(fake, CONFIG)

    async def run():
        await driver.start(build_image(JOBS, CONFIG), len(JOBS))
        await driver.finish(50_000, seen.append)

    asyncio.run(run())
    assert fake.asked == [20_000, 20_000, 10_000]
    assert seen == [3, 3]


def test_a_wrong_status_is_told():
    fake = Fake()
    driver = Driver(fake, CONFIG)
    with pytest.raises(DriverError, match="status must be idle with the interrupt pending; "
                                          "status 0"):
        asyncio.run(driver.finish())
    fake.stuck = True
    asyncio.run(driver.transport.write_memory(0, bytes(build_image(JOBS, CONFIG).data)))
    fake.work(3)
    with pytest.raises(DriverError, match="status must be clear after the interrupt was; status 2"):
        asyncio.run(driver.finish())


def test_an_image_is_written_from_address_zero():
    fake = Fake()
    fake.work = lambda count: None
    asyncio.run(Driver(fake, CONFIG).start(Image(data=bytearray(b"abc"), table=64), 1))
    assert fake.memory[:4] == b"abc\0"
    assert fake.registers[AT["table"]] == 64


def test_wide_addresses_take_two_registers():
    config = widened(CONFIG, 48)
    at = {register.name: register.address for register in register_map(config)}
    fake = Fake()
    fake.work = lambda count: None
    driver = Driver(fake, config, base=0xABCD_0000_0080)
    asyncio.run(driver.start(Image(data=bytearray(256), table=128), 0))
    assert (fake.registers[at["table"]], fake.registers[at["table_high"]]) == (0x100, 0xABCD)
    fake.registers |= {at["error_address"]: 0x40, at["error_address_high"]: 0x1234}
    assert f"error_address {0x1234_0000_0040}" in asyncio.run(driver.describe())
    with pytest.raises(DriverError, match="register engine must read 0x00001001, not 0x00000001: "
                                          "the coprocessor is that of hdp_own_tiny or hdp_tiny, "
                                          "not that of"):
        asyncio.run(driver.check())


def test_an_image_beyond_the_addresses_is_refused():
    for config, base in ((CONFIG, 1 << 32), (widened(CONFIG, 40), 1 << 40), (widened(CONFIG), 64)):
        with pytest.raises(ValueError, match="^base must be a multiple of "):
            asyncio.run(Driver(Fake(), config, base).start(Image(data=bytearray(64)), 0))

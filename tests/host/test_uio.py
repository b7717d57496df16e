# SPDX-License-Identifier: Apache-2.0
"""The driver on Linux beside the coprocessor: devices, mappings, and the simulated RTL.

In the simulation memory is a file that both map, and the interrupt a socket that is like the file
of a UIO device. A plain file cannot tell of a write of the value that it holds, so registers are
behind a socket there. What is mapped of them is tested by itself.
"""

import json
import mmap
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from prunus.engines import leopard
from prunus.engines.hdp import Options, load_jobs
from prunus.golden.engines import load_config
from prunus.golden.errors import InputError
from prunus.golden.registers import Status
from prunus.host import UioTransport, uio
from prunus.host.coprocessor import _finish
from prunus.host.driver import DriverError
from prunus.host.uio import Interrupt, MappedRegisters, Mapping, Place, find_memory, find_registers
from prunus.run import run_golden
from prunus.sim.served import ServedSimulation
from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus
from tests.sim.served import ServedRegisters, interrupts
from tests.sim.wide import widened

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "minilm_sentence.npz"
HDP, LEOPARD = load_config("hdp_tiny"), load_config("leopard_tiny")
BASE = 0x8000_0000 - 4096       # descriptors and planes lie on either side of it
HEADS = 3
WIDE = widened(HDP, 48)


# -- places -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("text", "place"), [
    ("/dev/uio0", Place("/dev/uio0")),
    ("/dev/mem@0x40000000", Place("/dev/mem", 0x4000_0000)),
    ("/dev/mem@4096+0x1000", Place("/dev/mem", 4096, 4096)),
])
def test_places(text, place):
    assert Place.parse(text, "device") == place


@pytest.mark.parametrize("text", ["", "@1", "a@", "a@x", "a@1+", "a@1+x", "a@1+2+3", "a@-1"])
def test_what_is_no_place(text):
    with pytest.raises(InputError, match="^memory must be PATH, PATH@ADDRESS or PATH@ADDRESS.SIZE"):
        Place.parse(text, "memory")


@pytest.fixture
def classes(tmp_path):
    """What sysfs has of a UIO device and of a buffer."""
    for name, text in {"uio/uio3/maps/map0/size": "0x1000", "uio/uio3/maps/map0/offset": "0x100",
                       "u-dma-buf/udmabuf1/phys_addr": "0x70000000",
                       "u-dma-buf/udmabuf1/size": "1048576"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
    return tmp_path


def test_registers_are_found(classes):
    assert find_registers(Place("/dev/uio3"), classes) == (0x100, 4096)
    assert find_registers(Place("/dev/uio4"), classes) == (0, 256)
    assert find_registers(Place("/dev/mem", 0x4000_0000), classes) == (0x4000_0000, 256)


def test_memory_is_found(classes):
    assert find_memory(Place("/dev/udmabuf1"), HDP, classes) == (0x7000_0000, 1 << 20)
    assert find_memory(Place("/dev/udmabuf1", 0, 64), HDP, classes) == (0, 64)
    assert find_memory(Place("/dev/x", 1 << 40, 64), WIDE) == (1 << 40, 64)
    with pytest.raises(InputError, match="memory '/dev/x' is no u-dma-buf that tells its address"):
        find_memory(Place("/dev/x"), HDP, classes)


@pytest.mark.parametrize(("address", "size"), [
    (32, 64), (0, 0), (1 << 32, 64), (0xFFFF_FFC0, 65)])
def test_memory_out_of_reach(address, size):
    with pytest.raises(InputError, match="^memory must begin at a multiple of 64 and end within 32 "
                                         "bits, not "):
        find_memory(Place("/dev/x", address, size), HDP)


@pytest.mark.parametrize(("address", "size"), [(64, 64), (1 << 48, 64), ((1 << 48) - 128, 129)])
def test_memory_out_of_wide_reach(address, size):
    with pytest.raises(InputError, match="^memory must begin at a multiple of 128 and end within "
                                         "48 bits, not "):
        find_memory(Place("/dev/x", address, size), WIDE)


# -- mappings -----------------------------------------------------------------------------------
def test_registers_in_a_mapping(tmp_path):
    """At an offset that is no page's first byte, as map0/offset and /dev/mem have it."""
    path, offset = tmp_path / "registers", mmap.ALLOCATIONGRANULARITY + 0x100
    path.write_bytes(bytes(offset) + struct.pack("=4I", 1, 2, 3, 0xFFFF_FFFF))
    mapping = Mapping(str(path), offset, 16)
    registers = MappedRegisters(mapping)
    assert [registers.read(at) for at in (0, 4, 8, 12)] == [1, 2, 3, 0xFFFF_FFFF]
    registers.write(8, 0x8765_4321)
    assert struct.unpack("=4I", path.read_bytes()[offset:]) == (1, 2, 0x8765_4321, 0xFFFF_FFFF)
    with pytest.raises(IndexError):
        registers.read(16)


def test_what_cannot_be_mapped(tmp_path):
    with pytest.raises(InputError, match="'/dev/none' cannot be opened: No such file"):
        Mapping("/dev/none", 0, 64)
    short = tmp_path / "short"
    short.write_bytes(bytes(64))
    files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InputError, match="0x41 bytes of '.*short' at 0x0 cannot be mapped: "):
        Mapping(str(short), 0, 65)
    assert len(os.listdir("/proc/self/fd")) == files


def test_a_mapping_is_closed(tmp_path):
    path = tmp_path / "some"
    path.write_bytes(bytes(64))
    files = len(os.listdir("/proc/self/fd"))
    mapping = Mapping(str(path), 0, 64)
    mapping.close()
    assert len(os.listdir("/proc/self/fd")) == files


class Waits:
    """Registers whose interrupt comes after some looks, and a clock that only waiting moves."""

    def __init__(self, looks):
        self.looks, self.now, self.waited = looks, 0.0, []

    def read(self, offset):
        self.looks -= 1
        return 0 if self.looks >= 0 else 1 << Status.IRQ

    def write(self, offset, value):
        raise AssertionError("nothing is to be written")

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += 0.01

    def over(self, interrupt):
        return UioTransport(self, memoryview(b""), interrupt, sleep=self.wait,
                            clock=lambda: self.now)


@pytest.mark.parametrize("interrupt", [True, False])
def test_waiting(interrupt):
    """An interrupt that was another's is waited for again; time is limited."""
    waits = Waits(3)
    assert _finish(waits.over(waits if interrupt else None).wait_irq(None)) is True
    assert waits.waited == [None if interrupt else uio.POLL_S] * 3
    waits = Waits(1000)
    assert _finish(waits.over(waits if interrupt else None).wait_irq(100)) is False
    assert waits.now == pytest.approx(0.05, abs=0.011)
    if interrupt:
        assert waits.waited[0] == 0.05 > waits.waited[-1] > 0


# -- the RTL ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "in.npz"
    with np.load(EXAMPLE) as data:
        arrays = dict(data)
    np.savez(path, **{name: a[:HEADS] if a.ndim == 3 else a for name, a in arrays.items()})
    return path, {"hdp": load_jobs(path, HDP, Options()), "leopard": leopard.load_jobs(
        path, LEOPARD, 0.5)}


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Options of a command for a simulated coprocessor, whose registers are behind its socket."""
    connections = []                # open as long as the test

    def start(served, memory, size, polls=False):
        device = tmp_path / "device"
        device.write_bytes(bytes(256))

        def transport(place, registers, memory):
            assert (place.path, len(registers.bytes)) == (str(device), 256)
            opened = ServedRegisters(served.port), interrupts(served.port)
            connections.extend(opened)
            return UioTransport(opened[0], memory.bytes,
                                None if polls else Interrupt(opened[1].fileno()))

        monkeypatch.setattr(uio, "transport", transport)
        return ["--backend", "uio", "--device", device, "--memory", f"{memory}@{BASE:#x}+{size}"]

    yield start
    for connection in connections:
        connection.close()


def test_wide_addresses(tmp_path, heads, monkeypatch):
    """Memory above 4 GiB, and heads in several tables, each on 128 bytes."""
    _, jobs = heads
    memory, device, base = tmp_path / "memory", tmp_path / "device", 0xBEEF_8000_0000 - 4096
    memory.write_bytes(bytes(8192))
    device.write_bytes(bytes(256))
    with ServedSimulation(WIDE, memory, base) as served:
        registers = ServedRegisters(served.port)
        monkeypatch.setattr(uio, "transport", lambda place, mapped, memory: UioTransport(
            registers, memory.bytes, None))
        with uio.open_uio(str(device), WIDE, memory=f"{memory}@{base:#x}+8192") as coprocessor:
            assert len(coprocessor.plan(jobs["hdp"])) > 1
            results, _ = coprocessor.run(jobs["hdp"])
        registers.close()
    for (out, status), (want, told) in zip(results, run_golden(jobs["hdp"], WIDE).outputs,
                                           strict=True):
        assert_array_equal(out, want)
        assert status == told and out.any()


@pytest.mark.parametrize(("config", "polls", "size"), [
    (HDP, False, 1 << 16), (HDP, True, 8192), (LEOPARD, False, 8192)],
    ids=["hdp", "hdp-polled", "leopard"])
def test_command(capfd, tmp_path, heads, serve, config, polls, size):
    """Memory for all heads at once, or for one table after the other."""
    path, jobs = heads
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(size))
    more = ["--threshold", "0.5"] if config.engine == "leopard" else []
    with ServedSimulation(config, memory, BASE) as served:
        code, out, err = prunus(capfd, "run", path, tmp_path / "out.npz", "--config", config.name,
                                *serve(served, memory, size, polls), *more)
    assert (code, err) == (0, "")
    assert out.startswith("backend: uio, ")
    expected = run_golden(jobs[config.engine], config)
    with np.load(tmp_path / "out.npz") as data:
        assert_array_equal(data["out"], [want for want, _ in expected.outputs])
        assert data["out"].any() and int(data["cycles"]) > 1000


def test_a_model_through_the_device(capfd, tmp_path, serve):
    """``prunus infer`` rings one doorbell after the other, with the bits of the specification."""
    tiny.need_torch()
    model = tiny.make_model(tmp_path / "bert")
    options = ["infer", model, "w1 w2 w3", "--method", "hdp", "--distance", "0.7", "--preset",
               "hdp_tiny", "--json"]
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(16384))
    with ServedSimulation(HDP, memory, BASE) as served:
        code, out, err = prunus(capfd, *options, *serve(served, memory, 16384))
    assert (code, err) == (0, "")
    got, want = json.loads(out), json.loads(prunus(capfd, *options)[1])
    assert (got["backend"], got["cycles_from"]) == ("uio", "counters")
    assert got["logits"] == want["logits"] and got["logits"] != got["float"]


def test_another_preset_and_too_little_memory(capfd, tmp_path, heads, serve):
    path, _ = heads
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(4096))
    with ServedSimulation(HDP, memory, BASE) as served:
        options = serve(served, memory, 1024)
        code, _, err = prunus(capfd, "run", path, tmp_path / "out.npz", "--config", "hdp_fine_tiny",
                              *options)
        assert (code, err.count("\n")) == (1, 1)
        assert err.startswith("error: register format must read 0x0040")
        code, _, err = prunus(capfd, "run", path, tmp_path / "out.npz", "--config", "hdp_tiny",
                              *options)
        assert (code, err.count("\n")) == (2, 1)
        assert "must fit the memory of 1024 bytes" in err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(("device", "memory", "said"), [
    ("/dev/none", "/dev/null@0+64", "'/dev/none' cannot be opened: No such file or directory"),
    ("/dev/mem", "x@0+64", "device /dev/mem needs the address of the registers: /dev/mem@ADDRESS"),
    ("x@y", "x@0+64", "device must be PATH, PATH@ADDRESS or PATH@ADDRESS+SIZE, not 'x@y'"),
    ("/dev/none", "/dev/none", "memory '/dev/none' is no u-dma-buf that tells its address and "
     "size: say /dev/none@ADDRESS+SIZE"),
])
def test_bad_devices(capfd, tmp_path, device, memory, said):
    code, out, err = prunus(capfd, "run", EXAMPLE, tmp_path / "out.npz", "--backend", "uio",
                            "--device", device, "--memory", memory)
    assert (code, out, err) == (2, "", f"error: {said}\n")


def test_a_device_that_is_none(capfd, tmp_path):
    """A file of zeros: no coprocessor answers."""
    for name in ("registers", "memory"):
        (tmp_path / name).write_bytes(bytes(4096))
    code, _, err = prunus(capfd, "run", EXAMPLE, tmp_path / "out.npz", "--backend", "uio",
                          "--device", tmp_path / "registers", "--memory",
                          f"{tmp_path / 'memory'}@0+4096")
    assert (code, err) == (1, "error: register id must read 0x4e555250, not 0x00000000: there is "
                              "no coprocessor of Prunus behind these registers\n")
    with pytest.raises(DriverError, match="register id must read"):
        uio.open_uio(str(tmp_path / "registers"), HDP, memory=f"{tmp_path / 'memory'}@0+4096")

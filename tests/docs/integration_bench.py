# SPDX-License-Identifier: Apache-2.0
"""Inside the simulator: notes cycle by cycle what a coprocessor does at its ports.

A bus model of its own, which can hold back each channel, works off a table of jobs several times.
Inputs change at the falling edge, so what is there then is what the next rising edge takes.
"""

import json
import os
from collections import deque
from pathlib import Path
from random import Random

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, Timer

from prunus.golden import registers
from prunus.golden.engines import load_config

HALF_NS = 5
LIMIT = 200_000
ADDRESS = {register.name: register.address for register in registers.SHARED}
PENDING, BUSY = 1 << registers.Status.IRQ, 1 << registers.Status.BUSY
CONSTANT = ("id", "size", "burst", "lock", "cache", "prot", "qos")
HELD = {"r": 1500, "w": 3000, "b": 12_000, "aw": 1500}     # cycles that a channel is held back


class Ports:
    """The coprocessor, a memory behind it, and a host before it.

    ``allow`` has the chance per cycle that a channel moves.
    """

    def __init__(self, dut, memory: np.ndarray, beat: int):
        self.dut, self.memory, self.beat = dut, memory, beat
        self.allow = dict.fromkeys(("ar", "r", "aw", "w", "b"), 1.0)
        self.random = Random(1)
        self.reads: deque[int] = deque()        # addresses of beats to be read, in order
        self.last: deque[bool] = deque()
        self.bursts: deque[tuple[int, int]] = deque()   # write addresses without all their data
        self.data: deque[tuple[int, int, bool]] = deque()       # beats without their address
        self.answers = 0                        # write responses to be given
        self.cycle = 0
        self.ids: set[int] = set()
        self.ready_fell = self.gaps = 0
        self.seen = {"ar": [], "aw": [], "constants": [], "strobes": [], "written": []}
        self.peaks = {"read_beats": 0, "addresses_ahead": 0, "responses": 0, "data_ahead": 0}
        self.within = 0                         # beats of the write burst that has begun
        self.open = 0                           # write addresses without their response
        for name in ("s_axil_awvalid", "s_axil_wvalid", "s_axil_arvalid", "m_axi_rvalid",
                     "m_axi_bvalid", "m_axi_arready", "m_axi_awready", "m_axi_wready",
                     "m_axi_rid", "m_axi_bid", "m_axi_rresp", "m_axi_bresp", "m_axi_rdata",
                     "m_axi_rlast", "s_axil_awprot", "s_axil_arprot", "s_axil_awaddr",
                     "s_axil_araddr", "s_axil_wdata"):
            getattr(dut, name).value = 0
        for name in ("s_axil_bready", "s_axil_rready"):
            getattr(dut, name).value = 1
        dut.s_axil_wstrb.value = 15

    def get(self, name: str) -> int:
        return int(getattr(self.dut, name).value)

    def _may(self, channel: str) -> bool:
        return self.random.random() < self.allow[channel]

    async def step(self) -> None:
        """To the next falling edge, then the bus."""
        await FallingEdge(self.dut.clk)
        self.cycle += 1
        for name in ("m_axi_rid", "m_axi_bid"):
            bit = self.random.getrandbits(1)
            getattr(self.dut, name).value = bit
            self.ids.add(bit)
        self._read()
        self._write()

    def _address(self, channel: str) -> tuple[int, int]:
        self.seen["constants"].append([channel, *(
            self.get(f"m_axi_{channel}{name}") for name in CONSTANT)])
        burst = self.get(f"m_axi_{channel}addr"), self.get(f"m_axi_{channel}len") + 1
        self.seen[channel].append(burst)
        return burst

    def _read(self) -> None:
        dut, ready = self.dut, self._may("ar")
        waiting = len(self.reads)
        if waiting and not self.get("m_axi_rready"):
            self.ready_fell += 1
        dut.m_axi_arready.value = ready
        valid = bool(waiting) and self._may("r")
        dut.m_axi_rvalid.value = valid
        if valid:
            at = self.reads.popleft()
            dut.m_axi_rdata.value = int.from_bytes(self.memory[at : at + self.beat].tobytes(),
                                                   "little")
            dut.m_axi_rlast.value = self.last.popleft()
        if ready and self.get("m_axi_arvalid"):
            address, beats = self._address("ar")
            self.reads.extend(address + n * self.beat for n in range(beats))
            self.last.extend(n == beats - 1 for n in range(beats))
        self.peaks["read_beats"] = max(self.peaks["read_beats"], len(self.reads))

    def _write(self) -> None:
        dut = self.dut
        if not self.get("m_axi_bready"):
            self.ready_fell += 1
        answer = self.answers > 0 and self._may("b")
        dut.m_axi_bvalid.value = answer
        self.answers -= answer
        self.open -= answer
        ready = self._may("aw")
        dut.m_axi_awready.value = ready
        if ready and self.get("m_axi_awvalid"):
            self.bursts.append(self._address("aw"))
            self.open += 1
        ready = self._may("w")
        dut.m_axi_wready.value = ready
        if self.within and not self.get("m_axi_wvalid"):
            self.gaps += 1
        if ready and self.get("m_axi_wvalid"):
            last = bool(self.get("m_axi_wlast"))
            self.data.append((self.get("m_axi_wdata"), self.get("m_axi_wstrb"), last))
            self.within = 0 if last else self.within + 1
        self.peaks["addresses_ahead"] = max(self.peaks["addresses_ahead"], len(self.bursts))
        self.peaks["responses"] = max(self.peaks["responses"], self.open)
        if not self.bursts:
            self.peaks["data_ahead"] = max(self.peaks["data_ahead"], len(self.data))
        while self.bursts and any(last for *_, last in self.data):
            address, beats = self.bursts.popleft()
            for n in range(beats):
                word, strobes, last = self.data.popleft()
                assert last == (n == beats - 1), "wlast"
                at = address + n * self.beat
                self.memory[at : at + self.beat] = np.frombuffer(
                    word.to_bytes(self.beat, "little"), np.uint8)
                self.seen["strobes"].append(strobes)
                self.seen["written"].append(at)
            self.answers += 1

    async def write(self, address: int, value: int) -> tuple[int, int]:
        """The response, and cycles from address and data to it."""
        dut = self.dut
        dut.s_axil_awaddr.value, dut.s_axil_wdata.value = address, value
        dut.s_axil_awvalid.value = dut.s_axil_wvalid.value = 1
        begun, open_ = None, {"aw", "w"}
        while True:
            taken = {c for c in open_ if self.get(f"s_axil_{c}ready")}
            await self.step()
            open_ -= taken
            for channel in taken:
                getattr(dut, f"s_axil_{channel}valid").value = 0
            begun = self.cycle if not open_ and begun is None else begun
            if self.get("s_axil_bvalid"):
                response = self.get("s_axil_bresp")
                took = self.cycle - begun + 1
                await self.step()
                return response, took

    async def read(self, address: int) -> tuple[int, int, int]:
        """Value, response, and cycles from the address to it."""
        dut = self.dut
        dut.s_axil_araddr.value, dut.s_axil_arvalid.value = address, 1
        begun = None
        while True:
            taken = begun is None and self.get("s_axil_arready")
            await self.step()
            if taken:
                begun, dut.s_axil_arvalid.value = self.cycle, 0
            if self.get("s_axil_rvalid"):
                value, response = self.get("s_axil_rdata"), self.get("s_axil_rresp")
                took = self.cycle - begun + 1
                await self.step()
                return value, response, took

    async def until(self, condition) -> None:
        for _ in range(LIMIT):
            if condition():
                return
            await self.step()
        raise AssertionError("the coprocessor does not come to an end")


async def _table(ports: Ports, image: np.ndarray, table: int, count: int) -> None:
    """Ring for a table."""
    ports.memory[: len(image)] = image
    assert (await ports.write(ADDRESS["table"], table))[0] == 0
    assert (await ports.write(ADDRESS["irq_enable"], 1))[0] == 0
    assert (await ports.write(ADDRESS["doorbell"], count))[0] == 0


async def _interrupt(ports: Ports, notes: dict, image, table: int, count: int) -> None:
    """Its level, when it rises, and what a doorbell does to it."""
    await _table(ports, image, table, count)
    await ports.until(lambda: ports.get("irq"))
    notes["open_at_irq"] = ports.open + len(ports.data)
    notes["results"] = [ports.memory.tobytes().hex()]
    levels = []
    for _ in range(100):
        await ports.step()
        levels.append(ports.get("irq"))
    await _table(ports, image, table, count)
    status, _, _ = await ports.read(ADDRESS["status"])
    notes["status_after_second_doorbell"] = status
    while status & BUSY:
        levels.append(ports.get("irq"))
        status, _, _ = await ports.read(ADDRESS["status"])
    notes["irq_until_cleared"] = sorted(set(levels))
    notes["results"].append(ports.memory.tobytes().hex())
    await ports.write(ADDRESS["irq_enable"], 0)
    await ports.step()
    notes["irq_while_disabled"] = ports.get("irq")
    notes["status_while_disabled"], _, _ = await ports.read(ADDRESS["status"])
    await ports.write(ADDRESS["irq_enable"], 1)
    await ports.step()
    notes["irq_enabled_again"] = ports.get("irq")
    await ports.write(ADDRESS["status"], PENDING)
    await ports.step()
    notes["irq_after_clear"] = ports.get("irq")


async def _held_back(ports: Ports, notes: dict, image, table: int, count: int) -> None:
    """Each channel in turn, so long that the coprocessor asks for no more, and all at random."""
    for channel, cycles in HELD.items():
        await _table(ports, image, table, count)
        if channel != "r":
            await ports.until(lambda: ports.get("m_axi_awvalid"))
        ports.allow[channel] = 0.0
        for _ in range(cycles):
            await ports.step()
        ports.allow = dict.fromkeys(ports.allow, 1.0)
        await ports.until(lambda: ports.get("irq"))
        await ports.write(ADDRESS["status"], PENDING)
        notes["results"].append(ports.memory.tobytes().hex())
    await _table(ports, image, table, count)
    ports.allow = dict.fromkeys(ports.allow, 0.5)
    await ports.until(lambda: ports.get("irq"))
    await ports.write(ADDRESS["status"], PENDING)
    ports.allow = dict.fromkeys(ports.allow, 1.0)
    notes["results"].append(ports.memory.tobytes().hex())


async def _reset(ports: Ports, notes: dict, image, table: int, count: int) -> None:
    dut = ports.dut
    await ports.write(ADDRESS["table"], 0x1240)
    await ports.step()
    dut.rst.value = 1                           # between two edges, so nobody sees it
    await Timer(1, "ns")
    dut.rst.value = 0
    await ports.step()
    notes["table_after_a_pulse_between_edges"], _, _ = await ports.read(ADDRESS["table"])
    dut.rst.value = 1
    await ports.step()
    dut.rst.value = 0
    await ports.step()
    notes["table_after_a_cycle"], _, _ = await ports.read(ADDRESS["table"])
    await _table(ports, image, table, count)
    ports.allow["ar"] = 0.0
    await ports.until(lambda: ports.get("m_axi_arvalid"))
    await ports.step()
    dut.rst.value = 1
    before = ports.get("m_axi_arvalid")
    await ports.step()
    dut.rst.value = 0
    notes["arvalid_around_a_reset"] = [before, ports.get("m_axi_arvalid")]
    ports.allow["ar"] = 1.0
    for _ in range(8):
        await ports.step()
    await _table(ports, image, table, count)
    await ports.until(lambda: ports.get("irq"))
    notes["results"].append(ports.memory.tobytes().hex())


async def _clock(dut) -> None:
    while True:
        dut.clk.value = 0
        await Timer(HALF_NS, "ns")
        dut.clk.value = 1
        await Timer(HALF_NS, "ns")


@cocotb.test()
async def observe(dut):
    """All of it; there is no reset before the first table."""
    with np.load(os.environ["OBSERVE_IMAGE"]) as file:
        image, table, count = file["image"], int(file["table"]), int(file["count"])
        config = load_config(str(file["config"]))
    dut.rst.value = 0
    cocotb.start_soon(_clock(dut))
    memory = np.full((len(image) // 4096 + 2) * 4096, 0x5A, np.uint8)
    ports, notes = Ports(dut, memory, config.axi_data_width // 8), {}
    for _ in range(4):
        await ports.step()
    values = [await ports.read(address) for address in range(0, 1 << registers.ADDRESS_BITS, 4)]
    notes["responses"] = {str(4 * n): response for n, (_, response, _) in enumerate(values)}
    notes["read_cycles"] = sorted({took for *_, took in values})
    notes["low_bits"] = [(await ports.read(ADDRESS["id"] + n))[0] for n in range(4)]
    notes["write_cycles"] = [(await ports.write(ADDRESS["irq_enable"], 0))[1] for _ in range(8)]
    await _interrupt(ports, notes, image, table, count)
    await _held_back(ports, notes, image, table, count)
    await _reset(ports, notes, image, table, count)
    notes |= {"peaks": ports.peaks, "ready_fell": ports.ready_fell, "gaps": ports.gaps,
              "ids_given": sorted(ports.ids), **ports.seen}
    Path(os.environ["OBSERVE_NOTES"]).write_text(json.dumps(notes), encoding="utf-8")

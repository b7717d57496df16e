# SPDX-License-Identifier: Apache-2.0
"""The bench of a simulated board, inside the simulator: a pseudo-terminal on the UART's pins."""

import json
import os
import random
import select
import time
import tty
from collections import deque
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, Timer

from ..board import BENCH, Faults
from .clocks import PERIOD_NS, cycles
from .native import start_clock

__all__ = ["run"]

IDLE_CYCLES = 400           # between two looks at the terminal
AWAKE_S, NAP_S = 2.0, 0.02  # so long after the last byte simulated time goes on at full speed
CHUNK = 4096


class _Damage:
    """What a line does to bytes."""

    def __init__(self, faults: Faults, direction: int):
        self._faults = faults
        self._random = random.Random(2 * faults.seed + direction)

    def __call__(self, byte: int) -> list[int]:
        """The bytes that arrive for one."""
        draw, faults = self._random.random, self._faults
        arriving = [self._random.randrange(256)] if draw() < faults.insert else []
        if draw() < faults.flip:
            byte ^= 1 << self._random.randrange(8)
        return arriving if draw() < faults.drop else [*arriving, byte]


class _Terminal:
    """A pseudo-terminal without echo or translation of characters; its other end stays open, so
    that programs may come and go."""

    def __init__(self):
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        os.set_blocking(self._master, False)

    def read(self, wait_s: float) -> bytes:
        ready, _, _ = select.select([self._master], [], [], wait_s)
        return os.read(self._master, CHUNK) if ready else b""

    def write(self, data: bytes) -> None:
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return      # nobody reads, and a line does not wait


class _Line:
    """The pins and the terminal."""

    def __init__(self, dut, divisor: int, faults: Faults):
        self.dut = dut
        self.bit = divisor * PERIOD_NS
        self.terminal = _Terminal()
        self.to_board, self.to_host = _Damage(faults, 0), _Damage(faults, 1)
        self.waiting: deque[int] = deque()
        self.last = time.monotonic()

    async def listen(self) -> None:
        """For ever: bytes from tx to the terminal."""
        tx = self.dut.tx
        while True:
            if tx.value:
                await FallingEdge(tx)
            await Timer(self.bit + self.bit // 2, "ns")
            byte = 0
            for n in range(8):
                byte |= int(tx.value) << n
                await Timer(self.bit, "ns")
            if not tx.value:
                raise AssertionError("a byte from the board has no stop bit")
            self.last = time.monotonic()
            if arriving := self.to_host(byte):
                self.terminal.write(bytes(arriving))

    async def speak(self) -> None:
        """One byte from the terminal to rx, or time to think for the board."""
        if not self.waiting:
            napping = time.monotonic() - self.last > AWAKE_S
            for byte in self.terminal.read(NAP_S if napping else 0):
                self.waiting.extend(self.to_board(byte))
                self.last = time.monotonic()
        if not self.waiting:
            await Timer(IDLE_CYCLES * PERIOD_NS, "ns")
            return
        rx, byte = self.dut.rx, self.waiting.popleft()
        for level in (0, *(byte >> n & 1 for n in range(8)), 1):
            rx.value = level
            await Timer(self.bit, "ns")


@cocotb.test()
async def run(dut):
    """Until the file called stop exists, or whoever would write it has gone."""
    plan = json.loads(Path(os.environ[BENCH]).read_text(encoding="utf-8"))
    dut.rst.value = 1
    dut.rx.value = 1
    dut.clk.value = 0
    await Timer(PERIOD_NS, "ns")
    start_clock(dut)
    await cycles(dut.clk, 4)
    dut.rst.value = 0
    await cycles(dut.clk, 40)
    line = _Line(dut, plan["divisor"], Faults(**plan["faults"]))
    cocotb.start_soon(line.listen())
    name, stop = Path(plan["name"]), Path(plan["stop"])
    part = name.with_suffix(".part")
    part.write_text(line.terminal.name, encoding="utf-8")
    part.replace(name)
    parent = os.getppid()
    while not stop.exists() and os.getppid() == parent:
        for _ in range(50):
            await line.speak()

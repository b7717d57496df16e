# SPDX-License-Identifier: Apache-2.0
"""The bench of a served coprocessor, inside the simulator: registers for whoever connects."""

import json
import mmap
import os
import select
import socket
import struct
import time
from pathlib import Path

import cocotb
from cocotb.triggers import Timer

from ..exchange import Side
from ..served import ANSWER, REQUEST, SERVED, What
from .axi import AxiTransport
from .clocks import PERIOD_NS, cycles
from .native import NativeMemory

__all__ = ["run"]

IDLE_CYCLES = 200           # between two looks at the sockets
AWAKE_S, NAP_S = 2.0, 0.02  # so long after the last request simulated time goes on at full speed
WORD = struct.Struct("=I")


class _Line:
    """One connection."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.buffer = b""
        self.waits = self.tells = False     # for the interrupt: by a request, like UIO
        self.enabled = False
        self.count = 0

    def take(self, size: int) -> bytes | None:
        if len(self.buffer) < size:
            return None
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken


class _Server:
    """Works off requests, one at a time."""

    def __init__(self, dut, transport: AxiTransport, memory: NativeMemory, path: str):
        self.dut, self.transport, self.memory = dut, transport, memory
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.lines: list[_Line] = []
        self.last = time.monotonic()

    def _poll(self) -> None:
        """Take what has come; wait a little when there has been nothing for long."""
        waiting = any(line.waits or line.enabled for line in self.lines)
        nap = NAP_S if time.monotonic() - self.last > AWAKE_S and not waiting else 0
        ready, _, _ = select.select([self.listener, *(line.socket for line in self.lines)], [], [],
                                    nap)
        for some in ready:
            self.last = time.monotonic()
            if some is self.listener:
                self.lines.append(_Line(self.listener.accept()[0]))
                continue
            line = next(line for line in self.lines if line.socket is some)
            if arrived := some.recv(4096):
                line.buffer += arrived
            else:
                self.lines.remove(line)
                some.close()

    async def _answer(self, line: _Line, request: bytes) -> None:
        what, offset, value = struct.unpack(REQUEST, request)
        response = 0
        if what == What.IRQ:
            line.tells = True
            return
        if what == What.WAIT:
            line.waits = True
            return
        if what == What.SILENCE:
            self.memory.silence(*[Side.R] * bool(value))
        elif what == What.READ:
            value, response = await self.transport.try_read(offset)
        else:
            response = await self.transport.try_write(offset, value)
        line.socket.sendall(struct.pack(ANSWER, response, value))

    def _interrupt(self, line: _Line) -> None:
        """As a UIO device: a level that is masked once it was told."""
        while line.tells and (word := line.take(WORD.size)) is not None:
            line.enabled = WORD.unpack(word)[0] == 1
        if not self.dut.irq.value:
            return
        if line.waits:
            line.waits = False
            line.socket.sendall(struct.pack(ANSWER, 0, 1))
        elif line.enabled:
            line.enabled = False
            line.count += 1
            line.socket.sendall(WORD.pack(line.count))

    async def step(self) -> None:
        self._poll()
        worked = False
        for line in list(self.lines):
            while not (line.tells or line.waits) and (
                    request := line.take(struct.calcsize(REQUEST))) is not None:
                await self._answer(line, request)
                worked = True
            self._interrupt(line)
        if not worked:
            await Timer(IDLE_CYCLES * PERIOD_NS, "ns")


def _broken(rule: str) -> None:
    """End the simulation: nobody here can be told."""
    print(rule, flush=True)
    os._exit(1)


@cocotb.test()
async def run(dut):
    """Until the file called stop exists, or whoever would write it has gone."""
    plan = json.loads(Path(os.environ[SERVED]).read_text(encoding="utf-8"))
    dut.rst.value = 1
    dut.clk.value = 0
    await Timer(PERIOD_NS, "ns")
    with open(plan["memory"], "r+b") as file:
        contents = mmap.mmap(file.fileno(), 0)
    memory = NativeMemory(dut, _broken)
    memory.fill(contents, [(0, len(contents), plan["base"])])
    transport = AxiTransport(dut, memory)
    memory.start_clock()
    await cycles(dut.clk, 4)
    dut.rst.value = 0
    await cycles(dut.clk, 2)
    server = _Server(dut, transport, memory, plan["port"])
    name, stop = Path(plan["name"]), Path(plan["stop"])
    part = name.with_suffix(".part")
    part.write_text(plan["port"], encoding="utf-8")
    part.replace(name)
    parent = os.getppid()
    while not stop.exists() and os.getppid() == parent:
        for _ in range(20):
            await server.step()
    if memory.outside is not None:
        raise AssertionError(f"the coprocessor wrote to {memory.outside:#x} of its memory, "
                             "outside")

# SPDX-License-Identifier: Apache-2.0
"""The driver's transport in a cocotb simulation: a master on s_axil, a memory on m_axi."""

import cocotb
from cocotb.triggers import First, RisingEdge, SimTimeoutError, Timer, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from prunus.host.driver import BusError

from .clocks import PERIOD_NS
from .memory import PythonMemory, Stalls
from .native import NativeMemory

__all__ = ["AxiTransport"]

LITE_CYCLES = 10_000       # a register access that takes more has failed


class AxiTransport:
    """Registers over AXI4-Lite, memory through the back door of the model on AXI4.

    Parameters
    ----------
    dut : handle
        The top.
    memory : PythonMemory or NativeMemory
    stall : float
        Probability of a pause, on every channel of both interfaces; 0 for none.
    seed : int
        Of the pauses.
    """

    def __init__(self, dut, memory: PythonMemory | NativeMemory, *, stall: float = 0.0,
                 seed: int = 0):
        self.dut = dut
        self.memory = memory
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self._stalls: Stalls | None = None
        if stall:
            write, read = self.lite.write_if, self.lite.read_if
            self._stalls = Stalls(
                dut.clk, [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                          read.r_channel], probability=stall, seed=seed)
            memory.stall(stall, seed + 1)

    def restart(self) -> None:
        """Nothing is left of what was before; called in a reset."""
        self.memory.restart()
        if self._stalls:
            self._stalls.restart()

    async def _lite(self, access):
        """The response of a register access, with pauses during it if wanted."""
        if self._stalls is None:
            return await self._in_time(access)
        return await self._in_time(self._stalled(access, self._stalls))

    async def _in_time(self, access):
        try:
            return await with_timeout(access, LITE_CYCLES * PERIOD_NS, "ns")
        except SimTimeoutError:
            raise BusError(f"a register access was not answered in {LITE_CYCLES} cycles") from None

    async def _stalled(self, access, stalls: Stalls):
        """With pauses."""
        task = cocotb.start_soon(access)
        while not task.done():
            await stalls.step()
        return task.result()

    async def try_read(self, address: int) -> tuple[int, int]:
        """``(value, response)``."""
        answer = await self._lite(self.lite.read(address, 4))
        return int.from_bytes(answer.data, "little"), int(answer.resp)

    async def try_write(self, address: int, value: int, size: int = 4) -> int:
        """The response."""
        answer = await self._lite(self.lite.write(address, value.to_bytes(size, "little")))
        return int(answer.resp)

    async def read_register(self, address: int) -> int:
        value, response = await self.try_read(address)
        if response != AxiResp.OKAY:
            raise BusError(f"read of register {address:#04x} answered {AxiResp(response).name}")
        return value

    async def write_register(self, address: int, value: int) -> None:
        response = await self.try_write(address, value)
        if response != AxiResp.OKAY:
            raise BusError(f"write of {value:#x} to register {address:#04x} answered "
                           f"{AxiResp(response).name}")

    async def read_memory(self, address: int, size: int) -> bytes:
        return bytes(self.memory.contents[address : address + size])

    async def write_memory(self, address: int, data: bytes) -> None:
        self.memory.contents[address : address + len(data)] = data

    async def wait_irq(self, cycles: int | None = None) -> bool:
        irq = self.dut.irq
        if not irq.value:
            edge = RisingEdge(irq)
            if cycles is None:
                await edge
            else:
                await First(edge, Timer(cycles * PERIOD_NS, "ns"))
        return bool(irq.value)

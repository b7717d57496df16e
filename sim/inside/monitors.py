# SPDX-License-Identifier: Apache-2.0
"""Checks that the coprocessor keeps the rules of AXI on the channels that it drives."""

from collections import deque
from collections.abc import Callable, Mapping

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

from prunus.golden.engine import EngineConfig

__all__ = ["ProtocolError", "attributes", "watch"]

PAGE = 4096
INCR = 1


class ProtocolError(AssertionError):
    """A rule of AXI was broken."""


def attributes(config: EngineConfig) -> dict[str, int]:
    """Ports of the memory's bus that say the same with every address, and what."""
    values = {"id": 0, "lock": 0, "cache": config.axi_cache, "prot": config.axi_prot,
              "qos": config.axi_qos}
    return {f"m_axi_{channel}{name}": value
            for channel in ("ar", "aw") for name, value in values.items()}


async def _channel(dut, prefix: str, channel: str, payload: tuple[str, ...],
                   accept: Callable[[dict], None] | None = None) -> None:
    """Once valid, a channel stays valid with the same payload until it is ready.

    ``accept`` is called with the payload of each transfer. Sleeps while valid is low.
    """
    valid = getattr(dut, f"{prefix}_{channel}valid")
    ready = getattr(dut, f"{prefix}_{channel}ready")
    signals = {name: getattr(dut, f"{prefix}_{channel}{name}") for name in payload}
    light = {name: signal for name, signal in signals.items() if name != "data"}
    clock, rise = RisingEdge(dut.clk), RisingEdge(valid)
    held = None
    while True:
        await clock
        if not valid.value:
            if held is not None:
                raise ProtocolError(f"{prefix}_{channel}valid fell before it was taken")
            await rise
            continue
        taken = bool(ready.value)
        read = light if taken and held is None else signals     # data only where it could change
        now = {name: int(signal.value) for name, signal in read.items()}
        if held is not None and now != held:
            name = next(n for n in held if held[n] != now[n])
            raise ProtocolError(f"{prefix}_{channel}{name} changed from {held[name]:#x} to "
                                f"{now[name]:#x} while it waited")
        held = None if taken else now
        if taken and accept:
            accept({name: now[name] for name in light})


class _Bursts:
    """Addresses and data of the memory master."""

    def __init__(self, beat_bytes: int, constants: Mapping[str, int]):
        self.beat_bytes = beat_bytes
        self.constants = constants
        self.lengths: deque[int] = deque()    # write bursts whose data has not ended
        self.ended: deque[int] = deque()      # write data that ended before its address came
        self.beats = 0

    def _address(self, channel: str, payload: dict[str, int]) -> None:
        addr, size, burst = payload["addr"], payload["size"], payload["burst"]
        length = payload["len"] + 1
        what = f"m_axi_{channel} {addr:#x} of {length} beats"
        if burst != INCR:
            raise ProtocolError(f"{what}: burst must be INCR, not {burst}")
        if 1 << size != self.beat_bytes:
            raise ProtocolError(f"{what}: size must be the whole beat, not {1 << size} bytes")
        if addr % self.beat_bytes:
            raise ProtocolError(f"{what}: the address must be a multiple of a beat")
        if addr // PAGE != (addr + length * self.beat_bytes - 1) // PAGE:
            raise ProtocolError(f"{what}: crosses a boundary of 4 KB")
        for name, value in payload.items():
            port = f"m_axi_{channel}{name}"
            if value != self.constants.get(port, value):
                raise ProtocolError(f"{what}: {port} must be {self.constants[port]}, not {value}")

    def read(self, payload: dict[str, int]) -> None:
        self._address("ar", payload)

    def write(self, payload: dict[str, int]) -> None:
        self._address("aw", payload)
        self.lengths.append(payload["len"] + 1)
        self._match()

    def data(self, payload: dict[str, int]) -> None:
        strb = payload["strb"]
        if strb != (1 << self.beat_bytes) - 1:
            raise ProtocolError(f"m_axi_wstrb must be all ones, not {strb:#x}")
        self.beats += 1
        if payload["last"]:
            self.ended.append(self.beats)
            self.beats = 0
        elif self.lengths and not self.ended and self.beats >= self.lengths[0]:
            raise ProtocolError(f"m_axi_wlast is missing on beat {self.beats}")
        self._match()

    def _match(self) -> None:
        while self.lengths and self.ended:
            length, beats = self.lengths.popleft(), self.ended.popleft()
            if length != beats:
                raise ProtocolError(f"m_axi_wlast came on beat {beats} of {length}")


async def _reported(rules, broken: Callable[[str], None]) -> None:
    """Watch until a rule is broken."""
    try:
        await rules
    except ProtocolError as err:
        broken(str(err))


async def _watch(dut, beat_bytes: int, broken: Callable[[str], None],
                 constants: Mapping[str, int]) -> None:
    """Watch all channels, from a reset to the next; nothing that one cuts short is held to a
    rule."""
    address = ("addr", "len", "size", "burst", *(
        name.removeprefix("m_axi_ar") for name in constants if name.startswith("m_axi_ar")))
    while True:
        bursts = _Bursts(beat_bytes, constants)
        tasks = [cocotb.start_soon(_reported(rules, broken)) for rules in (
            _channel(dut, "m_axi", "ar", address, bursts.read),
            _channel(dut, "m_axi", "aw", address, bursts.write),
            _channel(dut, "m_axi", "w", ("data", "strb", "last"), bursts.data),
            _channel(dut, "s_axil", "r", ("data", "resp")),
            _channel(dut, "s_axil", "b", ("resp",)),
        )]
        await RisingEdge(dut.rst)
        for task in tasks:
            task.cancel()
        await FallingEdge(dut.rst)


def watch(dut, beat_bytes: int, broken: Callable[[str], None],
          constants: Mapping[str, int]) -> None:
    """Watch the coprocessor's channels from now on; ``broken`` is called with each broken rule.

    With each address ports have the values of ``constants``, those of writes like those of reads.
    """
    cocotb.start_soon(_watch(dut, beat_bytes, broken, constants))

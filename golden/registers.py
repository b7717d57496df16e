# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite register map, one table for the RTL, the drivers and the documentation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from .engine import EngineConfig
from .engines import ENGINES, engine_of
from .records import VERSION

__all__ = ["ADDRESS_BITS", "COUNTERS_AT", "ID", "SHARED", "Bits", "Register", "Status",
           "constants", "counter_names", "register_map"]

ID = 0x4E555250    # "PRUN"
ADDRESS_BITS = 8
COUNTERS_AT = 0x40


class Status(IntEnum):
    """Bits of the STATUS register."""

    BUSY = 0            # a doorbell is being worked off
    IRQ = 1             # the interrupt is pending
    WRITE_ERROR = 2     # a write was answered with an error since the doorbell


@dataclass(frozen=True)
class Bits:
    """Bits of a register that mean something by themselves."""

    name: str
    low: int
    width: int
    text: str
    access: str = ""        # where it is not the register's


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Members
    -------
    access : str
        ``ro``, ``rw``, or ``w1c`` (writing 1 clears). Writes to ``ro`` are ignored; an address
        without a register reads 0 and answers SLVERR.
    fields : tuple of Bits
        By rising bits; what lies between reads as zero.
    """

    name: str
    address: int
    access: str
    text: str
    parts: tuple[Bits, ...] = ()

    @property
    def fields(self) -> tuple[Bits, ...]:
        return self.parts or (Bits(self.name, 0, 32, self.text),)


_COUNTERS = [
    ("jobs_done", "jobs finished since the doorbell, good or bad"),
    ("jobs_failed", "of these, jobs with an error"),
    ("cycles", "cycles from the doorbell to the last write response"),
    ("read_bytes", "bytes read over AXI4 since the doorbell"),
    ("write_bytes", "bytes written over AXI4 since the doorbell"),
]


# What stands at the same place in every coprocessor.
SHARED = [
    Register("id", 0x00, "ro", 'the text "PRUN"'),
    Register("version", 0x04, "ro", "version of the memory image"),
    Register("limits", 0x0C, "ro", "l_max (15:0), d_max (31:16)", (
        Bits("l_max", 0, 16, "largest l_q and l_kv of a job"),
        Bits("d_max", 16, 16, "largest head dimension"))),
    Register("irq_enable", 0x14, "rw", "bit 0 lets the interrupt out", (
        Bits("enable", 0, 1, "lets the interrupt out"),)),
    Register("status", 0x18, "w1c", "bit 0 busy (ro), bit 1 interrupt pending, bit 2 a "
             "write was answered with an error since the doorbell (ro)", (
        Bits("busy", Status.BUSY, 1, "a doorbell is being worked off", "ro"),
        Bits("irq", Status.IRQ, 1, "the interrupt is pending"),
        Bits("write_error", Status.WRITE_ERROR, 1,
             "a write was answered with an error since the doorbell", "ro"))),
    Register("table", 0x1C, "rw", "address of the descriptor table, a multiple of 64"),
    Register("doorbell", 0x20, "rw", "writing n starts on the first n descriptors of the "
             "table; while busy, with n = 0 or with a misaligned table the write answers "
             "SLVERR"),
    Register("engine", 0x24, "ro", "the opcode of its jobs: " + ", ".join(
        f"{engine.kinds[0].opcode} {engine.title}" for engine in ENGINES.values())),
    *(Register(name, COUNTERS_AT + 4 * n, "ro", text) for n, (name, text) in enumerate(_COUNTERS)),
]


def _stacked(low: int, parts: Iterable[tuple[str, int, str]]) -> Iterator[Bits]:
    """Fields one above the other, of names, widths and texts."""
    for name, width, text in parts:
        yield Bits(name, low, width, text)
        low += width


def register_map(config: EngineConfig) -> list[Register]:
    """The registers of a coprocessor, by rising address."""
    engine = engine_of(config)
    size, meaning = engine.size
    return sorted([
        *SHARED,
        Register("format", 0x08, "ro", f"W (7:0), {engine.format}, AXI4 data bits (31:16)", (
            Bits("width", 0, 8, "W, bits of a code"),
            *_stacked(8, engine.format_part),
            Bits("axi_data_width", 16, 16, "bits of an AXI4 beat"))),
        Register(size, 0x10, "ro", meaning, tuple(
            Bits(name, 16 * n, 16, text) for n, (name, text) in enumerate(engine.size_parts))),
        *(Register(name, COUNTERS_AT + 4 * n, "ro", text)
          for n, (name, text) in enumerate(engine.counters, len(_COUNTERS))),
    ], key=lambda register: register.address)


def counter_names(config: EngineConfig) -> list[str]:
    """Names of the counter registers, by rising address."""
    return [register.name for register in register_map(config) if register.address >= COUNTERS_AT]


def constants(config: EngineConfig) -> dict[str, int]:
    """Values of the registers that describe the hardware."""
    engine = engine_of(config)
    part, size = engine.identity(config)
    return {
        "id": ID,
        "version": VERSION,
        "format": config.width | part << 8 | config.axi_data_width << 16,
        "limits": config.l_max | config.d_max << 16,
        engine.size[0]: size,
        "engine": engine.kinds[0].opcode,
    }

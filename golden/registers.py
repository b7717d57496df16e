# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite register map, one table for the RTL, the drivers and the documentation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from .engine import EngineConfig
from .engines import ENGINES, engine_of
from .records import VERSION, WORD_BITS

__all__ = ["ADDRESS_BITS", "COUNTERS_AT", "COUNT_MAX", "HIGH", "ID", "INDEX_BITS", "REVISION",
           "SHARED", "TIMEOUT", "WINDOWS", "WINDOW_BYTES", "Bits", "Cause", "Register", "Status",
           "constants", "counter_names", "register_map"]

ID = 0x4E555250    # "PRUN"
REVISION = 2        # of the hardware, whatever the memory image
ADDRESS_BITS = 8
COUNTERS_AT, WINDOWS_AT = 0x40, 0x80
INDEX_BITS = 16     # of the index of a job in its table
COUNT_MAX = (1 << INDEX_BITS) - 1
TIMEOUT = 1 << 24   # after a reset
WINDOW_BYTES = 64   # windows begin and end at multiples


class Status(IntEnum):
    """Bits of the STATUS register."""

    BUSY = 0            # a doorbell is being worked off
    IRQ = 1             # a table has ended; its interrupt is pending
    WRITE_ERROR = 2     # a write was answered with an error or refused since the doorbell
    ERROR = 3           # there was an error; its interrupt is pending
    HALTED = 4          # a table ended for want of answers; nothing starts before an abort
    ABORTING = 5        # an abort waits for answers
    OUTSTANDING = 6     # answers of the memory are outstanding


class Cause(IntEnum):
    """Of the first error of a table. Up to 7 the codes of ``records.Error``."""

    NONE = 0
    OPCODE = 1
    DIMENSION = 2
    LENGTH = 3
    VALID = 4
    PRUNING = 5
    ALIGNMENT = 6
    READ = 7            # a read was answered with an error
    WRITE = 8           # a write was
    WINDOW = 9          # a read or write lay outside its window, and was not made
    TIMEOUT = 10        # the memory was silent for too long


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


# What the words of an address of more than 32 bits are called, the low one first, and where the
# others lie, in this order.
HIGH = "_high"
HIGH_AT = 0xA0

_COUNTERS = [
    ("jobs_done", "jobs finished since the doorbell, good or bad"),
    ("jobs_failed", "of these, jobs with an error"),
    ("cycles", "cycles from the doorbell to the last write response"),
    ("read_bytes", "bytes read over AXI4 since the doorbell"),
    ("write_bytes", "bytes written over AXI4 since the doorbell"),
]


# What may be read and written where; bits below ``WINDOW_BYTES`` of a base are 0, of a limit 1.
WINDOWS = {
    "operands": "what may be read as operands",
    "results": "what may be written as output planes",
    "records": "where descriptors may be read and status records written",
}

# What stands at the same place in every coprocessor.
SHARED = [
    Register("id", 0x00, "ro", 'the text "PRUN"'),
    Register("version", 0x04, "ro", "version of the memory image"),
    Register("limits", 0x0C, "ro", "l_max (15:0), d_max (31:16)", (
        Bits("l_max", 0, 16, "largest l_q and l_kv of a job"),
        Bits("d_max", 16, 16, "largest head dimension"))),
    Register("irq_enable", 0x14, "rw", "bit 0 lets the interrupt of the end of a table out, bit 1 "
             "that of an error", (
        Bits("done", 0, 1, "lets the interrupt of the end of a table out"),
        Bits("error", 1, 1, "lets that of an error out"))),
    Register("status", 0x18, "w1c", "bits 1 and 3 pending interrupts: the end of a table, an "
             "error; read only: bit 0 busy, bit 2 a write failed, bit 4 halted, bit 5 aborting, "
             "bit 6 answers of the memory are outstanding", (
        Bits("busy", Status.BUSY, 1, "a doorbell is being worked off", "ro"),
        Bits("irq", Status.IRQ, 1, "a table has ended"),
        Bits("write_error", Status.WRITE_ERROR, 1,
             "a write was answered with an error or refused since the doorbell", "ro"),
        Bits("error", Status.ERROR, 1, "there was an error"),
        Bits("halted", Status.HALTED, 1,
             "a table ended for want of answers; nothing starts before an abort", "ro"),
        Bits("aborting", Status.ABORTING, 1, "an abort waits for answers", "ro"),
        Bits("outstanding", Status.OUTSTANDING, 1,
             "answers of the memory are outstanding", "ro"))),
    Register("table", 0x1C, "rw", "address of the descriptor table, a multiple of 64, or of 128 "
             "if addresses have more than 32 bits"),
    Register("doorbell", 0x20, "rw", "writing n starts on the first n descriptors of the "
             "table; while busy, halted or aborting, with n = 0 or n > 65535 or with a misaligned "
             "table the write answers SLVERR"),
    Register("engine", 0x24, "ro", "the opcode of its jobs (7:0): " + ", ".join(
        f"{engine.kinds[0].opcode} {engine.title}" for engine in ENGINES.values())
        + "; bits of an address beyond 32 (15:8); other kinds of job (16)", (
        Bits("opcode", 0, 8, "of its jobs"),
        Bits("address_high", 8, 8, "bits of an address beyond 32"),
        Bits("linear", 16, 1, "linear layers are jobs, too"))),
    Register("revision", 0x28, "ro", "revision of the hardware"),
    Register("control", 0x2C, "rw", "writing 1 aborts; reads 0", (
        Bits("abort", 0, 1, "ends the table, drops what is under way and forgets it"),)),
    Register("timeout", 0x30, "rw", "cycles without any transfer, while answers are outstanding, "
             f"after which a table ends; 0 for never; {TIMEOUT:#x} after a reset"),
    Register("job", 0x34, "ro", "index of the job that a core took last (15:0)", (
        Bits("index", 0, INDEX_BITS, "index of the job that a core took last"),)),
    Register("error", 0x38, "ro", "the first error since the doorbell: cause (7:0), response of "
             "the bus (9:8), index of the job (31:16)", (
        Bits("cause", 0, 8, "of the first error since the doorbell"),
        Bits("response", 8, 2, "what the bus answered"),
        Bits("job", 16, INDEX_BITS, "index of the job"))),
    Register("error_address", 0x3C, "ro", "address of the burst that it is about, if any"),
    *(Register(name, COUNTERS_AT + 4 * n, "ro", text) for n, (name, text) in enumerate(_COUNTERS)),
    Register("lock", WINDOWS_AT, "rw", "writing 1 keeps the windows as they are until a reset", (
        Bits("locked", 0, 1, "windows keep what they are until a reset"),)),
    *(Register(f"{window}_{end}", WINDOWS_AT + 4 + 8 * n + 4 * k, "rw", f"{which} byte of {text}")
      for n, (window, text) in enumerate(WINDOWS.items())
      for k, (end, which) in enumerate((("base", "first"), ("limit", "last")))),
]


def _stacked(low: int, parts: Iterable[tuple[str, int, str]]) -> Iterator[Bits]:
    """Fields one above the other, of names, widths and texts."""
    for name, width, text in parts:
        yield Bits(name, low, width, text)
        low += width


def _is_address(name: str) -> bool:
    return name in ("table", "error_address") or name.rpartition("_")[2] in ("base", "limit")


def _high_words(config: EngineConfig) -> Iterator[Register]:
    """Of the registers with an address, if it has more than 32 bits."""
    width = config.axi_address_width - WORD_BITS
    low = [register for register in SHARED if _is_address(register.name)] if width else []
    for n, register in enumerate(low):
        text = f"bits from 32 on of {register.name}"
        yield Register(register.name + HIGH, HIGH_AT + 4 * n, register.access, text,
                       (Bits("high", 0, width, text),) if width < WORD_BITS else ())


def register_map(config: EngineConfig) -> list[Register]:
    """The registers of a coprocessor, by rising address."""
    engine = engine_of(config)
    size, meaning = engine.size
    return sorted([
        *SHARED,
        *_high_words(config),
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
    return [register.name for register in register_map(config)
            if COUNTERS_AT <= register.address < WINDOWS_AT]


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
        "engine": engine.kinds[0].opcode | (config.axi_address_width - WORD_BITS) << 8
        | (len(engine.kinds_of(config)) > 1) << 16,
        "revision": REVISION,
    }

# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite register map, one table for the RTL, the drivers and the documentation."""

from dataclasses import dataclass
from enum import IntEnum

from .engine import EngineConfig
from .hdp.planes import VERSION, Opcode

__all__ = ["ADDRESS_BITS", "EVENTS", "ID", "OCCUPANCY", "REGISTERS", "Register", "Status",
           "constants", "counter_names", "register_map"]

ID = 0x4E555250    # "PRUN"
ADDRESS_BITS = 8


class Status(IntEnum):
    """Bits of the STATUS register."""

    BUSY = 0            # a doorbell is being worked off
    IRQ = 1             # the interrupt is pending
    WRITE_ERROR = 2     # a write was answered with an error since the doorbell


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Members
    -------
    access : str
        ``ro``, ``rw``, or ``w1c`` (writing 1 clears). Writes to ``ro`` are ignored; an address
        without a register reads 0 and answers SLVERR.
    """

    name: str
    address: int
    access: str
    text: str


_COUNTERS = [
    ("jobs_done", "jobs finished since the doorbell, good or bad"),
    ("jobs_failed", "of these, jobs with an error"),
    ("cycles", "cycles from the doorbell to the last write response"),
    ("read_bytes", "bytes read over AXI4 since the doorbell"),
    ("write_bytes", "bytes written over AXI4 since the doorbell"),
]
_HDP = [
    ("integer_slots", "cycles in which the array ran the integer pass, summed over the cores"),
    ("score_slots", "cycles in which it ran fraction or full products, likewise"),
    ("value_slots", "cycles in which it ran P.V, likewise"),
    ("idle_softmax", "other cycles, with rows on their way from scores to outputs"),
    ("idle_operand", "other cycles, with masks being read"),
    ("idle_dma", "other cycles, with planes being loaded"),
    ("idle_threshold", "other cycles, with thresholds being made"),
    ("idle_drain", "other cycles: results are written, or there is no job"),
]
_LEOPARD = [
    ("digits", "digits of keys up to each deciding one"),
    ("survivors", "keys that survived"),
    ("key_words", "words of keys that were read"),
    ("value_words", "words of V that were read"),
    ("idle_dma", "cycles without a head being computed, with planes being loaded"),
]
# What the array of a core does in a cycle, or why it does nothing: these add up to all cycles.
OCCUPANCY = [name for name, _ in _HDP]
# What a core of LeOPArd counts.
EVENTS = [name for name, _ in _LEOPARD]

_FORMAT = {"hdp": "W (7:0), FW (15:8), AXI4 data bits (31:16)",
           "leopard": "W (7:0), B (15:8), AXI4 data bits (31:16)"}
_SIZE = {"hdp": ("multipliers", "full-width multipliers in all cores"),
         "leopard": ("units", "dot-product units N_QK (15:0), dimensions of each (31:16)")}


def _registers(engine: str) -> list[Register]:
    size, meaning = _SIZE[engine]
    counters = _COUNTERS + {"hdp": _HDP, "leopard": _LEOPARD}[engine]
    return [
        Register("id", 0x00, "ro", 'the text "PRUN"'),
        Register("version", 0x04, "ro", "version of the memory image"),
        Register("format", 0x08, "ro", _FORMAT[engine]),
        Register("limits", 0x0C, "ro", "l_max (15:0), d_max (31:16)"),
        Register(size, 0x10, "ro", meaning),
        Register("irq_enable", 0x14, "rw", "bit 0 lets the interrupt out"),
        Register("status", 0x18, "w1c", "bit 0 busy (ro), bit 1 interrupt pending, bit 2 a "
                 "write was answered with an error since the doorbell (ro)"),
        Register("table", 0x1C, "rw", "address of the descriptor table, a multiple of 64"),
        Register("doorbell", 0x20, "rw", "writing n starts on the first n descriptors of the "
                 "table; while busy, with n = 0 or with a misaligned table the write answers "
                 "SLVERR"),
        Register("engine", 0x24, "ro", "the opcode of its jobs: 1 HDP, 2 LeOPArd"),
        *(Register(name, 0x40 + 4 * i, "ro", text) for i, (name, text) in enumerate(counters)),
    ]


_MAPS = {engine: _registers(engine) for engine in _SIZE}
REGISTERS = _MAPS["hdp"]


def register_map(config: EngineConfig) -> list[Register]:
    """The registers of a coprocessor; those of HDP are ``REGISTERS``."""
    return _MAPS[config.engine]


def counter_names(config: EngineConfig | None = None) -> list[str]:
    """Names of the counter registers, by rising address; of HDP by default."""
    registers = REGISTERS if config is None else register_map(config)
    return [register.name for register in registers if register.address >= 0x40]


def constants(config: EngineConfig) -> dict[str, int]:
    """Values of the registers that describe the hardware."""
    if config.engine == "leopard":
        part, size = config.digit, {"units": config.dpus | config.taps << 16}
    else:
        part, size = config.frac, {"multipliers": config.all_multipliers}
    return {
        "id": ID,
        "version": VERSION,
        "format": config.width | part << 8 | config.axi_data_width << 16,
        "limits": config.l_max | config.d_max << 16,
        **size,
        "engine": Opcode[config.engine.upper()],
    }

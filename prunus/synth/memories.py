# SPDX-License-Identifier: Apache-2.0
"""The memories of a coprocessor in SG13G2: which are SRAM macros, and what area they take."""

import re
from typing import Any

from .macros import MemoryShape, is_macro, macro, register_file_um2
from .netlist import Mapped, Memory, block_name

__all__ = ["MACRO", "REGISTERS", "area_um2", "memory_rows"]

MACRO, REGISTERS = "macro", "register file"


def area_um2(memory: MemoryShape) -> float:
    """Of one memory."""
    if is_macro(memory):
        return macro(memory.words, memory.width, memory.dual).area_um2
    return register_file_um2(memory.words, memory.width, memory.read_ports, memory.clocked)


def _row(memory: Memory, block: str, name: str) -> dict[str, Any]:
    row = {"block": block, "name": name, "words": memory.words, "bits": memory.width,
           "instances": 0, "ports": memory.read_ports + memory.write_ports}
    if is_macro(memory):
        made = macro(memory.words, memory.width, memory.dual)
        return row | {"kind": MACRO, "ports": made.ports, "um2": 0.0,
                      "interpolated": made.interpolated, "made_of": made.note}
    return row | {"kind": REGISTERS, "um2": 0.0, "interpolated": False, "made_of": "flip-flops"}


def memory_rows(mapped: Mapped, top: str) -> list[dict[str, Any]]:
    """Memories ready for JSON, the largest first; those of one name but for numbers in a row.

    ``um2`` is that of all instances.
    """
    rows: dict[tuple, dict[str, Any]] = {}
    for memory in mapped.memories:
        block = block_name(memory.module, top)
        name = re.sub(r"\d+", "*", memory.name)
        shape = (memory.words, memory.width, memory.read_ports, memory.clocked, memory.dual)
        row = rows.setdefault((block, name, shape), _row(memory, block, name))
        times = mapped.instances[memory.module]
        row["instances"] += times
        row["um2"] += times * area_um2(memory)
    return sorted(rows.values(), key=lambda row: -row["um2"])

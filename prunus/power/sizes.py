# SPDX-License-Identifier: Apache-2.0
"""Flip-flops and memories of a coprocessor, from its RTL, without synthesis.

The RTL is the Verilog that :mod:`prunus.hw.verilog.emit` writes, so its shape is known: what is
assigned at the clock is a register, and a read with a clock has a register of its own.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from prunus.golden.engine import EngineConfig
from prunus.sim.simulators.emitted import emitted

from ..synth.macros import Macro, is_macro, macro
from ..synth.netlist import MODULE, hierarchy

__all__ = ["Memory", "Sizes", "read_sizes", "sizes"]

_DECLARED = re.compile(r"^  reg (?:signed )?(?:\[(\d+):0\] )?(\w+)(?: \[(\d+):0\])?;$", re.M)
_CLOCKED = re.compile(r"^  always @\(posedge clk\)(.*?)\n(?=  [a-z(`]|endmodule)", re.M | re.S)
_TARGETS = re.compile(r"^ +(\w+)(?:\[.*?\]| )*<= ", re.M)


@dataclass(frozen=True)
class Memory:
    """A memory.

    Members
    -------
    words, width : int
    read_ports, write_ports : int
    clocked : bool
        Whether all reads are registered.
    always : bool
        Whether it is read in every cycle, wanted or not.
    dual : bool
        Whether it is read and written at different addresses.
    """

    words: int
    width: int
    read_ports: int
    write_ports: int
    clocked: bool
    always: bool
    dual: bool = True

    @property
    def macro(self) -> Macro | None:
        """None of a register file."""
        return macro(self.words, self.width, self.dual) if is_macro(self) else None


@dataclass(frozen=True)
class Sizes:
    """Of a whole coprocessor.

    Members
    -------
    flip_flops : int
        But for those of memories: the register that a read with a clock goes to is one of a
        register file, and part of a macro.
    memories : Counter of Memory
        How many there are of each.
    """

    flip_flops: int
    memories: Counter[Memory]

    @property
    def read_always_j(self) -> float:
        """Of a cycle, by macros that are read in every one."""
        return sum(count * memory.macro.read_j for memory, count in self.memories.items()
                   if memory.always and memory.macro)

    @property
    def file_bits(self) -> int:
        """Of all register files."""
        return sum(count * memory.words * memory.width for memory, count in self.memories.items()
                   if not memory.macro)


def _memories(body: str, shapes: dict[str, tuple[int, int]],
              blocks: list[str]) -> Iterator[tuple[Memory, set[str]]]:
    """Memories of a module, each with the registers that its reads go to."""
    for name, (words, width) in shapes.items():
        access = rf"\b{name}\["
        read = [block for block in blocks if re.search(rf"<= {name}\[", block)]
        registers = {match for block in read
                     for match in re.findall(rf"(\w+) <= {name}\[", block)}
        written = sum(bool(re.search(rf"^ +{name}\[.*?<= ", block, re.M)) for block in blocks)
        free = len(re.findall(rf"^  assign .*= .*{access}", body, re.M))
        at = set(re.findall(rf"(?:^ +|<= |= ){name}\[(.*?)\](?= <= |;)", body, re.M))
        yield Memory(words, width, len(read) + free, written, not free,
                     bool(read) and not any("if (" in block for block in read),
                     len(at) > 1), registers


def read_sizes(verilog: str, top: str) -> Sizes:
    """From emitted Verilog."""
    children = hierarchy(verilog)
    own: dict[str, tuple[int, Counter[Memory]]] = {}
    for module in MODULE.finditer(verilog):
        body = module[0]
        declared = {name: (int(bits or 0) + 1, words and int(words) + 1)
                    for bits, name, words in _DECLARED.findall(body)}
        blocks = _CLOCKED.findall(body)
        found = list(_memories(body, {
            name: (words, bits) for name, (bits, words) in declared.items() if words}, blocks))
        hidden = {name for name, (_, words) in declared.items() if words}.union(
            *(registers for _, registers in found))
        assigned = {name for block in blocks for name in _TARGETS.findall(block)} - hidden
        own[module[1]] = (sum(declared[name][0] for name in assigned),
                          Counter(memory for memory, _ in found if memory.write_ports))
    flops, memories = 0, Counter[Memory]()

    def visit(name: str, times: int) -> None:
        nonlocal flops
        flops += times * own[name][0]
        for memory, count in own[name][1].items():
            memories[memory] += times * count
        for child, count in children[name].items():
            visit(child, times * count)

    visit(top, 1)
    return Sizes(flops, memories)


@cache
def sizes(config: EngineConfig) -> Sizes:
    """Of a configuration with memories for SRAM macros, whose RTL is emitted unless it is kept."""
    return read_sizes(emitted(config.of_macros()), config.name)

# SPDX-License-Identifier: Apache-2.0
"""Blocks of emitted Verilog, and what became of them in Yosys."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prunus.golden.engines import ENGINES

__all__ = ["CORE", "DPU", "LOADER", "MODULE", "MULTIPLIER", "PRODUCTS", "PRUNING", "QUERIES",
           "REORDER", "Mapped", "Memory", "block_name", "hierarchy", "read_mapped", "separate"]

MODULE = re.compile(r"^module (\w+)\(.*?^endmodule$", re.M | re.S)
_INSTANCE = re.compile(r"^  (\w+) \w+ \($", re.M)
_MEMORY_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.M | re.S)
_MEMORY_CELL = re.compile(r"^  cell \$mem_v2 .*?^  end$", re.M | re.S)
_PARAMETER = re.compile(
    r'^    parameter \\(MEMID|SIZE|WIDTH|RD_PORTS|RD_CLK_ENABLE|WR_PORTS) "?([^"\n]+?)"?$', re.M)
_ADDRESS = re.compile(r"^    connect \\(RD_ADDR|WR_ADDR) (.*)$", re.M)
CORE, MULTIPLIER = "hdp_core", "composable_multiplier"
# Blocks of HDP that a coprocessor without pruning would not have.
PRUNING = ("sparsity_engine", "fetch_upon_mask", "integer_pass")
# Blocks of LeOPArd of which some is there for early termination.
DPU, QUERIES, REORDER, LOADER = "dot_product_unit", "query_store", "reorder", "row_loader"
PRODUCTS = "dot_product"        # of LeOPArd and of Top-K
# What these consist of are blocks of their own.
_OPENED = (*(f"{engine}_core" for engine in ENGINES), "qk_unit", "score_unit", DPU)
_KINDS = (*_OPENED, MULTIPLIER, "plane_buffer", "code_buffer", *PRUNING)


def hierarchy(verilog: str) -> dict[str, Counter]:
    """Modules by name, each with how often it has others."""
    bodies = {match[1]: match[0] for match in MODULE.finditer(verilog)}
    return {name: Counter(module for module in _INSTANCE.findall(body) if module in bodies)
            for name, body in bodies.items()}


def block_name(module: str, top: str) -> str:
    """The block a module is, or a kind of it: ``array`` of ``hdp_edge__array``."""
    if module == top:
        return "top"
    name = module.removeprefix(f"{top}__")
    return next((kind for kind in _KINDS if name.startswith(kind)), name)


def separate(modules: dict[str, Counter], top: str) -> list[str]:
    """Modules to be kept apart: what the top, the cores and LeOPArd's front end consist of, and
    the multipliers."""
    def opened(module: str) -> bool:
        return block_name(module, top) in _OPENED or any(map(opened, modules[module]))

    apart: set[str] = set()

    def visit(module: str) -> None:
        for child in modules[module]:
            apart.add(child)
            if opened(child):
                visit(child)

    visit(top)
    return sorted(apart | {m for m in modules if block_name(m, top) == MULTIPLIER})


@dataclass(frozen=True)
class Memory:
    """A memory, by the module it is in.

    Members
    -------
    module, name : str
    words, width : int
    read_ports, write_ports : int
    clocked : bool
        Whether all reads are registered.
    dual : bool
        Whether it is read and written at different addresses.
    """

    module: str
    name: str
    words: int
    width: int
    read_ports: int = 1
    write_ports: int = 1
    clocked: bool = True
    dual: bool = True

    @property
    def bits(self) -> int:
        return self.words * self.width


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A mapped design.

    Members
    -------
    cells : dict of str to Counter
        Cells by type that are a module's own, by module.
    area : dict of str to float
        Their area, where a library says it.
    instances : dict of str to int
        How often the design has a module.
    memories : list of Memory
        Before memories were mapped.
    ram_cells : dict of (str, str) to Counter
        RAM cells by type, by module and name of the memory.
    """

    cells: dict[str, Counter]
    area: dict[str, float]
    instances: dict[str, int]
    memories: list[Memory]
    ram_cells: dict[tuple[str, str], Counter]


def _memories(text: str) -> list[Memory]:
    """From RTLIL with the memory cells alone."""
    found = []
    for module, body in _MEMORY_MODULE.findall(text):
        for cell in _MEMORY_CELL.findall(body):
            fields = dict(_PARAMETER.findall(cell))
            if fields["WR_PORTS"] == "0":       # a table of constants, found in a case
                continue
            address = dict(_ADDRESS.findall(cell))
            found.append(Memory(
                module=module, name=fields["MEMID"].lstrip("\\"), words=int(fields["SIZE"]),
                width=int(fields["WIDTH"]), read_ports=int(fields["RD_PORTS"]),
                write_ports=int(fields["WR_PORTS"]),
                clocked="0" not in fields["RD_CLK_ENABLE"].partition("'")[2],
                dual=address["RD_ADDR"] != address["WR_ADDR"]))
    return found


def _ram_cells(work: Path, memories: list[Memory]) -> dict[tuple[str, str], Counter]:
    """From the lists of selected cells, ``module/memory.0.0``, a file for each type."""
    names = {(memory.module, memory.name) for memory in memories}
    cells: dict[tuple[str, str], Counter] = {}
    for path in work.glob("*.cells.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            module, _, cell = line.partition("/")
            name = re.sub(r"(\.\d+)+$", "", cell)
            if (module, name) in names:
                cells.setdefault((module, name), Counter())[path.name.partition(".")[0]] += 1
    return cells


def _instances(children: dict[str, Counter], top: str) -> dict[str, int]:
    total: Counter = Counter()

    def visit(module: str, times: int) -> None:
        total[module] += times
        for child, count in children[module].items():
            visit(child, times * count)

    visit(top, 1)
    return dict(total)


def read_mapped(work: Path, top: str) -> Mapped:
    """From stat.json, memories.il and \\*.cells.txt of a directory in which Yosys ran."""
    stat = json.loads((work / "stat.json").read_text(encoding="utf-8"))["modules"]
    modules = {name.removeprefix("\\"): module for name, module in stat.items()}
    by_type = {name: module.get("num_cells_by_type", {}) for name, module in modules.items()}
    children = {name: Counter({t: n for t, n in types.items() if t in modules})
                for name, types in by_type.items()}
    cells = {name: Counter({t: n for t, n in types.items()
                            if t not in modules and t != "$scopeinfo"})
             for name, types in by_type.items()}
    # Yosys counts the modules in a module to its area.
    whole = {name: module.get("area") or 0.0 for name, module in modules.items()}
    area = {name: whole[name] - sum(n * whole[child] for child, n in children[name].items())
            for name in modules}
    memories = _memories((work / "memories.il").read_text(encoding="utf-8"))
    return Mapped(cells=cells, area=area, instances=_instances(children, top), memories=memories,
                  ram_cells=_ram_cells(work, memories))

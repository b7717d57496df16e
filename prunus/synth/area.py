# SPDX-License-Identifier: Apache-2.0
"""The size of a coprocessor by block, on an ECP5 FPGA or in standard cells."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prunus.golden.engine import EngineConfig

from ..errors import InputError, RunError
from .memories import MACRO, REGISTERS, area_um2, memory_rows
from .netlist import (
    CORE,
    DPU,
    LOADER,
    MULTIPLIER,
    PRODUCTS,
    PRUNING,
    QUERIES,
    REORDER,
    Mapped,
    Memory,
    block_name,
    hierarchy,
    read_mapped,
    separate,
)
from .pdk.cells import yosys_liberty
from .pdk.liberty import LibertyError, parse
from .peak import check_memory
from .tools import KEEP_COPIES, Progress, kept, yosys

__all__ = ["Ecp5", "Sg13g2", "area", "liberty_script"]

MASK = "mask"

_ECP5 = """
read_verilog {top}.v
hierarchy -check -top {top}
{keep}
{copies}
synth_ecp5 -top {top} -run begin:map_ram
dump -o memories.il t:$mem_v2
synth_ecp5 -top {top} -run map_ram:
tee -q -o stat.json stat -json
select -write DP16KD.cells.txt t:DP16KD
select -write TRELLIS_DPR16X4.cells.txt t:TRELLIS_DPR16X4
"""
# ABC's usual script, but for fraig and scorr, which take five times as long as all the rest
# and made HDP-Tiny 0.1% larger.
_LIBERTY = """
read_verilog {top}.v
hierarchy -check -top {top}
{keep}
proc -norom
flatten
opt_expr
opt_clean
opt -nodffe -nosdff
fsm
opt
wreduce
peepopt
opt_clean
alumacc
share
opt
memory -nomap
opt_clean
opt -fast -full
techmap
opt -fast
dfflibmap -liberty cells.lib
abc -liberty cells.lib -script +strash;dc2;&get,-n;&dch,-f;&nf;&put
opt_clean
dump -o memories.il t:$mem_v2
tee -q -o stat.json stat -liberty cells.lib -json
"""


@dataclass(frozen=True)
class Ecp5:
    """Lattice ECP5: a LUT count holds those of carry chains and of distributed RAM."""

    name = "ecp5"
    resources = ("lut", "ff", "dsp", "bram")
    memory = ("memory_bits",)
    size = "lut"

    def synthesise(self, verilog: str, top: str, apart: list[str],
                   progress: Progress | None) -> Mapped:
        script = _ECP5.format(top=top, keep=_keep(apart), copies=KEEP_COPIES)
        work = kept(f"{top}-ecp5", {f"{top}.v": verilog}, script,
                    lambda work: yosys(script, work, progress))
        return read_mapped(work, top)

    @staticmethod
    def count(cells: Counter, area: float) -> dict[str, float]:
        """Resources of some cells."""
        return {"lut": cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells["TRELLIS_DPR16X4"],
                "ff": cells["TRELLIS_FF"], "dsp": cells["MULT18X18D"], "bram": cells["DP16KD"]}

    @staticmethod
    def of_memory(memory: Memory) -> dict[str, float]:
        return {"memory_bits": memory.bits}

    @staticmethod
    def summary(mapped: Mapped, top: str, total: dict[str, float]) -> dict:
        return {"flip_flops": total["ff"]}


@dataclass(frozen=True)
class Sg13g2:
    """Standard cells of IHP's SG13G2, mapped for area: no clock, no sizing, no buffers.

    Memories are left out of the cells; their area is that of SRAM macros and register files.

    Members
    -------
    path : Path or None
        A Liberty file of other cells.
    """

    path: Path | None = None
    name = "sg13g2"
    resources = ("cells", "um2", "flip_flops")
    memory = ("memory_bits", "memory_um2")
    size = "um2"

    @cached_property
    def content(self) -> bytes:
        """The Liberty file."""
        if self.path is None:
            return yosys_liberty().encode()
        try:
            return self.path.read_bytes()
        except OSError as err:
            raise InputError(f"liberty {str(self.path)!r} cannot be read: "
                             f"{err.strerror}") from None

    @cached_property
    def flip_flops(self) -> dict[str, float]:
        """Areas of cells that hold a bit. Raises InputError if there are none."""
        wanted = "must be a Liberty file of cells with flip-flops among them"
        try:
            library = parse(self.content.decode("utf-8", errors="replace"))
            found = {cell.name: cell.number("area") for cell in library.all("cell")
                     if any(cell.all("ff")) or any(cell.all("latch"))}
        except LibertyError as err:
            raise InputError(f"liberty {str(self.path)!r} {wanted}: {err}") from None
        if not found:
            raise InputError(f"liberty {str(self.path)!r} {wanted}, and has none")
        return found

    def synthesise(self, verilog: str, top: str, apart: list[str],
                   progress: Progress | None) -> Mapped:
        script = liberty_script(top, apart)
        try:
            work = kept(f"{top}-cells", {f"{top}.v": verilog, "cells.lib": self.content},
                        script, lambda work: yosys(script, work, progress))
        except RunError as err:
            if self.path is None:
                raise
            raise InputError(f"liberty {str(self.path)!r} cannot be used: {err}") from None
        mapped = read_mapped(work, top)
        left = {kind for cells in mapped.cells.values() for kind in cells
                if kind.startswith("$") and kind != "$mem_v2"}
        if left:
            raise InputError(f"liberty {str(self.path)!r} must have cells for all of the design, "
                             f"and has none for {', '.join(sorted(left))}")
        return mapped

    def count(self, cells: Counter, area: float) -> dict[str, float]:
        """Resources of some cells."""
        return {"cells": cells.total() - cells["$mem_v2"], "um2": area,
                "flip_flops": sum(cells[name] for name in self.flip_flops)}

    def of_memory(self, memory: Memory) -> dict[str, float]:
        return {"memory_bits": memory.bits, "memory_um2": area_um2(memory)}

    def summary(self, mapped: Mapped, top: str, total: dict[str, float]) -> dict:
        """Flip-flops, memories one by one, and the whole area."""
        flip_flop_um2 = sum(times * mapped.cells[module][name] * area
                            for module, times in mapped.instances.items()
                            for name, area in self.flip_flops.items())
        memories = memory_rows(mapped, top)
        of_kind = {kind: sum(row["um2"] for row in memories if row["kind"] == kind)
                   for kind in (MACRO, REGISTERS)}
        return {"flip_flops": total["flip_flops"], "flip_flop_um2": flip_flop_um2,
                "memories": memories,
                "area_um2": {"logic": total["um2"], "memory": total["memory_um2"],
                             "macros": of_kind[MACRO], "register_files": of_kind[REGISTERS]},
                "mm2": (total["um2"] + total["memory_um2"]) / 1e6}


Target = Ecp5 | Sg13g2


def liberty_script(top: str, apart: list[str]) -> str:
    """Of Yosys, that maps ``{top}.v`` to the cells of ``cells.lib`` and keeps some modules."""
    return _LIBERTY.format(top=top, keep=_keep(apart))


def _keep(apart: list[str]) -> str:
    return f"setattr -mod -set keep_hierarchy 1 {' '.join(apart)}" if apart else ""


def _add(total: dict[str, float], other: dict[str, float], times: float = 1) -> None:
    for key, value in other.items():
        total[key] = total.get(key, 0) + times * value


def _memories(mapped: Mapped, module: str, target: Target) -> dict[str, float]:
    """Resources of the memories of a module itself."""
    total = dict.fromkeys(target.memory, 0.0)
    for memory in mapped.memories:
        if memory.module == module:
            _add(total, target.of_memory(memory))
    return total


def _blocks(mapped: Mapped, top: str, target: Target) -> list[dict]:
    """Resources by block, of all its instances."""
    blocks: dict[str, dict] = {}
    for module, times in mapped.instances.items():
        block = blocks.setdefault(block_name(module, top), {"instances": 0})
        block["instances"] += times
        _add(block, target.count(mapped.cells[module], mapped.area[module]), times)
        _add(block, _memories(mapped, module, target), times)
    return [{"block": name, **block} for name, block in blocks.items()]


def _mask(mapped: Mapped, top: str, target: Target) -> dict[str, float]:
    """The mask memory of all cores: its bits and RAM cells."""
    total: dict[str, float] = dict.fromkeys((*target.resources, *target.memory), 0)
    for memory in mapped.memories:
        if memory.name == MASK and block_name(memory.module, top) == CORE:
            cells = mapped.ram_cells.get((memory.module, memory.name), Counter())
            times = mapped.instances[memory.module]
            _add(total, target.count(cells, 0.0) | target.of_memory(memory), times)
    return total


def _shares(items: dict[str, dict], blocks: list[dict], resources: tuple[str, ...]) -> dict:
    """Items, their sum and its share of the whole."""
    total: dict[str, float] = {}
    for item in items.values():
        _add(total, item)
    whole = {key: sum(block[key] for block in blocks) for key in resources}
    return {"items": items, "total": total,
            "share": {key: total[key] / whole[key] if whole[key] else None for key in resources}}


def _pruning(blocks: list[dict], mask: dict[str, float], plain: dict[str, float],
             resources: tuple[str, ...]) -> dict:
    """What pruning needs, item by item, and its share of the whole."""
    by_name = {block["block"]: block for block in blocks}
    items = {name: {key: by_name[name][key] for key in resources} for name in PRUNING}
    items["mask memory"] = mask
    multiplier = by_name[MULTIPLIER]
    items["composable multipliers"] = {
        key: multiplier[key] - multiplier["instances"] * plain[key] for key in resources}
    return _shares(items, blocks, resources)


def _termination(blocks: list[dict], accumulator: dict[str, float], loader: dict[str, float],
                 resources: tuple[str, ...]) -> dict:
    """What early termination needs, and its share: units that are each at a digit, a key and a row
    of their own, and the bounds they begin with."""
    by_name = {block["block"]: block for block in blocks}
    units, queries = by_name[DPU], by_name[QUERIES]
    items = {
        REORDER: {key: by_name[REORDER][key] for key in resources},
        "dot-product units": {
            key: units[key] - units["instances"] * accumulator[key] for key in resources},
        # Units in step with each other would share one.
        "query stores": {
            key: queries[key] - queries[key] / queries["instances"] for key in resources},
        "bounds and thresholds": {
            key: by_name[LOADER][key] - loader[key] for key in resources},
    }
    return _shares(items, blocks, resources)


def _alone(block, name: str, target: Target, progress: Progress | None) -> dict:
    """Resources of a block that is synthesised by itself."""
    from prunus.hw.verilog.emit import to_verilog

    mapped = target.synthesise(to_verilog(block, name)[0], name, [], progress)
    return target.count(mapped.cells[name], mapped.area[name]) | _memories(mapped, name, target)


@dataclass(frozen=True)
class _Sized:
    """A coprocessor that was mapped.

    Members
    -------
    blocks : list of dict
        Its blocks, the largest first.
    mapped
        What the target made of it.
    """

    config: Any
    target: Target
    blocks: list[dict]
    mapped: Any
    progress: Progress | None

    def alone(self, block, name: str) -> dict:
        """The size of a block that stands for one without pruning."""
        return _alone(block, f"{self.config.name}__plain_{name}", self.target, self.progress)

    @property
    def resources(self) -> tuple[str, ...]:
        return (*self.target.resources, *self.target.memory)


def _hdp_share(sized: _Sized) -> dict:
    from .plain import PlainMultiplier

    plain = sized.alone(PlainMultiplier(config=sized.config), "multiplier")
    mask = _mask(sized.mapped, sized.config.name, sized.target)
    return {"plain_multiplier": plain,
            "pruning": _pruning(sized.blocks, mask, plain, sized.resources)}


def _leopard_share(sized: _Sized) -> dict:
    from prunus.hw.survivors.layouts import TAG

    from .plain import PlainAccumulator, PlainRowLoader

    if not sized.config.pruning:
        return {}
    accumulator = sized.alone(PlainAccumulator(config=sized.config), "accumulator")
    loader = sized.alone(PlainRowLoader(config=sized.config, tag_width=TAG), "row_loader")
    return {"plain_accumulator": accumulator, "plain_row_loader": loader,
            "pruning": _termination(sized.blocks, accumulator, loader, sized.resources)}


# By engine: what pruning takes, and what there would be without. Of others nothing is said here
# and in what follows.
_SHARES: dict[str, Callable[[_Sized], dict]] = {"hdp": _hdp_share, "leopard": _leopard_share}


# By engine: blocks of multipliers and what adds up their products.
_MULTIPLIERS = {"hdp": (MULTIPLIER,), "leopard": (PRODUCTS,), "topk": (PRODUCTS,)}


def _multiplying(names: tuple[str, ...], blocks: list[dict], target: Target) -> dict:
    """Blocks that multiply Q by K, and their share of the logic."""
    size = sum(block[target.size] for block in blocks if block["block"] in names)
    whole = sum(block[target.size] for block in blocks)
    return {"blocks": list(names), target.size: size, "share": size / whole}


def area(config: EngineConfig, target: Target, progress: Progress | None = None) -> dict:
    """The size of the coprocessor of ``config``, ready for JSON; what pruning takes, if it does.

    In standard cells it is that with memories for SRAM macros.

    Raises
    ------
    InputError
        When a tool is not installed, the library cannot be used, or the design is too large.
    RunError
        When Yosys fails.
    """
    from prunus.hw.verilog.emit import emit  # slow to import, and only this command needs it

    if isinstance(target, Sg13g2):
        config = config.of_macros()
        _ = target.flip_flops       # a bad file need not wait for the emission
    if progress:
        progress("emitting Verilog")
    verilog, top = emit(config).verilog, config.name
    check_memory(config.name, verilog)
    mapped = target.synthesise(verilog, top, separate(hierarchy(verilog), top), progress)
    resources = (*target.resources, *target.memory)
    blocks = sorted(_blocks(mapped, top, target), key=lambda block: -block[target.size])
    total = {key: sum(block[key] for block in blocks) for key in resources}
    result = {"engine": config.engine, "config": config.name, "target": target.name,
              "resources": list(resources), "blocks": blocks, "total": total,
              **target.summary(mapped, top, total)}
    if config.engine in _MULTIPLIERS:
        result["multiplying"] = _multiplying(_MULTIPLIERS[config.engine], blocks, target)
    if config.engine in _SHARES:
        result |= _SHARES[config.engine](_Sized(config, target, blocks, mapped, progress))
    return result

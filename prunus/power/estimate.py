# SPDX-License-Identifier: Apache-2.0
"""Energy of heads without simulation: counts from the specification, sizes from the RTL, and a few
coefficients that are fitted to gates (:mod:`prunus.power.calibrate`).

Energy follows cycles. A cycle costs what flip-flops take, register files, and memories that are
read in each one. Beside it there is what heads ask for: arithmetic, words of memory, and what goes
in and out.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from prunus.golden.energy import GROUPS, LOGIC, Event
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.jobs import Job

from .sizes import sizes

__all__ = ["CLOCK", "COEFFICIENTS", "TABLE", "Costs", "Load", "load_of"]

TABLE = Path(__file__).with_name("energy_sg13g2.toml")
# What is fitted, by the kinds of `prunus power` that it explains.
CLOCK = ("flip_flop", "adder")
MEMORY = ("read", "register_file", "word", "moved")
CYCLES = ("slowdown", "start")
COEFFICIENTS = (*CLOCK, *MEMORY, *CYCLES)
PICO = 1e-12


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a table of heads asks for, and of what coprocessor.

    Members
    -------
    model_cycles : int or None
        Of a model of the engine's cycles.
    first_cycles, busy_cycles : int
        Where there is no model: beats of the first head; the cycles that each head takes at least,
        for its work or the operands of the next one.
    flip_flops : int
    adders : dict of str to int
        Full adders' worth of arithmetic by group: a product of a and b bits is a * b, a sum of n
        bits is n.
    read_pj : float
        Of a cycle, by memories that are read in each one.
    file_bits : int
        Of register files.
    word_pj : float
        Words that are read because they are wanted, at the mean energy of a bit of all memories.
    moved_pj : float
        Bits read from and written to the memory outside, at the same.
    dram_bits : int
        Those of them that the specification counts.
    """

    model_cycles: int | None
    first_cycles: int
    busy_cycles: int
    flip_flops: int
    adders: dict[str, int]
    read_pj: float
    file_bits: int
    word_pj: float
    moved_pj: float
    dram_bits: int

    def logic(self, cycles: float) -> list[float]:
        """What the coefficients of CLOCK are multiplied by."""
        return [self.flip_flops * cycles, float(sum(self.adders.values()))]

    def memory(self, cycles: float) -> list[float]:
        """What those of MEMORY are."""
        return [self.read_pj * cycles, self.file_bits * cycles, self.word_pj, self.moved_pj]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Costs:
    """Coefficients by name, as the table has them.

    Members
    -------
    values : dict of str to float
        Those of COEFFICIENTS, and ``dram``, pJ of a bit.
    sources : dict of str to str
        By the same names.
    error : dict of str to float
        Of heads and configurations that nothing was fitted on: ``mean`` and ``worst`` relative
        error, and how many ``runs``.
    """

    values: Mapping[str, float]
    sources: Mapping[str, str]
    error: Mapping[str, float]

    @classmethod
    def load(cls, path: Path = TABLE) -> "Costs":
        with open(path, "rb") as file:
            table = tomllib.load(file)
        rows = {name: table[name] for name in (*COEFFICIENTS, "dram")}
        return cls({name: row["value"] for name, row in rows.items()},
                   {name: row["source"] for name, row in rows.items()}, table["error"])

    def cycles(self, load: Load) -> float:
        """From the doorbell to the last write response."""
        if load.model_cycles is not None:
            return load.model_cycles
        return (load.first_cycles + self.values["slowdown"] * load.busy_cycles
                + self.values["start"])

    def picojoules(self, load: Load, cycles: float | None = None) -> dict[str, float]:
        """Energy by group; of so many cycles, if they are known."""
        if cycles is None:
            cycles = self.cycles(load)
        clock, _ = load.logic(cycles)
        memory = sum(self.values[name] * count
                     for name, count in zip(MEMORY, load.memory(cycles), strict=True))
        return dict.fromkeys(GROUPS, 0.0) | {
            group: self.values["adder"] * load.adders[group] for group in LOGIC} | {
            "memory": memory, "clock": self.values["flip_flop"] * clock,
            "dram": self.values["dram"] * load.dram_bits}

    @property
    def note(self) -> str:
        """What is to be said beside every figure."""
        return (f"an estimate for gates of IHP SG13G2 at 1.2 V; against prunus power on "
                f"{self.error['runs']} runs that nothing was fitted on, its error is "
                f"{self.error['mean']:.1%} on average and {self.error['worst']:.1%} at worst. "
                "No wires; DRAM as published")


@cache
def _of_hardware(config: EngineConfig) -> dict[str, Any]:
    """Sizes, and pJ of a bit that is read, the mean of all macros; and the share of bits that are
    read in every cycle anyway."""
    found = sizes(config)
    macros = [(memory.macro, memory, count) for memory, count in found.memories.items()
              if memory.macro]
    bits = sum(count * memory.width for _, memory, count in macros)
    return {"flip_flops": found.flip_flops, "read_pj": found.read_always_j / PICO,
            "file_bits": found.file_bits,
            "bit_pj": sum(count * of.read_j for of, _, count in macros) / bits / PICO,
            "always": sum(count * memory.width for _, memory, count in macros
                          if memory.always) / bits}


def load_of(table: Sequence[Job], results: Sequence[Any],
            config: EngineConfig) -> tuple[Load, list[Event]]:
    """What a table of heads asks for, and all events.

    Parameters
    ----------
    table : sequence of Job
        In the order that :meth:`prunus.golden.engine.Engine.arrange` gives.
    results : sequence
        What golden gives for them, or summaries.
    config : EngineConfig
    """
    engine, hardware = engine_of(config), _of_hardware(config)
    events = engine.events(table, results, config)
    held = engine.held(table, results, config)
    records = [engine.kind(job).record(job, result, config, planes)
               for job, result, planes in zip(table, results, held, strict=True)]
    beats = [record.read_bytes // (config.axi_data_width // 8) for record in records]
    least = [engine.bound_cycles([job], [result], config)
             for job, result in zip(table, results, strict=True)]
    moved = 8 * sum(record.read_bytes + record.write_bytes for record in records)

    def bits(kinds: Sequence[str], group: str | None = None) -> int:
        return sum(event.count * event.bits for event in events
                   if event.kind in kinds and group in (None, event.group))

    return Load(
        model_cycles=engine.predict_cycles(table, results, config),
        first_cycles=beats[0] if beats else 0,
        busy_cycles=sum(map(max, least, [*beats[1:], 0])),
        flip_flops=hardware["flip_flops"],
        adders={group: bits(("multiply", "add"), group) for group in LOGIC},
        read_pj=hardware["read_pj"], file_bits=hardware["file_bits"],
        word_pj=bits(("sram",)) * (1 - hardware["always"]) * hardware["bit_pj"],
        moved_pj=moved * hardware["bit_pj"], dram_bits=bits(("dram",))), events

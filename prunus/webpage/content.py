# SPDX-License-Identifier: Apache-2.0
"""What a page says, ready for JSON: heads, what is kept of them, and what they cost."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prunus import __version__
from prunus.golden.engine import EngineConfig
from prunus.golden.engines import engine_of

from ..run import compute
from .cells import cell_size
from .engines import view_of
from .engines.view import PROBABILITY, Kept
from .work import Table, measured

__all__ = ["content", "of_file"]

Progress = Callable[[int, int], None]


def _sum(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return [sum(part for part, _ in pairs), sum(whole for _, whole in pairs)]


def _kept_row(name: str, kept: Kept) -> dict[str, Any]:
    return {"name": name, "head_kept": kept.head, "blocks": [kept.blocks_kept, kept.blocks],
            "scores": [kept.scores_kept, kept.scores]}


def _common(jobs: Sequence[Any]) -> str:
    """Sizes of the heads in words."""
    def span(values: Sequence[int]) -> str:
        return f"{min(values)}" if min(values) == max(values) else f"{min(values)}–{max(values)}"

    return (f"{len(jobs)} head{'s' * (len(jobs) != 1)}, {span([job.l_q for job in jobs])} queries "
            f"× {span([job.l_kv for job in jobs])} keys, d = {span([job.d for job in jobs])}"
            f"{', causal' if jobs[0].causal else ''}")


def content(tables: Sequence[Table], config: EngineConfig, *, title: str, rtl: bool,
            settings: Sequence[tuple[str, str]], by_layer: bool = False,
            results: Sequence[Sequence[Any]] | None = None,
            progress: Progress | None = None, **more: Any) -> dict[str, Any]:
    """What there is to say of tables of heads.

    Parameters
    ----------
    by_layer : bool
        Tables are the layers of a model.
    results : list of lists, optional
        Golden's whole results, if they are there already.
    more
        ``cards``, ``curve`` and ``tokens``; ``kept_task`` and ``texts`` of a model.
    """
    view, engine = view_of(config), engine_of(config)
    results = results or [compute(table.jobs, config, whole=True) for table in tables]
    jobs = [job for table in tables for job in table.jobs]
    side = cell_size([(job.l_q, job.l_kv) for job in jobs])
    heads, rows = [], []
    layers: list[list[list[int]]] = []
    for n, (table, found) in enumerate(zip(tables, results, strict=True)):
        layers.append([])
        for number, (job, result) in enumerate(zip(table.jobs, found, strict=True)):
            name = f"layer {n}, head {number}" if by_layer else f"{number}"
            heads.append({"layer": n, "head": number,
                          **view.head(job, result, config, side)})
            rows.append(_kept_row(name, view.kept(job, result)))
            layers[-1].append(rows[-1]["blocks" if view.mask_cell == 2 else "scores"])
    quantities = {one.key: one for job in jobs for one in view.quantities(job)}
    return {
        "prunus": __version__, "title": title, "subtitle": _common(jobs), "engine": engine.title,
        "config": {**config.model_dump(mode="json")}, "settings": [list(row) for row in settings],
        "cards": [list(card) for card in more.get("cards", ())], "cell": side,
        "mask_cell": view.mask_cell, "tokens": more.get("tokens"),
        "quantities": [asdict(one) for one in (*quantities.values(), PROBABILITY)],
        "heads": heads,
        "kept": {"what": "blocks" if view.mask_cell == 2 else "scores", "heads": rows,
                 "layers": layers if by_layer else None, "task": more.get("kept_task"),
                 "texts": more.get("texts"),
                 **{what: _sum([row[what] for row in rows]) for what in ("blocks", "scores")}},
        "budget": measured(tables, config, rtl=rtl, progress=progress),
        "curve": more.get("curve")}


def of_file(path: Path, jobs: Sequence[Any], config: EngineConfig, *, rtl: bool,
            curve: dict[str, Any] | None = None,
            progress: Progress | None = None) -> dict[str, Any]:
    """Of the heads of a file."""
    engine, first = engine_of(config), jobs[0]
    return content(
        [Table("heads", list(jobs))], config, title=f"{path.name} on {config.name}", rtl=rtl,
        progress=progress, curve=curve, settings=[
            ("heads", path.name), ("engine", f"{engine.title}: {engine.about}"),
            ("hardware", f"{config.name}" + (f": {config.description}" * bool(config.description))),
            ("pruning of the first head", engine.kind(first).describe(first))])

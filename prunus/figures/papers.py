# SPDX-License-Identifier: Apache-2.0
"""The papers' figures, redrawn with the models that are here (docs/papers.md).

A figure has curves of points for each model. What is measured is kept in the campaign ``papers``,
and figures share points.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..bench import plot
from ..evaluate.metrics import METRICS, difference_interval
from ..evaluate.tasks import TASKS
from ..train.thresholds import load_thresholds
from . import claims, curves, whole
from .figure import ROOT, Compared, Figure, Heads
from .points import ALL_BLOCKS, LEOPARD, NEEDS, PERCENT, Bench, Point, learn, measure_point

__all__ = ["BENCHES", "DRAWN", "FIGURES", "Drawn", "criteria", "measure", "top_k"]

EDGE, FINE, TOPK = "hdp_edge", "hdp_fine", "topk_edge"
LEARNED = {"thresholds_only": "thresholds only", "joint": "weights too",
           "joint_distil": "weights too, with a teacher"}

BENCHES = {
    "stories": Bench(model="stories260k", text="tinystories/dev.txt", task="lm", limit=20,
                     training="tinystories/calibration.txt", learned_from=20, relative=True),
    "cola": Bench(model="minilm-cola", text="cola/dev.tsv", task="cola",
                  training="cola/train.tsv", learned_from=100),
    "sst2": Bench(model="minilm-sst2", text="sst2/dev.tsv", task="sst2",
                  training="sst2/train.tsv", learned_from=100),
}

Levels = Callable[[str], list]          # from what is learned to its percentiles


def _by(curve: str, preset: str, name: str, *, values: Sequence[float], method: str = "hdp",
        more: Callable[[str], dict] | None = None, **options: Any) -> list[Point]:
    """A point for each value of an option; ``more`` says what else a point on a preset has."""
    return [Point(curve=curve, method=method, preset=preset, options={name: value, **options},
                  **(more(preset) if more else {})) for value in values]


def _controls(of: str, shares: Sequence[float]) -> list[Point]:
    return [*(Point(curve="random", method="random", options={"share": share, "of": of})
              for share in shares), Point(curve="uniform", method="uniform")]


PERCENTS = (15, 35)                    # of the heads of training
NET = 15                                # of them with blocks, too
RHOS = (0.0, 0.25, 0.6)
ENCODER = (1.0, 0.5, 0.25)              # distances
DECODER = (6.0, 4.0, 3.0)
KEEPS = (0.5, 0.3, 0.2, 0.1)
# Of SST-2, which hardly loses anything, longer curves of blocks show where it begins to.
MORE_RHOS, MORE_DISTANCES, MORE_KEEPS = (-0.5, 0.4, 0.8), (4.0, 2.0, 0.0), (0.4, 0.15)


def _decodes(bench: Bench) -> bool:
    return TASKS[bench.task].generates


def _distances(bench: Bench, more: bool = False) -> dict[str, Any]:
    if _decodes(bench):                 # docs/criteria.md says why they drop
        return {"values": DECODER, "pruned": "drop"}
    return {"values": ENCODER + MORE_DISTANCES * more}


# -- the points of each figure --------------------------------------------------------------------
def criteria(distances: Mapping[str, Any], rhos: Sequence[float] = RHOS,
             **more: Any) -> list[Point]:
    """The paper's rule with the paper's digits, and our rule with rounded ones, whose options are
    ``distances``."""
    exact = "_exact" if more else ""
    return [*_by(f"magnitude{exact}", EDGE, "rho", values=rhos, **more),
            *_by(f"distance{exact}", FINE, "distance", **distances, **more)]


def top_k(keeps: Sequence[float] = KEEPS) -> list[Point]:
    return _by("topk", TOPK, "keep", values=keeps, method="topk")


def _blocks(bench: Bench, levels: Levels) -> list[Point]:
    more = bench.task == "sst2"
    return [*criteria(_distances(bench, more), RHOS + MORE_RHOS * more),
            *top_k(KEEPS + MORE_KEEPS * more),
            *_controls("blocks", (0.5,) if more else (0.5, 0.75))]


def _approximation(bench: Bench, levels: Levels) -> list[Point]:
    return criteria(_distances(bench)) + criteria(_distances(bench), exact=True)


def _tau(preset: str, percent: int, levels: Levels) -> dict[str, Any]:
    return {"tau": levels(preset)[PERCENT.index(percent)], "told": {"percent": percent}}


def _heads_of(curve: str, preset: str, percents: Sequence[int], levels: Levels) -> list[Point]:
    return [Point(curve=curve, method="hdp", preset=preset, options={"distance": ALL_BLOCKS},
                  **_tau(preset, percent, levels)) for percent in percents]


def _heads(bench: Bench, levels: Levels) -> list[Point]:
    return [*_heads_of("heads", EDGE, PERCENTS, levels),
            *_heads_of("heads_rounded", FINE, PERCENTS, levels),
            *_controls("heads", (0.35,))]


def _spatten(bench: Bench, levels: Levels) -> list[Point]:
    return [*_heads_of("heads", EDGE, PERCENTS, levels),
            *_heads_of("heads_rounded", FINE, PERCENTS, levels),
            *(Point(curve="spatten", method="spatten", options={"head_keep": keep})
              for keep in (0.6, 0.3, 0.1)),
            *_controls("heads", (0.35,))]


def _net(bench: Bench, levels: Levels) -> list[Point]:
    tau = partial(_tau, percent=NET, levels=levels)
    return [*_by("magnitude_heads", EDGE, "rho", values=RHOS[:2], more=tau),
            *_by("distance_heads", FINE, "distance", more=tau,
                 **{**_distances(bench), "values": _distances(bench)["values"][:2]}),
            *_controls("blocks", (0.75,))]


def _leopard(bench: Bench, levels: Levels) -> list[Point]:
    """One percentile for all layers; of the decoder, which is quick, one layer by itself."""
    layers = np.array(levels("logits")).T           # a row for each percentile

    def point(curve: str, percent: int, only: int | None = None) -> Point:
        level = layers[PERCENT.index(percent)]
        chosen = [threshold if only in (None, n) else float("-inf")
                  for n, threshold in enumerate(level.tolist())]
        return Point(curve=curve, method="leopard", preset=LEOPARD, thresholds=tuple(chosen),
                     told={"percent": percent} | ({} if only is None else {"layer": only}))

    return [*(point("layers", percent) for percent in (50, 75, 90)),
            *(point("one_layer", 90, n) for n in range(layers.shape[1]) if _decodes(bench)),
            Point(curve="uniform", method="uniform")]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure of a paper.

    Members
    -------
    about : str
    points : callable
        From a bench and what is learned of its texts of training, to the points.
    learned : tuple of str
        What :func:`.points.learn` must learn for them.
    share : str
        What is pruned along the axis: ``blocks``, ``scores`` or ``heads``.
    rivals : dict
        A curve, and the one whose points its own are compared with: those of about as large a
        share. Texts are drawn in pairs.
    table : callable
        From the data to Markdown.
    models : tuple of str
        Those of BENCHES that are measured.
    texts : dict
        Of a model, how many of its texts judge, if not all.
    """

    about: str
    points: Callable[[Bench, Levels], list[Point]]
    learned: tuple[str, ...] = ()
    share: str = "scores"
    rivals: Mapping[str, str] = field(default_factory=dict)
    table: Callable[[Any], str] = curves.points_table
    models: tuple[str, ...] = ("stories", "cola", "sst2")
    texts: Mapping[str, int] = field(default_factory=dict)


HALF = {"sst2": 436}                    # of its sentences, for time
DRAWN = {
    "blocks": Drawn(about="blocks of HDP against Top-K", points=_blocks,
                    rivals={"magnitude": "topk", "distance": "topk"}),
    "approximation": Drawn(
        about="what is lost by leaving out products of fractions", points=_approximation,
        share="blocks", table=curves.approximation_table,
        rivals={"magnitude_exact": "magnitude", "distance_exact": "distance"},
        models=("stories", "cola")),
    "heads": Drawn(about="heads pruned by theta_head", points=_heads, learned=(EDGE, FINE),
                   share="heads", texts=HALF),
    "spatten": Drawn(about="heads of HDP against SpAtten's", points=_spatten,
                     learned=(EDGE, FINE), share="heads",
                     table=partial(curves.points_table, without=(
                         "float", "heads", "heads_rounded", "random", "uniform")),
                     rivals={"heads": "spatten", "heads_rounded": "spatten"}, texts=HALF),
    "net": Drawn(about="blocks and heads together", points=_net, learned=(EDGE, FINE),
                 share="blocks", texts=HALF),
    "leopard": Drawn(about="thresholds of LeOPArd by layer", points=_leopard,
                     learned=("logits",), table=curves.layers_table, models=("stories", "cola")),
}


# -- measuring ------------------------------------------------------------------------------------
def _against(drawn: Drawn, points: Sequence[Point], rows: Sequence[dict], n: int,
             gap: Callable[[int, int], dict]) -> dict:
    """How a row differs from the one of its rival that prunes about as much."""
    rival = drawn.rivals.get(points[n].curve)
    among = [m for m, point in enumerate(points) if point.curve == rival]
    if not among:
        return {}
    share = f"{drawn.share}_pruned"
    nearest = min(among, key=lambda m: abs(rows[m][share] - rows[n][share]))
    return {"against": {"curve": rival, share: rows[nearest][share], **gap(nearest, n)}}


def _of_model(name: str, key: str, heads: Heads) -> dict:
    drawn, bench = DRAWN[name], BENCHES[key]
    bench = replace(bench, limit=drawn.texts.get(key, bench.limit))
    levels: dict[str, list] = {}
    about: dict[str, Any] = {}
    if drawn.learned:
        taught, found = whole.run("papers", bench.teaching, bench.teaching, heads, learn,
                                  drawn.learned, NEEDS)
        levels = dict(zip(drawn.learned, found, strict=True))
        about["training"] = {"text": taught["text"], "sha256": taught["sha256"]["text"],
                             "texts": bench.learned_from}
    points = [Point(curve="float", method="float"), *drawn.points(bench, levels.__getitem__)]
    told, found = whole.run("papers", bench, bench, heads, measure_point, points, NEEDS)
    metric = TASKS[bench.task].metric
    items = [np.array(record.pop("items"), float) for record in found]

    def gap(before: int, after: int) -> dict:
        base, value = found[before]["value"], found[after]["value"]
        return {"difference": (value - base) / (base if bench.relative else 1),
                "interval": difference_interval(METRICS[metric], items[before], items[after],
                                                bench.relative)}

    rows = [{"curve": point.curve, "preset": point.preset,
             "settings": {**point.options, **point.told}
             | ({"tau": point.tau} if point.tau is not None else {})
             | ({"thresholds": [None if x == -np.inf else x for x in point.thresholds]}
                if point.thresholds else {}),
             **record, **gap(0, n), **_against(drawn, points, found, n, gap)}
            for n, (point, record) in enumerate(zip(points, found, strict=True))]
    return {"name": key, **told, **about, "n": len(items[0]), "metric": metric,
            "relative": bench.relative, "rows": rows}


def measure(name: str, heads: Heads) -> dict:
    """The data of a figure, for all models."""
    return {"models": [_of_model(name, key, heads) for key in BENCHES
                       if key in DRAWN[name].models],
            **({"learned": _learned()} if name == "leopard" else {})}


def _learned() -> list[dict]:
    """Runs of ``prunus train-thresholds`` (docs/train.md), all with the sentences of dev."""
    found = []
    for run, title in LEARNED.items():
        learned = load_thresholds(ROOT / "docs" / "train" / f"{run}.toml")
        assert learned.dev is not None
        dev = learned.dev.model_dump()
        low, high = dev["points_lost_interval"]
        found.append({
            "run": run, "title": title, "model": BENCHES["sst2"].model, "texts": dev["sentences"],
            "pruned": dev["pruned"], "layers": dev["pruned_by_layer"],
            "loss": {"lost": dev["points_lost"], "low": low, "high": high}})
    return found


# -- the figures ----------------------------------------------------------------------------------
def _plots(name: str, document: dict) -> dict[str, Callable]:
    """What draws the pictures, where matplotlib is there."""
    if not plot.available():
        return {}
    data = document["data"]
    found: dict[str, Callable] = {f"papers_{name}.svg": partial(
        curves.draw, data, DRAWN[name].share, claims.CLAIMS.get(name, ()))}
    if name == "leopard":
        found["papers_layers.svg"] = partial(curves.draw_layers, data)
    return found


def _figures(name: str, drawn: Drawn) -> list[Figure]:
    figure = Figure(
        name=f"papers_{name}", about=drawn.about, measure=partial(measure, name),
        table=drawn.table, configs=(EDGE, FINE, TOPK, LEOPARD),
        tools=("numpy", "torch", "transformers"), compared=Compared.COMMAND, models=True,
        plots=partial(_plots, name))
    claimed = Figure(name=f"papers_{name}_claims", about=f"what is claimed of {drawn.about}",
                     of=figure.name, table=partial(curves.claims_table, name),
                     compared=Compared.DERIVED)
    return [figure, *([claimed] if name in claims.CLAIMS else [])]


FIGURES = [figure for name, drawn in DRAWN.items() for figure in _figures(name, drawn)]

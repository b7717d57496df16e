# SPDX-License-Identifier: Apache-2.0
"""What each part of the search and of the training is worth: the same short training of forms that
were chosen in different ways, and of the same forms with less training (docs/compress.md).

A point takes some minutes. Those that are measured lie in build/heat_front, and a command that was
stopped goes on behind them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from prunus.golden.engines import load_config

from ..errors import InputError
from ..files import write_files
from .curves import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Curve, style, write
from .figure import ROOT, Compared, Figure, Heads, table

__all__ = ["CURVES", "FIGURES", "Front"]

PRESET, MODEL = "hdp_edge", "minilm-sst2"
TRAIN, DEV, TASK = "sst2/train.tsv", "sst2/dev.tsv", "sst2"
POINTS = ROOT / "build" / "heat_front"
GAINS = (40.0, 80.0, 160.0)
RANKS = (16,)               # of tensor trains of two cores; by the model 32 costs more than dense
HELD, FIRST, SECOND = 3000, 3, 1
OURS = "ours"
CURVES = {
    OURS: Curve("prunus compress", BLUE, "o-"),
    "products": Curve("fewest products instead of EDP", ORANGE, "s-"),
    "uniform": Curve("two factors, one share for all", GREEN, "^-"),
    "trains": Curve("tensor trains, shapes of tltorch", PURPLE, "d-"),
    "unfused": Curve("ours, intermediates to memory", GREY, "o:"),
    "one_stage": Curve("ours, second stage only", BLUE, "x--"),
    "no_training": Curve("ours, no training", RED, "x--"),
}


class Front:
    """Measures points.

    Parameters
    ----------
    heads : Heads
        With the folders of models and texts.
    """

    def __init__(self, heads: Heads):
        if heads.models is None or heads.texts is None:
            raise InputError("--models and --texts must be given for heat_front")
        self.models, self.texts = heads.models, heads.texts

    def session(self, first: int = FIRST, second: int = SECOND, work: str = "survey") -> Any:
        from ..compress.cost import Energy
        from ..compress.session import Session
        from ..compress.settings import Settings
        from ..evaluate.tasks import TASKS, Columns

        config: Any = load_config(PRESET)
        return Session(
            self.models / MODEL, self.texts / TRAIN, self.texts / DEV, TASKS[TASK],
            columns=Columns(), length=None, config=config, rows=None,
            settings=Settings(first=first, second=second, held=HELD),
            energy=Energy.of_config(config), work=POINTS / f"{work}.work")

    @cached_property
    def _survey(self) -> Any:
        return self.session().survey((8, 4), ("dense", "svd"))

    def _chosen(self, session: Any, curve: str, at: float) -> Sequence[Any]:
        from ..compress.assign import heuristic

        survey = self._survey
        if curve == "uniform":
            return session.alike(survey.targets, survey.sensitivity, at, 4)[0]
        if curve == "trains":
            shapes = {name: (place.n, place.k) for name, place in session.plan.places.items()}
            return session.fitted(heuristic(shapes, 2, int(at), 4), survey.targets,
                                  survey.sensitivity)[0]
        return session.pick(survey, at, 0, (8, 4), "products" if curve == "products" else "edp")[0]

    def point(self, curve: str, at: float) -> dict[str, Any]:
        """One point: EDP by the model of cost, and what the trained model says of dev."""
        if curve == "unfused":
            found = self.point(OURS, at)
            return found | {"edp": found["edp_unfused"], "curve": curve}
        path = POINTS / f"{curve}-{at:g}.json"
        first, second = {"one_stage": (0, FIRST + SECOND),
                         "no_training": (0, 0)}.get(curve, (FIRST, SECOND))
        session = self.session(first, second, f"{curve}-{at:g}")
        belongs = session.belongs | asdict(session.settings)
        kept = _kept(path, belongs)
        if kept is not None:
            return kept
        trained = session.train(self._chosen(session, curve, at))
        found = self._costs(session, trained) | said(session, trained) | {
            "curve": curve, "asked": at}
        text = json.dumps({"belongs": belongs, "point": found})
        write_files({path: lambda file: file.write(text.encode())})
        return found

    @staticmethod
    def _costs(session: Any, trained: Any) -> dict[str, Any]:
        from ..compress.cost import edp

        dense = edp(session.cost(session.dense(), None, session.plan.chains), session.bare)
        forms = {names: layer.form for names, layer in trained.layers.items()}
        costs = [session.cost(forms, None, trained.chains, fused=fused) for fused in (True, False)]
        return {"edp": dense / edp(costs[0], session.bare),
                "edp_unfused": dense / edp(costs[1], session.bare),
                "cost": asdict(costs[0]),
                "forms": sorted({form.name for form in forms.values()})}


def _kept(path: Path, belongs: Mapping[str, Any]) -> dict[str, Any] | None:
    """A point of the same model, texts, settings and costs, if one lies there."""
    if not path.exists():
        return None
    state = json.loads(path.read_text("utf-8"))
    return state["point"] if state.get("belongs") == json.loads(json.dumps(belongs)) else None


def said(session: Any, trained: Any) -> dict[str, Any]:
    """Of dev, by the integers of the jobs: accuracy, and nats of divergence from the model as
    given."""
    import torch
    from torch.nn.functional import log_softmax

    from ..compress.texts import Texts
    from ..evaluate.metrics import METRICS, difference_interval, interval

    dev = session.tried["dev"]
    texts = Texts(dev, range(len(dev)))
    apart: list[float] = []
    before: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    with torch.no_grad(), dev.model.by_itself(), trained.model.by_itself():
        for start in range(0, len(texts), 32):
            numbers = list(range(start, min(start + 32, len(texts))))
            batch = texts.batch(numbers)
            old, new = (log_softmax(model(**batch).logits, -1)
                        for model in (session.teacher, trained.model.model))
            apart += (old.exp() * (old - new)).sum(-1).tolist()
            labels = [int(texts.labels[n]) for n in numbers]
            before += zip(old.argmax(-1).tolist(), labels, strict=True)
            after += zip(new.argmax(-1).tolist(), labels, strict=True)
    accuracy = METRICS["accuracy"]
    items = [np.array(some, dtype=float) for some in (before, after)]
    low, high = difference_interval(accuracy, items[0], items[1], False)
    ones = np.ones(len(apart))
    return {"texts": len(apart), "divergence": float(np.mean(apart)),
            "divergence_error": float(np.std(apart) / len(apart)**0.5),
            "before": float(accuracy(ones, items[0])), "after": float(accuracy(ones, items[1])),
            "after_interval": list(interval(accuracy, items[1])),
            "lost": 100 * float(accuracy(ones, items[0]) - accuracy(ones, items[1])),
            "lost_interval": [-100 * high, -100 * low]}


def points() -> list[tuple[str, float]]:
    return [(curve, float(at)) for curve in CURVES
            for at in (RANKS if curve == "trains" else GAINS)]


def measure(heads: Heads) -> list[dict]:
    front = Front(heads)
    return [front.point(curve, at) for curve, at in points()]


def _table(data: Sequence[Mapping]) -> str:
    return table(
        ["curve", "asked", "EDP lower", "divergence, nats", "accuracy, dev", "points lost"],
        [[CURVES[row["curve"]].title,
          f"rank {row['asked']:g}" if row["curve"] == "trains" else f"{row['asked']:g}x",
          f"{row['edp']:.1f}x", f"{row['divergence']:.3f} +- {1.96 * row['divergence_error']:.3f}",
          f"{row['after']:.3f}", "{:.1f} ({:.1f} to {:.1f})".format(
              row["lost"], *row["lost_interval"])] for row in data])


def _draw(data: Sequence[Mapping], file: BinaryIO) -> None:
    """Divergence over EDP: to the right and down is better."""
    from matplotlib.figure import Figure as Picture

    with style():
        picture = Picture(figsize=(6.4, 4.6), layout="constrained")
        axes = picture.subplots()
        for curve, how in CURVES.items():
            rows = sorted((row for row in data if row["curve"] == curve),
                          key=lambda row: row["edp"])
            axes.errorbar([row["edp"] for row in rows], [row["divergence"] for row in rows],
                          [1.96 * row["divergence_error"] for row in rows], fmt=how.style,
                          color=how.color, markersize=4, linewidth=1.1, elinewidth=0.6,
                          label=how.title)
        axes.set(xscale="log", yscale="log", xlabel="energy times cycles, times lower",
                 ylabel="divergence from the model as given, nats, dev")
        axes.xaxis.set_major_formatter("{x:g}")
        write(picture, [axes], file)


def _plots(document: Mapping) -> dict[str, Any]:
    return {"heat_front.svg": lambda file: _draw(document["data"], file)}


FIGURES = [Figure(
    name="heat_front", about="what search and training are worth, each left out",
    measure=measure, table=_table, configs=(PRESET,), tools=("numpy", "torch", "scipy"),
    compared=Compared.COMMAND, models=True, plots=_plots)]

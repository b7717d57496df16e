# SPDX-License-Identifier: Apache-2.0
"""Criteria of HDP in real models, by the specification's own arithmetic (docs/criteria.md).

Each setting is a task of a campaign: what is finished is kept under build/campaigns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engines import load_config_of
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from ..evaluate.choices import HdpChoice
from ..evaluate.methods.hdp import Hdp
from ..evaluate.methods.own import Float, Uniform
from ..evaluate.metrics import METRICS, difference_interval
from ..evaluate.tasks import TASKS
from . import whole
from .figure import Compared, Figure, Heads, table

__all__ = ["BENCHES", "FIGURES", "Bench", "attend"]

BASE = "hdp_edge"
STORIES = 20
CONTROLS = ("model", "float64", "uniform")


# -- the settings ---------------------------------------------------------------------------------
ROUNDED: dict = {"digits": "rounded"}
FINE: dict = {"digits": "rounded", "frac": 3}


def _settings(name: str, values: Sequence[float], **common: Any) -> list[dict]:
    return [{name: value, **common} for value in values]


DECODER = [
    {}, {**ROUNDED, "frac": 3},
    *_settings("rho", (0, 0.2, 0.4)),
    *_settings("rho", (0, 0.2, 0.4), drop=True),
    *_settings("rho", (0, 0.2, 0.4), drop=True, **ROUNDED),
    *_settings("distance", (6, 5, 4), drop=True),
    *_settings("distance", (6, 5, 4, 3), drop=True, **ROUNDED),
    *_settings("distance", (6, 5, 4, 3), drop=True, exact=True, **ROUNDED),
    *_settings("distance", (6, 5, 4, 3.5, 3, 2.5), drop=True, **FINE),
    *_settings("distance", (5, 4, 3), **ROUNDED),
    *_settings("distance", (4,), drop=True, centred=False, **ROUNDED),
    *_settings("distance", (4,), drop=True, centred=False, **FINE),
]


def _encoder(rhos: Sequence[float]) -> list[dict]:
    return [
        {}, {**ROUNDED, "frac": 3},
        *_settings("rho", rhos),
        *_settings("distance", (1, 0.5, 0.25), **ROUNDED),
        *_settings("distance", (1, 0.5, 0.25, 0), **FINE),
    ]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A model, its texts and the settings that it is measured with.

    Members
    -------
    text : str
        The file below the folder of texts.
    task : str
        Of :data:`prunus.evaluate.tasks.TASKS`.
    what : str
        Title of the measure.
    limit : int or None
        Only the first texts.
    relative : bool
        Differences are told as shares of what the model says by itself.
    """

    model: str
    text: str
    task: str
    what: str
    settings: Sequence[dict]
    limit: int | None = None
    relative: bool = False

    @property
    def measure(self):
        return METRICS[TASKS[self.task].metric]


BENCHES = {
    "stories": Bench(model="stories260k", text="tinystories/dev.txt", task="lm",
                     what="perplexity", settings=DECODER, limit=STORIES, relative=True),
    "sst2": Bench(model="minilm-sst2", text="sst2/dev.tsv", task="sst2", what="right",
                  settings=_encoder((0.2, 0.4, 0.5))),
    "cola": Bench(model="minilm-cola", text="cola/dev.tsv", task="cola", what="MCC",
                  settings=_encoder((0, 0.2, 0.35))),
}


# -- a task: texts under a rule -------------------------------------------------------------------
def _method(setting: dict) -> Hdp:
    """The same setting for all heads; what it does not say of digits is that of ``BASE``."""
    base = load_config_of(HdpConfig, BASE)
    digits = {key: value for key, value in setting.items() if key in ("digits", "frac")}
    how = {key: value for key, value in setting.items() if key not in (*digits, "drop")}
    choice = HdpChoice(**how, pruned="drop" if setting.get("drop") else "zero",
                       dense=not {"rho", "distance"} & setting.keys())
    config = HdpConfig.model_validate(base.model_dump() | digits | {"linear": False})
    return Hdp(config, lambda layer, head: choice, setting)


def attend(bench: str, model: Path, text: Path, rule: str | dict, state: list[str]) -> dict:
    """A task of a campaign: two numbers of each text, and blocks, under a rule.

    ``state`` says what its result depends on beside the sources.
    """
    from ..evaluate.core import Evaluator
    from ..models.attention import Double

    of = BENCHES[bench]
    evaluator = Evaluator(model, TASKS[of.task], text, limit=of.limit)
    if of.limit is not None and len(evaluator) < of.limit:
        raise InputError(f"text {str(text)!r} must hold {of.limit} documents, not "
                         f"{len(evaluator)}")
    if rule == "float64":
        return {"items": evaluator.items(Double()).tolist(), "kept": 0, "total": 0}
    method = _method(rule) if isinstance(rule, dict) else {
        "model": Float, "uniform": Uniform}[rule]()
    done = evaluator.run(method, costs=False)
    total = done.counts if isinstance(rule, dict) else None
    return {"items": done.items.tolist(), "kept": total.blocks_kept if total else 0,
            "total": total.blocks if total else 0}


# -- figures --------------------------------------------------------------------------------------
def _measure(name: str, heads: Heads) -> dict:
    bench = BENCHES[name]
    rules: list[str | dict] = [*CONTROLS, *bench.settings]
    about, found = whole.run("criteria", name, bench, heads, attend, rules)
    own = np.array(found[0]["items"], float)
    return {**about, "texts": len(own),
            "rows": [_row(bench, rule, one, own) for rule, one in zip(rules, found, strict=True)]}


def _row(bench: Bench, rule: str | dict, found: dict, own: np.ndarray) -> dict:
    items, once = np.array(found["items"], float), np.ones(len(own))
    value, base = (float(bench.measure(once, of)) for of in (items, own))
    return {"rule": rule, "blocks_kept": found["kept"], "blocks": found["total"], "value": value,
            "difference": (value - base) / (base if bench.relative else 1),
            "interval": difference_interval(bench.measure, own, items, bench.relative)}


NAMES = {"model": "the model by itself, float32", "float64": "control: dense softmax, float64",
         "uniform": "control: uniform attention"}


def _criterion(rule: dict) -> str:
    if not {"rho", "distance"} & rule.keys():
        return "dense, nothing pruned"
    return ", ".join(["magnitude" if "rho" in rule else "distance",
                      "`drop`" if rule.get("drop") else "`zero`",
                      *(["`exact`"] if rule.get("exact") else []),
                      *([] if rule.get("centred", True) else ["keys not centred"])])


def _parameter(rule: dict) -> str:
    return next((f"{sign} = {rule[key]:g}" for key, sign in (("rho", "rho"), ("distance", "x"))
                 if key in rule), "")


def _cells(bench: str, row: dict) -> list[str]:
    rule, low_high = row["rule"], row["interval"]
    relative = BENCHES[bench].relative
    value = f"{row['value']:.3f}"
    if rule == "model":
        return [NAMES[rule], "", "", "", value, ""]
    difference = (f"{row['difference']:+.1%} ({low_high[0]:+.1%} to {low_high[1]:+.1%})" if relative
                  else f"{row['difference']:+.3f} ({low_high[0]:+.3f} to {low_high[1]:+.3f})")
    if isinstance(rule, str):
        return [NAMES[rule], "", "", "", value, difference]
    digits = f"{rule.get('digits', 'truncated')}, FW = {rule.get('frac', 4)}"
    pruned = f"{1 - row['blocks_kept'] / row['blocks']:.1%}"
    return [_criterion(rule), digits, _parameter(rule), pruned, value, difference]


def _table(bench: str, data: dict) -> str:
    titles = ["criterion", "digits", "parameter", "blocks pruned", BENCHES[bench].what,
              "difference to the model by itself (95% interval)"]
    return table(titles, [_cells(bench, row) for row in data["rows"]])


BRIEF: list[str | dict] = [
    "model", {"rho": 0}, {"rho": 0, "drop": True}, {"distance": 4, "drop": True, **ROUNDED},
    {"distance": 4, "drop": True, **FINE}]


def _brief_table(data: dict) -> str:
    """The decoder's rows that say most."""
    rows = [_cells("stories", next(row for row in data["rows"] if row["rule"] == rule))
            for rule in BRIEF]
    return table(["", "digits", "blocks pruned", "perplexity", "difference (95% interval)"], [
        [criterion, digits, pruned, value, difference]
        for criterion, digits, _, pruned, value, difference in rows])


FIGURES = [
    Figure(name="criteria_brief", about="the decoder's rows that say most", of="criteria_stories",
           table=_brief_table, compared=Compared.DERIVED),
    *(Figure(name=f"criteria_{name}",
             about=f"criteria of HDP in {bench.model}, by the specification",
             measure=partial(_measure, name), table=partial(_table, name), configs=(BASE,),
             tools=("numpy", "torch", "transformers"), compared=Compared.COMMAND, models=True)
      for name, bench in BENCHES.items())]

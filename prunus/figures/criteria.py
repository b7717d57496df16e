# SPDX-License-Identifier: Apache-2.0
"""Criteria of HDP in real models, by the specification's own arithmetic (docs/criteria.md).

Each setting is a task of a campaign: what is finished is kept under build/campaigns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engines import load_config_of
from prunus.golden.hdp.config import HdpConfig
from prunus.sim.campaigns import campaign

from ..errors import InputError
from ..models.hdp import Setting
from ..models.sentences import Sentences, read_sentences
from ..train.command import check_installed
from ..train.thresholds import digest
from .figure import Compared, Figure, Heads, table

__all__ = ["BENCHES", "FIGURES", "Bench", "attend", "interval", "matthews", "perplexity",
           "read_stories", "right"]

BASE = "hdp_edge"
STORIES = 20
LENGTH = 512                # tokens of a story, the longest that the model knows
RESAMPLES = 4000            # of the texts, by the bootstrap
SEED = 0
CONTROLS = ("model", "float64", "uniform")


# -- texts ----------------------------------------------------------------------------------------
def read_stories(path: Path, count: int = STORIES) -> list[str]:
    """The first of a file whose stories are parted by a line ``<|endoftext|>``."""
    stories = [part.strip() for part in _read(path).split("<|endoftext|>") if part.strip()]
    if len(stories) < count:
        raise InputError(f"text {str(path)!r} must hold {count} stories, not {len(stories)}")
    return stories[:count]


def _read_cola(path: Path, classes: int) -> Sentences:
    """CoLA's columns: source, label, mark of the authors, sentence."""
    rows = [line.split("\t") for line in _read(path).splitlines() if line.strip()]
    for n, row in enumerate(rows, 1):
        if len(row) != 4 or row[1] not in map(str, range(classes)):
            raise InputError(f"text {str(path)!r}, line {n}: must have four columns, the second "
                             f"a label 0..{classes - 1}")
    return Sentences(tuple(row[3] for row in rows), tuple(int(row[1]) for row in rows))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"text {str(path)!r} cannot be read: "
                         f"{getattr(err, 'strerror', None) or 'it is not UTF-8'}") from None


# -- what is measured of some texts, each as often as its weight says -----------------------------
def perplexity(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Of stories (sum of losses, tokens)."""
    losses, tokens = (weights @ items).T
    return np.exp(losses / tokens)


def right(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The share of sentences (said, label) that is right."""
    return weights @ (items[:, 0] == items[:, 1]) / weights.sum(-1)


def matthews(weights: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Matthews' correlation of sentences (said, label); 0 where all are said to be alike."""
    said, label = items.T.astype(bool)
    tp, tn, fp, fn = (weights @ pairs.astype(float) for pairs in (
        said & label, ~said & ~label, said & ~label, ~said & label))
    under = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(under > 0, (tp * tn - fp * fn) / np.sqrt(np.where(under > 0, under, 1)), 0)


Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


def interval(measure: Measure, before: np.ndarray, after: np.ndarray,
             relative: bool) -> list[float]:
    """The 95% interval of the difference of ``after`` to ``before``, texts drawn in pairs.

    ``relative`` differences are shares of ``before``.
    """
    n = len(before)
    weights = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    old, new = (measure(weights.astype(float), items) for items in (before, after))
    found = np.percentile((new - old) / (old if relative else 1), (2.5, 97.5))
    return [float(edge) for edge in found]


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
    what : str
        Title of the measure.
    relative : bool
        Differences are told as shares of what the model says by itself.
    """

    model: str
    text: str
    what: str
    measure: Measure
    settings: Sequence[dict]
    relative: bool = False

    def items(self, model: Path, text: Path, rule: str | dict) -> dict:
        """Two numbers of each text, and blocks, under a rule."""
        return (_of_stories if self.measure is perplexity else _of_sentences)(model, text, rule)


BENCHES = {
    "stories": Bench(model="stories260k", text="tinystories/dev.txt", what="perplexity",
                     measure=perplexity, settings=DECODER, relative=True),
    "sst2": Bench(model="minilm-sst2", text="sst2/dev.tsv", what="right", measure=right,
                  settings=_encoder((0.2, 0.4, 0.5))),
    "cola": Bench(model="minilm-cola", text="cola/dev.tsv", what="MCC", measure=matthews,
                  settings=_encoder((0, 0.2, 0.35))),
}


# -- a task: texts under a rule -------------------------------------------------------------------
def _rule(rule: str | dict):
    from ..models.attention import Dense, Double, Uniform
    from ..models.specified import Specified

    if isinstance(rule, dict):
        return Specified(Setting(**rule), load_config_of(HdpConfig, BASE))
    return {"float64": Double, "uniform": Uniform, "model": Dense}[rule]()


def _blocks(rule: Any) -> dict:
    return {"kept": getattr(rule, "kept", 0), "total": getattr(rule, "total", 0)}


def _of_stories(model: Path, text: Path, name: str | dict) -> dict:
    from ..models.model import Decoder, next_token_loss

    decoder, rule, items = Decoder(model, LENGTH), _rule(name), []
    if name == "model":         # its own attention, and none of ours
        decoder.model.set_attn_implementation("eager")
    decoder.switch.rule = rule
    for tokens in decoder.tokenise(read_stories(text)):
        items.append((next_token_loss(decoder.logits(tokens), tokens), len(tokens) - 1))
    return {"items": items, **_blocks(rule)}


def _of_sentences(model: Path, text: Path, name: str | dict) -> dict:
    from ..models.model import Classifier

    classifier, rule = Classifier(model), _rule(name)
    read = _read_cola if text.parent.name == "cola" else read_sentences
    sentences = read(text, classifier.classes)
    if name == "model":
        classifier.model.set_attn_implementation("eager")
    said = classifier.all_logits(classifier.tokenise(sentences.texts), rule)
    return {"items": [*zip(said.argmax(-1).tolist(), sentences.labels, strict=True)],
            **_blocks(rule)}


def attend(bench: str, model: Path, text: Path, rule: str | dict, state: list[str]) -> dict:
    """A task of a campaign; ``state`` says what its result depends on beside the sources."""
    return BENCHES[bench].items(model, text, rule)


# -- figures --------------------------------------------------------------------------------------
def _measure(name: str, heads: Heads) -> dict:
    bench = BENCHES[name]
    if heads.models is None or heads.texts is None:
        raise InputError(f"figures of {bench.model} need --models, the directory in which it is, "
                         f"and --texts, that of {bench.text}")
    check_installed("figures")
    model, text = heads.models / bench.model, heads.texts / bench.text
    sha = {"model": digest(model), "text": digest(text)}
    state = [*sha.values(), version("torch"), version("transformers")]
    rules: list[str | dict] = [*CONTROLS, *bench.settings]
    tasks = [campaign.Task(rule if isinstance(rule, str) else str(rule), attend,
                           (name, model, text, rule, state)) for rule in rules]
    found = [result.value for result in campaign.run("criteria", tasks)]
    own = np.array(found[0]["items"], float)
    return {"model": bench.model, "text": bench.text, "sha256": sha, "texts": len(own),
            "rows": [_row(bench, rule, one, own) for rule, one in zip(rules, found, strict=True)]}


def _row(bench: Bench, rule: str | dict, found: dict, own: np.ndarray) -> dict:
    items, once = np.array(found["items"], float), np.ones(len(own))
    value, base = (float(bench.measure(once, of)) for of in (items, own))
    return {"rule": rule, "blocks_kept": found["kept"], "blocks": found["total"], "value": value,
            "difference": (value - base) / (base if bench.relative else 1),
            "interval": interval(bench.measure, own, items, bench.relative)}


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
    """The decoder's rows that say most. Raises InputError if one was not measured."""
    kept = [row["rule"] for row in data["rows"]]
    for rule in BRIEF:
        if rule not in kept:
            raise InputError(f"criteria_stories has no row of the setting {rule!r}: measure it "
                             f"again, or keep the table in README.md without it")
    rows = [_cells("stories", data["rows"][kept.index(rule)]) for rule in BRIEF]
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

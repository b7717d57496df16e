# SPDX-License-Identifier: Apache-2.0
"""Compressed models on the RTL: cycles, bytes and energy of their linear layers, from counters.

A text goes through each model that ``make heat`` has made, with its linear layers and its heads on
the RTL, which is compared with the specification bit for bit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig

from ..compress.cost import MEMORY_PJ
from ..compress.kinds import REPORT
from ..errors import InputError
from .curves import RULED
from .figure import ROOT, Compared, Figure, Heads, table

__all__ = ["FIGURES", "MADE", "measure"]

PRESET = "hdp_edge"
MODEL = "minilm-sst2"       # of which there is more to tell
MADE = ROOT / "build" / "heat"
LONG = "128"                # tokens of a text that reports tell costs of, too
PRUNING = {"distance": 1.0}
UNPRUNED = {"distance": RULED}
DENSE = "dense"
UNITS = {"accuracy": "points", "mcc": "hundredths", "perplexity": "%"}


@dataclass(frozen=True)
class Read:
    """What a model reads: the first text of a file with so many tokens, about the mean, or a
    prompt that it goes on from."""

    texts: str
    task: str
    tokens: int = 0
    prompt: str = ""


READ = {"minilm-sst2": Read("sst2/dev.tsv", "sst2", 25),
        "minilm-cola": Read("cola/dev.tsv", "cola", 11),
        "stories260k": Read("tinystories/dev.txt", "lm",
                            prompt="Once upon a time, there was a cat.")}


def _text(model: Any, read: Read, path: Path) -> str:
    from ..models.sentences import read_sentences

    return read.prompt or next(text for text in read_sentences(path, 2).texts
                               if len(model.tokenise([text])[0]) == read.tokens)


def _dense(model: Any, tokens: int) -> list[list[Any]]:
    """Tables of the layers with weights of int8: Q, K and V as one job, the layers behind attention
    as a held chain. Codes of X are random: what a job costs does not depend on them."""
    from prunus.golden.hdp.linear import LinearJob, encode_requant, linear

    rng, tables = np.random.default_rng(0), []

    def job(x: np.ndarray, layers: list[Any], **more: Any) -> LinearJob:
        weight = np.concatenate([layer.weight.detach().numpy() for layer in layers])
        unit = np.abs(weight).max(1) / 127
        w = np.rint(weight / unit[:, None]).astype(np.int64)
        spread = float((x @ w.T).std())
        multiplier, shift = encode_requant(np.full(len(w), 40 / spread))
        return LinearJob(x=x, w=w, bias=np.zeros(len(w), np.int64), multiplier=multiplier,
                         shift=shift, **more)

    for block in model.model.bert.encoder.layer:
        own = block.attention.self
        x = rng.integers(-127, 128, (tokens, own.query.in_features))
        tables.append([job(x, [own.query, own.key, own.value])])
        tables.append([job(x, [block.attention.output.dense])])
        up = job(x, [block.intermediate.dense], activation="table",
                 table=rng.integers(-128, 128, 256), target="held")
        tables.append([up, job(linear(up).y, [block.output.dense], held=True)])
    return tables


def _cost(counts: Any, config: HdpConfig) -> dict[str, Any]:
    from prunus.golden.hdp.linear import Cost

    from ..power.linear import linear_energy_nj

    cost = Cost(cycles=counts.cycles, array_cycles=counts.array_cycles, bus_cycles=0,
                read_bytes=counts.read_bytes, write_bytes=counts.write_bytes,
                products=counts.products, work_cycles=counts.work_cycles)
    return counts.record() | {
        "nj": linear_energy_nj(cost, config),
        "nj_with_memory": linear_energy_nj(cost, config, pj_per_bit=MEMORY_PJ)}


def _without_forms(tables: Sequence[Sequence[Any]], run: Any, config: HdpConfig) -> dict[str, Any]:
    """What tables of dense layers cost on the RTL."""
    from ..evaluate.linear import LinearCounts

    dense = LinearCounts()
    for jobs in tables:
        dense.add(jobs, run(jobs), config)
    assert dense.counted
    return _cost(dense, config)


def _said(path: Path, text: str, run: Any, *, pruned: bool) -> Any:
    """A text through a model on the RTL."""
    from ..evaluate.inference import Question
    from ..evaluate.methods.registry import make_method

    return Question(path, text, make_method("hdp", PRESET, PRUNING if pruned else UNPRUNED)
                    ).answer("verilator", run)


def _attention(said: Any) -> dict[str, Any]:
    assert said.counted
    return {"cycles": said.cycles, "read_bytes": said.read, "write_bytes": said.written}


def _made(path: Path, text: str, run: Any, config: HdpConfig) -> dict[str, Any]:
    """A model that ``prunus compress`` has made."""
    pruned = _said(path, text, run, pruned=True)
    assert pruned.linear is not None and pruned.linear.counted
    report = json.loads((path / REPORT).read_text("utf-8"))
    return {"linear": _cost(pruned.linear, config), "attention": {"pruned": _attention(pruned)},
            "asked": report["asked"], "settings": report["settings"],
            "forms": sorted({layer["form"] for layer in report["layers"]}),
            "bits": sorted({layer["bits"] for layer in report["layers"]}),
            "parameters": report["parameters"], "weight_bytes": report["weight_bytes"],
            "model_edp": {tokens: {name: cost[name] for name in (
                "edp_ratio", "edp_ratio_with_memory")} for tokens, cost in report["costs"].items()},
            "quality": report["quality"]}


def _dev(path: Path, read: Read, texts: Path) -> dict[str, Any]:
    """What attention on hdp_edge leaves of the metric, by the specification."""
    from ..evaluate.core import Evaluator
    from ..evaluate.methods.registry import make_method
    from ..evaluate.tasks import TASKS

    evaluator = Evaluator(path, TASKS[read.task], texts / read.texts)
    return {name: evaluator.run(make_method("hdp", PRESET, how), costs=False).record()
            for name, how in (("unpruned", UNPRUNED), ("pruned", PRUNING))}


def _rows(base: str, heads: Heads, run: Any, config: HdpConfig) -> Iterator[dict[str, Any]]:
    """A model dense, and as it was compressed."""
    from ..models.model import open_model

    assert heads.models is not None and heads.texts is not None
    read, given = READ[base], heads.models / base
    model: Any = open_model(given)
    text = _text(model, read, heads.texts / read.texts)
    made = sorted(path.parent for path in MADE.glob(f"{base}-*/{REPORT}"))
    about: dict[str, Any] = {"base": base, "tokens": read.tokens}
    if read.prompt:             # its dense layers are a model of that command, too
        about["tokens"] = len(model.tokenise([read.prompt])[0])
        own = MADE / f"{base}-{DENSE}"
        if own not in made:
            raise InputError(f"{str(MADE)!r} must have {own.name}, as `make heat` makes it")
        made.remove(own)
        yield about | {"model": DENSE} | _made(own, text, run, config)
    else:
        dense: dict[str, Any] = about | {
            "model": DENSE, "linear": _without_forms(_dense(model, read.tokens), run, config)}
        if base == MODEL:
            dense["attention"] = {
                "unpruned": _attention(_said(given, text, run, pruned=False)),
                "pruned": _attention(_said(given, text, run, pruned=True))}
            dense["dev"] = _dev(given, read, heads.texts)
        yield dense
    for path in made:
        row: dict[str, Any] = about | {"model": path.name.removeprefix(f"{base}-")}
        row |= _made(path, text, run, config)
        if base == MODEL:
            row["attention"]["unpruned"] = _attention(_said(path, text, run, pruned=False))
            row["dev"] = _dev(path, read, heads.texts)
        yield row


def measure(heads: Heads) -> list[dict]:
    from ..run import open_verilator

    if heads.models is None or heads.texts is None:
        raise InputError("--models and --texts must be given for heat_rtl")
    config = load_config(PRESET)
    assert isinstance(config, HdpConfig)
    bases = [base for base in READ if any(MADE.glob(f"{base}-*/{REPORT}"))]
    if not bases:
        raise InputError(f"{str(MADE)!r} must have models, as `make heat` makes them")
    with open_verilator(config) as run:
        return [row for base in bases for row in _rows(base, heads, run, config)]


def _ratio(dense: dict, ours: dict, energy: str) -> float:
    return dense[energy] * dense["cycles"] / (ours[energy] * ours["cycles"])


def _interval(part: dict, name: str) -> str:
    low, high = part[f"{name}_interval"]
    return f"{part[name]:.4f} ({low:.3f} to {high:.3f})"


def _groups(data: Sequence[Mapping]) -> Iterator[tuple[Mapping, list[Mapping]]]:
    """The dense row of each model, and the others."""
    for dense in data:
        if dense["model"] == DENSE:
            yield dense, [row for row in data
                          if row["base"] == dense["base"] and row is not dense]


def _line(row: Mapping, dense: Mapping, quality: Mapping, when: str) -> list[str]:
    linear, part = row["linear"], quality["dev"]
    low, high = part["lost_interval"]
    return [f"{row['base']}, {row['tokens']}", row["model"], f"{linear['cycles']:,}",
            f"{linear['nj'] / 1e6:.3f}", f"{linear['read_bytes'] + linear['write_bytes']:,}",
            f"{_ratio(dense['linear'], linear, 'nj'):.1f}x",
            f"{_ratio(dense['linear'], linear, 'nj_with_memory'):.1f}x",
            "1.0x" if when == "before" else f"{row['model_edp'][LONG]['edp_ratio']:.1f}x",
            f"{part['metric']} {_interval(part, when)}",
            "" if when == "before" else
            f"{part['lost']:.2f} {UNITS[part['metric']]} ({low:.1f} to {high:.1f})"]


def _table(data: Sequence[Mapping]) -> str:
    rows = []
    for dense, others in _groups(data):
        rows.append(_line(dense, dense, others[0]["quality"], "before"))
        rows += [_line(row, dense, row["quality"], "after") for row in others]
    return table(["model, tokens", "layers", "cycles", "mJ", "bytes", "EDP lower, on the chip",
                  f"with {MEMORY_PJ:g} pJ a bit of memory", f"by the model, {LONG} tokens",
                  "dev", "lost"], rows)


def _parts_table(data: Sequence[Mapping]) -> str:
    """Attention and linear layers of one model, each with and without its method."""
    rows, whole = [], None
    for row in data:
        if row["base"] != MODEL:
            continue
        for name, title in (("unpruned", "all blocks"), ("pruned", "HDP")):
            linear, attention, dev = row["linear"], row["attention"][name], row["dev"][name]
            cycles = linear["cycles"] + attention["cycles"]
            whole = whole or cycles
            rows.append([row["model"], title, f"{linear['cycles']:,}", f"{attention['cycles']:,}",
                         f"{whole / cycles:.2f}x", f"{dev['blocks_pruned']:.1%}",
                         f"{dev['value']:.4f} ({dev['low']:.3f} to {dev['high']:.3f})"])
    return table(["linear layers", "attention", "cycles of linear layers", "of attention",
                  "all, times fewer", "blocks pruned, dev", "accuracy, dev"], rows)


FIGURES = [Figure(
    name="heat_rtl", about="compressed models: their linear layers on the RTL", measure=measure,
    table=_table, configs=(PRESET,), tools=("numpy", "torch", "verilator"),
    compared=Compared.COMMAND, models=True),
    Figure(name="heat_parts", about="what HDP and HEAT each bring to a whole encoder",
           of="heat_rtl", table=_parts_table, configs=(PRESET,),
           compared=Compared.DERIVED, models=True)]

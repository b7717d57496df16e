# SPDX-License-Identifier: Apache-2.0
"""Compressed models on the RTL: cycles, bytes and energy of their linear layers, from counters.

A text goes through each model that ``make heat`` has made, with its linear layers and its heads on
the RTL, which is compared with the specification bit for bit.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from prunus.golden.engines import load_config
from prunus.golden.hdp.config import HdpConfig

from ..errors import InputError
from .figure import ROOT, Compared, Figure, Heads, table

__all__ = ["FIGURES", "MADE", "measure"]

PRESET = "hdp_edge"
MODEL, TEXTS = "minilm-sst2", "sst2/dev.tsv"
MADE = ROOT / "build" / "heat"
TOKENS = 25                 # of the text, about the mean of SST-2
MEMORY_PJ = 20.0            # of a bit of the memory outside
PRUNING = {"distance": 1.0}


def _text(model: Any, path: Path) -> str:
    """The first text of so many tokens."""
    from ..models.sentences import read_sentences

    return next(text for text in read_sentences(path, 2).texts
                if len(model.tokenise([text])[0]) == TOKENS)


def _dense(model: Any, config: HdpConfig) -> list[list[Any]]:
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
        x = rng.integers(-127, 128, (TOKENS, own.query.in_features))
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
                products=counts.products)
    return counts.record() | {
        "nj": linear_energy_nj(cost, config),
        "nj_with_memory": linear_energy_nj(cost, config, pj_per_bit=MEMORY_PJ)}


def measure(heads: Heads) -> list[dict]:
    from prunus.golden.hdp.linear.cost import chain_cost, product_of

    from ..evaluate.inference import Question
    from ..evaluate.linear import LinearCounts
    from ..evaluate.methods.registry import make_method
    from ..models.model import open_model
    from ..run import open_verilator

    if heads.models is None or heads.texts is None:
        raise InputError("--models and --texts must be given for heat_rtl")
    config = load_config(PRESET)
    assert isinstance(config, HdpConfig)
    made = sorted(path for path in MADE.glob(f"{MODEL}-*") if (path / "report.json").exists())
    if not made:
        raise InputError(f"{str(MADE)!r} must have models, as `make heat` makes them")
    model = open_model(heads.models / MODEL)
    text, found = _text(model, heads.texts / TEXTS), []
    with open_verilator(config) as run:
        dense = LinearCounts(counted=True)
        for jobs in _dense(model, config):
            done, cost = run(jobs), chain_cost([product_of(job) for job in jobs], config)
            dense.jobs += len(jobs)
            dense.products += cost.products
            dense.array_cycles += cost.array_cycles
            dense.cycles += done.cycles or 0
            dense.read_bytes += done.read_bytes
            dense.write_bytes += done.write_bytes
        found.append({"model": "dense", "linear": _cost(dense, config)})
        for path in made:
            method = make_method("hdp", PRESET, PRUNING)
            said = Question(path, text, method).answer("verilator", run)
            assert said.linear is not None and said.linear.counted
            report = json.loads((path / "report.json").read_text("utf-8"))
            found.append({
                "model": path.name.removeprefix(f"{MODEL}-"),
                "command": report["command"].replace(str(ROOT) + "/", ""),
                "linear": _cost(said.linear, config),
                "attention": {"cycles": said.cycles, "read_bytes": said.read,
                              "write_bytes": said.written},
                "forms": sorted({layer["form"] for layer in report["layers"]}),
                "parameters": report["parameters"], "weight_bytes": report["weight_bytes"],
                "model_edp": {tokens: {name: cost[name] for name in (
                    "edp_ratio", "edp_ratio_with_memory")}
                    for tokens, cost in report["costs"].items()},
                "quality": report["quality"]})
    return found


def _ratio(dense: dict, ours: dict, energy: str) -> float:
    return dense[energy] * dense["cycles"] / (ours[energy] * ours["cycles"])


def _interval(part: dict, name: str) -> str:
    low, high = part[f"{name}_interval"]
    return f"{part[name]:.4f} ({low:.3f} to {high:.3f})"


def _table(data: list[dict]) -> str:
    dense, rows = data[0]["linear"], []
    for one in data:
        linear = one["linear"]
        row = [one["model"], f"{linear['cycles']:,}", f"{linear['nj'] / 1e6:.3f}",
               f"{linear['read_bytes'] + linear['write_bytes']:,}",
               f"{_ratio(dense, linear, 'nj'):.1f}x",
               f"{_ratio(dense, linear, 'nj_with_memory'):.1f}x"]
        if "quality" in one:
            dev = one["quality"]["dev"]
            low, high = dev["lost_interval"]
            row += [_interval(dev, "after"), f"{dev['lost']:.2f} ({low:.1f} to {high:.1f})"]
        else:
            row += [_interval(data[1]["quality"]["dev"], "before"), ""]
        rows.append(row)
    return table(["model", "cycles", "mJ", "bytes", "EDP lower, on the chip",
                  f"with {MEMORY_PJ:g} pJ a bit of memory", "accuracy, dev", "points lost"], rows)


FIGURES = [Figure(
    name="heat_rtl", about="compressed models: their linear layers on the RTL", measure=measure,
    table=_table, configs=(PRESET,), tools=("numpy", "torch", "verilator"),
    compared=Compared.COMMAND, models=True)]

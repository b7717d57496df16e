# SPDX-License-Identifier: Apache-2.0
"""Figures of methods in models."""

import json
from dataclasses import replace

import numpy as np
import pytest

from prunus.evaluate.methods.registry import METHODS
from prunus.figures.__main__ import main
from prunus.figures.methods import BENCHES, FIGURES, row
from tests.prunus.models import tiny

RECORD = {"parameters": {}, "preset": None, "n": 4, "metric": "accuracy", "value": 0.75,
          "blocks_pruned": 0.5, "scores_pruned": 0.25, "heads_pruned": 0.0, "cycles": None,
          "bytes": None, "difference": -0.012, "interval": [-0.03, 0.0143]}


def test_a_table():
    rows = [
        {**RECORD, "method": "float", "difference": 0.0},
        {**RECORD, "method": "hdp", "preset": "hdp_fine", "cycles": 10_000, "bytes": 4_000_002,
         "parameters": {"importance": "distance", "distance": 1.0, "tau_head": 0, "pruned": "zero",
                        "exact": False, "centred": True}},
        {**RECORD, "method": "energon", "parameters": {"alpha": [0.0, 0.25]}},
        {**RECORD, "method": "spatten", "parameters": {"token_keep": 0.1, "head_keep": 1.0}},
        {**RECORD, "method": "random", "parameters": {"share": 0.75, "of": "scores", "seed": 0}}]
    shares, of = ["50.0%", "25.0%", "0.0%", "0.750"], "-0.012 (-0.030 to +0.014)"
    figure = next(figure for figure in FIGURES if figure.name == "evaluate_sst2")
    lines = figure.table({"rows": rows}).splitlines()
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]] == [
        ["float", "", "", *shares, "", "", ""],
        ["hdp", "x = 1, `zero`", "hdp_fine", *shares, of, "2,500", "1,000,000"],
        ["energon", "a = [0.0, 0.25]", "", *shares, of, "", ""],
        ["spatten", "tokens kept = 0.1", "", *shares, of, "", ""],
        ["random", "share = 0.75, scores", "", *shares, of, "", ""]]
    figure = next(figure for figure in FIGURES if figure.name == "evaluate_stories")
    assert "| -1.2% (-3.0% to +1.4%) |" in figure.table({"rows": rows})


@pytest.mark.parametrize("name", BENCHES)
def test_every_method_has_a_row(name):
    rows = BENCHES[name].rows
    assert rows[0] == row("float") and {one.method for one in rows} == set(METHODS)


def test_models_and_texts_must_be_given(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    assert main(["--measure", "evaluate_cola", "--texts", "."], tmp_path) == 2
    assert capsys.readouterr().err == (
        "error: figures of minilm-cola need --models, the directory in which it is, and --texts, "
        "that of cola/dev.tsv\n")


def test_rows_are_measured(tmp_path, monkeypatch):
    tiny.need_torch()
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    chosen = (row("float"), row("topk", "topk_edge", keep=0.3), row("uniform"))
    monkeypatch.setitem(BENCHES, "stories", replace(BENCHES["stories"], rows=chosen))
    tiny.make_decoder(tmp_path / "stories260k")
    (tmp_path / "tinystories").mkdir()
    random = np.random.default_rng(0)
    (tmp_path / "tinystories" / "dev.txt").write_text("\n<|endoftext|>\n".join(
        " ".join(f"w{word}" for word in random.integers(0, 40, 12)) for _ in range(23)))
    assert main(["--measure", "evaluate_stories", "--models", str(tmp_path), "--texts",
                 str(tmp_path)], tmp_path) == 0
    data = json.loads((tmp_path / "docs/figures/evaluate_stories.json").read_text())["data"]
    own, topk, uniform = data["rows"]
    assert own["n"] == 20 and own["interval"] == [0, 0] and own["difference"] == 0
    assert topk["cycles"] > 0 and 0.6 < topk["scores_pruned"] < 0.8 and "items" not in topk
    assert uniform["difference"] == pytest.approx(uniform["value"] / own["value"] - 1)
    assert uniform["interval"][0] <= uniform["difference"] <= uniform["interval"][1]

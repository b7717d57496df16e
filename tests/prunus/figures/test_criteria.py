# SPDX-License-Identifier: Apache-2.0
"""Figures of HDP's criteria in models."""

import json
from dataclasses import replace

import numpy as np
import pytest

from prunus.figures.__main__ import main
from prunus.figures.criteria import BENCHES, FIGURES, Bench
from tests.prunus.models import tiny

RANDOM = np.random.default_rng(1)

# -- tables ---------------------------------------------------------------------------------------
def test_a_table():
    figure = next(figure for figure in FIGURES if figure.name == "criteria_stories")
    row = {"blocks_kept": 25, "blocks": 100, "value": 4.75, "difference": 0.012,
           "interval": [0.01, 0.0143]}
    rules = ["model", "uniform", {}, {"rho": 0, "drop": True},
             {"distance": 3.5, "digits": "rounded", "frac": 3, "exact": True},
             {"distance": 4, "centred": False}]
    lines = figure.table({"rows": [{"rule": rule, **row} for rule in rules]}).splitlines()
    difference = "+1.2% (+1.0% to +1.4%)"
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]] == [
        ["the model by itself, float32", "", "", "", "4.750", ""],
        ["control: uniform attention", "", "", "", "4.750", difference],
        ["dense, nothing pruned", "truncated, FW = 4", "", "75.0%", "4.750", difference],
        ["magnitude, `drop`", "truncated, FW = 4", "rho = 0", "75.0%", "4.750", difference],
        ["distance, `zero`, `exact`", "rounded, FW = 3", "x = 3.5", "75.0%", "4.750", difference],
        ["distance, `zero`, keys not centred", "truncated, FW = 4", "x = 4", "75.0%", "4.750",
         difference]]
    figure = next(figure for figure in FIGURES if figure.name == "criteria_cola")
    assert "| +0.012 (+0.010 to +0.014) |" in figure.table({"rows": [{"rule": {}, **row}]})


# -- the command ----------------------------------------------------------------------------------
@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    return tmp_path


def test_models_and_texts_must_be_given(root, capsys):
    assert main(["--measure", "criteria_sst2", "--texts", "."], root) == 2
    assert capsys.readouterr().err == (
        "error: figures of minilm-sst2 need --models, the directory in which it is, and --texts, "
        "that of sst2/dev.tsv\n")


SETTINGS: list[dict] = [{}, {"distance": 1, "digits": "rounded", "frac": 3}, {"rho": 0.2}]


def measured(root, monkeypatch, name: str) -> dict:
    """The data of a figure of small models, which lie in ``root``."""
    monkeypatch.setenv("PRUNUS_BUILD", str(root / "build"))
    bench: Bench = BENCHES[name]
    monkeypatch.setitem(BENCHES, name, replace(bench, settings=SETTINGS))
    assert main(["--measure", f"criteria_{name}", "--models", str(root), "--texts", str(root)],
                root) == 0
    return json.loads((root / "docs" / "figures" / f"criteria_{name}.json").read_text())["data"]


def text(root, name: str, lines: str) -> None:
    path = root / BENCHES[name].text
    path.parent.mkdir()
    path.write_text(lines)


def test_stories_are_measured(root, monkeypatch):
    tiny.need_torch()
    tiny.make_decoder(root / "stories260k")
    text(root, "stories", "\n<|endoftext|>\n".join(
        " ".join(f"w{word}" for word in RANDOM.integers(0, 40, 12)) for _ in range(21)))
    data = measured(root, monkeypatch, "stories")
    own, double, uniform, dense, distance, magnitude = data["rows"]
    assert data["texts"] == 20 and own["rule"] == "model" and own["interval"] == [0, 0]
    assert double["value"] == pytest.approx(own["value"], rel=1e-5) and double["blocks"] == 0
    assert abs(dense["difference"]) < 0.02 and uniform["value"] != own["value"]
    # Rows of blocks of 13 tokens, of 20 stories, four heads and two layers.
    assert dense["blocks_kept"] == dense["blocks"] == 28 * 160
    assert all(28 * 160 == row["blocks"] > row["blocks_kept"] for row in (distance, magnitude))
    assert [row["rule"] for row in (dense, distance, magnitude)] == SETTINGS


@pytest.mark.parametrize("name", ["sst2", "cola"])
def test_sentences_are_measured(root, monkeypatch, name):
    tiny.need_torch()
    tiny.make_model(root / BENCHES[name].model)
    rows = [(int(n % 2), f"w{n} w{n * 3 % 40} w{n * 7 % 40} w1 w2") for n in range(30)]
    text(root, name, "label\tcontent\n" * (name == "sst2") + "".join(
        f"x\t{label}\t\t{words}\n" if name == "cola" else f"{label}\t{words}\n"
        for label, words in rows))
    data = measured(root, monkeypatch, name)
    own, double, uniform, dense, *_ = data["rows"]
    assert data["texts"] == 30 and double["difference"] == 0 and double["interval"] == [0, 0]
    assert dense["blocks_kept"] == dense["blocks"] == 16 * 30 * 4
    assert abs(dense["difference"]) <= 0.1 and -1 <= own["value"] <= 1

# SPDX-License-Identifier: Apache-2.0
"""Figures of HDP's criteria in models."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from prunus.errors import InputError
from prunus.figures import criteria
from prunus.figures.__main__ import main
from prunus.figures.criteria import (
    BENCHES,
    FIGURES,
    Bench,
    interval,
    matthews,
    perplexity,
    read_stories,
    right,
)
from tests.prunus.models import tiny

RANDOM = np.random.default_rng(1)
SAID = np.array([[1, 1], [1, 0], [0, 0], [0, 0], [1, 1], [0, 1]], float)


# -- measures -------------------------------------------------------------------------------------
def test_measures_by_their_definitions():
    once = np.ones(6)
    assert right(once, SAID) == pytest.approx(4 / 6)
    assert matthews(once, SAID) == pytest.approx(np.corrcoef(SAID.T)[0, 1])
    assert matthews(once, np.c_[np.ones(6), SAID[:, 1]]) == 0
    losses = np.array([[10.0, 5], [3, 3]])
    assert perplexity(np.ones(2), losses) == pytest.approx(np.exp(13 / 8))
    for measure, items in ((right, SAID), (matthews, SAID), (perplexity, RANDOM.random((6, 2)))):
        weights = RANDOM.integers(1, 4, (3, 6))
        want = [measure(np.ones(w.sum()), items.repeat(w, axis=0)) for w in weights]
        np.testing.assert_allclose(measure(weights.astype(float), items), want)


def test_intervals_are_of_pairs():
    before = RANDOM.integers(0, 2, (400, 2)).astype(float)
    assert interval(right, before, before, False) == [0, 0]
    after = before.copy()
    after[:40, 0] = 1 - after[:40, 0]
    low, high = interval(right, before, after, False)
    change = (right(np.ones(400), after) - right(np.ones(400), before))
    # As wide as the sentences that changed say, which is far less than two samples would.
    assert low < change < high and high - low == pytest.approx(2 * 1.96 * 40**0.5 / 400, rel=0.1)
    losses = np.c_[RANDOM.uniform(300, 500, 20), np.full(20, 250.0)]
    worse = losses * (1.02, 1)
    low, high = interval(perplexity, losses, worse, True)
    assert low < np.exp(losses[:, 0].mean() / 250 * 0.02) - 1 < high < low + 0.01
    assert interval(perplexity, losses, worse, True) == [low, high]
    doubled = losses + losses[:, 1:] * (np.log(2), 0)
    assert interval(perplexity, losses, doubled, True) == pytest.approx([1, 1])


# -- texts ----------------------------------------------------------------------------------------
def test_stories(tmp_path):
    path = tmp_path / "dev.txt"
    path.write_text("a\nb\n<|endoftext|>\nc\n<|endoftext|>\n\n<|endoftext|>\nd\n")
    assert read_stories(path, 2) == ["a\nb", "c"] and read_stories(path, 3)[-1] == "d"
    with pytest.raises(InputError, match="must hold 20 stories, not 3"):
        read_stories(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read: it is not UTF-8"):
        read_stories(path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_stories(tmp_path / "none.txt")


@pytest.mark.parametrize("line", ["x\t2\t\tw1", "x\t1\tw1", "1\tw1"])
def test_lines_that_are_not_those_of_cola(tmp_path, line):
    path = tmp_path / "dev.tsv"
    path.write_text(f"x\t1\t*\tw1\n{line}\n")
    with pytest.raises(InputError, match=re.escape("line 2: must have four columns, the second")):
        criteria._read_cola(path, 2)


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


def test_the_brief_table_is_of_what_was_measured():
    figure = next(figure for figure in FIGURES if figure.name == "criteria_brief")
    row = {"blocks_kept": 1, "blocks": 4, "value": 4.75, "difference": 0.1, "interval": [0, 0.2]}
    rows = [{"rule": rule, **row} for rule in criteria.BRIEF]
    assert figure.table({"rows": rows[::-1]}) == figure.table({"rows": rows})
    text = "criteria_stories has no row of the setting 'model': measure it again"
    with pytest.raises(InputError, match=text):
        figure.table({"rows": rows[1:]})


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
    from prunus.train.model import Decoder, next_token_loss

    decoder = Decoder(root / "stories260k")
    tokens = decoder.tokenise(read_stories(root / BENCHES["stories"].text))
    loss = sum(next_token_loss(decoder.logits(one), one) for one in tokens)
    # The token of the beginning is given, and not guessed.
    assert own["value"] == pytest.approx(np.exp(loss / (sum(map(len, tokens)) - 20)), rel=1e-5)


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

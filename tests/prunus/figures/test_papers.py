# SPDX-License-Identifier: Apache-2.0
"""The papers' figures: settings, levels of training, and a sweep of small models."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from prunus.bench import plot
from prunus.errors import InputError
from prunus.evaluate.methods.registry import make_method
from prunus.figures import papers, whole
from prunus.figures.__main__ import main
from prunus.figures.points import PERCENT, Bench, Point, learn, measure_point
from prunus.sim.campaigns import campaign
from tests.prunus.evaluate.layers import make_layer
from tests.prunus.models import tiny

BENCH = Bench(model="stories260k", text="tinystories/dev.txt", task="lm", limit=4,
              training="tinystories/train.txt", learned_from=5, relative=True)
SENTENCES = Bench(model="bert", text="s.tsv", task="sst2", limit=6, training="t.tsv",
                  learned_from=5)
LEVELS = {"hdp_edge": [0.5 + n for n in range(len(PERCENT))],
          "hdp_fine": [50.5 + n for n in range(len(PERCENT))],
          "logits": [[layer + n / 100 for n in range(len(PERCENT))] for layer in range(3)]}


# -- settings -------------------------------------------------------------------------------------
@pytest.mark.parametrize("bench", papers.BENCHES.values(), ids=papers.BENCHES)
@pytest.mark.parametrize("name", papers.DRAWN)
def test_every_point_is_a_method(name, bench):
    points = papers.DRAWN[name].points(bench, LEVELS.__getitem__)
    assert len(set(map(str, points))) == len(points)
    for point in points:
        method = point.make()
        assert method.config is None or method.config.name == (point.preset or "topk_edge")
    curves = {point.curve for point in points}
    assert {*papers.DRAWN[name].rivals, *papers.DRAWN[name].rivals.values(), "uniform"} <= {
        *curves, "uniform"}


def test_heads_come_from_their_own_digits():
    points = papers.DRAWN["heads"].points(papers.BENCHES["cola"], LEVELS.__getitem__)
    assert [point.tau for point in points if point.curve == "heads"] == [2.5, 6.5]
    assert [point.tau for point in points if point.curve == "heads_rounded"] == [
        52.5, 56.5]


def test_a_layer_by_itself():
    points = papers.DRAWN["leopard"].points(papers.BENCHES["stories"], LEVELS.__getitem__)
    at = PERCENT.index(90) / 100
    inf = float("inf")
    assert [point.thresholds for point in points if point.curve == "one_layer"] == [
        (at, -inf, -inf), (-inf, 1 + at, -inf), (-inf, -inf, 2 + at)]


@pytest.mark.parametrize("name", papers.DRAWN)
def test_models_must_be_given(name, capsys):
    assert main(["--measure", f"papers_{name}"]) == 2
    assert capsys.readouterr().err == (
        "error: figures of stories260k need --models, the directory in which it is, and --texts, "
        f"that of tinystories/{'calibration' if papers.DRAWN[name].learned else 'dev'}.txt\n")


# -- heads that are pruned ------------------------------------------------------------------------
@pytest.mark.parametrize("causal", [False, True])
def test_tau_grows_with_the_length(causal):
    """A head is pruned iff the mean of |integer score| over its visible pairs is below tau."""
    def point(tau):
        return Point(curve="heads", method="hdp", preset="hdp_edge", options={"distance": 1000.0},
                     tau=tau)

    for length in (5, 24):
        layer = make_layer(length=length, heads=6, causal=causal, spread=2.0)
        results = point(0.0).make().attend(layer).results
        pairs = length * (length + 1) // 2 if causal else length**2
        thetas = [result.theta_head / pairs for result in results]
        tau = np.median(thetas)
        done = point(float(tau)).make().attend(layer)
        want = [theta >= tau for theta in thetas]
        assert [bool(result.head_kept) for result in done.results] == want and sum(want) == 3
        assert [bool(head.any()) for head in done.out] == want


def test_top_k_has_places_for_long_texts():
    layer = make_layer(length=150, heads=1)
    long = Point(curve="topk", method="topk", preset="topk_edge", options={"keep": 0.5}).make()
    assert long.attend(layer).counts.pruned()["scores_pruned"] == 0.5
    short = Point(curve="topk", method="topk", preset="topk_edge", options={"keep": 0.3}).make()
    usual = make_method("topk", "topk_edge", {"keep": 0.3})
    np.testing.assert_array_equal(short.attend(layer).out, usual.attend(layer).out)


# -- small models ---------------------------------------------------------------------------------
def write_documents(path, count, seed):
    random = np.random.default_rng(seed)
    path.write_text("\n<|endoftext|>\n".join(
        " ".join(f"w{word}" for word in random.integers(0, 40, random.integers(8, 20)))
        for _ in range(count)))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    tiny.need_torch()
    path = tmp_path_factory.mktemp("papers")
    tiny.make_decoder(path / "stories260k")
    tiny.make_model(path / "bert")
    (path / "docs").mkdir()
    (path / "tinystories").mkdir()
    write_documents(path / "tinystories" / "dev.txt", 6, seed=0)
    write_documents(path / "tinystories" / "train.txt", 7, seed=1)
    tiny.write_sentences(path / "s.tsv", 9)
    tiny.write_sentences(path / "t.tsv", 9, seed=1)
    return path


def test_levels_prune_their_share_of_training(root):
    """On the texts that they come from: a quarter of the heads, and of each layer's pairs."""
    bench = SENTENCES.teaching
    assert (bench.text, bench.limit) == ("t.tsv", 5)
    at = PERCENT.index(25)
    tau = learn(bench, root / "bert", root / "t.tsv", "hdp_edge", [])[at]
    point = Point(curve="heads", method="hdp", preset="hdp_edge", options={"distance": 1000.0},
                  tau=tau)
    done = measure_point(bench, root / "bert", root / "t.tsv", point, [])
    # Heads behind a pruned one see other inputs.
    assert done["heads_pruned"] == pytest.approx(0.25, abs=0.1)
    assert done["blocks_pruned"] > 0 and len(done["items"]) == 5
    levels = learn(bench, root / "bert", root / "t.tsv", "logits", [])
    assert len(levels) == 2 and levels[0] != levels[1]
    for only in range(2):
        thresholds = [level[at] if n == only else float("-inf") for n, level in enumerate(levels)]
        point = Point(curve="one_layer", method="leopard", thresholds=tuple(thresholds))
        layers = measure_point(bench, root / "bert", root / "t.tsv", point, [])["layers"]
        assert layers[only] == pytest.approx(0.25, abs=0.03) and layers[1 - only] == 0


def test_a_sweep_from_end_to_end(root, monkeypatch, capsys):
    monkeypatch.setenv("PRUNUS_BUILD", str(root / "build"))
    monkeypatch.setattr(papers, "BENCHES", {"stories": BENCH})
    # A process that has torch already; campaigns' own tests start others.
    monkeypatch.setattr(whole.campaign, "run",
                        partial(campaign.run, options=campaign.Options(workers=0)))
    command = ["--measure", "papers_spatten", "--models", str(root), "--texts", str(root)]
    assert main(command, root) == 0
    path = root / "docs" / "figures" / "papers_spatten.json"
    document = json.loads(path.read_text())
    model, = document["data"]["models"]
    assert (model["n"], model["metric"], model["training"]["texts"]) == (4, "perplexity", 5)
    own, *rows = model["rows"]
    assert own["difference"] == 0 and own["interval"] == [0, 0]
    heads = {curve: [row["heads_pruned"] for row in rows if row["curve"] == curve]
             for curve in ("heads", "heads_rounded", "spatten")}
    for shares in heads.values():
        assert shares == sorted(shares) and shares[-1] > 0
    for row in rows:
        assert row["difference"] == pytest.approx(row["value"] / own["value"] - 1, abs=1e-6)
        low, high = row["interval"]
        assert low <= row["difference"] <= high
    row = next(row for row in rows if row["curve"] == "heads")
    rival = min((one for one in rows if one["curve"] == "spatten"),
                key=lambda one: abs(one["heads_pruned"] - row["heads_pruned"]))
    assert row["against"]["curve"] == "spatten"
    assert row["against"]["heads_pruned"] == rival["heads_pruned"]
    assert row["against"]["difference"] == pytest.approx(
        row["value"] / rival["value"] - 1, abs=1e-6)
    # Again: nothing is measured twice, and nothing changes.
    there = {file: file.stat().st_mtime_ns for file in root.glob("build/campaigns/papers/*")}
    assert main(command, root) == 0
    assert {file: file.stat().st_mtime_ns
            for file in root.glob("build/campaigns/papers/*")} == there
    assert json.loads(path.read_text())["data"] == document["data"]
    assert (path.with_suffix(".svg").read_bytes().count(b"<svg") == 1) is plot.available()


def test_levels_need_all_their_texts(root):
    bench = replace(BENCH, learned_from=8).teaching
    with pytest.raises(InputError, match="must hold 8 texts, not 7"):
        learn(bench, root / "stories260k", root / bench.text, "hdp_edge", [])


def test_a_head_that_keeps_all_blocks():
    layer = make_layer(length=9, heads=2)
    point = Point(curve="heads", method="hdp", preset="hdp_fine", options={"distance": 1000.0},
                  tau=0.0)
    assert point.make().attend(layer).counts.pruned() == {
        "blocks_pruned": 0, "scores_pruned": 0, "heads_pruned": 0}

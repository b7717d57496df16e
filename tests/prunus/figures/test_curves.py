# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the papers' figures."""

import io

import pytest

from prunus.bench import plot
from prunus.figures import curves
from prunus.figures.claims import CLAIMS
from prunus.figures.figure import ROOT, load
from prunus.figures.papers import DRAWN
from prunus.figures.registry import FIGURES

PICTURES = [f"papers_{name}" for name in (*DRAWN, "vit")]
ROW = {"blocks_pruned": 0.5, "scores_pruned": 0.25, "heads_pruned": 0.125, "value": 0.75,
       "layers": [0.2, 0.3], "difference": -0.012, "interval": [-0.03, 0.0143]}


def model(*rows, relative=False):
    return {"name": "m", "model": "m", "n": 4, "metric": "mcc", "relative": relative,
            "rows": [{**ROW, **row} for row in rows]}


def cells(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]


def test_points():
    rows = ({"curve": "float", "settings": {}},
            {"curve": "distance", "settings": {"distance": 1.0, "pruned": "drop"}},
            {"curve": "heads", "settings": {"distance": 1000.0, "percent": 15, "tau": 2.5}},
            {"curve": "spatten", "settings": {"head_keep": 0.1}})
    shares = ["50.0%", "25.0%", "12.5%", "0.750"]
    change = "-0.012 (-0.030 to +0.014)"
    assert cells(curves.points_table({"models": [model(*rows)]})) == [
        ["m (4)", "the model by itself", "", *shares, ""],
        ["m (4)", "HDP, distance, rounded digits", "x = 1, `drop`", *shares, change],
        ["m (4)", "HDP's heads, truncated digits", "percentile 15", *shares, change],
        ["m (4)", "SpAtten's heads", "last layer keeps = 0.1", *shares, change]]
    assert "-1.2% (-3.0% to +1.4%)" in curves.points_table(
        {"models": [model(*rows, relative=True)]})


def test_approximate_beside_exact():
    change = {"curve": "magnitude", "difference": 0.002, "interval": [0.001, 0.003]}
    rows = ({"curve": "magnitude", "settings": {"rho": 0.25}},
            {"curve": "magnitude", "settings": {"rho": 0.5}, "value": 0.7},
            {"curve": "magnitude_exact", "settings": {"rho": 0.5, "exact": True}, "value": 0.702,
             "against": change})
    assert cells(curves.approximation_table({"models": [model(*rows)]})) == [
        ["m", "HDP, the paper's rule and digits", "rho = 0.5", "50.0%", "0.700", "0.702",
         "+0.002 (+0.001 to +0.003)"]]


def test_layers():
    run = {"title": "weights too", "model": "m", "texts": 8, "pruned": 0.75, "layers": [0.5, 1.0],
           "loss": {"lost": 0.4, "low": -1.0, "high": 1.5}}
    rows = ({"curve": "float", "settings": {}},
            {"curve": "one_layer", "settings": {"percent": 90, "layer": 1}})
    assert cells(curves.layers_table({"models": [model(*rows)], "learned": [run]})) == [
        ["m (4)", "LeOPArd, a layer by itself", "percentile 90, layer 1", "25.0%", "20, 30%",
         "-0.012 (-0.030 to +0.014)"],
        ["m (8)", "learned: weights too", "", "75.0%", "50, 100%", "-0.004 (-0.015 to +0.010)"]]


def written(name: str) -> dict[str, bytes]:
    found = {}
    figure = FIGURES[name]
    for path, write in figure.plots(load(figure)).items():
        file = io.BytesIO()
        write(file)
        found[path] = file.getvalue()
    return found


@pytest.mark.skipif(not plot.available(), reason="needs matplotlib")
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_those_of_the_data(name):
    for path, raw in written(name).items():
        assert (ROOT / "docs" / "figures" / path).read_bytes() == raw


@pytest.mark.skipif(not plot.available(), reason="needs matplotlib")
def test_a_picture_follows_the_data():
    data = {"models": [model({"curve": "topk", "settings": {}}, {"curve": "uniform"})]}
    before, after = io.BytesIO(), io.BytesIO()
    curves.draw(data, "scores", CLAIMS["blocks"], before)
    data["models"][0]["rows"][0]["difference"] = -0.02
    curves.draw(data, "scores", CLAIMS["blocks"], after)
    assert before.getvalue() != after.getvalue()
    assert b"<svg" in before.getvalue()

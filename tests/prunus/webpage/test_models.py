# SPDX-License-Identifier: Apache-2.0
"""Pages of models: every figure is what an evaluation of its own gives."""

import json

import numpy as np
import pytest

from tests.prunus.commands.test_report import _Page, refused
from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

tiny.need_torch()

from prunus.evaluate.calibration import (  # noqa: E402
    Calibration,
    Entry,
    ModelOf,
    save_calibration,
)
from prunus.evaluate.choices import HdpChoice  # noqa: E402
from prunus.evaluate.core import Evaluator  # noqa: E402
from prunus.evaluate.methods.hdp import Hdp  # noqa: E402
from prunus.evaluate.methods.registry import make_method  # noqa: E402
from prunus.evaluate.tasks import TASKS  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.train.thresholds import digest  # noqa: E402
from prunus.webpage.models import STEPS, swept  # noqa: E402

METHODS = {"hdp": {"distance": 0.5}, "leopard": {"threshold": 0.2}, "topk": {"keep": 0.4}}
PRESETS = {"hdp": "hdp_edge", "leopard": "leopard_ae", "topk": "topk_edge"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert")
    tiny.make_decoder(path / "llama")
    tiny.write_sentences(path / "s.tsv", 9)
    (path / "s.txt").write_text("w1 w2 w3 w4 w5\n<|endoftext|>\nw6 w7 w8 w9 w1 w2\n")
    return path


def options(given):
    return [str(part) for name, value in given.items()
            for part in (f"--{name.replace('_', '-')}", value)]


def made(capfd, root, tmp_path, *args, model="bert"):
    target = tmp_path / "page.html"
    data = ["--data", root / ("s.tsv" if model == "bert" else "s.txt"),
            "--task", "sst2" if model == "bert" else "lm"]
    code, _, err = prunus(capfd, "report", root / model, *data, "-o", target, *args)
    assert (code, err) == (0, "")
    return target.read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["bert", "llama"])
@pytest.mark.parametrize("method", METHODS)
def test_a_page_has_what_evaluations_give(capfd, root, tmp_path, method, model):
    given = METHODS[method]
    page = _Page(made(capfd, root, tmp_path, "--method", method, *options(given), model=model))
    data = page.data
    task = TASKS["sst2" if model == "bert" else "lm"]
    evaluator = Evaluator(root / model, task, root / ("s.tsv" if model == "bert" else "s.txt"))
    shown = []
    chosen = make_method(method, None, given)
    record = evaluator.run(chosen, costs=False, watch=lambda *pair: shown.append(pair)).record()
    records = data["curve"]["records"]
    own = [one for one in records if one["chosen"]]
    assert len(own) == 1 and record.items() <= own[0].items()
    assert [one["method"] for one in records[1:4]] == ["float", "dense", "uniform"]
    assert len(records) >= 4 + len(STEPS["keep"]) - 1
    difference, low, high = own[0]["difference"]
    assert low <= difference <= high and records[1]["difference"] == [0, 0, 0]
    # The first text through all layers.
    first = [pair for pair in shown if pair[0].text == 0]
    assert [(head["layer"], head["head"]) for head in data["heads"]] == [
        (layer.number, n) for layer, attended in first for n in range(len(attended.jobs))]
    for head, result in zip(data["heads"], [one for _, attended in first
                                            for one in attended.results], strict=True):
        assert head["kept"] == result.mask.astype(int).tolist()
    assert data["tokens"] == evaluator.tokens() and len(data["tokens"]) == data["heads"][0]["l_q"]
    # Kept by layer and head over all texts, against the counts of the evaluation.
    kept = np.array(data["kept"]["task"])
    what = "blocks" if method == "hdp" else "scores"
    share = 1 - kept[..., 0].sum() / kept[..., 1].sum()
    assert share == pytest.approx(record[f"{what}_pruned"], abs=1e-12)
    assert page.figures["kept-task"]["data"][0]["z"] == (kept[..., 0] / kept[..., 1]).tolist()
    traces = page.figures["curve"]["data"]
    assert {trace["name"].partition(":")[0] for trace in traces} >= {"float", "dense"}
    points = [one for one in records if one["method"] == method]
    assert sorted(zip(*[traces[-1][axis] for axis in "xy"], strict=True)) == sorted(
        (one["scores_pruned"], one["value"]) for one in points)


def test_a_text_and_values_of_ones_own(capfd, root, tmp_path):
    text = "w3 </script> w5"
    data = _Page(made(capfd, root, tmp_path, "--method", "hdp", "--rho", "0.1", "--text", text,
                      "--sweep", "0.2", "--sweep", "0.1", "--limit", "4")).data
    assert data["tokens"][0] == "[CLS]" and "w5" in data["tokens"]
    assert [one["parameters"]["rho"] for one in data["curve"]["records"]
            if one["method"] == "hdp"] == [0.1, 0.2]
    assert {one["n"] for one in data["curve"]["records"]} == {4}


def test_a_calibration(capfd, root, tmp_path):
    file = tmp_path / "c.toml"
    save_calibration(file, Calibration(
        method="hdp", model=ModelOf(name="bert", sha256=digest(root / "bert")),
        all={"distance": 0.5}, heads=(Entry.model_validate({"layer": 1, "distance": 9.0}),)))
    data = _Page(made(capfd, root, tmp_path, "--calibration", file, "--limit", "3")).data
    assert data["curve"]["records"][0]["series"] == "the calibration"
    kept = np.array(data["kept"]["task"])
    assert (kept[1, :, 0] == kept[1, :, 1]).all() and (kept[0, :, 0] < kept[0, :, 1]).any()


def test_the_same_model_gives_the_same_bytes(capfd, root, tmp_path):
    args = ["--method", "topk", "--top-k", "2", "--limit", "2"]
    assert made(capfd, root, tmp_path, *args) == made(capfd, root, tmp_path, *args)


@pytest.mark.parametrize(("args", "message"), [
    (["--method", "uniform"], "report shows methods that prune on hardware (hdp, leopard, topk), "
                              "not uniform: --evaluation takes its points"),
    (["--method", "dense"], "not dense"),
    (["--method", "hdp", "--rho", "0.1", "--sweep", "2"], "method hdp: rho: "),
    (["--method", "hdp", "--text", ""], "--text must have a word or more, not ''"),
])
def test_what_is_refused(capfd, root, tmp_path, args, message):
    said = refused(capfd, tmp_path, root / "bert", "--data", root / "s.tsv", "--task", "sst2",
                   *args)
    assert message in said, said


def test_points_of_another_metric_are_refused(capfd, root, tmp_path):
    points = tmp_path / "e.json"
    code, out, _ = prunus(capfd, "evaluate", root / "llama", "--data", root / "s.txt", "--task",
                          "lm", "--method", "float", "--json")
    assert code == 0 and json.loads(out)["metric"] == "perplexity"
    points.write_text(out)
    assert "one metric, not accuracy and perplexity" in refused(
        capfd, tmp_path, root / "bert", "--data", root / "s.tsv", "--task", "sst2", "--method",
        "hdp", "--evaluation", points)


def test_a_sweep_takes_no_head_s_temperature():
    """A calibration's is that of one head; what is said of all heads is that of all."""
    config = load_config("hdp_fine")
    choice = HdpChoice(distance=0.5, temperature=1.7, balanced=True)
    for parameters, temperature in (({"calibration": "c.toml"}, 1.0), ({"distance": 0.5}, 1.7)):
        method = Hdp(config, lambda layer, head: choice, parameters)
        found = [one.choice(0, 0) for one in swept(method, [1.0, 2.0], 9)]
        assert [one.distance for one in found] == [1.0, 2.0]
        assert {(one.temperature, one.balanced) for one in found} == {(temperature, True)}

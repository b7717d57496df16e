# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus infer``."""

import json
import re
import sys
from importlib import util

import pytest

from prunus.console import install_hint
from prunus.evaluate.calibration import Calibration, Entry, ModelOf, save_calibration
from prunus.train import command
from prunus.train.thresholds import digest
from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

SHARED = {
    "model": str, "method": str, "parameters": dict, "preset": str, "backend": str, "tokens": int}
FIGURES = {
    "logits": list, "float": list, "max_difference": float, "rms_difference": float,
    "agrees": bool, "cycles": int, "cycles_from": str, "read_bytes": int, "write_bytes": int,
    "blocks_pruned": float, "scores_pruned": float, "heads_pruned": float, "layers": list}
CLASS = {"class": int, "label": str, "probabilities": list}
TEXT = {"text": str, "generated": list}
HDP = ("--method", "hdp", "--distance", "0.7", "--preset", "hdp_tiny")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    tiny.need_torch()
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert", id2label={0: "bad", 1: "good"})
    tiny.make_decoder(path / "llama", initializer_range=0.6)
    return path


def infer(capfd, root, model, *args):
    text = {"bert": "w1 w2 w3", "llama": "w4 w5"}[model]
    return prunus(capfd, "infer", root / model, text, *args)


@pytest.mark.parametrize("backend", ["golden", "verilator"])
@pytest.mark.parametrize("model", ["bert", "llama"])
def test_the_contract(capfd, root, model, backend):
    more = ["--tokens", "3"] if model == "llama" else []
    code, out, err = infer(capfd, root, model, *HDP, *more, "--backend", backend, "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    own = CLASS if model == "bert" else TEXT
    assert list(record) == [*SHARED, *own, *FIGURES]
    for name, kind in {**SHARED, **own, **FIGURES}.items():
        assert type(record[name]) is kind, name
    assert (record["model"], record["method"], record["preset"], record["backend"]) == (
        model, "hdp", "hdp_tiny", backend)
    assert record["cycles_from"] == {"golden": "model", "verilator": "counters"}[backend]
    assert [list(layer) for layer in record["layers"]] == [
        ["blocks_pruned", "scores_pruned", "heads_pruned"]] * 2
    if model == "bert":
        assert record["label"] == ["bad", "good"][record["class"]] and record["tokens"] == 5
        assert len(record["logits"]) == len(record["float"]) == len(record["probabilities"]) == 2
    else:
        assert len(record["generated"]) == len(record["logits"]) == 3 and record["tokens"] == 3


def test_without_hardware_there_is_no_cost(capfd, root):
    code, out, err = infer(capfd, root, "bert", "--method", "uniform", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert all(record[name] is None for name in ("preset", "cycles", "cycles_from", "read_bytes",
                                                 "write_bytes"))


def test_lines(capfd, root):
    code, out, err = infer(capfd, root, "bert", *HDP)
    assert (code, err) == (0, "")
    assert re.search(r"^class: [01], (bad|good) \(\d+\.\d%\)$", out, re.M)
    assert re.search(r"^float model: (the same choice|ANOTHER CHOICE); logits differ by ", out,
                     re.M)
    assert re.search(r"^cycles: \d+, by the model of cycles$", out, re.M)
    assert re.search(r"^all\t\d+\.\d%\t\d+\.\d%\t0\.0%$", out, re.M)
    code, out, _ = infer(capfd, root, "llama", "--method", "float", "--tokens", "2")
    assert code == 0 and "tokens: 3 read, 2 generated\n" in out and "cycles" not in out


def test_of_an_engine_without_a_model_of_cycles_there_is_a_bound(capfd, root):
    _, out, _ = infer(capfd, root, "bert", "--method", "topk", "--top-k", "2", "--preset",
                      "topk_tiny")
    assert re.search(r"^cycles: at least \d+, the bound of the engine$", out, re.M)


def test_a_pair(capfd, root):
    code, out, err = infer(capfd, root, "bert", *HDP, "--pair", "w9 w9", "--json")
    assert (code, err) == (0, "") and json.loads(out)["tokens"] == 8


def test_a_calibration(capfd, root, tmp_path):
    path = tmp_path / "c.toml"

    def save(model, **entry):
        save_calibration(path, Calibration(
            method="hdp", preset="hdp_tiny", all={"dense": True},
            model=ModelOf(name=model, sha256=digest(root / model)),
            heads=(Entry.model_validate({"layer": 1, "distance": 0.3, **entry}),)))

    save("bert")
    code, out, err = infer(capfd, root, "bert", "--calibration", path, "--json")
    assert (code, err) == (0, "")
    first, second = json.loads(out)["layers"]
    assert first["scores_pruned"] == 0 < second["scores_pruned"]
    code, out, err = infer(capfd, root, "llama", "--calibration", path)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "belongs to the weights of 'bert', and model " in err
    save("bert", head=2)
    code, out, err = infer(capfd, root, "bert", "--calibration", path)
    assert (code, out) == (2, "") and "head must lie in 0..1, not 2" in err


@pytest.mark.parametrize(("model", "args", "message"), [
    ("bert", ["--backend", "verilator", "--method", "uniform"],
     "--backend must be golden for method uniform, which has no hardware, not verilator"),
    ("bert", ["--backend", "serial", "--port", "/dev/none", "--method", "float"],
     "--backend must be golden for method float, which has no hardware, not serial"),
    ("bert", [*HDP, "--backend", "serial"], "--backend serial needs --port, such as "),
    ("bert", [*HDP, "--port", "/dev/none"], "--port needs --backend serial"),
    ("bert", [*HDP, "--backend", "serial", "--port", "/dev/none"],
     "port '/dev/none' cannot be opened"),
    ("bert", [], "--method must be one of float, dense, "),
    ("bert", [*HDP, "--tokens", "2"], "--tokens belongs to a decoder, and model "),
    ("llama", [*HDP, "--tokens", "0"], "--tokens must be at least 1, not 0"),
    ("llama", [*HDP, "--tokens", "99"], "--tokens must be at most 30 behind 3 tokens of text"),
    ("llama", [*HDP, "--pair", "w1"], "--pair belongs to a classifier, and model "),
])
def test_bad_options(capfd, root, model, args, message):
    code, out, err = infer(capfd, root, model, *args)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("error: ") and message in err, err


def test_bad_models(capfd, root, tmp_path):
    import torch
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(root / "bert")
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    tiny.save(tmp_path / "nan", model, scale=0)
    with torch.no_grad():
        model.classifier.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "nan")
    for path, message in ((tmp_path / "none", "has no config.json"),
                          (tmp_path / "nan", "must have finite weights, and classifier.weight")):
        code, out, err = prunus(capfd, "infer", path, "w1", *HDP)
        assert (code, out) == (2, "") and err.count("\n") == 1 and message in err, err


def test_images_are_no_texts(capfd, root, tmp_path):
    from tests.prunus.models.test_kinds import IMAGES

    path = tiny.save(tmp_path / "vit", IMAGES["vit"](), tokenizer=False)
    code, out, err = prunus(capfd, "infer", path, "w1", *HDP)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "must take texts, and is a ViTForImageClassification" in err


def test_packages_that_are_missing(capfd, tmp_path, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(command.util, "find_spec",
                        lambda name: None if name == "torch" else find(name))
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = prunus(capfd, "infer", tmp_path, "w1", *HDP)
    assert (code, out) == (2, "")
    assert err == f"error: infer needs the Python package 'torch': {install_hint('models')}\n"

# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus evaluate``."""

import json
import re
import sys
from importlib import util

import pytest

from prunus.console import install_hint
from prunus.evaluate.calibration import (
    Calibration,
    Entry,
    ModelOf,
    save_calibration,
)
from prunus.evaluate.methods.registry import METHODS
from prunus.train import command
from prunus.train.thresholds import digest
from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

# The contract of --json: other tools rely on it.
TYPES = {"model": str, "task": str, "method": str, "parameters": dict, "n": int, "metric": str,
         "value": float, "low": float, "high": float, "blocks_pruned": float,
         "scores_pruned": float, "heads_pruned": float, "cycles": int, "bytes": int, "preset": str}
OPTIONS = {"float": [], "dense": [], "hdp": ["--distance", "1"], "leopard": ["--threshold", "0.2"],
           "topk": ["--top-k", "3"], "spatten": ["--token-keep", "0.5"], "energon": [],
           "uniform": [], "random": ["--share", "0.5"]}
PRESETS = {"dense": "hdp_edge", "hdp": "hdp_edge", "leopard": "leopard_ae", "topk": "topk_edge"}


# -- before any model -----------------------------------------------------------------------------
def without(capfd, tmp_path, *args):
    code, out, err = prunus(capfd, "evaluate", tmp_path, "--data", tmp_path / "d.tsv", *args)
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ")
    return code, err[7:-1]


def test_methods_are_those_of_the_contract():
    assert set(METHODS) == {"float", "dense", "hdp", "leopard", "topk", "spatten", "energon",
                            "uniform", "random"} == set(OPTIONS)


@pytest.mark.parametrize(("args", "message"), [
    (["--task", "sst", "--method", "hdp"], "'sst' is not one of 'sst2', 'cola', "),
    (["--task", "sst2", "--method", "hpd"], "'hpd' is not one of 'float', 'dense', 'hdp', "),
    (["--task", "sst2"], "--method must be one of float, dense, hdp, .*, or --calibration given"),
    (["--method", "hdp"], "Missing option '--task'"),
    (["--task", "sst2", "--method", "topk", "--rho", "0.2"],
     "--rho is an option of method hdp, and --method is topk"),
    (["--task", "sst2", "--method", "hdp", "--keep", "0.2"],
     "--keep is an option of method topk, and --method is hdp"),
    (["--task", "sst2", "--method", "float", "--exact"],
     "--exact is an option of method hdp, and --method is float"),
    (["--task", "sst2", "--method", "dense", "--not-centred"],
     "--centred is an option of method hdp, and --method is dense"),
    (["--task", "sst2", "--method", "float", "--preset", "hdp_edge"],
     r"--preset belongs to methods with hardware \(dense, hdp, leopard, topk\), not to float"),
    (["--task", "sst2", "--method", "hdp", "--preset", "topk_edge"],
     "--preset must be one of engine hdp for method hdp, and topk_edge is of engine topk"),
    (["--task", "sst2", "--method", "dense", "--preset", "topk_edge"],
     "--preset must be one of engine hdp or leopard for method dense"),
    (["--task", "sst2", "--method", "hdp", "--preset", "edge"],
     "config must be a TOML file or one of "),
    (["--task", "sst2", "--method", "hdp", "--rho", "1"],
     "method hdp: rho: .* less than 1, not 1.0"),
    (["--task", "sst2", "--method", "hdp", "--rho", "nan"], "method hdp: rho: .*, not nan"),
    (["--task", "sst2", "--method", "hdp", "--importance", "distance"],
     "method hdp: importance distance needs a distance"),
    (["--task", "sst2", "--method", "hdp", "--rho", "0", "--distance", "1"],
     "method hdp: rho belongs to importance magnitude, and this is distance"),
    (["--task", "sst2", "--method", "hdp", "--tau-head", "-1"],
     "method hdp: tau_head: .* equal to 0, not -1"),
    (["--task", "sst2", "--method", "leopard"], "method leopard needs --threshold"),
    (["--task", "sst2", "--method", "leopard", "--threshold", "nan"],
     "method leopard: threshold: threshold must be a real number, not nan"),
    (["--task", "sst2", "--method", "topk"], "method topk needs --top-k or --keep"),
    (["--task", "sst2", "--method", "topk", "--top-k", "0"], "method topk: top_k: .*, not 0"),
    (["--task", "sst2", "--method", "topk", "--keep", "1.5"], "method topk: keep: .*, not 1.5"),
    (["--task", "sst2", "--method", "random"], "method random needs --share"),
    (["--task", "sst2", "--method", "random", "--share", "1"],
     r"--share must lie in \[0, 1\), not 1"),
    (["--task", "sst2", "--method", "random", "--share", "nan"], "--share must lie in .*, not nan"),
    (["--task", "sst2", "--method", "spatten"], "method spatten needs --token-keep or --head-keep"),
    (["--task", "sst2", "--method", "spatten", "--head-keep", "0"],
     r"--head-keep must lie in \(0, 1\], not 0"),
    (["--task", "sst2", "--method", "energon", "--alpha", "0.1"],
     "--alpha must be given twice, for each round, not 1 times"),
    (["--task", "sst2", "--method", "energon", "--alpha", "0.1", "--alpha", "-1"],
     r"--alpha must lie in \(-1, 1\), not -1"),
    (["--task", "sst2", "--method", "float", "--limit", "0"], "--limit must be at least 1, not 0"),
    (["--task", "lm", "--method", "float", "--length", "1"], "--length must be at least 2, not 1"),
    (["--task", "sst2", "--calibration", "none.toml"], "calibration 'none.toml' cannot be read"),
])
def test_bad_options(capfd, tmp_path, args, message):
    code, said = without(capfd, tmp_path, *args)
    assert code == 2 and re.search(message, said), said


def test_packages_that_are_missing(capfd, tmp_path, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(command.util, "find_spec",
                        lambda name: None if name == "torch" else find(name))
    monkeypatch.setitem(sys.modules, "torch", None)
    code, said = without(capfd, tmp_path, "--task", "sst2", "--method", "float")
    assert (code, said) == (2, f"evaluate needs the Python package 'torch': "
                               f"{install_hint('models')}")


# -- with models ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def root(tmp_path_factory):
    tiny.need_torch()
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert")
    tiny.make_decoder(path / "llama")
    tiny.write_sentences(path / "s.tsv", 12)
    lines = (path / "s.tsv").read_text().splitlines()
    (path / "cola.tsv").write_text("".join(
        "x\t{1}\t\t{0}\n".format(*line.split("\t")) for line in lines))
    (path / "s.txt").write_text("w1 w2 w3 w4\n<|endoftext|>\nw5 w6 w7 w8 w9\n")
    return path


TASKS = {"sst2": ("bert", "s.tsv", "accuracy"), "cola": ("bert", "cola.tsv", "mcc"),
         "tsv": ("bert", "s.tsv", "accuracy"), "lm": ("llama", "s.txt", "perplexity")}


def evaluate(capfd, root, task, *args):
    model, data, _ = TASKS[task]
    return prunus(capfd, "evaluate", root / model, "--data", root / data, "--task", task, *args)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", OPTIONS)
def test_the_contract(capfd, root, method, task):
    code, out, err = evaluate(capfd, root, task, "--method", method, *OPTIONS[method], "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert list(record) == list(TYPES)
    hardware = method in PRESETS
    for name, kind in TYPES.items():
        if not hardware and name in ("cycles", "bytes", "preset"):
            assert record[name] is None
        else:
            assert type(record[name]) is kind, name
    model, _, metric = TASKS[task]
    assert (record["model"], record["task"], record["method"]) == (model, task, method)
    assert (record["metric"], record["n"]) == (metric, 2 if task == "lm" else 12)
    assert record["preset"] == PRESETS.get(method)
    assert record["low"] <= record["value"] <= record["high"]


def test_parameters(capfd, root):
    _, out, _ = evaluate(capfd, root, "sst2", "--method", "hdp", "--rho", "0.25", "--exact",
                         "--not-centred", "--pruned", "drop", "--tau-head", "9", "--json",
                         "--preset", "hdp_fine")
    assert json.loads(out)["parameters"] == {
        "importance": "magnitude", "rho": 0.25, "tau_head": 9, "pruned": "drop", "exact": True,
        "centred": False, "balanced": False, "temperature": 1.0}
    _, out, _ = evaluate(capfd, root, "lm", "--method", "leopard", "--threshold", "-inf", "--json")
    assert json.loads(out)["parameters"] == {"threshold": "-inf"}
    _, out, _ = evaluate(capfd, root, "lm", "--method", "energon", "--alpha", "0.25", "--alpha",
                         "-0.5", "--json")
    assert json.loads(out)["parameters"] == {"alpha": [0.25, -0.5]}


def test_a_table(capfd, root):
    code, out, err = evaluate(capfd, root, "sst2", "--method", "topk", "--top-k", "3",
                              "--limit", "5")
    assert (code, err) == (0, "")
    head, row = (line.split("\t") for line in out.splitlines())
    told = dict(zip(head, row, strict=True))
    assert (told["method"], told["texts"], told["preset"]) == ("topk", "5", "topk_edge")
    assert told["accuracy"].endswith("%") and " to " in told["95% interval"]
    assert told["scores pruned"].endswith("%") and int(told["cycles"]) > 0
    _, out, _ = evaluate(capfd, root, "lm", "--method", "float")
    assert out.splitlines()[1].split("\t")[-3:] == ["-", "-", "-"]


def test_columns(capfd, root, tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("class\tid\tbody\n1\t0\tw1 w2\n0\t1\tw3\n")
    args = ["evaluate", root / "bert", "--data", path, "--method", "float", "--json"]
    code, out, _ = prunus(capfd, *args, "--task", "tsv", "--text-column", "body",
                          "--label-column", "class")
    assert code == 0 and json.loads(out)["n"] == 2
    code, _, err = prunus(capfd, *args, "--task", "tsv", "--text-column", "text",
                          "--label-column", "class")
    assert code == 2 and "must have a column 'text'" in err
    code, _, err = prunus(capfd, *args, "--task", "tsv")
    assert code == 2 and "must have two columns" in err and err.count("\n") == 1


@pytest.mark.parametrize(("task", "text", "message"), [
    ("sst2", "", "must hold sentences, and holds none"),
    ("cola", "", "must hold sentences, and holds none"),
    ("lm", "<|endoftext|>\n", "must hold documents, and holds none"),
    ("cola", "w1\t1\n", "must have a column 4, and has 2"),
    ("sst2", "w1\t2\n", "label must lie in 0..1"),
])
def test_bad_data(capfd, root, tmp_path, task, text, message):
    path = tmp_path / "d"
    path.write_text(text)
    code, out, err = prunus(capfd, "evaluate", root / TASKS[task][0], "--data", path, "--task",
                            task, "--method", "float")
    assert code == 2 and out == "" and message in err and err.count("\n") == 1


def test_heads_that_no_preset_takes(capfd, tmp_path, root):
    tiny.make_model(tmp_path / "odd", hidden_size=24)
    code, _, err = prunus(capfd, "evaluate", tmp_path / "odd", "--data", root / "s.tsv", "--task",
                          "sst2", "--method", "hdp")
    assert code == 2 and err.count("\n") == 1
    assert err.endswith("must have heads with a d that is a multiple of 8 up to 128, the most of "
                        "any preset, not 12\n")


@pytest.mark.parametrize(("task", "text"), [
    ("sst2", "nobody knows\t0\nnot one\t1\n"),
    ("rte", "sentence1\tsentence2\tlabel\nnobody knows\tnot one\t0\nno word\tof these\t1\n")])
def test_words_that_nobody_knows(capfd, root, tmp_path, task, text):
    """Of sentences and of pairs alike."""
    (tmp_path / "data.tsv").write_text(text)
    code, out, err = prunus(capfd, "evaluate", root / "bert", "--data", tmp_path / "data.tsv",
                            "--task", task, "--method", "float")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "every word of " in err and " is unknown to the one it has" in err


# -- calibrations ---------------------------------------------------------------------------------
def calibration(root, tmp_path, **how):
    path = tmp_path / "c.toml"
    save_calibration(path, Calibration(**{
        "method": "hdp", "preset": "hdp_fine",
        "model": ModelOf(name="bert", sha256=digest(root / "bert")), "all": {"dense": True},
        "heads": (Entry.model_validate({"layer": 1, "head": 0, "distance": 0.5}),), **how}))
    return path


def test_a_calibration(capfd, root, tmp_path):
    path = calibration(root, tmp_path)
    code, out, err = evaluate(capfd, root, "sst2", "--calibration", path, "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert (record["method"], record["preset"]) == ("hdp", "hdp_fine")
    assert record["parameters"] == {"calibration": "c.toml"}
    # One head of four is pruned.
    assert 0 < record["blocks_pruned"] < 0.25
    code, out, _ = evaluate(capfd, root, "sst2", "--calibration", path, "--json", "--method",
                            "hdp", "--preset", "hdp_edge")
    assert code == 0 and json.loads(out)["preset"] == "hdp_edge"
    path = calibration(root, tmp_path, method="topk", preset=None, all={"top_k": 2}, heads=())
    code, out, _ = evaluate(capfd, root, "sst2", "--calibration", path, "--json")
    assert code == 0 and json.loads(out)["preset"] == "topk_edge"


@pytest.mark.parametrize(("how", "args", "message"), [
    ({"model": ModelOf(name="other", sha256="ab")}, [],
     "belongs to the weights of 'other', and model "),
    ({}, ["--method", "topk"], "is one of method hdp, and --method is topk"),
    ({}, ["--distance", "1"], "--distance must not be given beside --calibration"),
    ({"preset": "topk_edge"}, [], "--preset must be one of engine hdp for method hdp"),
    ({"all": {"rho": 2}}, [], "calibration, layer 0, head 0: rho: Input should be less than 1"),
    ({"heads": (Entry.model_validate({"layer": 2, "rho": 0}),)}, [],
     "layer must lie in 0..1, not 2"),
])
def test_calibrations_that_do_not_fit(capfd, root, tmp_path, how, args, message):
    path = calibration(root, tmp_path, **how)
    code, out, err = evaluate(capfd, root, "sst2", "--calibration", path, *args)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1, err

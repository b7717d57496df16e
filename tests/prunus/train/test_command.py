# SPDX-License-Identifier: Apache-2.0
"""What the commands say before they need any model: no torch here."""

import re
import sys
from importlib import util

import pytest

from prunus.console import install_hint
from prunus.errors import InputError
from prunus.train import command
from prunus.train.settings import Settings
from prunus.train.thresholds import save_thresholds
from tests.prunus.test_cli import prunus
from tests.prunus.train.test_thresholds import LEARNED


def train(capfd, tmp_path, *args):
    return prunus(capfd, "train-thresholds", tmp_path, "--data", tmp_path / "d.tsv",
                  "-o", tmp_path / "t.toml", *args)


@pytest.fixture
def no_torch(monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(command.util, "find_spec",
                        lambda name: None if name == "torch" else find(name))
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.parametrize(("args", "message"), [
    (["--budget-accuracy", "-0.1"], "--budget-accuracy must be at least 0, not -0.1"),
    (["--budget-accuracy", "nan"], "--budget-accuracy must be at least 0, not nan"),
    (["--budget-perplexity", "-1"], "--budget-perplexity must be at least 0, not -1"),
    (["--steps", "0"], "--steps must be at least 1, not 0"),
    (["--every", "0"], "--every must be at least 1, not 0"),
    (["--batch", "-3"], "--batch must be at least 1, not -3"),
    (["--seed", "-1"], "--seed must be at least 0, not -1"),
    (["--strength", "inf"], "--strength must be at least 0, not inf"),
    (["--rate", "0"], "--rate must be above 0, not 0"),
    (["--held-out", "0"], "--held-out must be above 0, not 0"),
    (["--held-out", "1"], "--held-out must be below 1, not 1"),
    (["--distil", "1.1"], "--distil must lie in 0..1, not 1.1"),
    (["--distil", "-0.1"], "--distil must lie in 0..1, not -0.1"),
    (["--distil", "nan"], "--distil must lie in 0..1, not nan"),
    (["--temperature", "0"], "--temperature must be above 0, not 0"),
    (["--start", "nan"], "--start must be finite, not nan"),
])
def test_bad_options(capfd, tmp_path, args, message):
    code, out, err = train(capfd, tmp_path, *args)
    assert (code, out, err) == (2, "", f"error: {message}\n")
    assert not list(tmp_path.iterdir())


def test_bad_outputs(capfd, tmp_path):
    data = tmp_path / "d.tsv"
    data.write_text("a\t1\n")
    for args, message in (
            (["-o", tmp_path / "none" / "t.toml"], "output .* must lie in an existing directory"),
            (["-o", tmp_path], "output must be a file, and .* is a directory"),
            (["-o", data], "output must not be the input file"),
            (["--train-weights", data], "--train-weights must name a directory, and .* is a file"),
            (["--train-weights", tmp_path], "--train-weights must name a new or empty directory"),
            (["--train-weights", tmp_path / "no" / "m"], "must lie in an existing directory")):
        code, out, err = train(capfd, tmp_path, *args)
        assert (code, out) == (2, "") and re.search(message, err), err
    assert data.read_text() == "a\t1\n"


def test_without_torch(capfd, tmp_path, no_torch):
    save_thresholds(tmp_path / "t.toml", LEARNED)
    some = [tmp_path, "--thresholds", tmp_path / "t.toml", "--data", tmp_path / "d.tsv"]
    for args in (["train-thresholds", tmp_path, "--data", "d", "-o", tmp_path / "new.toml"],
                 ["capture", *some, "-o", tmp_path / "heads"], ["accuracy", *some]):
        code, out, err = prunus(capfd, *args)
        assert (code, out) == (2, "")
        assert err == (f"error: {args[0]} needs the Python package 'torch': "
                       f"{install_hint('models')}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["t.toml"]


@pytest.mark.parametrize("name", ["capture", "accuracy"])
def test_bad_thresholds_and_configurations(capfd, tmp_path, name):
    last = ["-o", tmp_path / "heads"] if name == "capture" else []
    some = [name, tmp_path, "--data", "d", *last, "--thresholds", tmp_path / "t.toml"]
    code, out, err = prunus(capfd, *some)
    assert (code, out) == (2, "") and "t.toml' cannot be read: No such file" in err
    code, out, err = prunus(capfd, *some, "--config", "hdp_edge")
    assert (code, out) == (2, "") and "config must be one of engine leopard here" in err
    assert not list(tmp_path.iterdir())


def test_settings_are_checked_wherever_they_come_from():
    good = {"seed": 0, "steps": 1, "every": 1, "batch": 1, "weights": False, "budget": 0.2,
            "held_out": 0.1, "start": 0.0, "rate": 0.1, "weight_rate": 0.1, "strength": 0.0,
            "sharpness": 1.0, "depth": 1.0, "slope": 1.0, "distil": 1.0, "temperature": 1.0}
    assert Settings(**good).budget == 0.2
    with pytest.raises(InputError, match="--depth must be above 0, not -1"):
        Settings(**{**good, "depth": -1.0})

# SPDX-License-Identifier: Apache-2.0
"""The file that says how heads are pruned."""

import re

import pytest

from prunus.errors import InputError
from prunus.evaluate.calibration import (
    Calibration,
    Entry,
    ModelOf,
    check_model,
    load_calibration,
    save_calibration,
)
from prunus.evaluate.choices import HdpChoice, TopkChoice
from prunus.golden.hdp.compute import Importance
from prunus.train.thresholds import digest, save_thresholds
from tests.prunus.train.test_thresholds import LEARNED

MODEL = ModelOf(name="m", sha256="00")
TEXT = """
method = "hdp"
preset = "hdp_fine"

[model]
name = "m"
sha256 = "00"

[all]
distance = 2
pruned = "drop"

[[heads]]
layer = 1
rho = -0.25

[[heads]]
layer = 1
head = 2
dense = true

[[heads]]
layer = 0
head = 1
tau_head = 300
exact = true
"""


def write(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def test_one_over_the_other(tmp_path):
    file = load_calibration(write(tmp_path, TEXT))
    choose = file.chooser()
    assert choose(0, 0) == HdpChoice(distance=2, pruned="drop")
    assert choose(0, 0).importance is Importance.DISTANCE
    assert choose(0, 1) == HdpChoice(distance=2, pruned="drop", tau_head=300, exact=True)
    assert choose(1, 0) == HdpChoice(rho=-0.25, pruned="drop")
    assert choose(1, 2) == HdpChoice(dense=True, pruned="drop")
    assert choose(7, 7) == choose(0, 0) and choose(0, 0) is choose(0, 0)


def test_a_head_comes_after_its_layer_wherever_it_stands():
    file = Calibration(method="topk", model=MODEL, heads=(
        Entry.model_validate({"layer": 0, "head": 1, "top_k": 3}),
        Entry.model_validate({"layer": 0, "keep": 0.5})))
    assert file.choice(0, 1) == TopkChoice(top_k=3) and file.choice(0, 0) == TopkChoice(keep=0.5)
    with pytest.raises(InputError, match="layer 1, head 0: there must be one of top_k and keep"):
        file.choice(1, 0)


def test_there_and_back(tmp_path):
    file = load_calibration(write(tmp_path, TEXT))
    save_calibration(tmp_path / "again.toml", file)
    assert load_calibration(tmp_path / "again.toml") == file
    assert "docs/evaluate.md" in (tmp_path / "again.toml").read_text()


def test_learned_thresholds_are_one(tmp_path):
    path = tmp_path / "t.toml"
    save_thresholds(path, LEARNED)
    file = load_calibration(path)
    assert file.method == "leopard" and file.model.sha256 == LEARNED.model.sha256
    assert [file.choice(n, 5).threshold for n in range(len(LEARNED.thresholds))] == list(
        LEARNED.thresholds)


@pytest.mark.parametrize(("old", "new", "message"), [
    ('"hdp"', '"spatten"', "method: .*'hdp', 'leopard' or 'topk', not 'spatten'"),
    ("[model]", "[who]", "model: Field required"),
    ("distance = 2", "[", "is not TOML"),
    ("layer = 0", "layer = -1", "heads.2.layer: .*greater than or equal to 0, not -1"),
    ("head = 1", 'head = "x"', "heads.2.head: .*valid integer.*, not 'x'"),
    ("preset =", "board =", "board: Extra inputs"),
    ("distance = 2", "distance = [1]", "all.distance"),
])
def test_bad_files(tmp_path, old, new, message):
    with pytest.raises(InputError, match=f"calibration .*c.toml' ?.*{message}"):
        load_calibration(write(tmp_path, TEXT.replace(old, new)))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("distance = 2", "distance = -1", "layer 0, head 0: distance: .* equal to 0, not -1"),
    ("rho = -0.25", "rho = 1.5", "layer 1, head 0: rho: .*less than 1, not 1.5"),
    ("rho = -0.25", "threshold = 1", "layer 1, head 0: threshold: Extra inputs"),
    ("rho = -0.25", 'rho = 0.5\nimportance = "distance"',
     "layer 1, head 0: rho belongs to importance magnitude, and this is distance"),
    ("dense = true", "dense = true\nrho = 0.5",
     "layer 1, head 2: rho means nothing where dense is set"),
    ("tau_head = 300", "tau_head = -3", "layer 0, head 1: tau_head: .*equal to 0, not -3"),
    ("exact = true", 'pruned = "keep"', "layer 0, head 1: pruned: .*'zero' or 'drop', not 'keep'"),
    ("head = 1", "head = 3", r"head must lie in 0..2, not 3"),
    ("layer = 0", "layer = 2", r"layer must lie in 0..1, not 2"),
])
def test_what_does_not_fit_a_model(tmp_path, old, new, message):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    text = TEXT.replace('"00"', f'"{digest(tmp_path / "model")}"')
    path = write(tmp_path, text)
    check_model(load_calibration(path), path, tmp_path / "model", 2, 3)
    path = write(tmp_path, text.replace(old, new))
    with pytest.raises(InputError, match=message):
        check_model(load_calibration(path), path, tmp_path / "model", 2, 3)


def test_of_another_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    path = write(tmp_path, TEXT)
    with pytest.raises(InputError, match=re.escape(
            f"calibration {str(path)!r} belongs to the weights of 'm', and model "
            f"{str(tmp_path)!r} has others")):
        check_model(load_calibration(path), path, tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_calibration(tmp_path / "none.toml")
    (tmp_path / "c.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is not TOML"):
        load_calibration(tmp_path / "c.toml")

# SPDX-License-Identifier: Apache-2.0
"""The file of thresholds: written, read, and refused."""

import math
import re

import pytest

from prunus.errors import InputError
from prunus.train.thresholds import (
    Checkpoint,
    Controls,
    Learned,
    Measured,
    MeasuredTexts,
    Model,
    PerplexityControls,
    digest,
    load_thresholds,
    save_thresholds,
)

MEASURED = Measured(data="dev.tsv", sentences=100, before=0.9, before_interval=(0.82, 0.94),
                    after=0.89, after_interval=(0.81, 0.93), points_lost=1.0,
                    points_lost_interval=(-1.0, 3.0), pruned=0.75, pruned_by_layer=(0.7, 0.8),
                    controls=Controls(uniform=0.6, random=0.7, unpruned=0.9))
LEARNED = Learned(
    thresholds=(0.25, -math.inf), model=Model(name="some", sha256="ab", weights_trained=False),
    held_out=MEASURED.model_copy(update={"controls": None}), dev=MEASURED,
    training={"command": "prunus train-thresholds \"x\"", "seed": 3, "weights": False,
              "rate": 1e-2}, checkpoints=(Checkpoint(step=0, pruned=0, accuracy=0.9),))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "t.toml"
    save_thresholds(path, LEARNED)
    assert load_thresholds(path) == LEARNED
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# Thresholds for LeOPArd")
    assert {"thresholds = [", "    0.25,", "    -inf,", "[held_out]", "[dev]", "[dev.controls]",
            "[model]", "[training]"} <= set(lines)
    assert "[held_out.controls]" not in lines


def test_without_dev(tmp_path):
    learned = LEARNED.model_copy(update={"dev": None})
    save_thresholds(tmp_path / "t.toml", learned)
    assert load_thresholds(tmp_path / "t.toml") == learned


TEXTS = MeasuredTexts(
    data="dev.txt", texts=8, tokens=2900, before=4.67, before_interval=(4.4, 4.9), after=4.7,
    after_interval=(4.4, 5.0), percent_lost=0.6, percent_lost_interval=(0.3, 0.9), pruned=0.8,
    pruned_by_layer=(0.8, 0.8), controls=PerplexityControls(
        uniform=49.0, random=30.0, unpruned=4.67))


def test_perplexities(tmp_path):
    learned = LEARNED.model_copy(update={"held_out": TEXTS, "dev": TEXTS, "checkpoints": (
        Checkpoint(step=0, pruned=0, accuracy=0.5, perplexity=4.67),)})
    path = tmp_path / "t.toml"
    save_thresholds(path, learned)
    assert load_thresholds(path) == learned
    path.write_text(path.read_text().replace("tokens = 2900", "tokens = 0"))
    with pytest.raises(InputError, match="held_out.tokens: Input should be greater than 0, not 0"):
        load_thresholds(path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "t.toml"
    save_thresholds(path, LEARNED)
    with pytest.raises(InputError, match="cannot be written"):
        save_thresholds(tmp_path / "none" / "t.toml", LEARNED)
    assert [file.name for file in tmp_path.iterdir()] == ["t.toml"]


@pytest.mark.parametrize(("old", "new", "message"), [
    ("0.25,", "nan,", "thresholds: thresholds must be real numbers, not "),
    ("0.25,", '"x",', "thresholds.0: Input should be a valid number"),
    ("pruned = 0.75", "pruned = 1.5", "held_out.pruned: Input should be less than or equal to 1, "
     "not 1.5"),
    ("sentences = 100\n", "", "held_out.sentences: Field required"),
    ("[model]", "[model]\nsize = 3", "model.size: Extra inputs are not permitted, not 3"),
    ("[model]", "[model", "is not TOML"),
])
def test_bad_files_say_what_is_allowed(tmp_path, old, new, message):
    path = tmp_path / "t.toml"
    save_thresholds(path, LEARNED)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)):
        load_thresholds(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        load_thresholds(tmp_path / "none")
    (tmp_path / "t").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is not TOML"):
        load_thresholds(tmp_path / "t")


def test_a_digest_is_that_of_configuration_and_weights(tmp_path):
    for name in ("config.json", "model.safetensors", "notes.txt"):
        (tmp_path / name).write_text(name)
    first = digest(tmp_path)
    (tmp_path / "notes.txt").write_text("others")
    assert digest(tmp_path) == first
    (tmp_path / "model.safetensors").write_text("other")
    assert digest(tmp_path) != first
    assert digest(tmp_path / "notes.txt") != digest(tmp_path / "config.json")

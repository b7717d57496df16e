# SPDX-License-Identifier: Apache-2.0
"""The commands as a user runs them, on a small model."""

import json
import re

import numpy as np
import pytest

from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

torch = tiny.need_torch()

from prunus.train.loop import Trainer  # noqa: E402
from prunus.train.thresholds import digest, load_thresholds  # noqa: E402

QUICK = ["--steps", 6, "--every", 2, "--batch", 4, "--held-out", 0.4, "--rate", 0.05]


@pytest.fixture
def files(tmp_path):
    """A model, sentences to learn from, and others."""
    return (tiny.make_model(tmp_path / "model"), tiny.write_sentences(tmp_path / "data.tsv", 40),
            tiny.write_sentences(tmp_path / "dev.tsv", 25, seed=9))


def train(capfd, tmp_path, files, *args):
    model, data, dev = files
    return prunus(capfd, "train-thresholds", model, "--data", data, "--dev", dev,
                  "-o", tmp_path / "t.toml", "--budget-accuracy", 100, *QUICK, *args)


@pytest.fixture
def trained(capfd, tmp_path, files):
    code, out, err = train(capfd, tmp_path, files, "--json")
    assert (code, err) == (0, "")
    return json.loads(out), files, tmp_path / "t.toml"


def test_what_comes_out(trained, tmp_path):
    printed, (model, _, _), path = trained
    learned = load_thresholds(path)
    assert json.loads(learned.model_dump_json()) == printed
    assert learned.model.name == "model" and learned.model.sha256 == digest(model)
    assert not learned.model.weights_trained
    assert (learned.dev.sentences, learned.dev.data) == (25, "dev.tsv")
    assert learned.held_out.sentences + learned.training["sentences"] == 40
    assert [c.step for c in learned.checkpoints] == [0, 2, 4, 6]
    first, *later = learned.checkpoints
    assert (first.agreement, first.divergence) == (1, 0)
    assert all(0 <= c.agreement <= 1 and c.divergence > 0 for c in later)
    # With the whole accuracy as the budget, what prunes most is chosen.
    best = max(learned.checkpoints, key=lambda c: c.pruned)
    assert learned.training["chosen_step"] == best.step > 0
    assert learned.held_out.pruned == best.pruned and learned.held_out.after == best.accuracy
    low, high = learned.dev.after_interval
    assert low < learned.dev.after < high
    assert learned.dev.points_lost == pytest.approx(
        100 * (learned.dev.before - learned.dev.after), abs=0.01)
    assert learned.dev.controls and not learned.held_out.controls
    assert learned.training["command"].startswith("prunus train-thresholds ")
    assert "--steps 6" in learned.training["command"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "data.tsv", "dev.tsv", "model", "t.toml"]


def test_plain_lines_in_a_pipe(capfd, tmp_path, files):
    code, out, err = train(capfd, tmp_path, files)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split("\t") == ["layer", "threshold", "pruned, held out"]
    assert any(line.startswith("dev: 25 sentences, ") for line in lines)
    assert lines[-1].startswith("dev: controls ")


def test_trained_weights_are_saved_with_their_thresholds(capfd, tmp_path, files):
    code, out, _ = train(capfd, tmp_path, files, "--train-weights", tmp_path / "new",
                         "--weight-rate", 0.01, "--json")
    learned = load_thresholds(tmp_path / "t.toml")
    assert code == 0 and learned.model.weights_trained and learned.model.name == "new"
    assert learned.model.sha256 == digest(tmp_path / "new") != digest(files[0])
    some = ["--thresholds", tmp_path / "t.toml", "--data", files[2]]
    code, out, _ = prunus(capfd, "accuracy", tmp_path / "new", *some, "--json")
    figures = json.loads(out)
    assert code == 0
    assert figures["float"]["accuracy"] == pytest.approx(learned.dev.after, abs=1e-4)
    assert figures["dense"]["accuracy"] == pytest.approx(learned.dev.controls.unpruned, abs=1e-4)
    code, _, err = prunus(capfd, "accuracy", files[0], *some)
    assert code == 2 and "belong to the weights of 'new'" in err


def test_a_run_goes_on_where_it_was_stopped(capfd, tmp_path, files, monkeypatch, trained):
    want = trained[0]
    step, count = Trainer._learn, []

    def stop(self, chosen):
        count.append(self.step)
        if len(count) == 4:
            raise KeyboardInterrupt
        return step(self, chosen)

    (tmp_path / "t.toml").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_learn", stop)
        code, out, _ = train(capfd, tmp_path, files, "--json")
        assert code == 130 and not (tmp_path / "t.toml").exists()
        assert (tmp_path / "t.toml.ckpt").exists() and count == [0, 1, 2, 3]
    code, _, err = train(capfd, tmp_path, files, "--seed", 5)
    assert code == 2 and "belongs to a run with other seed" in err
    code, out, err = train(capfd, tmp_path, files, "--json")
    assert code == 0 and err == "going on from step 2 in t.toml.ckpt\n"
    assert json.loads(out) == want and not (tmp_path / "t.toml.ckpt").exists()


def test_fresh_forgets_what_was_stopped(capfd, tmp_path, files):
    (tmp_path / "t.toml.ckpt").write_bytes(b"damaged")
    code, _, err = train(capfd, tmp_path, files)
    assert code == 2 and "say --fresh" in err
    assert train(capfd, tmp_path, files, "--fresh")[0] == 0


def test_where_nothing_is_within_the_budget(capfd, tmp_path, files, monkeypatch):
    monkeypatch.setattr("prunus.train.loop.choose", lambda candidates, *_: candidates[0])
    code, _, err = train(capfd, tmp_path, files, "--train-weights", tmp_path / "new")
    learned = load_thresholds(tmp_path / "t.toml")
    start = "no checkpoint loses at most 100 points, so nothing is pruned; nearest: step "
    assert err.startswith(start) and len(err.splitlines()) == 1
    assert sorted(re.findall(r"step (\d)", err)) == ["2", "4", "6"]
    assert code == 0 and learned.thresholds == (-np.inf, -np.inf)
    assert learned.dev.pruned == learned.dev.points_lost == 0
    assert learned.dev.controls.unpruned == learned.dev.before
    assert [c.step for c in learned.checkpoints] == [0, 2, 4, 6]


def test_too_few_sentences(capfd, tmp_path, files):
    (tmp_path / "data.tsv").write_text("w1\t0\n")
    code, _, err = train(capfd, tmp_path, files)
    assert code == 2 and "too small to hold out a share of 0.4" in err


# -- capture and accuracy ---------------------------------------------------------------------
def test_captured_heads_run_through_the_engine(capfd, tmp_path, trained):
    learned, (model, _, dev), path = trained
    code, out, err = prunus(capfd, "capture", model, "--thresholds", path, "--data", dev, "-o",
                            tmp_path / "heads", "--sentences", 5, "--first", 3, "--json")
    rows = json.loads(out)
    assert (code, err, [row["file"] for row in rows]) == (0, "", ["layer0.npz", "layer1.npz"])
    words = [len(line.split("\t")[0].split()) + 2 for line in dev.read_text().splitlines()[3:8]]
    for n, row in enumerate(rows):
        file = tmp_path / "heads" / row["file"]
        code, out, _ = prunus(capfd, "run", file, tmp_path / "out.npz", "--config", "leopard_ae",
                              "--json", "--trace")
        summary = json.loads(out)
        assert code == 0
        assert (summary["survivors"], summary["keys"]) == (row["survivors"], row["keys"])
        assert row["keys"] == 2 * sum(length**2 for length in words)
        with np.load(file) as data:
            assert data["valid_q"].tolist() == np.repeat(words, 2).tolist()
            assert data["threshold"].tolist() == [learned["thresholds"][n]] * 10
            assert row["differ"] <= 0.01 * row["keys"]
            scores = data["q"].astype(int) @ data["k"].astype(int).transpose(0, 2, 1)
            rows_valid = np.arange(max(words)) < data["valid_q"][:, None]
            visible = rows_valid[:, :, None] & rows_valid[:, None]
            keep = visible & (scores * float(data["scale"]) >= learned["thresholds"][n])
        with np.load(tmp_path / "out.npz") as got:
            assert (got["mask"] == keep).all()


def test_the_specification_in_the_model(capfd, tmp_path, trained):
    learned, (model, _, dev), path = trained
    code, out, _ = prunus(capfd, "accuracy", model, "--thresholds", path, "--data", dev, "--json")
    figures = json.loads(out)
    assert code == 0 and figures["sentences"] == 25
    assert figures["dense"]["accuracy"] == pytest.approx(learned["dev"]["before"], abs=1e-4)
    assert figures["float"]["accuracy"] == pytest.approx(learned["dev"]["after"], abs=1e-4)
    assert figures["agree"] >= 0.9
    assert figures["pruned"] == pytest.approx(learned["dev"]["pruned"], abs=0.01)
    assert figures["differ_share"] < 0.01
    assert figures["bound_cycles"] * 6 >= figures["digits_total"]
    code, out, _ = prunus(capfd, "accuracy", model, "--thresholds", path, "--data", dev,
                          "--sentences", 4)
    assert code == 0 and out.splitlines()[0] == "attention\tright\t95% interval"


def test_a_coarser_engine_differs_more(capfd, trained):
    _, (model, _, dev), path = trained
    differ = []
    for config in ("leopard_tiny", "leopard_ae"):
        code, out, _ = prunus(capfd, "accuracy", model, "--thresholds", path, "--data", dev,
                              "--config", config, "--json")
        assert code == 0
        differ.append(json.loads(out)["differ"])
    assert differ[0] > differ[1]


@pytest.mark.parametrize(("args", "message"), [
    (["--first", 25], "--first must lie in 0..24, not 25"),
    (["--sentences", 0], "--sentences must be at least 1, not 0"),
])
def test_sentences_that_are_not_there(capfd, tmp_path, trained, args, message):
    _, (model, _, dev), path = trained
    code, out, err = prunus(capfd, "capture", model, "--thresholds", path, "--data", dev,
                            "-o", tmp_path / "heads", *args)
    assert (code, out, err) == (2, "", f"error: {message}\n")
    assert not (tmp_path / "heads").exists()

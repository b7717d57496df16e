# SPDX-License-Identifier: Apache-2.0
"""The captured heads and the files of thresholds that are part of the repository; no torch here."""

import json

import numpy as np
import pytest

from prunus.engines.leopard import FRONT, load_jobs
from prunus.golden.engines import load_config
from prunus.run import run_golden
from prunus.train.thresholds import load_thresholds
from tests.prunus.test_cli import ROOT, prunus

TRAINED = ROOT / "examples" / "trained"
FILES = sorted((ROOT / "docs" / "train").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_the_files_say_fits_together(path):
    learned = load_thresholds(path)
    assert len(learned.thresholds) == len(learned.dev.pruned_by_layer) == 6
    for part in (learned.held_out, learned.dev):
        assert part.points_lost == pytest.approx(100 * (part.before - part.after), abs=0.011)
        assert part.before_interval[0] < part.before < part.before_interval[1]
        assert part.points_lost_interval[0] < part.points_lost < part.points_lost_interval[1]
        # Layers have as many pairs each.
        assert np.mean(part.pruned_by_layer) == pytest.approx(part.pruned, abs=2e-4)
        assert part.pruned > 0.7
    base, budget = learned.checkpoints[0].accuracy, learned.training["budget"] / 100
    chosen = [c for c in learned.checkpoints if base - c.accuracy <= budget + 1e-4]
    assert max(chosen, key=lambda c: c.pruned).step == learned.training["chosen_step"]
    assert learned.dev.controls.random < learned.dev.after - 0.05
    assert learned.dev.controls.uniform < learned.dev.after - 0.05


@pytest.mark.parametrize("layer", range(6))
def test_captured_heads_under_trained_thresholds(capfd, tmp_path, layer):
    """What the engine keeps is what the rule says of the codes, in its plainest form."""
    path = TRAINED / f"layer{layer}.npz"
    code, out, _ = prunus(capfd, "run", path, tmp_path / "out.npz", "--config", "leopard_ae",
                          "--trace", "--json")
    assert code == 0
    threshold = load_thresholds(TRAINED / "thresholds.toml").thresholds[layer]
    with np.load(path) as data, np.load(tmp_path / "out.npz") as got:
        assert set(data["threshold"]) == {threshold}
        assert max(np.abs(data[name]).max() for name in "qk") == 2047
        scores = data["q"].astype(int) @ data["k"].astype(int).transpose(0, 2, 1)
        assert (got["mask"] == (scores * float(data["scale"]) >= threshold)).all()
    summary = json.loads(out)
    assert 0.6 < 1 - summary["survivors"] / summary["keys"] < 0.99
    assert summary["baseline_cycles"] > 1.5 * summary["bound_cycles"]


def test_trained_thresholds_are_those_of_the_docs():
    learned = load_thresholds(TRAINED / "thresholds.toml")
    assert learned in [load_thresholds(path) for path in FILES]
    jobs = load_jobs(TRAINED / "layer0.npz", load_config("leopard_ae"), None)
    done = run_golden(jobs, load_config("leopard_ae"))
    assert done.summary(FRONT.figures(done))["heads"] == 12

# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus calibrate``, and the commands that take what it writes."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter

import numpy as np
import pytest

from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

tiny.need_torch()
pytest.importorskip("optuna", reason=tiny.REASON)

from safetensors.torch import load_file, save_file  # noqa: E402

from prunus.evaluate.calibration import (  # noqa: E402
    Calibration,
    Entry,
    ModelOf,
    load_calibration,
    save_calibration,
)
from prunus.evaluate.core import Evaluator  # noqa: E402
from prunus.evaluate.methods.registry import calibrated  # noqa: E402
from prunus.evaluate.search import search, study, trial  # noqa: E402
from prunus.evaluate.tasks import TASKS  # noqa: E402
from prunus.train.thresholds import digest  # noqa: E402

# What tools may rely on.
RECORD = {"model", "task", "method", "preset", "prune", "max_loss", "trials", "seed",
          "target", "search_texts", "confirm_texts", "metric", "front", "confirmed", "nearest",
          "calibration"}
MADE = {"command", "seed", "trials", "prune", "max_loss", "search_data", "search_texts",
        "confirm_data", "confirm_texts", "metric", "confirmations", "search_lost",
        "search_divergence", "own", "value", "low", "high", "lost", "lost_low", "lost_high",
        "blocks_pruned", "scores_pruned", "heads_pruned"}
DISTANCE = ("--importance", "distance", "--preset", "hdp_fine")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert")
    tiny.make_decoder(path / "llama")
    tiny.write_sentences(path / "s.tsv", 40)
    random = np.random.default_rng(0)
    stories = [" ".join(f"w{word}" for word in random.integers(0, 40, count))
               for count in random.integers(5, 30, 12)]
    (path / "s.txt").write_text("\n<|endoftext|>\n".join(stories))
    return path


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    """Nothing that was kept elsewhere."""
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    trial._opened.cache_clear()


def calibrate(capfd, root, out, *args, task="sst2", model=None, data=None):
    names = {"sst2": ("bert", "s.tsv"), "lm": ("llama", "s.txt")}[task]
    return prunus(capfd, "calibrate", model or root / names[0], "--data", data or root / names[1],
                  "--task", task, "-o", out, *args)


def counted(monkeypatch):
    """How often each setting was computed on which texts."""
    done, measured = Counter(), trial._Opened.measured

    def told(self, method):
        done[id(self), repr([method._choose(layer, head) for layer in range(2)
                                        for head in range(2)])] += 1
        return measured(self, method)

    monkeypatch.setattr(trial._Opened, "measured", told)
    return done


# -- what comes out -------------------------------------------------------------------------------
@pytest.mark.parametrize(("task", "args", "method"), [
    ("sst2", [*DISTANCE], "hdp"),
    ("lm", ["--preset", "leopard_ae", "--limit", "8"], "leopard"),
    ("lm", ["--preset", "topk_edge", "--per", "layer"], "topk"),
    ("lm", ["--preset", "hdp_edge", "--importance", "magnitude"], "hdp")])
def test_the_contract(capfd, root, tmp_path, task, args, method):
    out = tmp_path / "c.toml"
    code, said, err = calibrate(capfd, root, out, "--trials", 60, "--max-loss", 40, "--json", *args,
                                task=task)
    assert (code, err) == (0, ""), err
    record = json.loads(said)
    assert set(record) == RECORD and record["trials"] == 60, record["trials"]
    assert (record["method"], record["calibration"]) == (method, str(out))
    share = f"{record['prune']}_pruned"
    assert record["prune"] == ("blocks" if method == "hdp" else "scores")
    front = record["front"]
    assert all(a[share] > b[share] and a["divergence"] > b["divergence"]
               for a, b in zip(front, front[1:], strict=False))
    held = record["confirmed"][-1]
    assert held["lost"] <= 40 and all(one["lost"] > 40 for one in record["confirmed"][:-1])
    assert held["low"] <= held["value"] <= held["high"] and held[share] > 0
    assert held["lost_low"] <= held["lost"] <= held["lost_high"]
    made = tomllib.loads(out.read_text())["made"]
    assert set(made) == MADE and made["command"].startswith("prunus calibrate ")
    assert made["confirmations"] == len(record["confirmed"]) and made["lost"] == held["lost"]
    # The figures are those that evaluate gives for the file on the same texts.
    file = load_calibration(out)
    assert (file.method, file.preset) == (method, record["preset"])
    model, data = {"sst2": ("bert", "s.tsv"), "lm": ("llama", "s.txt")}[task]
    evaluator = Evaluator(root / model, TASKS[task], root / data,
                          limit=8 if "--limit" in args else None)
    keys = [repr(sorted(one.items())) for one in evaluator.texts]
    _, chosen = search.split(keys, record["search_texts"], record["confirm_texts"], 0)
    assert len(chosen) == record["confirm_texts"]
    evaluator.keep(chosen)
    done = evaluator.run(calibrated(file, out, None), costs=False)
    assert done.value == pytest.approx(held["value"], rel=1e-6)
    assert done.counts.pruned() == pytest.approx({
        name: held[name] for name in done.counts.pruned()})
    code, said, err = prunus(capfd, "evaluate", root / model, "--data", root / data, "--task", task,
                             "--calibration", out, "--json")
    assert (code, err) == (0, "") and json.loads(said)["parameters"] == {"calibration": "c.toml"}


def test_never_worse_than_one_parameter(capfd, root, tmp_path):
    out = tmp_path / "c.toml"
    code, said, _ = calibrate(capfd, root, out, "--trials", 80, "--max-loss", 2, "--json",
                              "--preset", "hdp_fine", "--confirm", root / "s.tsv",
                              "--search-texts", 20, "--confirm-texts", 4)
    record = json.loads(said)
    trials = study.optuna.load_study(
        study_name=study.NAME, storage=f"sqlite:///{out.with_suffix('.study')}").trials
    assert code in (0, 1) and len(trials) == record["trials"] == 80
    phases = Counter(one.user_attrs["phase"] for one in trials)
    assert set(phases) == {"ladder", "variants", "greedy", "tpe"} and phases["ladder"] == 30
    within = {phase: max(one.user_attrs["blocks_pruned"] for one in trials
                         if one.user_attrs["lost"] <= 2 and phase in (one.user_attrs["phase"], ""))
              for phase in ("ladder", "")}
    assert within[""] >= within["ladder"] > 0


def test_a_share_instead_of_a_loss(capfd, root, tmp_path):
    """The setting of least divergence that prunes as much."""
    out = tmp_path / "c.toml"
    code, said, err = calibrate(capfd, root, out, "--trials", 24, "--target", 0.4, "--json",
                                *DISTANCE, task="lm")
    assert (code, err) == (0, ""), err
    record = json.loads(said)
    assert (record["target"], record["max_loss"]) == (0.4, None)
    [confirmed] = record["confirmed"]
    enough = [one for one in record["front"] if one["blocks_pruned"] >= 0.4]
    assert confirmed["search_divergence"] == min(one["divergence"] for one in enough)
    assert load_calibration(out).made["target"] == 0.4
    assert any(one["phase"] == "learned" for one in record["front"])


def test_a_share_that_nothing_reaches(capfd, root, tmp_path):
    out = tmp_path / "c.toml"
    code, said, err = calibrate(capfd, root, out, "--trials", 10, "--target", 0.999, "--preset",
                                "leopard_ae", "--prune", "blocks", task="lm")
    assert code == 1 and not out.exists()
    assert err.endswith("prunes 99.9% of blocks on the texts of the search\n")


@pytest.mark.parametrize(("args", "said"), [
    (["--target", "0.5", "--max-loss", "1"], "--target must not be given beside --max-loss"),
    (["--target", "1"], "--target must lie in (0, 1), not 1"),
    (["--target", "nan"], "--target must lie in (0, 1), not nan")])
def test_bad_aims(capfd, root, tmp_path, args, said):
    code, out, err = calibrate(capfd, root, tmp_path / "c.toml", *args)
    assert (code, out, err) == (2, "", f"error: {said}\n")


def test_heads(capfd, root, tmp_path):
    out = tmp_path / "c.toml"
    code, said, _ = calibrate(capfd, root, out, "--trials", 40, "--max-loss", 60, "--json",
                              "--prune", "heads", *DISTANCE)
    assert code == 0
    assert json.loads(said)["confirmed"][-1]["heads_pruned"] >= 0.25
    assert any(entry.choice().get("tau_head") for entry in load_calibration(out).heads)


def test_a_table(capfd, root, tmp_path):
    out = tmp_path / "c.toml"
    code, said, err = calibrate(capfd, root, out, "--trials", 40, "--max-loss", 40, *DISTANCE)
    lines = said.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split("\t") == ["blocks pruned", "scores pruned", "heads pruned",
                                    "lost (points)", "divergence", "phase"]
    assert lines[-1].startswith(f"calibration: {out}, confirmed at the ")


# -- going on -------------------------------------------------------------------------------------
def test_an_interrupted_search_goes_on(capfd, root, tmp_path, monkeypatch):
    """In the middle of a batch, and the result is that of one that was not interrupted."""
    args = ("--trials", 60, "--max-loss", 3, "--json", *DISTANCE)
    code, whole, _ = calibrate(capfd, root, tmp_path / "a.toml", *args)
    assert code in (0, 1)
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "other"))
    done = counted(monkeypatch)
    for after in (7, 25, 50, 58):
        added = []

        def add(self, *of, after=after, added=added, real=study.Study.add):
            if len(self) >= after:
                raise KeyboardInterrupt
            added.append(of)
            return real(self, *of)

        with monkeypatch.context() as patched:
            patched.setattr(study.Study, "add", add)
            code, _, err = calibrate(capfd, root, tmp_path / "b.toml", *args)
        assert code == 130 and not (tmp_path / "b.toml").exists() and added
    code, again, err = calibrate(capfd, root, tmp_path / "b.toml", *args)
    assert "has 58 trials of this search: going on from there" in err
    first, second = json.loads(whole), json.loads(again)
    assert second.pop("calibration", None) == (str(tmp_path / "b.toml") if code == 0 else None)
    assert first.pop("calibration", None) == (str(tmp_path / "a.toml") if code == 0 else None)
    assert second == first
    # Nothing was computed twice, neither of the search nor of the confirmation.
    assert set(done.values()) == {1} and len(done) >= 60
    if code == 0:
        both = [(tmp_path / name).read_text() for name in ("a.toml", "b.toml")]
        assert both[1].replace("b.toml", "a.toml") == both[0]


def test_a_killed_search_goes_on(root, tmp_path):
    """As by the power cord."""
    out = tmp_path / "c.toml"
    command = [sys.executable, "-m", "prunus", "calibrate", str(root / "bert"), "--data",
               str(root / "s.tsv"), "--task", "sst2", "-o", str(out), "--trials", "60",
               "--max-loss", "90", *DISTANCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        kept = tmp_path / "build" / "campaigns" / "calibrate"
        while len(list(kept.glob("*.json"))) < 12 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert not out.exists() and out.with_suffix(".study").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "trials of this search: going on from there" in done.stderr and out.exists()


def test_workers_change_nothing(capfd, root, tmp_path):
    args = ("--trials", 34, "--max-loss", 40, "--json", *DISTANCE)
    _, alone, _ = calibrate(capfd, root, tmp_path / "c.toml", *args)
    os.environ["PRUNUS_BUILD"] = str(tmp_path / "other")
    (tmp_path / "c.study").unlink()
    code, together, err = calibrate(capfd, root, tmp_path / "c.toml", *args, "--workers", 2)
    assert (code, err) == (0, "") and together == alone


@pytest.mark.parametrize(("args", "what"), [
    (["--seed", 1], "seed"), (["--preset", "hdp_edge"], "preset"), (["--per", "layer"], "per"),
    (["--prune", "scores"], "prune"), (["--length", 9], "length"),
    (["--search-texts", 5], "texts")])
def test_a_study_of_something_else(capfd, root, tmp_path, args, what):
    first = ("--trials", 1, "--max-loss", 90, "--importance", "distance", "--study",
             tmp_path / "s.study")
    if not (tmp_path / "c.toml").exists():
        calibrate(capfd, root, tmp_path / "c.toml", *first, "--preset", "hdp_fine")
    (tmp_path / "c.toml").unlink()
    preset = [] if "--preset" in args else ["--preset", "hdp_fine"]
    code, out, err = calibrate(capfd, root, tmp_path / "c.toml", *first, *preset, *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"is of another {what}, " in err and not (tmp_path / "c.toml").exists()


# -- the confirmation -----------------------------------------------------------------------------
def test_the_search_never_reads_what_confirms(capfd, root, tmp_path):
    """Other texts of confirmation change nothing of what is tried, whatever they are."""
    lines = (root / "s.tsv").read_text().splitlines()
    evaluator = Evaluator(root / "bert", TASKS["sst2"], root / "s.tsv")
    searched, confirmed = search.split(
        [repr(sorted(one.items())) for one in evaluator.texts], 12, 99, 0)
    assert not set(searched) & set(confirmed) and len(searched) == 12
    for n in confirmed:
        label = int(lines[n].split("\t")[1])
        lines[n] = f"w{n % 40} w7 w{(n * 3) % 40} w{n // 40} w5 w5\t{1 - label}"
    (tmp_path / "other.tsv").write_text("\n".join(lines) + "\n")
    args = ("--trials", 50, "--max-loss", 2, "--json", "--search-texts", 12, *DISTANCE)
    found = []
    for data in (root / "s.tsv", tmp_path / "other.tsv"):
        code, said, _ = calibrate(capfd, root, tmp_path / f"{data.stem}.toml", *args, data=data)
        assert code in (0, 1)
        found.append(json.loads(said))
    assert found[0]["front"] == found[1]["front"]
    assert found[0]["confirmed"] != found[1]["confirmed"]


def test_equal_texts_are_on_one_side():
    keys = ["a", "b", "a", "c", "d", "b", "e", "f", "g", "h"]
    for seed in range(20):
        searched, confirmed = search.split(keys, 3, 9, seed)
        assert len(searched) == 3 and len(confirmed) == 5
        assert not {keys[n] for n in searched} & {keys[n] for n in confirmed}
    assert search.split(keys, 3, 9, 0) != search.split(keys, 3, 9, 1)
    assert [len(part) for part in search.split(keys, 20, 9, 0)] == [4, 4]


def test_a_file_of_its_own_to_confirm_by(capfd, root, tmp_path):
    tiny.write_sentences(tmp_path / "more.tsv", 9)
    code, said, err = calibrate(
        capfd, root, tmp_path / "c.toml", "--trials", 1, "--max-loss", 90, "--json", "--confirm",
        tmp_path / "more.tsv", "--search-texts", 10, *DISTANCE)
    assert (code, err) == (0, "")
    assert 4 <= json.loads(said)["confirm_texts"] <= 9
    assert tomllib.loads((tmp_path / "c.toml").read_text())["made"]["confirm_data"] == "more.tsv"


def test_nothing_holds(capfd, root, tmp_path, monkeypatch):
    """Exit code 1, what came nearest, and no file."""
    monkeypatch.setattr(search.Search, "true_loss", lambda self, result: 7.0)
    code, said, err = calibrate(capfd, root, tmp_path / "c.toml", "--trials", 1, "--json",
                                "--max-loss", 5, *DISTANCE)
    record = json.loads(said)
    assert code == 1 and record["calibration"] is None
    assert 1 <= len(record["confirmed"]) <= search.CONFIRMATIONS
    assert err.startswith(f"error: none of {len(record['confirmed'])} settings keeps a loss of 5 "
                          "points on the ") and "the nearest loses 7.00 at " in err
    assert not (tmp_path / "c.toml").exists()


# -- refusals -------------------------------------------------------------------------------------
def texts(path, count):
    path.write_text("".join(f"w{n} w{n + 1}\t{n % 2}\n" for n in range(count)))
    return path


@pytest.mark.parametrize(("args", "message"), [
    (["--max-loss", "-1"], "--max-loss must be a finite number of at least 0, not -1.0"),
    (["--max-loss", "nan"], "--max-loss must be a finite number of at least 0, not nan"),
    (["--max-loss", "inf"], "--max-loss must be a finite number of at least 0, not inf"),
    (["--trials", 0], "--trials must be at least 1, not 0"),
    (["--limit", 0], "--limit must be at least 1, not 0"),
    (["--seed", -1], "--seed must be at least 0, not -1"),
    (["--search-texts", 3], "--search-texts must be at least 4, not 3"),
    (["--limit", 7], "must hold at least 4 different texts to search by, 8 if it is the only file, "
     "not 3"),
    (["--preset", "none"], "'none'"),
    (["--preset", "topk_edge", "--importance", "distance"],
     "--importance belongs to engine hdp, and topk_edge is of engine topk"),
    (["--preset", "topk_edge", "--prune", "heads"],
     "--prune heads needs engine hdp, and topk_edge is of engine topk"),
    (["--preset", "hdp_tiny", "--length", 40], "texts must have at most 32 tokens (hdp_tiny)"),
    (["--text-column", "7", "--label-column", "1"], "must have a column 7, and has 2"),
    (["--workers", -1], "--workers must be at least 0, not -1"),
    (["--study", "c.toml"], "--study must be another file than --output"),
    (["--confirm", "few.tsv"], "must hold at least 4 different texts to confirm by, 8 if it"),
])
def test_bad_options(capfd, root, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    texts(tmp_path / "few.tsv", 3)
    if "hdp_tiny" in args:
        (tmp_path / "long.tsv").write_text("".join(
            f"{' '.join(f'w{n}' for n in range(38))} w{n}\t1\n" for n in range(10)))
    code, out, err = calibrate(capfd, root, "c.toml", *args, data=(
        tmp_path / "long.tsv" if "hdp_tiny" in args else None))
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err, err
    assert {path.name for path in tmp_path.iterdir()} <= {"few.tsv", "long.tsv", "build"}


def test_bad_files(capfd, root, tmp_path):
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "c.study").write_text("no database\n" * 100)
    odd = tiny.make_model(tmp_path / "odd", hidden_size=24)
    broken = tiny.make_model(tmp_path / "broken")
    state = load_file(broken / "model.safetensors")
    name = next(name for name in state if name.endswith("key.weight"))
    state[name][0, 0] = float("nan")
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    for how, message in (
            ({"data": tmp_path / "empty.tsv"}, "must hold sentences, and holds none"),
            ({"data": tmp_path / "none.tsv"}, "cannot be read"),
            ({"model": odd}, "heads with a d that is a multiple of 8"),
            ({"model": broken}, "must have finite weights"),
            ({}, "c.study' cannot be used: ")):
        code, out, err = calibrate(capfd, root, tmp_path / "c.toml", **how)
        assert (code, out, err.count("\n")) == (2, "", 1) and message in err, err
        assert not (tmp_path / "c.toml").exists()
    code, _, err = prunus(capfd, "calibrate", root / "bert", "--data", root / "s.tsv", "--task",
                          "sst", "-o", tmp_path / "c.toml")
    assert code == 2 and "'sst' is not one of 'sst2'" in err


# -- who takes the file ---------------------------------------------------------------------------
FILES = {
    "hdp": {"all": {"distance": 1.0}, "heads": (
        {"layer": 0, "head": 1, "rho": 0.3, "pruned": "drop"}, {"layer": 1, "exact": True},
        {"layer": 1, "head": 0, "tau_head": 2**31}, {"layer": 0, "head": 0, "dense": True})},
    # Heads that share keys and have other codes of them.
    "codes": {"all": {"distance": 0.3, "temperature": 1.7}, "heads": (
        {"layer": 0, "head": 1, "balanced": True}, {"layer": 1, "balanced": True},
        {"layer": 1, "head": 1, "centred": False, "temperature": 0.6})},
    "leopard": {"all": {"threshold": 0.1, "temperature": 0.7}, "heads": (
        {"layer": 1, "head": 1, "threshold": -0.2},)},
    "topk": {"all": {"keep": 0.4}, "heads": (
        {"layer": 1, "head": 0, "top_k": 2, "temperature": 1.3},)}}
PRESETS = {"hdp": "hdp_fine", "codes": "hdp_fine", "leopard": "leopard_ae", "topk": "topk_edge"}


def write(root, path, method, model="bert", **more):
    how = FILES[method] | more
    save_calibration(path, Calibration(
        method="hdp" if method == "codes" else method, preset=PRESETS[method], all=how["all"],
        model=ModelOf(name=model, sha256=digest(root / model)),
        heads=tuple(Entry.model_validate(entry) for entry in how["heads"])))
    return path


@pytest.mark.parametrize("model", ["bert", "llama"])
@pytest.mark.parametrize("method", FILES)
def test_run_of_a_calibrated_capture_is_evaluate(capfd, root, tmp_path, method, model):
    file = write(root, tmp_path / "c.toml", method, model)
    task, data = {"bert": ("sst2", "s.tsv"), "llama": ("lm", "s.txt")}[model]
    code, said, err = prunus(capfd, "capture", root / model, "--data", root / data, "-o",
                             tmp_path / "heads", "--calibration", file, "--limit", 3, "--json")
    assert (code, err) == (0, "")
    evaluator = Evaluator(root / model, TASKS[task], root / data, limit=3)
    outs = {}
    want = evaluator.run(calibrated(load_calibration(file), file, None), costs=False,
                         watch=lambda layer, attended: outs.update(
                             {(layer.number, layer.text): attended.out}))
    heads = evaluator.layers * evaluator.heads
    for row, counts in zip(json.loads(said), want.layers, strict=True):
        path = tmp_path / "heads" / row["file"]
        code, out, err = prunus(capfd, "run", path, tmp_path / "o.npz", "--json", "--config",
                                PRESETS[method])
        assert (code, err) == (0, "")
        summary = json.loads(out)
        if method in ("hdp", "codes"):
            # What the mask keeps of a pruned head is counted by the engine, and not by evaluate.
            kept = np.load(tmp_path / "o.npz")
            assert (kept["blocks_kept"] * kept["head_kept"]).sum() == counts.blocks_kept
            assert summary["blocks_total"] == counts.blocks == row["blocks_total"]
            assert summary["heads_pruned"] == counts.heads - counts.heads_kept
        else:
            assert (summary["survivors"], summary["keys"]) == (counts.scores_kept, counts.scores)
            assert row["scores_kept"] == counts.scores_kept
        with np.load(path) as arrays:
            number = int(row["file"][5])
            assert (arrays["layer"] == number).all()
            assert arrays["head"].tolist() == 3 * list(range(heads // 2))
            scale = arrays["v_scale"][:, None, None]
        with np.load(tmp_path / "o.npz") as got:
            real = got["out"] * (scale / 2.0**int(got["out_frac"]))
        for text, some in enumerate(np.split(real, 3)):
            one = outs[number, text]
            np.testing.assert_array_equal(some[:, :one.shape[1]], one)
        # The same again, said by the file of the calibration.
        code, again, err = prunus(capfd, "run", path, tmp_path / "p.npz", "--json",
                                  "--calibration", file)
        assert (code, err) == (0, "") and json.loads(again) == summary
        with np.load(tmp_path / "o.npz") as a, np.load(tmp_path / "p.npz") as b:
            np.testing.assert_array_equal(a["out"], b["out"])


def test_run_takes_another_calibration(capfd, root, tmp_path):
    """Over what IN.npz says."""
    for name, how in (("a", {}), ("b", {"all": {"distance": 0.1, "temperature": 2.5},
                                        "heads": ()})):
        write(root, tmp_path / f"{name}.toml", "hdp", **how)
        prunus(capfd, "capture", root / "bert", "--data", root / "s.tsv", "-o", tmp_path / name,
               "--calibration", tmp_path / f"{name}.toml")
    prunus(capfd, "capture", root / "bert", "--data", root / "s.tsv", "-o", tmp_path / "plain",
           "--engine", "hdp", "--config", "hdp_fine")
    summaries, outs = [], []
    for name in ("a", "b", "plain"):
        _, out, _ = prunus(capfd, "run", tmp_path / name / "layer0.npz", tmp_path / "o.npz",
                           "--json", "--calibration", tmp_path / "b.toml")
        summaries.append(json.loads(out))
        outs.append(np.load(tmp_path / "o.npz")["out"])
    _, out, _ = prunus(capfd, "run", tmp_path / "b" / "layer0.npz", tmp_path / "o.npz", "--json",
                       "--config", "hdp_fine")
    # The first layer has the same heads whatever is pruned.
    assert summaries == [json.loads(out)] * 3 and summaries[0]["heads_pruned"] == 0
    for one in outs:
        np.testing.assert_array_equal(one, np.load(tmp_path / "o.npz")["out"])


def test_a_capture_without_a_calibration_names_its_heads(capfd, root, tmp_path):
    file = write(root, tmp_path / "c.toml", "leopard", all={"threshold": 0.1}, heads=())
    prunus(capfd, "capture", root / "bert", "--data", root / "s.tsv", "-o", tmp_path / "heads")
    source = tmp_path / "heads" / "layer1.npz"
    ran = []
    for args in (["--calibration", file], ["--config", "leopard_ae", "--threshold", "0.1"]):
        code, out, err = prunus(capfd, "run", source, tmp_path / "o.npz", "--json", *args)
        assert (code, err) == (0, "")
        ran.append((json.loads(out), np.load(tmp_path / "o.npz")["out"].tolist()))
    assert ran[0] == ran[1] and ran[0][0]["keys"] > ran[0][0]["survivors"] > 0


@pytest.mark.parametrize(("way", "field"), [
    ({"balanced": True}, "balanced must be true of layer 0, head 1, "),
    ({"centred": False}, "centred must be false of layer 0, head 1, ")])
def test_codes_that_were_made_for_another_calibration(capfd, root, tmp_path, way, field):
    """What the host does with queries and keys cannot be done with their codes any more."""
    plain = write(root, tmp_path / "plain.toml", "hdp", heads=())
    other = write(root, tmp_path / "other.toml", "hdp", heads=({"layer": 0, "head": 1, **way},))
    prunus(capfd, "capture", root / "bert", "--data", root / "s.tsv", "-o", tmp_path / "h",
           "--calibration", plain)
    code, out, err = prunus(capfd, "run", tmp_path / "h" / "layer0.npz", tmp_path / "o.npz",
                            "--calibration", other)
    assert (code, out, err.count("\n")) == (2, "", 1) and field in err, err
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.parametrize(("change", "message"), [
    ({"q": None}, "q is missing, the input needs q, k, v and scale"),
    ({"q": np.ones((8, 8), int)}, "q must have shape (heads, l, d) with no size 0, not (8, 8)"),
    ({"causal": np.array(["yes"])}, "causal must be one bool, not <U3 of shape (1,)"),
    ({"temperature": 0.0}, "temperature must be finite and above 0, not 0.0"),
    ({"temperature": np.array("a")}, "temperature must have a real dtype, not <U1")])
def test_run_refuses_bad_files(capfd, root, tmp_path, change, message):
    """As it does without a calibration."""
    file = write(root, tmp_path / "c.toml", "topk")
    codes = np.ones((2, 8, 8), int)
    arrays = {"q": codes, "k": codes, "v": codes, "scale": 0.1, "layer": 0, "head": 0} | change
    np.savez(tmp_path / "a.npz", **{name: x for name, x in arrays.items() if x is not None})
    code, out, err = prunus(capfd, "run", tmp_path / "a.npz", tmp_path / "o.npz", "--calibration",
                            file)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err, err


def test_a_share_is_that_of_what_the_queries_of_a_file_see(capfd, root, tmp_path):
    """Padding sees nothing, and the queries of a step see the keys before them."""
    file = write(root, tmp_path / "c.toml", "topk", all={"keep": 0.5}, heads=())
    random = np.random.default_rng(0)
    q, k = (random.integers(-99, 99, (4, rows, 8)) for rows in (4, 12))
    np.savez(tmp_path / "a.npz", q=q, k=k, v=k, scale=0.1, layer=0, head=np.arange(4), causal=True,
             valid_q=np.array([4, 2, 1, 0]), valid_kv=np.array([12, 12, 4, 4]))
    code, out, err = prunus(capfd, "run", tmp_path / "a.npz", tmp_path / "o.npz", "--json",
                            "--calibration", file)
    assert (code, err) == (0, "")
    # Queries see 9 to 12 keys, 11 and 12, or 4.
    assert np.load(tmp_path / "o.npz")["survivors"].tolist() == [4 * 5, 2 * 5, 2, 0]
    assert json.loads(out)["keys"] == 9 + 10 + 11 + 12 + 11 + 12 + 4


@pytest.mark.parametrize(("method", "args", "message"), [
    ("leopard", ["--config", "hdp_fine"],
     "is of engine leopard, and config hdp_fine is of engine hdp"),
    ("hdp", ["--rho", "0.1"], "options of the engine must not be given beside --calibration"),
    ("plain", [], "layer is missing: --calibration "),
])
def test_run_refuses(capfd, root, tmp_path, method, args, message):
    hdp = write(root, tmp_path / "hdp.toml", "hdp")
    prunus(capfd, "capture", root / "bert", "--data", root / "s.tsv", "-o", tmp_path / "h",
           "--calibration", hdp)
    source = tmp_path / "h" / "layer0.npz"
    file = hdp if method == "plain" else write(root, tmp_path / "c.toml", method)
    if method == "plain":
        with np.load(source) as arrays:
            np.savez(source.with_name("p.npz"), **{
                name: arrays[name] for name in arrays.files if name != "layer"})
        source = source.with_name("p.npz")
    code, out, err = prunus(capfd, "run", source, tmp_path / "o.npz", "--calibration", file, *args)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err, err
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.parametrize(("args", "message"), [
    (["--engine", "hdp"], "--engine must not be given beside --calibration"),
    (["--exact"], "--exact must not be given beside --calibration"),
    (["--thresholds", "t.toml"], "--thresholds must not be given beside --calibration"),
    (["--config", "topk_edge"], "--preset must be one of engine hdp for method hdp")])
def test_capture_refuses(capfd, root, tmp_path, args, message):
    file = write(root, tmp_path / "c.toml", "hdp")
    for model, more, said in (("bert", args, message), ("llama", [], "belongs to the weights of")):
        code, out, err = prunus(
            capfd, "capture", root / model, "--data", root / ("s.tsv" if model == "bert" else
                                                              "s.txt"),
            "-o", tmp_path / "d", "--calibration", file, *more)
        assert (code, out, err.count("\n")) == (2, "", 1) and said in err, err
        assert not (tmp_path / "d").exists()

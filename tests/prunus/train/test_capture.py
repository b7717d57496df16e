# SPDX-License-Identifier: Apache-2.0
"""Captured heads of all kinds of models, run again by ``prunus run``."""

import json
import math

import numpy as np
import pytest

from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

torch = tiny.need_torch()

from prunus.evaluate.choices import HdpChoice  # noqa: E402
from prunus.evaluate.hook import Hook  # noqa: E402
from prunus.evaluate.methods.hdp import Hdp  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.models.attention import Dense  # noqa: E402
from prunus.models.engine import Golden, Recorder  # noqa: E402
from prunus.models.model import open_model  # noqa: E402
from prunus.train.thresholds import Model, digest, save_thresholds  # noqa: E402
from tests.prunus.models.test_kinds import CLASSIFIERS, DECODERS, IMAGES, TEXTS  # noqa: E402
from tests.prunus.train.test_thresholds import LEARNED  # noqa: E402

STORIES = "\n<|endoftext|>\n".join(TEXTS[1:4]) + "\n"


def make(tmp_path, kind):
    """A model and what it works on."""
    if kind == "images":
        path, data = tiny.save(tmp_path / "m", IMAGES["vit"](), tokenizer=False), "data.npz"
        pixels = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
        np.savez(tmp_path / data, pixel_values=pixels, labels=np.array([0, 1, 0]))
        return path, tmp_path / data
    data = tmp_path / "data.txt"
    if kind == "decoder":
        data.write_text(STORIES)
        return tiny.save(tmp_path / "m", DECODERS["llama"](), bos_token="[CLS]"), data
    data.write_text("".join(f"{text}\t1\n" for text in TEXTS[1:4]))
    name = {"encoder": "a module for all layers", "causal": "causal, grouped"}[kind]
    return tiny.save(tmp_path / "m", CLASSIFIERS[name]()), data


def recorded(path, data, rule):
    """The heads of each layer under a rule, and what came out of it."""
    model, out = open_model(path), []
    recorder = Recorder(lambda heads: out.append(rule(heads)) or out[-1])
    model.under(recorder, model.tokenise(model.read(data).texts))
    return recorder.heads, out


def again(capfd, path, *args):
    """A captured file through ``prunus run``: its summary, real outputs, mask."""
    code, out, err = prunus(capfd, "run", path, path.with_suffix(".out"), "--json", "--trace",
                            *args)
    assert (code, err) == (0, "")
    with np.load(path) as data, np.load(path.with_suffix(".out")) as got:
        scale = np.broadcast_to(data["v_scale"], len(data["q"]))[:, None, None]
        return json.loads(out), got["out"] * (scale / 2.0**int(got["out_frac"])), got["mask"]


@pytest.mark.parametrize("kind", ["encoder", "causal", "decoder", "images"])
@pytest.mark.parametrize(("options", "choice"), [
    ([], HdpChoice(rho=25 / 128)),
    (["--rho", 0.5, "--exact"], HdpChoice(rho=0.5, exact=True)),
    (["--importance", "distance", "--distance", 2, "--pruned", "drop", "--config", "hdp_fine"],
     HdpChoice(distance=2.0, pruned="drop"))])
def test_hdp(capfd, tmp_path, kind, options, choice):
    path, data = make(tmp_path, kind)
    code, out, err = prunus(capfd, "capture", path, "--data", data, "-o", tmp_path / "heads",
                            "--engine", "hdp", "--json", *options)
    rows = json.loads(out)
    assert (code, err, len(rows)) == (0, "", 3)
    config = "hdp_fine" if "--config" in options else "hdp_edge"
    hook = Hook(Hdp(load_config(config), lambda layer, head: choice, {}), 3)
    hook.texts = range(100)
    heads, want = recorded(path, data, hook)
    for row, layer, outputs in zip(rows, heads, want, strict=True):
        file = tmp_path / "heads" / row["file"]
        summary, got, _ = again(capfd, file, "--config", config)
        assert (summary["blocks_kept"], summary["blocks_total"]) == (
            row["blocks_kept"], row["blocks_total"])
        assert 0 < row["blocks_kept"] < row["blocks_total"]
        assert row["heads"] == len(got) == layer.q.shape[0] * layer.q.shape[1]
        outputs = outputs.flatten(0, 1)[:, :row["l"]]
        np.testing.assert_allclose(got, outputs, rtol=1e-6, atol=1e-7)
        with np.load(file) as arrays:
            assert bool(arrays["causal"]) == (kind in ("causal", "decoder"))
            assert len(arrays["q"]) == len(arrays["k"]) * (2 if arrays["causal"] else 1)
            assert len(set(arrays["scale"].tolist())) == len(arrays["k"]) * (
                2 if arrays["causal"] else 1)


@pytest.mark.parametrize("kind", ["encoder", "causal", "decoder", "images"])
def test_leopard(capfd, tmp_path, kind):
    """Without thresholds nothing is pruned, and causal models hide what comes after."""
    path, data = make(tmp_path, kind)
    code, out, err = prunus(capfd, "capture", path, "--data", data, "-o", tmp_path / "heads",
                            "--json")
    rows = json.loads(out)
    assert (code, err, len(rows)) == (0, "", 3)
    config = load_config("leopard_ae")
    heads, _ = recorded(path, data, Dense())
    golden = Golden([-math.inf] * 3, config)
    recorded(path, data, golden)
    for n, (row, layer) in enumerate(zip(rows, heads, strict=True)):
        file = tmp_path / "heads" / row["file"]
        summary, got, mask = again(capfd, file, "--config", "leopard_ae")
        visible = layer.visible.expand(-1, layer.q.shape[1], -1, -1).flatten(0, 1)
        rows_seen = visible[:, :row["l"], :row["l"]].numpy()
        np.testing.assert_array_equal(mask, rows_seen)
        assert row["keys"] == row["survivors"] == summary["survivors"] == golden.keys[n]
        assert row["differ"] == 0 and row["threshold"] is None
        want = Dense()(layer).flatten(0, 1)[:, :row["l"]].numpy()
        assert np.abs(got - want).max() < 0.02 * np.abs(want).max()


def test_a_first_text_of_one_token(capfd, tmp_path):
    """It hides nothing, and the texts behind it are causal all the same."""
    path = tiny.save(tmp_path / "m", DECODERS["llama"]())       # no token of a beginning
    (tmp_path / "data.txt").write_text("w3\n<|endoftext|>\nw1 w2 w3 w4 w5\n")
    code, out, err = prunus(capfd, "capture", path, "--data", tmp_path / "data.txt", "-o",
                            tmp_path / "heads", "--engine", "hdp", "--rho", -0.9, "--json")
    assert (code, err) == (0, "")
    for row in json.loads(out):
        file = tmp_path / "heads" / row["file"]
        assert np.load(file)["causal"]
        summary, _, _ = again(capfd, file, "--config", "hdp_edge")
        assert (summary["blocks_kept"], summary["blocks_total"]) == (
            row["blocks_kept"], row["blocks_total"])


def test_plain_lines_say_how_to_run_them(capfd, tmp_path):
    path, data = make(tmp_path, "decoder")
    code, out, _ = prunus(capfd, "capture", path, "--data", data, "-o", tmp_path / "heads",
                          "--engine", "hdp", "--pruned", "drop", "--exact")
    assert code == 0 and out.splitlines()[-1] == (
        f"run: prunus run {tmp_path / 'heads' / 'layer0.npz'} OUT.npz --config hdp_edge")


@pytest.mark.parametrize(("args", "message"), [
    (["--engine", "hdp", "--thresholds", "t.toml"],
     "--thresholds belongs to --engine leopard, and this is hdp"),
    (["--rho", 0.1], "--rho belongs to --engine hdp, and this is leopard"),
    (["--exact"], "--exact belongs to --engine hdp, and this is leopard"),
    (["--engine", "hdp", "--rho", 1], "--rho must lie in (-1, 1), not 1.0"),
    (["--engine", "hdp", "--distance", 1],
     "--distance belongs to --importance distance, and this is magnitude"),
    (["--engine", "hdp", "--importance", "distance"], "--importance distance needs --distance"),
    (["--engine", "hdp", "--importance", "distance", "--distance", -1],
     "--distance must be 0 or more, not -1.0"),
    (["--engine", "hdp", "--importance", "distance", "--distance", 1, "--rho", 0.1],
     "--rho belongs to --importance magnitude, and this is distance"),
    (["--engine", "hdp", "--config", "hdp_tiny"],
     "texts must have at most 32 tokens (hdp_tiny), not 40"),
    (["--first", 3], "--first must lie in 0..2, not 3"),
])
def test_what_is_refused(capfd, tmp_path, args, message):
    path, data = make(tmp_path, "decoder")
    data.write_text(STORIES + "<|endoftext|>\n" * 3)
    if "hdp_tiny" in args:
        data.write_text(" ".join(f"w{n}" for n in range(39)))
    capfd.readouterr()
    code, out, err = prunus(capfd, "capture", path, "--data", data, "-o", tmp_path / "heads", *args)
    assert (code, out, err) == (2, "", f"error: {message}\n")
    assert not (tmp_path / "heads").exists()


def test_heads_that_a_preset_does_not_take(capfd, tmp_path):
    import transformers as hf

    from tests.prunus.models.test_kinds import BASE

    path = tiny.save(tmp_path / "m", hf.BertForSequenceClassification(hf.BertConfig(**{
        **BASE, "hidden_size": 144})))
    data = tiny.write_sentences(tmp_path / "data.tsv", 30)
    message = (f"error: model {str(path)!r} must have heads with a d that is a multiple of 8 up "
               f"to 64 (leopard_ae), not 72\n")
    learned = LEARNED.model_copy(update={"thresholds": (0.0,) * 3, "model": Model(
        name="m", sha256=digest(path), weights_trained=False)})
    save_thresholds(tmp_path / "of.toml", learned)
    for args in (["capture", path, "-o", tmp_path / "heads"],
                 ["train-thresholds", path, "-o", tmp_path / "t.toml"],
                 ["accuracy", path, "--thresholds", tmp_path / "of.toml"]):
        capfd.readouterr()
        assert prunus(capfd, *args, "--data", data) == (2, "", message)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.tsv", "m", "of.toml"]


def test_thresholds_are_learned_of_images(capfd, tmp_path):
    """And what was learned is measured on golden."""
    path, data = make(tmp_path, "images")
    pixels = np.random.default_rng(1).normal(size=(20, 3, 32, 32)).astype(np.float32)
    np.savez(data, pixel_values=pixels, labels=np.arange(20) % 2)
    code, _, err = prunus(capfd, "train-thresholds", path, "--data", data, "-o",
                          tmp_path / "t.toml", "--steps", 2, "--every", 1, "--batch", 4,
                          "--held-out", 0.4, "--budget-accuracy", 100, "--train-weights",
                          tmp_path / "new")
    assert (code, err) == (0, "")
    code, out, err = prunus(capfd, "accuracy", tmp_path / "new", "--thresholds",
                            tmp_path / "t.toml", "--data", data, "--sentences", 5, "--json")
    figures = json.loads(out)
    assert (code, err, figures["sentences"]) == (0, "", 5)
    assert figures["keys"] == 5 * 3 * 2 * 17**2

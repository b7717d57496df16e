# SPDX-License-Identifier: Apache-2.0
"""Thresholds of a decoder, which is judged by its perplexity."""

import json
import math
import re

import numpy as np
import pytest

from tests.prunus.models import tiny
from tests.prunus.test_cli import prunus

torch = tiny.need_torch()

from prunus.models.attention import Dense, Uniform  # noqa: E402
from prunus.models.model import open_model  # noqa: E402
from prunus.train.thresholds import load_thresholds  # noqa: E402
from tests.prunus.models.test_kinds import DECODERS  # noqa: E402

QUICK = ["--steps", 6, "--every", 2, "--batch", 4, "--held-out", 0.4, "--rate", 0.3,
         "--start", -1.0]


def write(path, count, seed):
    random = np.random.default_rng(seed)
    path.write_text("\n<|endoftext|>\n".join(
        " ".join(f"w{n}" for n in random.integers(0, 40, random.integers(3, 30)))
        for _ in range(count)))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return (tiny.save(folder / "m", DECODERS["llama"](), bos_token="[CLS]"),
            write(folder / "data.txt", 20, 0), write(folder / "dev.txt", 7, 1))


def train(capfd, tmp_path, files, *args):
    capfd.readouterr()
    model, data, dev = files
    return prunus(capfd, "train-thresholds", model, "--data", data, "--dev", dev, "-o",
                  tmp_path / "t.toml", *QUICK, *args)


def test_losses_are_those_of_the_model(files):
    model = open_model(files[0])
    tokens = model.tokenise(model.read(files[2]).texts)
    own = model.judged(tokens, Dense(), batch=3)
    model.model.set_attn_implementation("eager")
    for one, text in zip(own, tokens, strict=True):
        ids = torch.tensor([text])
        with torch.no_grad():
            said = model.model(input_ids=ids, labels=ids)
        assert one.tokens == len(text) - 1
        assert one.loss == pytest.approx(one.tokens * said.loss.item(), rel=1e-4)
        assert one.right == int((said.logits[0, :-1].argmax(-1) == ids[0, 1:]).sum())
    model.model.set_attn_implementation(model.switch.name)
    total = sum(one.loss for one in own) / sum(one.tokens for one in own)
    with torch.no_grad():
        assert model.loss(tokens).item() == pytest.approx(total, rel=1e-4)


def test_what_comes_out(capfd, tmp_path, files):
    code, out, err = train(capfd, tmp_path, files, "--budget-perplexity", 1e6, "--json")
    assert (code, err) == (0, "")
    learned = load_thresholds(tmp_path / "t.toml")
    assert json.loads(learned.model_dump_json()) == json.loads(out)
    first, *later = learned.checkpoints
    assert [c.step for c in learned.checkpoints] == [0, 2, 4, 6] and first.agreement == 1
    best = max(learned.checkpoints, key=lambda c: c.pruned)
    assert learned.training["chosen_step"] == best.step > 0
    assert learned.held_out.after == pytest.approx(best.perplexity, rel=1e-3)
    assert learned.held_out.before == pytest.approx(first.perplexity, rel=1e-3)
    model = open_model(files[0])
    judged = model.judged(model.tokenise(model.read(files[2]).texts), Dense())
    value = math.exp(sum(one.loss for one in judged) / sum(one.tokens for one in judged))
    assert learned.dev.before == pytest.approx(value, rel=1e-4)
    assert (learned.dev.texts, learned.dev.tokens) == (7, sum(one.tokens for one in judged))
    assert learned.dev.percent_lost == pytest.approx(
        100 * (learned.dev.after / learned.dev.before - 1), abs=0.01)
    assert learned.dev.controls.unpruned == learned.dev.before
    uniform = model.judged(model.tokenise(model.read(files[2]).texts), Uniform())
    assert learned.dev.controls.uniform == pytest.approx(math.exp(
        sum(one.loss for one in uniform) / learned.dev.tokens), rel=1e-4)
    # The engine, with the same thresholds.
    some = [files[0], "--thresholds", tmp_path / "t.toml", "--data", files[2]]
    code, out, err = prunus(capfd, "accuracy", *some, "--json")
    figures = json.loads(out)
    assert (code, err, figures["texts"]) == (0, "", 7)
    assert figures["dense"]["perplexity"] == pytest.approx(learned.dev.before, rel=1e-4)
    assert figures["float"]["perplexity"] == pytest.approx(learned.dev.after, rel=1e-4)
    assert figures["golden"]["perplexity"] == pytest.approx(learned.dev.after, rel=0.05)
    assert figures["pruned"] == pytest.approx(learned.dev.pruned, abs=0.01)
    assert figures["agree"] > 0.9 and figures["differ_share"] < 0.01
    code, out, _ = prunus(capfd, "accuracy", *some)
    assert code == 0 and out.splitlines()[0] == "attention\tperplexity\t95% interval"


def test_the_budget_is_of_perplexity(capfd, tmp_path, files, monkeypatch):
    """No point of accuracy has a say in it."""
    asked = []
    monkeypatch.setattr("prunus.train.loop.choose",
                        lambda candidates, *how: asked.append(how) or candidates[0])
    code, out, err = train(capfd, tmp_path, files, "--budget-perplexity", 0.5,
                           "--budget-accuracy", 100, "--train-weights", tmp_path / "new")
    assert code == 0 and re.fullmatch(
        r"no checkpoint loses at most 0.5 percent of perplexity, so nothing is pruned; nearest: "
        r"step \d \(\d+\.\d% pruned, -?\d+\.\d\d percent of perplexity lost\), step .*\n", err)
    assert set(asked) == {(load_thresholds(tmp_path / "t.toml").held_out.tokens, 0.5)}
    assert load_thresholds(tmp_path / "t.toml").thresholds == (-math.inf,) * 3
    assert re.search(r"^held out: 8 texts, \d+ tokens, 0.0% of pairs pruned$", out, re.M)
    assert re.search(r"^dev: controls \d+\.\d+ uniform attention, ", out, re.M)


def test_a_run_goes_on_where_it_was_stopped(capfd, tmp_path, files, monkeypatch):
    from prunus.train.loop import Trainer

    code, out, _ = train(capfd, tmp_path, files, "--budget-perplexity", 1e6, "--json")
    want, step = json.loads(out), Trainer._learn

    def stop(self, chosen):
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, chosen)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_learn", stop)
        assert train(capfd, tmp_path, files, "--budget-perplexity", 1e6, "--json")[0] == 130
    code, out, err = train(capfd, tmp_path, files, "--budget-perplexity", 1e6, "--json")
    assert code == 0 and err == "going on from step 2 in t.toml.ckpt\n"
    assert json.loads(out) == want


def test_what_is_refused(capfd, tmp_path, files):
    code, _, err = train(capfd, tmp_path, files, "--distil", 0.5)
    assert (code, err) == (2, f"error: --distil belongs to models that say a class, and model "
                              f"{str(files[0])!r} says the next token\n")
    data = tmp_path / "data.txt"
    data.write_text("w1\n<|endoftext|>\nw2\n<|endoftext|>\nw3")
    path = tiny.save(tmp_path / "m", DECODERS["llama"]())       # without a token of a beginning
    code, _, err = train(capfd, tmp_path, (path, data, data))
    assert (code, err) == (
        2, "error: documents must have tokens after their first, and have none\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.txt", "m"]

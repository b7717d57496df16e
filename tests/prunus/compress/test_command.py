# SPDX-License-Identifier: Apache-2.0
"""``prunus compress`` from end to end on small models."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from prunus import cli
from tests.prunus.models.tiny import make_decoder, make_model, need_torch, write_sentences

torch = need_torch()
for package in ("tensorly", "opt_einsum", "scipy"):
    pytest.importorskip(package)

from safetensors import safe_open  # noqa: E402 - needs torch
from safetensors.numpy import load_file, save_file  # noqa: E402

from prunus.app import app  # noqa: E402
from prunus.compress.kinds import KINDS  # noqa: E402
from prunus.errors import InputError  # noqa: E402
from prunus.models.coded import CODES_FILE, Coded, Part  # noqa: E402
from prunus.models.model import open_model  # noqa: E402

SMALL = ("--held-out", "30", "--epochs-layers", "2", "--epochs-codes", "2", "--edp", "2.5",
         "--tokens", "25", "--forms", "dense,svd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier wide enough to be worth it, and its sentences."""
    path = tmp_path_factory.mktemp("compress")
    make_model(path / "model", hidden_size=64, intermediate_size=128, initializer_range=0.2)
    write_sentences(path / "train.tsv", 120)
    write_sentences(path / "dev.tsv", 40, seed=1)
    return path


def run(folder, target, *options, model="model", data="train.tsv", task="sst2", name="compress"):
    arguments = [name, str(folder / model), "--data", str(folder / data), "--task", task,
                 "-o", str(target), *map(str, options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["prunus", *arguments])
        return CliRunner().invoke(app, arguments)


def said(*arguments):
    """What a command prints as JSON."""
    found = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def made(folder):
    target = folder / "made"
    result = run(folder, target, "--dev", folder / "dev.tsv", "--json", *SMALL)
    assert result.exit_code == 0, result.output
    return target, json.loads(result.stdout)


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, arguments)])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_report_says_what_was_made(made):
    target, report = made
    assert report == json.loads((target / "report.json").read_text())
    assert report["edp_ratio"] >= 2.5 and report["tokens"] == 25
    assert report["texts"] == {"learned_from": 90, "held_out": 30,
                               "held_out_numbers": report["texts"]["held_out_numbers"]}
    names = {name for layer in report["layers"] for name in layer["names"]}
    assert len(names) == 12 and set(report["quality"]) == {"held_out", "dev"}
    assert len(report["losses"]) == 4
    cost = report["costs"]["25"]
    assert cost["compressed"]["cycles"] < cost["dense_int8"]["cycles"]
    assert not target.with_name("made.work").exists()


def test_it_is_a_model_like_any_other(folder, made):
    target, report = made
    record = said("evaluate", target, "--data", folder / "dev.tsv", "--task", "sst2",
                  "--method", "float")
    assert record["value"] == report["quality"]["dev"]["after"]
    answer = said("infer", target, "w1 w2 w3", "--method", "hdp")
    assert answer["class"] in (0, 1) and answer["cycles"] > 0


def test_its_layers_are_linear_jobs(made):
    model = open_model(made[0]).model
    layers = [module for module in model.modules() if isinstance(module, Coded)]
    parts = [module for module in model.modules() if isinstance(module, Part)]
    assert len(layers) + len(parts) - len(parts) // 3 == 12
    assert not [name for name, _ in model.named_parameters() if "layer.0.output.dense" in name]


def test_the_same_again_gives_the_same(folder, made, tmp_path):
    assert run(folder, tmp_path / "again", *SMALL).exit_code == 0
    one, other = load_file(made[0] / CODES_FILE), load_file(tmp_path / "again" / CODES_FILE)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("after", [1, 2, 3])
def test_stopped_after_an_epoch_it_goes_on_to_the_same(folder, made, tmp_path, monkeypatch,
                                                       after):
    from prunus.compress.distil import Distiller

    save = Distiller.save

    def stop(self):
        save(self)
        if self.epoch == after:
            raise KeyboardInterrupt

    target = tmp_path / "made"
    with monkeypatch.context() as patch:
        patch.setattr(Distiller, "save", stop)
        assert run(folder, target, *SMALL).exit_code != 0
    assert not target.exists() and (tmp_path / "made.work").is_dir()
    other = run(folder, target, *SMALL, "--rate-codes", "1e-4")
    assert "belongs to a run with other second_rate" in str(other.exception)
    assert run(folder, target, *SMALL).exit_code == 0
    one, other = load_file(made[0] / CODES_FILE), load_file(target / CODES_FILE)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_another_search_does_not_go_on(folder, tmp_path):
    from prunus.compress.session import Session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run(folder, tmp_path / "made", *SMALL)
    result = run(folder, tmp_path / "made", *SMALL, "--weights", "int8", "--edp", "1.2")
    assert isinstance(result.exception, InputError) or result.exit_code == 2
    assert "belongs to a run with other gain, bits" in str(result.exception) + result.output


def test_int8_alone_has_no_int4(folder, tmp_path):
    result = run(folder, tmp_path / "made", "--json", *SMALL, "--edp", "1.1", "--weights", "int8")
    assert result.exit_code == 0, result.output
    assert {layer["bits"] for layer in json.loads(result.stdout)["layers"]} == {8}


@pytest.mark.parametrize("rule", ["products", "uniform"])
def test_other_ways_to_choose_reach_the_same(folder, tmp_path, rule):
    result = run(folder, tmp_path / "made", "--json", *SMALL, "--edp", "2.2", "--search", rule,
                 "--epochs-layers", "0", "--epochs-codes", "0")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["edp_ratio"] >= 2.2
    if rule == "uniform":
        assert {layer["form"] for layer in report["layers"]} == {"svd"}
        assert len({layer["rank"][0] for layer in report["layers"]}) <= 2
    cost = report["costs"]["25"]
    assert cost["compressed_unfused"]["read_bytes"] > cost["compressed"]["read_bytes"]


def test_of_all_forms(folder, tmp_path):
    result = run(folder, tmp_path / "made", "--json", *SMALL[:-2], "--epochs-layers", "0",
                 "--epochs-codes", "0")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["asked"]["forms"] == list(KINDS)


def test_a_loss_alone_finds_its_own_budget(folder, tmp_path):
    options = ("--held-out", 30, "--epochs-layers", 0, "--epochs-codes", 0, "--tokens", 25,
               "--forms", "dense", "--json")
    found = {}
    for loss in (0, 50):
        result = run(folder, tmp_path / f"made{loss}", *options, "--max-loss", loss)
        assert result.exit_code == 0, result.output
        found[loss] = json.loads(result.stdout)
    assert found[0]["edp_ratio"] < found[50]["edp_ratio"]


def test_decoders_too(tmp_path):
    make_decoder(tmp_path / "model", hidden_size=64, intermediate_size=128, head_dim=16)
    random = np.random.default_rng(0)
    (tmp_path / "text.txt").write_text("\n<|endoftext|>\n".join(
        " ".join(f"w{n}" for n in random.integers(0, 40, 20)) for _ in range(40)))
    result = run(tmp_path, tmp_path / "made", "--json", "--held-out", 10, "--epochs-layers", 1,
                 "--epochs-codes", 1, "--edp", 1.5, data="text.txt", task="lm")
    assert result.exit_code == 0, result.output
    part = json.loads(result.stdout)["quality"]["held_out"]
    assert part["metric"] == "perplexity" and part["after"] > 1
    record = said("evaluate", tmp_path / "made", "--data", tmp_path / "text.txt", "--task", "lm",
                  "--method", "float", "--limit", 3)
    assert record["n"] == 3


# -- bad input ------------------------------------------------------------------------------------
@pytest.mark.parametrize("options, message", [
    (("--max-loss", "nan"), "--max-loss must be a finite number of at least 0, not nan"),
    (("--edp", "0.5"), "--edp must be a finite number of at least 1, not 0.5"),
    (("--edp", "4", "--max-loss", "1"), "--edp must not be given beside --max-loss"),
    (("--search", "uniform"), "--search uniform needs --edp"),
    (("--forms", "svd,lu"), "--forms must be some of dense, svd, tucker, ttm, butterfly, not "
                            "'lu'"),
    (("--held-out", "0"), "--held-out must be at least 1, not 0"),
    (("--held-out", "61"), "must have at least 122 texts, twice those that --held-out keeps "
                           "back, not 120"),
    (("--epochs-codes", "-1"), "--epochs-codes must be at least 0, not -1"),
    (("--rate-layers", "0"), "--rate-layers must be above 0, not 0"),
    (("--memory-energy", "-1"), "--memory-energy must be a finite number of at least 0, not -1"),
    (("--preset", "topk_edge"), "hdp"),
    (("--edp", "1000", "--held-out", "30"), "--edp must be within what the forms reach"),
])
def test_bad_options(folder, tmp_path, capsys, options, message):
    said = refused(["compress", folder / "model", "--data", folder / "train.tsv", "--task",
                    "sst2", "-o", tmp_path / "made", *options], capsys)
    assert message in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_no_results_are_left_alone(folder, tmp_path, capsys):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").write_text("years of work")
    options = ["--data", folder / "train.tsv", "--task", "sst2", "-o"]
    said = refused(["compress", folder / "model", *options, tmp_path / "own"], capsys)
    assert "must be a new directory, or one that this command wrote" in said
    said = refused(["compress", folder / "model", *options, folder / "model"], capsys)
    assert "output must not be the model" in said
    assert (tmp_path / "own" / "thesis.tex").read_text() == "years of work"


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "copy")
    return tmp_path / "copy"


def changed(path, change):
    """Write the codes anew with other arrays or another header."""
    with safe_open(path / CODES_FILE, "numpy") as file:
        header = json.loads(file.metadata()["prunus"])
    arrays = load_file(path / CODES_FILE)
    change(header, arrays)
    save_file(arrays, path / CODES_FILE, metadata={"prunus": json.dumps(header)})


def test_other_codes_are_refused(copied):
    def flip(header, arrays):
        arrays[min(name for name in arrays if name.endswith("weight"))][0, 0] += 1

    changed(copied, flip)
    with pytest.raises(InputError, match="must be as they were written.*sha256"):
        open_model(copied)


def test_other_weights_are_refused(folder, copied):
    shutil.copy(folder / "model" / "model.safetensors", copied)
    with pytest.raises(InputError, match="with the weights that they were written with"):
        open_model(copied)


def test_another_version_is_refused(copied):
    changed(copied, lambda header, arrays: header.update(version=2))
    with pytest.raises(InputError, match="must be of version 1, not 2"):
        open_model(copied)


def test_another_shape_is_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    with pytest.raises(InputError, match="outputs of bert.encoder.layer.0.intermediate.dense"):
        open_model(copied)


def test_a_layer_that_is_not_there_is_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"must have a linear layer 'bert.encoder.layer.1"):
        open_model(copied)


def test_what_is_no_file_of_codes_is_refused(copied):
    (copied / CODES_FILE).write_bytes(b"no codes")
    with pytest.raises(InputError, match="cannot be read"):
        open_model(copied)


def test_thresholds_are_not_learned_through_codes(folder, copied, capsys):
    said = refused(["train-thresholds", copied, "--data", folder / "train.tsv", "-o",
                    copied / "t.toml", "--steps", "1"], capsys)
    assert "must have weights to learn through" in said

# SPDX-License-Identifier: Apache-2.0
"""Whole models under methods."""

import json

import numpy as np
import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
)

from prunus.errors import InputError  # noqa: E402
from prunus.evaluate.core import Evaluator  # noqa: E402
from prunus.evaluate.layer import Layer  # noqa: E402
from prunus.evaluate.methods.base import Hardware, Method  # noqa: E402
from prunus.evaluate.methods.own import Float, Uniform  # noqa: E402
from prunus.evaluate.methods.registry import make_method  # noqa: E402
from prunus.evaluate.tasks import TASKS, Columns  # noqa: E402
from prunus.models.attention import Double  # noqa: E402
from prunus.models.model import next_token_loss  # noqa: E402
from tests.prunus.models.test_kinds import CLASSIFIERS  # noqa: E402

OWN_IS_FLOAT = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert")
    tiny.make_decoder(path / "llama")
    tiny.write_sentences(path / "s.tsv", 70)
    random = np.random.default_rng(0)
    (path / "s.txt").write_text("\n<|endoftext|>\n".join(
        " ".join(f"w{word}" for word in random.integers(0, 40, count))
        for count in (12, 1, 30, 80)))
    return path


def sentences(root, **how) -> Evaluator:
    return Evaluator(root / "bert", TASKS["sst2"], root / "s.tsv", **how)


def documents(root, **how) -> Evaluator:
    return Evaluator(root / "llama", TASKS["lm"], root / "s.txt", **how)


class AsFloat(Method):
    """Plain attention through the hook, text by text."""

    name = "as float"
    parameters: dict = {}

    def __init__(self):
        self.layers: list[Layer] = []

    def attend(self, layer):
        self.layers.append(layer)
        return Float().attend(layer)


def test_texts_are_cut_to_the_positions_that_a_model_has(root, tmp_path):
    """RoBERTa's table has a row of padding in front, so it takes one token less than it says."""
    path = tiny.save(tmp_path / "m", CLASSIFIERS["positions from 2"]())
    data = tmp_path / "long.tsv"
    data.write_text(f"{' '.join(['w1'] * 50)}\t1\n")
    evaluator = Evaluator(path, TASKS["sst2"], data)
    assert evaluator.longest == 33
    evaluator.run(make_method("float", None, {}))


def test_the_model_by_itself(root):
    evaluator = sentences(root)
    own = AutoModelForSequenceClassification.from_pretrained(
        root / "bert", attn_implementation="eager")
    want = []
    with torch.no_grad():
        for text in evaluator.texts:
            want.append(own(input_ids=torch.tensor([text["input_ids"]])).logits.argmax().item())
    evaluation = evaluator.run(Float())
    assert evaluation.items[:, 0].tolist() == want
    assert evaluation.items[:, 1].tolist() == list(evaluator.labels)
    assert evaluation.value == np.mean(np.equal(want, evaluator.labels))
    assert len(set(want)) == 2


def test_documents_by_themselves(root):
    evaluator = documents(root)
    # The last is cut to the positions of the model, with the token of a beginning.
    assert [len(text["input_ids"]) for text in evaluator.texts] == [13, 2, 31, 64]
    own = AutoModelForCausalLM.from_pretrained(root / "llama", attn_implementation="eager")
    losses = []
    with torch.no_grad():
        for text in evaluator.texts:
            tokens = text["input_ids"]
            losses.append(next_token_loss(own(input_ids=torch.tensor([tokens])).logits[0], tokens))
    evaluation = evaluator.run(Float())
    np.testing.assert_allclose(evaluation.items[:, 0], losses, rtol=1e-5)
    assert evaluation.items[:, 1].tolist() == [12, 1, 30, 63]
    assert evaluation.value == pytest.approx(np.exp(sum(losses) / 106))


@pytest.mark.parametrize("make", [sentences, documents])
def test_a_hook_that_does_the_same_changes_nothing(root, make):
    evaluator, method = make(root), AsFloat()
    own = evaluator.run(Float())
    hooked = evaluator.run(method)
    np.testing.assert_allclose(hooked.items, own.items, rtol=1e-5)
    np.testing.assert_allclose(evaluator.items(Double()), own.items, rtol=1e-5)
    np.testing.assert_array_equal(evaluator.run(Float()).items, own.items)
    # All layers of all texts, by the number of the text.
    seen = {(layer.text, layer.number): layer for layer in method.layers}
    assert len(seen) == len(method.layers) == 2 * len(evaluator)
    for (text, _), layer in seen.items():
        assert layer.length == len(evaluator.texts[text]["input_ids"]) and layer.layers == 2
        assert layer.causal == evaluator.task.generates
    uniform = evaluator.run(Uniform()).items
    assert (uniform != own.items).any()


@pytest.mark.parametrize("name", ["dense", "hdp", "leopard", "topk", "spatten", "energon",
                                  "random"])
@pytest.mark.parametrize("make", [sentences, documents])
def test_a_method_is_the_same_alone_and_in_company(root, make, name):
    options = {"hdp": {"rho": 0.1}, "leopard": {"threshold": 0.0}, "topk": {"keep": 0.3},
               "spatten": {"token_keep": 0.5, "head_keep": 0.5}, "random": {"share": 0.5}}
    evaluator = make(root)
    evaluation = evaluator.run(make_method(name, None, options.get(name, {})))
    record = evaluation.record()
    pruned = [record[f"{what}_pruned"] for what in ("blocks", "scores", "heads")]
    assert all(0 <= share < 1 for share in pruned)
    assert (name == "dense") == (pruned == [0, 0, 0])
    assert (pruned[2] > 0) == (name == "spatten")
    hardware = isinstance(evaluation.method, Hardware)
    assert (record["cycles"] is not None) == (record["bytes"] is not None) == hardware
    # Counts and costs of the first texts are those of an evaluation of them alone.
    few = make(root, limit=3)
    parts = [few.run(make_method(name, None, options.get(name, {})))]
    np.testing.assert_array_equal(parts[0].items, evaluation.items[:3])
    free = few.run(make_method(name, None, options.get(name, {})), costs=False)
    assert free.cycles is free.moved is None
    np.testing.assert_array_equal(free.items, parts[0].items)


def test_costs_are_sums_over_layers_of_texts(root):
    evaluator = sentences(root, limit=4)
    method = make_method("hdp", None, {"distance": 1.0})
    tables = []
    attend = method.attend

    def told(layer, through):
        attended = attend(layer, through)
        tables.append((attended.jobs, attended.results))
        return attended

    method.attend = told
    evaluation = evaluator.run(method)
    assert len(tables) == 8 and all(len(jobs) == 2 for jobs, _ in tables)
    costs = [method.cost(*table) for table in tables]
    assert (evaluation.cycles, evaluation.moved) == tuple(map(sum, zip(*costs, strict=True)))
    assert evaluation.counts.heads == 16
    assert evaluation.counts.blocks == sum(
        result.blocks_total for _, results in tables for result in results)


def test_progress(root):
    told = []
    sentences(root).run(Float(), told=lambda *done: told.append(done))
    assert told == [(32, 70), (64, 70), (70, 70)]
    told.clear()
    documents(root).run(Uniform(), told=lambda *done: told.append(done))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pairs_keep_their_segments(root, tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("w1 w2\tw3\t0\nw4\tw5 w6 w7\t1\n")
    evaluator = Evaluator(root / "bert", TASKS["tsv"], path,
                          columns=Columns(text="1", pair="2", label="3"))
    assert evaluator.texts[0]["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    own = AutoModelForSequenceClassification.from_pretrained(
        root / "bert", attn_implementation="eager")
    logits, hook = [], evaluator.model.model.register_forward_hook(
        lambda _, args, out: logits.append(out.logits))
    evaluator.run(Float())
    hook.remove()
    with torch.no_grad():
        want = own(**{key: torch.tensor([value]) for key, value in evaluator.texts[0].items()})
    torch.testing.assert_close(logits[0][:1], want.logits)


def test_texts_are_cut(root):
    assert documents(root, length=20).longest == 20 and documents(root).longest == 64
    assert sentences(root, length=5).longest == 5
    # BERT has 40 positions, whatever is asked for.
    assert sentences(root, length=100).model.length == 40


@pytest.mark.parametrize(("make", "how", "message"), [
    (sentences, {"limit": 0}, "--limit must be at least 1, not 0"),
    (documents, {"columns": Columns(text="1", label="2")},
     "columns belong to tasks with labels, and lm has none")])
def test_bad_arguments(root, make, how, message):
    with pytest.raises(InputError, match=message):
        make(root, **how)


def test_models_of_another_kind(root, tmp_path):
    with pytest.raises(InputError, match="task lm needs a model whose name ends in ForCausalLM or "
                       "LMHeadModel, and .*bert' holds a BertForSequenceClassification"):
        Evaluator(root / "bert", TASKS["lm"], root / "s.txt")
    with pytest.raises(InputError, match="task sst2 needs a model whose name ends in ForSequence.*"
                       "holds a LlamaForCausalLM"):
        Evaluator(root / "llama", TASKS["sst2"], root / "s.tsv")
    with pytest.raises(InputError, match="has no config.json"):
        Evaluator(tmp_path, TASKS["sst2"], root / "s.tsv")
    three = tiny.make_model(tmp_path / "three", num_labels=3)
    with pytest.raises(InputError, match="judged by mcc and needs a model of 2 classes, not 3"):
        Evaluator(three, TASKS["cola"], root / "s.tsv")


def test_numbers_that_are_none(root, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(root / "bert")
    bad = model.bert.encoder.layer[1].attention.self.key.weight
    with torch.no_grad():
        bad[3, 2] = float("nan")
    path = tiny.make_model(tmp_path / "nan")
    model.save_pretrained(path)
    with pytest.raises(InputError, match=r"must have finite weights, and bert.encoder.layer.1.*key."
                       "weight has others"):
        Evaluator(path, TASKS["sst2"], root / "s.tsv")
    # Finite weights may still overflow on the way.
    evaluator = sentences(root, limit=2)
    with torch.no_grad():
        evaluator.model.model.bert.encoder.layer[0].output.LayerNorm.weight.fill_(3e38)
    with pytest.raises(InputError, match="must have finite queries, and layer 1 has NaN"):
        evaluator.run(AsFloat())


def test_documents_without_a_token_to_predict(root, tmp_path):
    with pytest.raises(InputError, match="must hold a document with a token to predict"):
        documents(root, length=1)


def test_what_the_hardware_cannot_hold_is_said_first(root):
    evaluator = documents(root)
    method = make_method("hdp", "hdp_tiny", {})
    seen = []
    method.attend = lambda layer: seen.append(layer)
    assert method.config.l_max < 64
    with pytest.raises(InputError, match=f"at most {method.config.l_max} tokens .hdp_tiny., not 64"
                       ": --length cuts them"):
        evaluator.run(method)
    assert not seen


def test_records_are_json(root):
    record = sentences(root).run(make_method("leopard", None, {"threshold": -np.inf})).record()
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert record["low"] <= record["value"] <= record["high"] and record["scores_pruned"] == 0

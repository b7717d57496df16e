# SPDX-License-Identifier: Apache-2.0
"""Whole models with their heads through backends: the RTL says what golden says."""

import math
from contextlib import ExitStack

import numpy as np
import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from prunus.errors import InputError, RunError  # noqa: E402
from prunus.evaluate.core import Evaluator  # noqa: E402
from prunus.evaluate.hook import Hook  # noqa: E402
from prunus.evaluate.inference import Question  # noqa: E402
from prunus.evaluate.methods.own import Float, Uniform  # noqa: E402
from prunus.evaluate.methods.registry import make_method  # noqa: E402
from prunus.evaluate.tasks import TASKS  # noqa: E402
from prunus.run import OPENED  # noqa: E402
from prunus.sim.board import BoardSimulation  # noqa: E402
from prunus.sim.session import Session  # noqa: E402
from tests.prunus.models.test_model import SHARED  # noqa: E402

METHODS = {"hdp": {"distance": 0.7}, "leopard": {"threshold": 0.0}, "topk": {"top_k": 3}}
SENTENCES = ("w1 w2 w3 w4 w5", "w7 w7 w30", "w8 w9 w10 w11 w12 w13 w14 w15 w16 w17")
PROMPT = "w1 w2 w3"
TIMES = {"cycles", "cycles_from", "backend"}
OWN = 1e-3          # of the spread of the logits, as in the trial of a model


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    tiny.make_model(path / "bert")
    tiny.make_decoder(path / "llama", initializer_range=0.6)
    return path


@pytest.fixture(scope="module")
def simulated():
    """A session of each preset, for all tests."""
    with ExitStack() as stack:
        opened: dict = {}

        def through(config):
            if config.name not in opened:
                opened[config.name] = stack.enter_context(OPENED["verilator"](config))
            return opened[config.name]

        yield through


def on(name):
    return make_method(name, f"{name}_tiny", METHODS[name])


def golden(question):
    with OPENED["golden"](question.method.config) as through:
        return question.answer("golden", through)


def agree(here, there):
    """All figures but the cycles, which are counted there and predicted here."""
    a, b = here.record(), there.record()
    assert {n: x for n, x in a.items() if n not in TIMES} == {
        n: x for n, x in b.items() if n not in TIMES}
    np.testing.assert_array_equal(here.logits, there.logits)
    assert (a["cycles_from"], b["cycles_from"]) == ("model", "counters")
    # HDP has a model of cycles, the others a bound, which counts no reading.
    least = 0.95 if here.method.name == "hdp" else 0
    assert least < a["cycles"] / b["cycles"] < 1.05
    return a


@pytest.mark.parametrize("name", METHODS)
def test_three_sentences_on_the_rtl(root, simulated, name):
    for text in SENTENCES:
        question = Question(root / "bert", text, on(name))
        record = agree(golden(question), question.answer(
            "verilator", simulated(question.method.config)))
        assert record["tokens"] == len(text.split()) + 2
        assert record["class"] == int(np.argmax(record["logits"]))
        assert record["label"] == f"LABEL_{record['class']}"
        assert sum(record["probabilities"]) == pytest.approx(1)
        assert record["max_difference"] > 0
        shares = [layer["scores_pruned"] for layer in record["layers"]]
        assert len(shares) == 2 and min(shares) <= record["scores_pruned"] <= max(shares)
        assert record["scores_pruned"] > 0


@pytest.mark.parametrize("name", METHODS)
def test_ten_tokens_on_the_rtl(root, simulated, name):
    question = Question(root / "llama", PROMPT, on(name), tokens=10)
    record = agree(golden(question), question.answer(
        "verilator", simulated(question.method.config)))
    assert record["tokens"] == 4 and len(record["generated"]) == 10
    assert np.shape(record["logits"]) == np.shape(record["float"]) == (10, 43)
    assert record["generated"] == np.argmax(record["logits"], -1).tolist()
    assert record["text"].split() == [f"w{n - 3}" for n in record["generated"] if n > 2]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no models in {SHARED} (PRUNUS_MODELS says where)")
@pytest.mark.parametrize("text", ["a gorgeous , witty , seductive movie .", "it never works .",
                                  "not bad at all"])
def test_real_sentences_on_the_rtl(simulated, text):
    question = Question(SHARED / "minilm-sst2", text, make_method(
        "hdp", "hdp_tiny", {"distance": 2.0}))
    record = agree(golden(question), question.answer(
        "verilator", simulated(question.method.config)))
    assert record["agrees"] and record["class"] == (text != "it never works .")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no models in {SHARED} (PRUNUS_MODELS says where)")
def test_a_real_story_on_the_rtl(simulated):
    question = Question(SHARED / "stories260k", "Once upon a time", make_method(
        "hdp", "hdp_fine_tiny", {"distance": 6.0, "pruned": "drop"}), tokens=10)
    record = agree(golden(question), question.answer(
        "verilator", simulated(question.method.config)))
    assert record["agrees"] and record["text"] == ", there was a little girl named Lily"


def test_a_board(root):
    """The simulated one, whose memory takes a few heads at a time."""
    question = Question(root / "bert", SENTENCES[1], on("hdp"))
    with BoardSimulation(question.method.config, memory_bytes=8192) as board, \
            OPENED["serial"](question.method.config, port=board.port, timeout_s=20.0) as through:
        agree(golden(question), question.answer("serial", through))


def test_jobs_of_a_generation(root):
    """A causal pass, then steps of one query over a cache that grows; groups read keys once."""
    question = Question(root / "llama", PROMPT, on("hdp"), tokens=4)
    tables = []
    with OPENED["golden"](question.method.config) as through:
        question.answer("golden", lambda jobs: tables.append(jobs) or through(jobs))
    shapes = [(4, 4, True), (1, 5, False), (1, 6, False), (1, 7, False)]
    assert [(table[0].l_q, table[0].l_kv, table[0].causal) for table in tables] == [
        shape for shape in shapes for _ in range(2)]
    for table in tables:
        assert [job.same_kv for job in table] == [False, True, False, True]
        # All codes are full in each step, whatever they were before.
        assert all(abs(x).max() == question.method.config.max_code
                   for job in table for x in (job.q, job.k, job.v))


# -- what a cache is ------------------------------------------------------------------------------
def test_a_cache_changes_nothing_but_units(root):
    """Of a rule on real numbers; codes fill the width of all keys there are so far."""
    question = Question(root / "llama", PROMPT, Uniform(), tokens=12)
    answer = golden_free(question)
    tokens = question.item["input_ids"] + answer.said["generated"]
    hook = Hook(Uniform(), question.layers)
    hook.texts = [0]
    question.model.switch.rule = hook
    whole = question.model.logits(tokens[:-1])[3:].numpy()
    np.testing.assert_allclose(answer.logits, whole, atol=OWN * np.ptp(whole))
    assert answer.record()["cycles"] is None and answer.record()["cycles_from"] is None


def golden_free(question):
    """The answer of a method without hardware."""
    with OPENED["golden"](None) as through:
        return question.answer("golden", through)


def test_the_model_by_itself(root):
    for text, model in ((SENTENCES[0], "bert"), (PROMPT, "llama")):
        question = Question(root / model, text, Float())
        record = golden_free(question).record()
        assert record["agrees"] and record["preset"] is None
        np.testing.assert_allclose(record["logits"], record["float"],
                                   atol=OWN * np.ptp(record["float"]))
        assert record["read_bytes"] is record["write_bytes"] is None
    # The rest of the process has the hook again.
    assert question.model.model.config._attn_implementation == question.model.switch.name


def test_the_float_model_is_the_one_of_the_library(root):
    question = Question(root / "llama", PROMPT, on("hdp"), tokens=10)
    answer = golden(question)
    own = AutoModelForCausalLM.from_pretrained(root / "llama", attn_implementation="eager")
    tokens = question.item["input_ids"] + answer.said["generated"]
    with torch.no_grad():
        want = own(input_ids=torch.tensor([tokens])).logits[0, 3:-1].numpy()
    np.testing.assert_allclose(answer.own, want, atol=1e-4)
    off = np.abs(answer.logits.astype(float) - want)
    record = answer.record()
    assert record["max_difference"] == pytest.approx(off.max(), rel=1e-3)
    assert record["rms_difference"] == pytest.approx(math.sqrt((off**2).mean()), rel=1e-3)
    assert record["agrees"] is bool((answer.logits.argmax(-1) == want.argmax(-1)).all())


def test_where_all_choices_agree_it_is_the_model_s_own_continuation(root):
    question = Question(root / "llama", PROMPT, make_method("hdp", "hdp_w12", {
        "distance": 1e6, "exact": True}), tokens=10)
    answer = golden(question)
    own = AutoModelForCausalLM.from_pretrained(root / "llama", attn_implementation="eager")
    tokens = torch.tensor([question.item["input_ids"]])
    want = own.generate(tokens, do_sample=False, max_new_tokens=10,
                        attention_mask=torch.ones_like(tokens), pad_token_id=0)[0, 4:].tolist()
    assert answer.agrees and answer.said["generated"] == want


def test_generation_ends_with_the_end_of_a_text(root):
    question = Question(root / "llama", PROMPT, on("topk"), tokens=10)
    plain = golden(question).said["generated"]
    question.model.model.generation_config.eos_token_id = [plain[4], 99]
    assert golden(question).said["generated"] == plain[:plain.index(plain[4]) + 1]


def test_evaluate_and_infer_say_the_same(root, tmp_path):
    """The hook is one and the same."""
    path = tmp_path / "s.tsv"
    path.write_text(f"{SENTENCES[0]}\t1\n")
    evaluation = Evaluator(root / "bert", TASKS["sst2"], path).run(on("hdp"))
    record = golden(Question(root / "bert", SENTENCES[0], on("hdp"))).record()
    assert evaluation.items[0, 0] == record["class"]
    told = evaluation.record()
    for name in ("blocks_pruned", "scores_pruned", "heads_pruned", "cycles"):
        assert told[name] == record[name]
    assert told["bytes"] == record["read_bytes"] + record["write_bytes"]


def test_pairs(root):
    """Tokens of the second sentence are of another type."""
    question = Question(root / "bert", "w1 w2", Float(), pair="w3")
    assert question.item["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    own = AutoModelForSequenceClassification.from_pretrained(root / "bert")
    said = AutoTokenizer.from_pretrained(root / "bert")("w1 w2", "w3", return_tensors="pt")
    with torch.no_grad():
        want = own(**said).logits[0]
    np.testing.assert_allclose(golden_free(question).logits, want, atol=1e-5)


def test_progress(root):
    seen = []
    question = Question(root / "llama", PROMPT, on("hdp"), tokens=3)
    with OPENED["golden"](question.method.config) as through:
        question.answer("golden", through, lambda *told: seen.append(told))
    assert seen == [(4 * n, 24) for n in range(1, 7)]


def test_what_the_backend_gives_is_what_the_next_layer_gets(root):
    """One wrong word in the first layer changes the logits, where nobody compares it."""
    question = Question(root / "bert", SENTENCES[0], on("hdp"))
    tables = 0
    with OPENED["golden"](question.method.config) as through:
        def spoiled(jobs):
            nonlocal tables
            tables += 1
            done = through(jobs)
            if tables == 1:
                done.outputs[0][0][0, 0] += 900
            return done

        other = question.answer("golden", spoiled)
        assert tables == 2
        assert not np.array_equal(other.logits, question.answer("golden", through).logits)


def test_a_difference_ends_it(root, monkeypatch):
    """A word that the RTL has wrong, in the second layer."""
    question = Question(root / "bert", SENTENCES[0], on("hdp"))
    simulate, tables = Session.simulate, []

    def spoiled(self, jobs, progress=None):
        simulation = simulate(self, jobs, progress)
        tables.append(jobs)
        if len(tables) == 2:
            simulation.results[1][0][0, 0] ^= 1
        return simulation

    monkeypatch.setattr(Session, "simulate", spoiled)
    with pytest.raises(RunError, match="^head 1: the RTL's output is not that of the spec"):
        with OPENED["verilator"](question.method.config) as through:
            question.answer("verilator", through)
    assert len(tables) == 2


# -- bad input ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("model", "text", "how", "message"), [
    ("bert", "", {}, "text must not be empty, and is ''"),
    ("llama", " \n", {}, r"text must not be empty, and is ' \\n'"),
    ("bert", "w1", {"pair": ""}, "--pair must not be empty, and is ''"),
    ("bert", "\u200b", {}, "text must have tokens, and "),
    ("bert", "nobody knows", {}, "every word of 1 texts is unknown"),
    ("bert", "w1", {"pair": "nobody"}, None),
    ("llama", "nobody", {}, "every word of 1 texts is unknown"),
    ("bert", "w1", {"tokens": 3}, "--tokens belongs to a decoder, and model '.*' is a BertFor"),
    ("llama", "w1", {"pair": "w2"}, "--pair belongs to a classifier, and model '.*' is a Llama"),
    ("llama", "w1", {"tokens": 0}, "--tokens must be at least 1, not 0"),
    ("bert", " ".join(["w1"] * 31), {}, "at most 32 tokens, the most of hdp_tiny, not 33"),
    ("llama", " ".join(["w1"] * 32), {}, "at most 32 tokens, the most of hdp_tiny, not 33"),
    ("llama", "w1 w2 w3", {"tokens": 30}, "--tokens must be at most 29 behind 4 tokens of text, "
     "for the most of hdp_tiny are 32, not 30"),
])
def test_bad_questions(root, model, text, how, message):
    if message is None:
        Question(root / model, text, on("hdp"), **how)
        return
    with pytest.raises(InputError, match=message):
        Question(root / model, text, on("hdp"), **how)


def test_positions(root):
    """Those of the model, where the hardware has more; the last token needs none."""
    with pytest.raises(InputError, match="at most 40 tokens, the positions of model '.*', not 42"):
        Question(root / "bert", " ".join(["w1"] * 40), Uniform())
    text = " ".join(["w1"] * 60)
    with pytest.raises(InputError, match="at most 4 behind 61 tokens of text, for the positions"):
        Question(root / "llama", text, Uniform(), tokens=5)
    assert Question(root / "llama", text, Uniform()).count == 4
    question = Question(root / "llama", text, Uniform(), tokens=4)
    assert len(golden_free(question).said["generated"]) == 4


def test_heads_that_the_preset_does_not_take(tmp_path):
    tiny.make_decoder(tmp_path / "m", head_dim=24)
    with pytest.raises(InputError, match=r"up to 16 \(topk_tiny\), not 24"):
        Question(tmp_path / "m", PROMPT, on("topk"))


def test_methods_that_need_a_whole_text(root):
    method = make_method("spatten", None, {"head_keep": 0.5})
    with pytest.raises(InputError, match="method spatten needs all queries of a text"):
        Question(root / "llama", PROMPT, method)
    assert golden_free(Question(root / "bert", PROMPT, method)).record()["heads_pruned"] > 0

# SPDX-License-Identifier: Apache-2.0
"""A method in the place of a model's attention."""

from dataclasses import replace

import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
)

from prunus.evaluate.choices import HdpChoice  # noqa: E402
from prunus.evaluate.hook import Hook  # noqa: E402
from prunus.evaluate.methods.hdp import Hdp  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.models.attention import Double  # noqa: E402
from prunus.models.model import Classifier, Decoder, next_token_loss  # noqa: E402
from tests.prunus.models.test_attention import make  # noqa: E402

EDGE, FINE = load_config("hdp_edge"), load_config("hdp_fine")
TEXTS = ("w1 w2 w3 w4 w5 w6 w7", "w8", "w9 w10 w11")
STORY = " ".join(f"w{n * 7 % 40}" for n in range(30))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    path = tiny.make_decoder(tmp_path_factory.mktemp("decoder"))
    return Decoder(path), AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tiny.make_model(tmp_path_factory.mktemp("classifier"))
    return Classifier(path), AutoModelForSequenceClassification.from_pretrained(
        path, attn_implementation="eager")


def hooked(config, **choice):
    """A method for any number of texts of two layers."""
    hook = Hook(Hdp(config, lambda layer, head: HdpChoice(**choice), {}), 2)
    hook.texts = range(100)
    return hook


def blocks(hook):
    return (sum(counts.blocks_kept for counts in hook.counts),
            sum(counts.blocks for counts in hook.counts))


def story_logits(decoder, rule):
    decoder.switch.rule = rule
    return decoder.logits(*decoder.tokenise([STORY]))


def test_the_hook_is_what_a_decoder_does_by_itself(decoder):
    decoder, own = decoder
    tokens, = decoder.tokenise([STORY])
    with torch.no_grad():
        want = own(input_ids=torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(story_logits(decoder, Double()), want, atol=1e-4, rtol=1e-4)
    assert (want[1:] - want[:-1]).abs().max() > 1e-2        # it says something of the text
    loss = own(input_ids=torch.tensor([tokens]), labels=torch.tensor([tokens])).loss
    assert next_token_loss(want, tokens) == pytest.approx(30 * loss.item(), rel=1e-5)
    assert tokens[0] == decoder.tokenizer.bos_token_id and len(tokens) == 31


def test_the_hook_is_what_an_encoder_does_by_itself(classifier):
    classifier, own = classifier
    tokens = classifier.tokenise(TEXTS)
    batch = classifier.tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
    with torch.no_grad():
        want = own(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(classifier.all_logits(tokens, Double()), want)


@pytest.mark.parametrize(("config", "choice"), [
    (EDGE, {"dense": True}), (FINE, {"dense": True}),
    (EDGE, {"distance": 60, "pruned": "drop", "exact": True})])
def test_where_nothing_is_pruned_it_is_near(decoder, classifier, config, choice):
    rule = hooked(config, **choice)
    want, got = (story_logits(decoder[0], one) for one in (Double(), rule))
    kept, total = blocks(rule)
    assert kept == total > 0
    assert 0 < (got - want).abs().mean() < 0.02 * want.std()
    tokens = classifier[0].tokenise(TEXTS)
    want, got = (classifier[0].all_logits(tokens, one) for one in (Double(), rule))
    assert 0 < (got - want).abs().max() < 0.05 * want.std()


def test_a_job_for_each_head(decoder, classifier, monkeypatch):
    jobs, coded = [], Hdp.coded
    monkeypatch.setattr(Hdp, "coded", lambda *of: jobs.append(coded(*of)[0]) or coded(*of))
    story_logits(decoder[0], hooked(EDGE, distance=2, pruned="drop"))
    assert [(job.l_q, job.l_kv, job.valid_q, job.valid_kv, job.d, job.causal, job.drop)
            for job in jobs] == 8 * [(31, 31, 31, 31, 8, True, True)]
    # Queries of a group have one head of keys and values, and the next group another.
    assert all((jobs[n].k == jobs[n + 1].k).all() and (jobs[n].v == jobs[n + 1].v).all()
               for n in range(0, 8, 2))
    assert (jobs[1].k != jobs[2].k).any() and (jobs[0].q != jobs[1].q).any()
    jobs.clear()
    tokens = classifier[0].tokenise(TEXTS)
    classifier[0].all_logits(tokens, hooked(EDGE, rho=0.2), by_length=False)
    # Layer by layer, sentence by sentence, with the two marks around each.
    assert [(job.valid_q, job.valid_kv, job.causal, job.drop) for job in jobs] == [
        (n, n, False, False) for n in 2 * (9, 9, 3, 3, 5, 5)]


def test_all_zero_heads_stay_zero():
    heads = make(length=6, valid=(6,))
    heads = replace(heads, q=0 * heads.q, k=0 * heads.k, v=0 * heads.v)
    assert not hooked(EDGE, distance=1)(heads).any()


def test_blocks_are_counted_of_all_heads():
    rule = hooked(EDGE, distance=0.5, pruned="drop")
    out = rule(make(length=6, valid=(6, 3)))
    kept, total = blocks(rule)
    assert total == 2 * (9 + 4) and 2 * (3 + 2) <= kept < total
    assert not out[1, :, 3:].any() and out[1, :, :3].any()

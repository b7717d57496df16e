# SPDX-License-Identifier: Apache-2.0
"""Rules in the place of a model's attention."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from prunus.errors import InputError  # noqa: E402
from prunus.models.attention import (  # noqa: E402
    Dense,
    Hard,
    Heads,
    Random,
    Soft,
    Switch,
    Uniform,
    job_mask,
)
from prunus.models.model import Classifier  # noqa: E402
from prunus.models.sentences import Sentences  # noqa: E402

TEXTS = ("w1 w2 w3 w4 w5 w6 w7", "w8", "w9 w10 w11")


def make(length=6, valid=(6, 4), seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(len(valid), 2, length, 8, generator=generator, dtype=dtype)
               for _ in range(3))
    rows = torch.arange(length) < torch.tensor(valid)[:, None]
    visible = (rows[:, None, :, None] & rows[:, None, None, :])
    return Heads(0, q, k, v, visible, 8**-0.5, 0.0)


def plain(heads, scores, keep):
    """Attention in NumPy, by its definition."""
    scores, keep, v = (x.detach().numpy().astype(np.float64) for x in (scores, keep, heads.v))
    e = np.where(keep > 0, np.exp(scores), 0)
    total = e.sum(-1, keepdims=True)
    return np.where(total > 0, e / np.where(total > 0, total, 1), 0) @ v


def test_dense_is_what_the_model_does_by_itself(tmp_path):
    from transformers import AutoModelForSequenceClassification

    path = tiny.make_model(tmp_path)
    classifier = Classifier(path)
    tokens = classifier.tokenise(TEXTS)
    own = AutoModelForSequenceClassification.from_pretrained(path, attn_implementation="eager")
    batch = classifier.tokenizer.pad({"input_ids": tokens}, return_tensors="pt")
    with torch.no_grad():
        want = own(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        got = classifier.logits(tokens)
    assert classifier.layers == 2 and classifier.classes == 2
    torch.testing.assert_close(got, want)
    assert (want[0] - want[1]).abs().max() > 1e-3       # it says something of a sentence


def test_what_the_hard_rule_prunes_has_probability_zero():
    heads = make()
    rule = Hard([0.3], 1)
    out = rule(heads)
    keep = heads.visible & (heads.logits() >= 0.3)
    np.testing.assert_allclose(out, plain(heads, heads.logits(), keep), atol=1e-6)
    # Values of keys that no query keeps do not matter at all.
    unread = ~keep.any(-2)
    assert 0 < unread.sum() < unread.numel()
    v = torch.where(unread[..., None], 1e30, heads.v)
    assert torch.equal(rule(replace(heads, v=v)), out)


def test_rows_without_survivors_are_zero():
    heads = make()
    limit = heads.logits()[heads.visible.expand(2, 2, 6, 6)].median().item() + 1.2
    for rule in (Hard([limit], 1), Soft(torch.tensor([limit]), sharpness=10, depth=1000, slope=10)):
        out = rule(heads)
        alive = (heads.visible & (heads.logits() >= limit)).any(-1)
        assert not out[~alive].any() and out[alive].any(-1).all()
        assert 0 < alive.sum() < alive.numel()


def test_padding_is_not_counted():
    both, alone = Hard([0.1], 1), Hard([0.1], 1)
    heads = make(valid=(6, 4))
    both(heads)
    for n, length in enumerate((6, 4)):
        some = (slice(n, n + 1), slice(None), slice(length))
        alone(Heads(0, heads.q[some], heads.k[some], heads.v[some],
                    torch.ones(1, 1, length, length, dtype=torch.bool), heads.scaling, 0.0))
    assert both.counts.visible == alone.counts.visible == [2 * (36 + 16)]
    assert both.counts.kept == alone.counts.kept
    assert 0 < both.counts.rate() < 1 and both.counts.rates() == [both.counts.rate()]


def test_padding_in_a_model_is_not_counted(tmp_path):
    classifier = Classifier(tiny.make_model(tmp_path))
    sentences = Sentences(TEXTS, (0, 1, 0))
    together, apart = Hard([0.1, 0.1], 2), Hard([0.1, 0.1], 2)
    classifier.correct(sentences, together)
    classifier.correct(sentences, apart, batch=1)
    assert together.counts.visible == apart.counts.visible == [2 * (81 + 9 + 25)] * 2
    assert together.counts.kept == apart.counts.kept


def test_the_soft_rule_by_its_formula():
    heads, t = make(), torch.tensor([0.2])
    soft = Soft(t, sharpness=3.0, depth=7.0, slope=5.0)
    out = soft(heads)
    x = heads.logits()
    scores = torch.where(x >= 0.2, x * torch.tanh(3 * (x - 0.2)), 7 * torch.tanh(3 * (x - 0.2)))
    alive = (heads.visible & (x >= 0.2)).any(-1, keepdim=True)
    np.testing.assert_allclose(out, plain(heads, scores, heads.visible & alive), atol=1e-6)
    seen = x[heads.visible.expand_as(x)]
    want = (1 / (1 + np.exp(-5 * (seen.numpy() - 0.2)))).mean()
    assert soft.penalty().item() == pytest.approx(want, rel=1e-5)
    soft(make(seed=1))                               # another layer counts alike
    other = soft.penalty().item()
    soft(make(seed=1))
    soft(heads)
    assert other != pytest.approx(want, rel=1e-3)
    assert soft.penalty().item() == pytest.approx((want + other) / 2, rel=1e-5)


def test_far_from_the_threshold_soft_is_hard():
    heads = make()
    x = heads.logits()
    gap = (x - 0.2).abs().min().item()
    soft = Soft(torch.tensor([0.2]), sharpness=20 / gap, depth=1000, slope=10)
    torch.testing.assert_close(soft(heads), Hard([0.2], 1)(heads))


def test_gradients_reach_the_threshold_and_the_queries():
    heads = make(dtype=torch.float64)
    heads.q.requires_grad_(True)
    t = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)

    def total(thresholds):
        return Soft(thresholds, sharpness=2.0, depth=5.0, slope=10.0)(heads).square().sum()

    total(t).backward()
    assert heads.q.grad.abs().sum() > 0
    with torch.no_grad():                        # against finite differences
        difference = (total(t + 1e-6) - total(t - 1e-6)).item() / 2e-6
    assert t.grad.item() == pytest.approx(difference, rel=1e-4)
    soft = Soft(t, sharpness=2.0, depth=5.0, slope=10.0)
    soft(heads)
    t.grad = None
    soft.penalty().backward()
    assert t.grad < 0                            # a higher threshold keeps fewer


def test_controls():
    heads = make(length=40, valid=(40, 30))
    out = Uniform()(heads)
    torch.testing.assert_close(out[1, :, 5], heads.v[1, :, :30].mean(1))
    assert not out[1, :, 30:].any()
    rule = Random([0.75], 1, seed=1)
    rule(heads)
    assert rule.counts.visible == [2 * (1600 + 900)]
    assert rule.counts.rate() == pytest.approx(0.75, abs=0.03)
    keep_all = Random([0.0], 1, seed=1)
    assert torch.equal(keep_all(heads), Dense()(heads)) and keep_all.counts.rate() == 0


def test_without_thresholds_nothing_changes():
    heads = make()
    rule = Hard([float("-inf")], 1)
    assert torch.equal(rule(heads), Dense()(heads)) and rule.counts.rate() == 0


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no config.json"):
        Classifier(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be loaded"):
        Classifier(tmp_path)


# -- masks and arguments --------------------------------------------------------------------------
def mask_of(lengths, length, causal):
    rows = torch.arange(length) < torch.tensor(lengths)[:, None]
    keys = rows[:, None, None, :].expand(len(lengths), 1, length, length)
    return keys.tril() if causal else keys


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_jobs(causal, said):
    """Whatever the module says of itself; masks of numbers are as good as those of bools."""
    mask = mask_of((6, 4, 1), 6, causal)
    rows = torch.arange(6) < torch.tensor((6, 4, 1))[:, None]
    want = mask & rows[:, None, :, None]
    low = torch.finfo(torch.float32).min
    for one in (mask, mask.expand(3, 2, 6, 6), torch.where(mask, 0.0, low),
                torch.where(mask, 0.0, -torch.inf), torch.where(mask, 0.0, -1e4), want):
        visible, order = job_mask(one, 3, 6, said)
        assert torch.equal(visible, want) and order is causal
    if not causal:
        visible, order = job_mask(mask[:, :, :1], 3, 6, said)
        assert torch.equal(visible, want) and order is False
    visible, order = job_mask(None, 2, 6, said)
    assert visible.shape == (2, 1, 6, 6) and order is said
    assert int(visible.sum()) == 2 * (21 if said else 36)
    # Of single tokens only the module can say it.
    assert job_mask(torch.ones(2, 1, 1, 1, dtype=torch.bool), 2, 1, said)[1] is said


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("queries", [1, 3])
def test_masks_of_a_step_with_a_cache(queries, said):
    """The last rows of a whole mask. All keys that a single query sees are all keys."""
    cached = 6 - queries
    for causal in (False, True):
        mask = mask_of((6, 6), 6, causal)[:, :, cached:]
        visible, order = job_mask(mask, 2, queries, said, cached)
        assert torch.equal(visible, mask) and order is (said if queries == 1 else causal)
    visible, _ = job_mask(None, 2, queries, True, cached)
    assert torch.equal(visible, mask_of((6, 6), 6, True)[:, :, cached:])


@pytest.mark.parametrize("queries", [1, 3])
def test_masks_of_a_step_that_no_job_can_say(queries):
    """Padding in the cache, a window, another number of keys."""
    cached = 6 - queries
    step = mask_of((6, 6), 6, True)[:, :, cached:]
    for hidden in (0, cached - 1):
        with pytest.raises(InputError, match="model must hide padding on the right, and what"):
            job_mask(step & (torch.arange(6) != hidden), 2, queries, True, cached)
    for mask in (step[..., 1:], torch.nn.functional.pad(step, (1, 0), value=True)):
        with pytest.raises(InputError, match="not a mask of shape"):
            job_mask(mask, 2, queries, True, cached)


def wrong_masks():
    full, causal = mask_of((6, 6), 6, False), mask_of((6, 6), 6, True)
    distance = torch.arange(6)[:, None] - torch.arange(6)
    hole = full.clone()
    hole[1, :, 2, 3] = False
    prefix = causal.clone()
    prefix[..., :3, :3] = True
    mixed = full.clone()
    mixed[1] = causal[1]
    heads = full.repeat(1, 2, 1, 1)
    heads[:, 1] = causal[:, 0]
    packed = causal & (torch.arange(6)[:, None] // 3 == torch.arange(6) // 3)
    return {"window": full & (distance.abs() < 3), "causal window": causal & (distance < 3),
            "left": full & (torch.arange(6) > 1), "gap": full & (torch.arange(6) != 2),
            "hole": hole, "prefix": prefix, "mixed": mixed, "heads": heads, "packed": packed,
            "not itself": full & (distance != 0), "backwards": causal.mT,
            "shape": full[:, :, :5], "rows": full[0, 0],
            "one row with a hole": full[:, :, :1] & (torch.arange(6) != 3),
            "seen by padding alone": full & (torch.arange(6)[:, None] < 4)}


@pytest.mark.parametrize("name", wrong_masks())
@pytest.mark.parametrize("said", [False, True])
def test_masks_that_no_job_can_say(name, said):
    with pytest.raises(InputError, match="model must hide padding on the right, and what comes"):
        job_mask(wrong_masks()[name], 2, 6, said)


def test_biases_are_refused():
    for value in (0.5, -3.0, 1e4, -5e3):
        bias = torch.zeros(1, 1, 4, 4)
        bias[..., 1] = value
        with pytest.raises(InputError, match="must not add a bias to its logits"):
            job_mask(bias, 1, 4, False)


class Layer(torch.nn.Module):
    """Calls attention as a module of the library does."""

    is_causal = False


class Whole(torch.nn.Module):
    """A model of such layers, as far as a switch needs one."""

    def __init__(self):
        super().__init__()
        self.layer, self.config = Layer(), SimpleNamespace(_attn_implementation=None)

    def set_attn_implementation(self, name):
        self.config._attn_implementation = name

    def forward(self, q, k, v, mask=None, calls=2, **how):
        from transformers import AttentionInterface

        attend = AttentionInterface()[self.config._attn_implementation]
        return [attend(self.layer, q, k, v, mask, **how)[0] for _ in range(calls)]


def test_a_layer_is_a_call():
    model, seen = Whole(), []
    switch = Switch(model)
    switch.rule = lambda heads: seen.append(heads) or Dense()(heads)
    q, kv = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8)
    for _ in range(2):
        model(q, kv, kv, scaling=0.3, output_attentions=False, softcap=None)
    assert switch.layers == 2 and [heads.layer for heads in seen] == [0, 1, 0, 1]
    heads = seen[0]
    assert (heads.scaling, heads.group, heads.causal) == (0.3, 2, False)
    assert torch.equal(heads.k[:, 1], kv[:, 0]) and torch.equal(heads.k[:, 2], kv[:, 1])
    assert (switch.shapes[0].heads, switch.shapes[0].kv_heads) == (4, 2)
    with pytest.raises(InputError, match="its 2 layers of attention in every pass, and came to 3"):
        model(q, kv, kv, calls=3)


def test_causality_is_honoured_without_a_mask():
    model = Whole()
    switch = Switch(model)
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    full = model(q, k, v)[0]
    causal = model(q, k, v, is_causal=True)[0]
    assert switch.shapes[0].causal is False
    model.layer.is_causal = True
    assert torch.equal(model(q, k, v)[0], causal) and torch.equal(
        model(q, k, v, is_causal=False)[0], full)
    assert torch.equal(causal[:, 0], v[:, :, 0]) and not torch.equal(full, causal)


@pytest.mark.parametrize("said", ["position_bias", "softcap", "s_aux", "sinks", "head_mask",
                                  "cu_seq_lens_q", "indices", "whatever comes next"])
def test_arguments_that_are_not_known_are_refused(said):
    model = Whole()
    Switch(model)
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    model(q, k, v, **{said: None})
    with pytest.raises(InputError, match=f"must not change its attention by {said}, which no job"):
        model(q, k, v, **{said: torch.ones(1)})


@pytest.mark.parametrize(("shapes", "how", "message"), [
    ((5, 6, 6, 8), {}, "attend to its own tokens, and there are 6 keys for 5 queries of a Layer"),
    ((5, 5, 5, 16), {}, "queries and values of the same d, not 8 and 16"),
    ((5, 5, 5, 8), {"sliding_window": 4}, "beyond a window of 4, which no job of 5 tokens"),
    ((5, 5, 5, 8), {"scaling": torch.ones(2, 1, 1)}, "must scale all logits of a layer alike"),
])
def test_attention_that_no_job_can_say(shapes, how, message):
    model = Whole()
    Switch(model)
    rows, keys, values, d = shapes
    with pytest.raises(InputError, match=message):
        model(torch.randn(1, 2, rows, 8), torch.randn(1, 2, keys, 8),
              torch.randn(1, 2, values, d), **how)


def test_keys_of_a_cache_are_those_that_were_announced():
    model = Whole()
    switch = Switch(model)
    q, k, v = torch.randn(1, 2, 1, 8), torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, 8)
    switch.cached = 5
    said = model(q, k, v, is_causal=True)[0]
    want = torch.softmax(q @ k.mT * 8**-0.5, -1) @ v
    assert torch.allclose(said, want.transpose(1, 2), atol=1e-6)
    with pytest.raises(InputError, match="window of 5, which no job of 6 tokens"):
        model(q, k, v, sliding_window=5)
    for cached in (0, 4, 6):
        switch.cached = cached
        with pytest.raises(InputError, match="attend to its own tokens, and there are 6 keys for "
                           f"1 queries{f' behind {cached} tokens' if cached else ''} of a Layer"):
            model(q, k, v)


def test_a_window_that_hides_nothing_is_none():
    model = Whole()
    Switch(model)
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    assert torch.equal(model(q, k, v, sliding_window=5)[0], model(q, k, v)[0])


def test_dropout_in_evaluation_is_none():
    """Whatever a module says: some always give their rate."""
    model, seen = Whole(), []
    switch = Switch(model)
    switch.rule = lambda heads: seen.append(heads.dropout) or Dense()(heads)
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    model.eval()(q, k, v, calls=2, dropout=0.25)
    model.train()(q, k, v, calls=2, dropout=0.25)
    assert seen == [0.0, 0.0, 0.25, 0.25]

# SPDX-License-Identifier: Apache-2.0
"""What is learned of a model: a float copy of golden's arithmetic, and its gradients."""

from dataclasses import replace

import numpy as np
import pytest

from tests.prunus.models import tiny

tiny.need_torch()

import torch  # noqa: E402

from prunus.evaluate.choices import HdpChoice, LeopardChoice  # noqa: E402
from prunus.evaluate.core import Evaluator  # noqa: E402
from prunus.evaluate.layer import Layer  # noqa: E402
from prunus.evaluate.methods.hdp import Hdp  # noqa: E402
from prunus.evaluate.methods.leopard import Leopard  # noqa: E402
from prunus.evaluate.search import learn as learning  # noqa: E402
from prunus.evaluate.search.learn import WEIGHTS, Soft, learn  # noqa: E402
from prunus.evaluate.search.trial import Texts  # noqa: E402
from prunus.evaluate.tasks import TASKS  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402
from prunus.models.attention import Heads  # noqa: E402

LENGTH, D, HEADS = 13, 8, 4


def heads_of(causal=False, group=1, valid=LENGTH, seed=0) -> tuple[Heads, Layer]:
    """Heads of one text with padding, and the layer that golden gets of them."""
    random = np.random.default_rng(seed)
    q, k, v = random.standard_normal((3, HEADS, LENGTH, D)) * [4, 1, 0.3, 1, 2, 1, 1, 0.1]
    first = np.arange(HEADS) // group * group
    k, v = k[first], v[first]
    seen = np.arange(LENGTH) < valid
    visible = seen[:, None] & seen & (np.tri(LENGTH, dtype=bool) | (not causal))
    tensors = (torch.tensor(x[None], dtype=torch.float32) for x in (q, k, v))
    layer = Layer(number=0, layers=1, text=0, q=q[:, :valid], k=k[:, :valid], v=v[:, :valid],
                  scaling=D**-0.5, causal=causal, group=group)
    return Heads(0, *tensors, torch.tensor(visible)[None, None], D**-0.5, 0.0, causal,
                 group), layer


def soft(config, strength, *, width=0.0, temperature=1.0, drop=True, exact=False, balanced=False):
    of_heads = torch.full((1, HEADS), float(strength))
    return Soft(config, of_heads, torch.full((1, HEADS), 1 / temperature),
                learning._How(drop=[drop], exact=[exact], balanced=[balanced]), width)


@pytest.mark.parametrize("preset", ["hdp_edge", "hdp_fine"])
@pytest.mark.parametrize("how", [
    {}, {"drop": False}, {"exact": True}, {"balanced": True}, {"temperature": 1.6},
    {"balanced": True, "temperature": 0.7, "drop": False}], ids=repr)
@pytest.mark.parametrize("of", [{}, {"causal": True}, {"group": 2, "causal": True}, {"valid": 10}],
                         ids=repr)
def test_a_hard_mask_is_golden_s(preset, how, of):
    config = load_config(preset)
    heads, layer = heads_of(**of)
    rule = soft(config, 1.3, **how)
    out = rule(heads)[0, :, :layer.length].numpy()
    choice = HdpChoice(distance=1.3, pruned="drop" if how.get("drop", True) else "zero",
                       **{name: value for name, value in how.items() if name != "drop"})
    attended = Hdp(config, lambda layer, head: choice, {}).attend(layer)
    assert int(rule.kept) == attended.counts.blocks_kept
    assert int(rule.visible) == attended.counts.blocks
    assert np.abs(out - attended.out).max() < 0.03 * np.abs(layer.v).max()
    # And no other: of the next choice some head differs.
    other = soft(config, 0.9, **how)
    other(heads)
    assert int(other.kept) != int(rule.kept)


@pytest.mark.parametrize("causal", [False, True])
def test_a_hard_threshold_is_golden_s(causal):
    config = load_config("leopard_ae")
    heads, layer = heads_of(causal=causal)
    rule = soft(config, 0.4, temperature=1.3)
    rule(heads)
    choice = LeopardChoice(threshold=0.4, temperature=1.3)
    attended = Leopard(config, lambda layer, head: choice, {}).attend(layer)
    # Codes have eight bits, so a key or two lie on the other side.
    assert abs(int(rule.kept) - attended.counts.scores_kept) <= 6
    assert int(rule.visible) == attended.counts.scores


def test_a_soft_mask_has_gradients():
    heads, _ = heads_of()
    rule = soft(load_config("hdp_fine"), 1.0, width=0.3)
    rule.strengths.requires_grad_(True)
    rule(heads)
    rule.share().backward()
    assert (rule.strengths.grad > 0).all()          # a larger distance keeps more


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    root = tmp_path_factory.mktemp("lessons")
    tiny.make_decoder(root / "llama")
    random = np.random.default_rng(0)
    stories = [" ".join(f"w{word}" for word in random.integers(0, 40, 20)) for _ in range(6)]
    (root / "s.txt").write_text("\n<|endoftext|>\n".join(stories))
    return Texts(model=root / "llama", task="lm", data=root / "s.txt", chosen=tuple(range(5)),
                 state=())


@pytest.mark.parametrize(("preset", "more"), [("hdp_fine", -1), ("leopard_ae", 1)])
def test_larger_weights_prune_more(lessons, monkeypatch, preset, more):
    monkeypatch.setattr(learning, "STEPS", 12)
    monkeypatch.setattr(learning, "WEIGHTS", (WEIGHTS[0], 10 * WEIGHTS[-1]))
    evaluator = Evaluator(lessons.model, TASKS["lm"], lessons.data)
    units = [[layer] * evaluator.heads for layer in range(evaluator.layers)]
    start = [1.0 if preset == "hdp_fine" else 0.0] * evaluator.layers
    how = {"drop": [True] * evaluator.layers, "exact": [False] * evaluator.layers,
           "balanced": [True] * evaluator.layers}
    found = learn(lessons, preset, units, start, how, 3)
    assert len(found) == 2
    little, much = (np.array(one["strengths"]) for one in found)
    assert (more * (much - little) > 0.1).all()
    assert found == learn(lessons, preset, units, start, how, 3)
    assert found != learn(replace(lessons, chosen=(0, 1)), preset, units, start, how, 3)

# SPDX-License-Identifier: Apache-2.0
"""The specification in the place of a model's attention."""

import numpy as np
import pytest

from tests.prunus.models import tiny

torch = tiny.need_torch()

from prunus.golden.engines import load_config  # noqa: E402
from prunus.models.attention import Hard  # noqa: E402
from prunus.models.engine import Golden, Recorder, codes, survivors  # noqa: E402
from tests.prunus.models.test_attention import make  # noqa: E402

AE = load_config("leopard_ae")


@pytest.mark.parametrize("threshold", [-0.3, 0.4, float("-inf"), float("inf")])
def test_it_is_the_hard_rule_but_for_its_codes(threshold):
    heads = make(length=30, valid=(30, 17, 1), seed=3)
    hard, golden = Hard([threshold], 1), Golden([threshold], AE)
    want, got = hard(heads), golden(heads)
    assert golden.keys == hard.counts.visible == [2 * (900 + 289 + 1)]
    assert abs(golden.kept[0] - hard.counts.kept[0]) <= golden.differ <= 10
    # A row whose survivors are others may be anything; of the rest each value is near.
    near = (got - want).abs().amax(-1) < 0.03
    assert (~near).sum() <= golden.differ
    assert not got[1, :, 17:].any() and not got[2, :, 1:].any()
    assert golden.baseline == golden.keys[0]
    assert golden.digits <= 6 * golden.keys[0] and golden.bound >= golden.digits / 6


def test_sentences_have_units_of_their_own():
    heads = make(length=12, valid=(12, 12), seed=4)
    heads.q[1] *= 1000
    apart, one = Golden([0.4], AE), Golden([0.4], AE)
    first = apart(heads)[0]
    alone = make(length=12, valid=(12,), seed=4)
    alone.q[0], alone.k[0], alone.v[0] = heads.q[0], heads.k[0], heads.v[0]
    assert torch.equal(one(alone)[0], first)


def test_codes_of_some_are_cut_to_their_longest():
    heads = make(length=9, valid=(3, 9, 5), seed=5)
    layer = codes(heads, AE)
    assert layer.q.shape == (6, 9, 8) and layer.valid.tolist() == [3, 3, 9, 9, 5, 5]
    assert not layer.q[0, 3:].any() and layer.q[0, :3].any()
    some = codes(heads, AE, 2, 1)
    assert some.q.shape == (2, 5, 8) and some.valid.tolist() == [5, 5]
    np.testing.assert_allclose(some.k * some.units[1], heads.k[2, :, :5], atol=some.units[1])
    assert survivors(heads, 0.1).shape == (6, 9, 9)


def test_a_recorder_changes_nothing():
    heads, rule = make(), Recorder(Hard([0.4], 1))
    assert torch.equal(rule(heads), Hard([0.4], 1)(heads)) and rule.heads == [heads]

# SPDX-License-Identifier: Apache-2.0
"""What a search aims at, and settings on the way there."""

import math

import pytest

from tests.prunus.models import tiny

tiny.need_torch()
pytest.importorskip("optuna", reason=tiny.REASON)

from prunus.evaluate.search.search import Aim, Search, Tried  # noqa: E402
from prunus.evaluate.search.space import LeopardSpace  # noqa: E402
from prunus.evaluate.search.study import Study  # noqa: E402
from prunus.golden.engines import load_config  # noqa: E402

CONFIG = load_config("leopard_tiny")


def tried(share, lost, divergence=None):
    return Tried({}, {"scores_pruned": share, "lost": lost,
                      "divergence": lost / 100 if divergence is None else divergence})


POINTS = [tried(0.9, 3.0), tried(0.8, 1.0), tried(0.7, 0.4), tried(0.6, 0.5), tried(0.5, 0.1)]


def shares(found):
    return [one.result["scores_pruned"] for one in found]


def test_within_a_loss_the_most_pruned_comes_first():
    aim = Aim(share="scores_pruned", max_loss=1.0)
    assert [aim.met(one) for one in POINTS] == [False, True, True, True, True]
    assert shares(aim.candidates(POINTS)) == [0.8, 0.7, 0.5]        # 0.6 is dominated by 0.7
    assert aim.crossed(POINTS[1], POINTS[0]) and not aim.crossed(POINTS[4], POINTS[2])
    assert aim.past(POINTS[0]) and not aim.past(tried(0.9, 2.5))


def test_from_a_share_on_the_least_divergence_comes_first():
    aim = Aim(share="scores_pruned", target=0.7)
    assert aim.max_loss == math.inf
    assert [aim.met(one) for one in POINTS] == [True, True, True, False, False]
    assert shares(aim.candidates(POINTS)) == [0.7, 0.8, 0.9]
    assert aim.crossed(POINTS[3], POINTS[2]) and not aim.crossed(POINTS[1], POINTS[0])
    assert aim.past(POINTS[1]) and not aim.past(tried(0.74, 9))
    assert aim.candidates(POINTS[3:]) == []


@pytest.fixture
def search(tmp_path):
    levels = [[[float(n) for n in range(24)]] * 2] * 2
    space = LeopardSpace(CONFIG, 2, 2, per="head", goal="scores", surveyed=levels)
    return Search(Study(tmp_path / "s.study", {"a": 1}), space, None, None, {}, config=CONFIG.name,
                  options=None, idle=[], aim=Aim(share="scores_pruned", max_loss=1.0), trials=1,
                  seed=0)


def test_settings_between(search):
    space = search.space
    one, other = (space.alike(threshold=at, temperature=t) for at, t in ((1.0, 1.0), (3.0, 1.4)))
    half = space.between(one, other, 0.25)
    assert half["threshold.0.1"] == 1.5 and half["temperature.1.0"] == 1.1
    learned = [Tried(one, tried(0.6, 0.8).result), Tried(other, tried(0.8, 1.4).result)]
    assert search._between(learned) == [space.between(one, other, part)
                                        for part in (0.25, 0.5, 0.75)]
    assert search._between([Tried(one, tried(0.6, 0.1).result),
                            Tried(other, tried(0.8, 0.2).result)]) == []

# SPDX-License-Identifier: Apache-2.0
"""Real heads as jobs of HDP."""

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.golden.hdp.compute import Importance, encode_delta, encode_rho
from prunus.models.hdp import Setting, real_head

EDGE = load_config("hdp_edge")
DENSE = Setting()


def test_codes_fill_their_range():
    generator = np.random.default_rng(0)
    q, k, v = generator.normal(size=(3, 20, 8))
    v = v - 3 * v.min()
    for setting, most in ((Setting(rho=0.25), 127), (Setting(distance=3, digits="rounded"), 119),
                          (Setting(distance=3, digits="rounded", frac=3), 123)):
        config = setting.config(EDGE)
        job, unit = real_head(q, k, v, 0.5, setting, config)
        assert [abs(x).max() for x in (job.q, job.k, job.v)] == [most, most, 127]
        centred = k - k.mean(0)
        np.testing.assert_allclose(job.v * unit, v, atol=unit / 2 + 1e-9)
        scale = np.abs(q).max() * np.abs(centred).max() / most**2 * 0.5
        np.testing.assert_allclose(job.scale[0] / 2.0**job.scale[1], scale * np.log2(np.e), 1e-4)
        if setting.rho is None:
            assert job.importance is Importance.DISTANCE
            assert job.delta == encode_delta(3, scale, config)
        else:
            assert job.importance is Importance.MAGNITUDE and job.rho == encode_rho(0.25)
    job, _ = real_head(q, k + 9, v, 0.5, Setting(centred=False), DENSE.config(EDGE))
    assert job.k.min() > 0 and job.dense


def test_blocks_are_chosen_by_one_criterion():
    with pytest.raises(ValueError, match="rho and distance must not both be given, rho 0.5 and"):
        Setting(rho=0.5, distance=1.0)


def test_modes_reach_the_job():
    q, k, v = np.random.default_rng(1).normal(size=(3, 6, 8))
    for setting in (Setting(), Setting(rho=0.5, drop=True), Setting(distance=2, exact=True)):
        for causal in (False, True):
            job, _ = real_head(q, k, v, 0.5, setting, setting.config(EDGE), causal)
            assert (job.drop, job.exact, job.causal) == (setting.drop, setting.exact, causal)
            assert job.dense == (setting == DENSE)
